/**
 * Runs a workload against a store on a CrashFs, takes images of crashes on the way, and has each of
 * them checked. The only source of chance is the workload.
 */
import { RedexError } from '../core/errors.js';
import { Redex } from '../store/redex.js';
import { benign, choicesFromSeed, scaledSeed, worst, type Choose } from '../testing/choices.js';
import { CrashFs } from '../testing/crash-fs.js';
import { strict, type Profile } from '../testing/crash-profiles.js';
import { FaultFs } from '../testing/fault-fs.js';
import { ManualRuntime } from '../testing/manual-runtime.js';
import type { OperationRecord } from '../testing/operations.js';
import { Commands } from './commands.js';
import type { Counters } from './counters.js';
import { Faults } from './faults.js';
import { changesState, type Image } from './image.js';
import { checkImage } from './image-checks.js';
import { KnownLooks } from './known-looks.js';
import { DIRECTORY, judgeLook, look, namesOf, type LookSetting } from './look.js';
import { pumped, turns } from './pump.js';
import { SceneKeeper, type CrashScene } from './scene.js';
import { StoreLedger } from './store-ledger.js';
import { Violation } from './violation.js';
import type { Command, Life, Step, Workload } from './workload.js';

export interface RunOptions {
  readonly counters: Counters;
  /** What a power cut may lose. Default: `strict`. */
  readonly profile?: Profile;
  /** Images of one life. Default: 40. */
  readonly imagesALife?: number;
  /** Called before it rejects. A run that is to tell keeps copies, which costs time and memory. */
  readonly onScene?: (scene: CrashScene) => void;
}

const START_MS = 1_700_000_000_000;
/** Operations after the creation of a segment in which its roll counts as under way. */
const ROLL_OPERATIONS = 12;

class CrashRun {
  readonly #ledger = new StoreLedger();
  readonly #workload: Workload;
  readonly #counters: Counters;
  readonly #profile: Profile;
  readonly #imagesALife: number;
  readonly #imageKeys = new Set<string>();
  readonly #onScene: ((scene: CrashScene) => void) | undefined;
  readonly #keeper: SceneKeeper | undefined;
  #disk: CrashFs;
  #faults: Faults;
  #runtime: ManualRuntime = new ManualRuntime();
  #commands: Commands | undefined;
  #images: Image[] = [];
  #checking: Image | undefined;
  /** The ledger knows what the last crash has left, so that a kill may lose nothing of it. */
  #isSettled = true;
  #lives = 0;
  #places = 0;
  #draws = 0;
  #taken = 0;
  #checked = 0;
  #rollLeft = 0;
  /** A checkpoint has written where the next redo begins. */
  #isAdvancing = false;
  /** What is under way now is the same in all workloads. */
  #isUsual = true;
  #nowMs = START_MS;

  constructor(workload: Workload, options: RunOptions) {
    this.#workload = workload;
    this.#counters = options.counters;
    this.#profile = options.profile ?? strict;
    this.#imagesALife = options.imagesALife ?? 40;
    this.#onScene = options.onScene;
    this.#keeper = options.onScene === undefined ? undefined : new SceneKeeper(DIRECTORY);
    this.#disk = new CrashFs();
    this.#faults = new Faults(new FaultFs(this.#disk));
  }

  async run(): Promise<void> {
    try {
      for (const life of this.#workload.lives) {
        await this.#live(life);
        await this.#checkImages();
      }
    } catch (error) {
      if (this.#keeper !== undefined) this.#onScene?.(this.#keeper.scene(this.#disk));
      const place = this.#checking ?? this.#place;
      const log = place.log.slice(0, place.operation).filter(changesState).slice(-60);
      const told = log.map(
        ({ index, operation, path, to, error: code }) =>
          `  ${index} ${operation} ${path} ${to ?? ''} ${code ?? ''}`,
      );
      const reason = error instanceof Error ? error.message : String(error);
      throw new Violation(`${reason}\nthe last operations:\n${told.join('\n')}`, { cause: error });
    }
  }

  async #live(life: Life): Promise<void> {
    this.#lives += 1;
    this.#isUsual = this.#lives === 1;
    const fs = this.#startProcess();
    const commands = await this.#open(life, fs);
    this.#commands = commands;
    for (const step of life.steps) await this.#step(commands, step);
    await this.#end(commands, life);
  }

  #startProcess(): FaultFs {
    const { seed, shuffled } = this.#workload;
    this.#runtime = new ManualRuntime({
      seed: seed * 8 + this.#lives,
      startMs: this.#nowMs,
      ioOrder: shuffled ? 'random' : 'oldest',
    });
    const { deferIo } = this.#runtime;
    if (this.#lives === 1) {
      this.#disk = new CrashFs({ defer: deferIo, profile: this.#profile });
      if (seed % 4 === 0) makeDirectory(this.#disk);
    }
    const fs = new FaultFs(this.#disk, { defer: deferIo });
    this.#faults = new Faults(fs);
    this.#disk.onOperation = (operation) => this.#beforeOperation(operation);
    return fs;
  }

  #beforeOperation(operation: OperationRecord): void {
    if (!changesState(operation)) return;
    this.#rollLeft -= 1;
    if (operation.operation === 'createSync' && /[1-9]\.dat$/.test(operation.path)) {
      this.#rollLeft = ROLL_OPERATIONS;
    }
    const isControl = operation.path.endsWith('/journal/control');
    this.#isAdvancing = isControl && operation.operation === 'datasync';
    this.#sample(`before ${operation.operation} ${operation.path}`);
    this.#faults.before(operation);
  }

  async #open({ openFault }: Life, fs: FaultFs): Promise<Commands> {
    const { journalBytes } = this.#workload;
    const options = { fs, runtime: this.#runtime, journalBytes };
    let redex: Redex | undefined;
    if (openFault !== undefined) {
      // What an open finds lost it could not know of; commands meet that fault.
      const isLoss = openFault.fault === 'loseNames' || openFault.fault === 'loseSegmentNames';
      this.#faults.inject(isLoss ? { ...openFault, fault: 'failNames' } : openFault);
      try {
        redex = await pumped(this.#runtime, Redex.open(DIRECTORY, options));
      } catch (error) {
        if (!RedexError.is(error, 'IO')) throw new Violation(`an open failed: ${String(error)}`);
        this.#counters.failedOpens += 1;
      }
      this.#faults.clear();
    }
    redex ??= await pumped(this.#runtime, Redex.open(DIRECTORY, options));
    await this.#takeUp();
    return new Commands(redex, this.#ledger, this.#counters, this.#runtime);
  }

  /** What this process finds; a look from the side, which the store does not notice. */
  async #takeUp(): Promise<void> {
    const ledger = this.#ledger;
    const seen = await look(this.#disk.kill(), this.#setting, 1);
    judgeLook(seen, ledger, ledger.facts(), this.#isSettled ? 'kill' : 'power');
    ledger.storeId = seen.storeId;
    ledger.names.rebase(namesOf(seen));
    for (const { channel, index, found, firstSeq } of seen.channels.values()) {
      const known = ledger.channels[index];
      known?.rebase(channel.options, !this.#isSettled);
      // Only what is synced already is known to stay: the look has synced a copy.
      const { durableSeq, epoch } = known?.records ?? { durableSeq: 0, epoch: 0 };
      known?.records.rebase(found, firstSeq, durableSeq, epoch);
    }
    this.#isSettled = true;
  }

  get #setting(): LookSetting {
    const keeper = this.#keeper;
    return { ledger: this.#ledger, nowMs: this.#nowMs, seed: this.#workload.seed, keeper };
  }

  async #step(commands: Commands, { command, io, isUsual }: Step): Promise<void> {
    this.#isUsual = isUsual === true;
    if (command.kind === 'fault') this.#faults.inject(command);
    else if (command.kind === 'elapse') {
      this.#runtime.advance(command.ms);
      this.#nowMs += command.ms;
    } else if (!this.#reopens(command.kind)) commands.give(command);
    if (io < 0) return;
    await turns();
    if (io === 0) await this.#drain();
    for (let i = 1; i < io && this.#runtime.runIo(); i += 1) await turns();
    commands.check();
    if (this.#disk.overlappingSyncs > 0) throw new Violation('S5: two syncs of one descriptor');
    const waitedMs = command.kind === 'elapse' ? command.ms : 0;
    if (io === 0 && !this.#faults.isUsed) commands.requireSynced(waitedMs);
    this.#sample('after a command');
  }

  /** Names that a failed sync has lost are still seen: nobody may begin anew from them. */
  #reopens(kind: Command['kind']): boolean {
    return this.#faults.hasLostNames && ['close', 'create', 'rename', 'delete'].includes(kind);
  }

  async #drain(): Promise<void> {
    for (await turns(); this.#runtime.runIo(); await turns());
  }

  async #end(commands: Commands, life: Life): Promise<void> {
    this.#isUsual = false;
    this.#faults.clear();
    const end = this.#faults.hasLostNames ? 'power' : life.end;
    if (end === 'close') {
      await this.#drain();
      await pumped(this.#runtime, commands.close());
      this.#sample('after close');
      await this.#drain();
    }
    commands.check();
    commands.end();
    this.#commands = undefined;
    this.#runtime = new ManualRuntime({ seed: this.#workload.seed, startMs: this.#nowMs });
    // The next process brings its own completions along.
    const defer = (complete: () => void): void => this.#runtime.deferIo(complete);
    const choose = end === 'close' ? benign : this.#choices();
    this.#disk.onOperation = undefined;
    this.#isSettled = end !== 'power';
    this.#disk =
      end === 'power' ? this.#disk.crash(choose, { defer }) : this.#disk.kill(choose, { defer });
  }

  #choices(): Choose {
    return choicesFromSeed(scaledSeed(this.#workload.seed, 65_537) + (this.#draws += 1));
  }

  #sample(place: string): void {
    // A failure that a sync is just about to report belongs to this process alone.
    if (this.#faults.haveFired()) return;
    const doing = this.#doing();
    this.#places += 1;
    if (this.#isUsual && this.#workload.seed % 8 !== 0) return;
    const stride = this.#workload.stride * (doing.length > 0 ? 2 : 5);
    if (this.#places % stride !== 0 || this.#images.length >= this.#imagesALife) return;
    for (const what of doing) this.#counters[what] += 1;
    const turn = (this.#taken += 1) % 10;
    const choose = turn === 0 ? worst : this.#choices();
    const isKill = turn % 5 === 2 && !this.#faults.hasLostNames;
    this.#images.push({
      fs: isKill ? this.#disk.kill(choose) : this.#disk.crash(choose),
      facts: this.#ledger.facts(),
      kind: isKill && this.#isSettled ? 'kill' : 'power',
      isDurable: !isKill,
      place: `life ${this.#lives}, operation ${this.#disk.operations.length}, ${place}`,
      ...this.#place,
      seen: this.#keeper === undefined ? undefined : this.#disk.kill(),
    });
  }

  /** Where the process is. */
  get #place(): Pick<Image, 'log' | 'operation'> {
    const log = this.#disk.operations;
    return { log, operation: log.length };
  }

  #doing(): (keyof Counters)[] {
    const doing: (keyof Counters)[] = [];
    const { trim, compaction, checkpoint } = this.#commands?.maintenance ?? {};
    if ((compaction ?? 0) > 0) doing.push('inCompaction');
    if ((trim ?? 0) > 0) doing.push('inTrim');
    if ((checkpoint ?? 0) > 0) doing.push('inCheckpoint');
    if (this.#rollLeft > 0) doing.push('inRoll');
    if (doing.length > 0) doing.push('inMaintenance');
    if (this.#commands?.isCommitting === true) doing.push('inCommit');
    if (this.#isAdvancing) doing.push('inJournalCheckpoint');
    if (this.#commands?.isChangingNames === true) doing.push('inNameChange');
    return doing;
  }

  async #checkImages(): Promise<void> {
    const images = this.#images;
    this.#images = [];
    const known = new KnownLooks(this.#imageKeys);
    const setting = { ...this.#setting, counters: this.#counters, known };
    for (const image of images) {
      this.#checking = image;
      const turn = this.#workload.seed + (this.#checked += 1);
      await checkImage(image, setting, turn, this.#choices());
    }
    this.#checking = undefined;
    this.#keeper?.onRun();
  }
}

/** An empty directory whose own name no sync covers: somebody else has made it. */
function makeDirectory(disk: CrashFs): void {
  const parent = DIRECTORY.slice(0, DIRECTORY.lastIndexOf('/'));
  disk.mkdirSync(parent);
  disk.syncDirectorySync('/');
  disk.mkdirSync(DIRECTORY);
}

/** Throws a Violation for the first image or answer that breaks a promise. */
export async function runWorkload(workload: Workload, options: RunOptions): Promise<void> {
  await new CrashRun(workload, options).run();
}
