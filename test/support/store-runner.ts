/**
 * Runs a program against a store on a CrashFs, takes images of crashes on the way, and has each of
 * them verified. The only source of chance is the program.
 */
import { createHash } from 'node:crypto';
import { Redex } from '../../src/store/redex.js';
import { systemError } from '../../src/fs/system-error.js';
import { benign, worst, type Choose } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import type { InjectedFault } from '../../src/testing/fault-rules.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { RedexError } from '../../src/core/errors.js';
import { everyImage } from './crash-enumerate.js';
import { choicesOf } from './crash-inputs.js';
import { pumped, turns } from '../../src/crash-test/pump.js';
import { Violation } from './crash-model.js';
import { changesState } from './crash-verify.js';
import { StoreCommands } from './store-commands.js';
import { StoreModel } from './store-model.js';
import { DIRECTORY, judgeStore, observe } from './store-observe.js';
import type { StoreFault, StoreLife, StoreProgram, StoreStep } from './store-program.js';
import type { StoreStats } from './store-stats.js';
import { verifyStoreImage, type StoreImage } from './store-verify.js';

const MAX_IMAGES_A_LIFE = 40;
const START_MS = 1_700_000_000_000;

/** Takes every image of the last command of the last life, instead of samples of all. */
export interface ExhaustiveOptions {
  /** Images of one place; where there are more, some are drawn. */
  readonly imagesAPlace: number;
  /** Digests of images and what is known of them: the same one is not verified twice. */
  readonly seen: Set<string>;
}

class StoreRun {
  readonly #model = new StoreModel();
  readonly #program: StoreProgram;
  readonly #stats: StoreStats;
  readonly #exhaustive: ExhaustiveOptions | undefined;
  readonly #commands: StoreCommands;
  readonly #seeds = { next: 0 };
  #disk: CrashFs = new CrashFs();
  #faults: FaultFs = new FaultFs(this.#disk);
  #runtime: ManualRuntime = new ManualRuntime();
  #images: StoreImage[] = [];
  #injected: InjectedFault[] = [];
  #firedBefore = 0;
  /** The sync of a directory that fails without a loss; 0 for none. */
  #failNames = 0;
  #namesFailed = 0;
  /** Names were lost by a failed sync: no later process can count on what is visible. */
  #hasLostNames = false;
  /** The model knows what the last crash has left, so that a kill may lose nothing of it. */
  #settled = true;
  #sampling = false;
  #lives = 0;
  #places = 0;
  #draws = 0;
  #taken = 0;
  #verified = 0;
  #nowMs = START_MS;

  constructor(program: StoreProgram, stats: StoreStats, exhaustive: ExhaustiveOptions | undefined) {
    this.#program = program;
    this.#stats = stats;
    this.#exhaustive = exhaustive;
    this.#commands = new StoreCommands(this.#model, stats);
  }

  /** Resolves to the number of faults that the last life has met. */
  async run(): Promise<number> {
    try {
      for (const life of this.#program.lives) {
        await this.#live(life);
        await this.#verifyImages();
      }
      return this.#fired + this.#namesFailed;
    } catch (error) {
      const log = this.#disk.operations.filter(changesState).slice(-60);
      const told = log.map(
        ({ index, operation, path, to, error: code }) =>
          `  ${index} ${operation} ${path} ${to ?? ''} ${code ?? ''}`,
      );
      const reason = error instanceof Error ? error.message : String(error);
      throw new Violation(`${reason}\nthe last operations:\n${told.join('\n')}`, { cause: error });
    }
  }

  async #live(life: StoreLife): Promise<void> {
    this.#lives += 1;
    const isLast = this.#lives === this.#program.lives.length;
    this.#startProcess();
    this.#sampling = this.#exhaustive === undefined || (isLast && life.steps.length === 0);
    await this.#open(life);
    for (const [index, step] of life.steps.entries()) {
      const isTail = isLast && index === life.steps.length - 1;
      this.#sampling = this.#exhaustive === undefined || isTail;
      await this.#step(step);
    }
    await this.#end(life);
  }

  #startProcess(): void {
    const { seed, shuffled } = this.#program;
    this.#runtime = new ManualRuntime({
      seed: seed * 8 + this.#lives,
      startMs: this.#nowMs,
      ioOrder: shuffled ? 'random' : 'oldest',
    });
    const { deferIo } = this.#runtime;
    if (this.#lives === 1) {
      this.#disk = new CrashFs({ defer: deferIo });
      if (this.#program.premade) makeDirectory(this.#disk);
    }
    this.#faults = new FaultFs(this.#disk, { defer: deferIo });
    this.#injected = [];
    this.#firedBefore = 0;
    this.#namesFailed = 0;
    this.#disk.onOperation = (operation) => {
      if (changesState(operation)) this.#sample(`before ${operation.operation} ${operation.path}`);
      if (operation.operation.startsWith('syncDirectory')) this.#beforeNames(operation.path);
    };
  }

  /** A sync of a directory may fail. Its names are not lost by that: a later sync covers them. */
  #beforeNames(path: string): void {
    if (this.#failNames === 0) return;
    this.#failNames -= 1;
    if (this.#failNames > 0) return;
    this.#namesFailed += 1;
    throw systemError('EIO', 'syncDirectory', path);
  }

  get #fired(): number {
    return this.#injected.reduce((sum, fault) => sum + fault.fired, 0);
  }

  #clearFaults(): void {
    this.#faults.clearFaults();
    this.#failNames = 0;
  }

  async #open(life: StoreLife): Promise<void> {
    const options = { fs: this.#faults, runtime: this.#runtime };
    let redex: Redex | undefined;
    if (life.openFault !== undefined) {
      // What an open finds lost it could not know of; commands meet that fault.
      const { openFault } = life;
      this.#inject(openFault.fault === 'lostNames' ? { ...openFault, fault: 'names' } : openFault);
      try {
        redex = await this.#pump(Redex.open(DIRECTORY, options));
      } catch (error) {
        if (!RedexError.is(error, 'IO')) throw new Violation(`an open failed: ${String(error)}`);
        this.#stats.failedOpens += 1;
      }
      this.#clearFaults();
    }
    redex ??= await this.#pump(Redex.open(DIRECTORY, options));
    await this.#takeUp();
    this.#commands.begin(redex, this.#disk, this.#runtime);
  }

  /** What this process finds; a look from the side, which the store does not notice. */
  async #takeUp(): Promise<void> {
    const setting = { nowMs: this.#nowMs, seeds: this.#seeds };
    const observed = await observe(this.#disk.kill(), setting);
    const model = this.#model;
    judgeStore(observed, model, model.ledger(), this.#settled ? 'kill' : 'power');
    model.storeId = observed.storeId;
    model.names.rebase(observed.names);
    for (const { channel, index, found } of observed.channels.values()) {
      const known = model.channelOf(index * 1_000_000);
      known.seen(channel.options, !this.#settled);
      // Only what is synced already is known to stay: the look has synced a copy.
      const { durableSeq } = known.records;
      known.records.rebase(found, durableSeq, 0);
    }
    this.#settled = true;
  }

  async #step({ command, io }: StoreStep): Promise<void> {
    if (command.kind === 'fault') this.#inject(command);
    else if (command.kind === 'elapse') {
      this.#runtime.advance(command.ms);
      this.#nowMs += command.ms;
    } else this.#commands.give(command);
    await turns();
    if (io === 0) await this.#runtime.drainIo();
    for (let i = 1; i < io && this.#runtime.runIo(); i += 1) await turns();
    this.#commands.check();
    this.#sample('after a command');
  }

  #inject({ fault, nth, code }: StoreFault): void {
    if (fault === 'names') {
      this.#failNames = nth;
      return;
    }
    const isName = (path: string): boolean => !/\.(?:dat|idx|ts)$|clean$/.test(path);
    const effect = { error: code };
    if (fault === 'mutation') {
      this.#injected.push(this.#faults.inject({ operation: 'anyMutation', nth, effect }));
    } else if (fault === 'fileSync') {
      const rule = { path: isName, nth, effect };
      this.#injected.push(this.#faults.inject({ ...rule, operation: 'datasyncSync' }));
    } else {
      const rule = { path: /channels(?:\/\.\w+)?$/, nth, effect };
      this.#injected.push(this.#faults.inject({ ...rule, operation: 'anySync' }));
      this.#hasLostNames = true;
    }
  }

  async #end(life: StoreLife): Promise<void> {
    this.#clearFaults();
    const end = this.#hasLostNames ? 'power' : life.end;
    if (end === 'close') {
      await this.#runtime.drainIo();
      await this.#pump(this.#commands.close());
      this.#sample('after close');
      await this.#runtime.drainIo();
    }
    this.#commands.check();
    this.#commands.end();
    this.#runtime = new ManualRuntime({ seed: this.#program.seed, startMs: this.#nowMs });
    // The next process brings its own completions along.
    const defer = (complete: () => void): void => this.#runtime.deferIo(complete);
    const choose = end === 'close' ? benign : this.#choices();
    this.#disk.onOperation = undefined;
    this.#hasLostNames = false;
    this.#settled = end !== 'power';
    this.#disk =
      end === 'power' ? this.#disk.crash(choose, { defer }) : this.#disk.kill(choose, { defer });
  }

  #pump<T>(promise: Promise<T>): Promise<T> {
    return pumped(this.#runtime, promise);
  }

  #choices(): Choose {
    return choicesOf(this.#program.choices, (this.#draws += 1));
  }

  #sample(place: string): void {
    // A failure that a sync is just about to report belongs to this process alone.
    const fired = this.#fired;
    const isFaulty = fired !== this.#firedBefore;
    this.#firedBefore = fired;
    if (isFaulty || !this.#sampling) return;
    this.#places += 1;
    if (this.#exhaustive !== undefined) {
      for (const fs of everyImage(this.#disk, this.#exhaustive.imagesAPlace, this.#choices())) {
        this.#take('power', fs, place);
      }
      if (!this.#hasLostNames) this.#take('kill', this.#disk.kill(this.#choices()), place);
      return;
    }
    // Creating a store is the same in all programs: every eighth crashes it.
    const isBirth = this.#lives === 1 && !this.#commands.isOpen;
    if (isBirth && this.#program.seed % 8 !== 0) return;
    if (this.#places % this.#program.stride !== 0) return;
    if (this.#images.length >= MAX_IMAGES_A_LIFE) return;
    const turn = (this.#taken += 1) % 10;
    const choose = turn === 0 ? worst : this.#choices();
    if (turn % 3 === 1 && !this.#hasLostNames) this.#take('kill', this.#disk.kill(choose), place);
    else this.#take('power', this.#disk.crash(choose), place);
  }

  #take(crash: 'power' | 'kill', fs: CrashFs, place: string): void {
    const isKill = crash === 'kill';
    const kind = isKill && this.#settled ? 'kill' : 'power';
    const ledger = this.#model.ledger();
    const where = `life ${this.#lives}, operation ${this.#disk.operations.length}, ${place}`;
    const image: StoreImage = { fs, ledger, kind, isKill, place: where };
    const seen = this.#exhaustive?.seen;
    if (seen !== undefined && !isKill) {
      const digest = digestOf(fs, ledger);
      if (seen.has(digest)) return;
      seen.add(digest);
    }
    this.#images.push(image);
  }

  async #verifyImages(): Promise<void> {
    const setting = {
      nowMs: this.#nowMs,
      seeds: this.#seeds,
      model: this.#model,
      stats: this.#stats,
    };
    for (const image of this.#images) {
      const turn = this.#program.seed + (this.#verified += 1);
      await verifyStoreImage(image, setting, turn, this.#choices());
    }
    this.#images = [];
  }
}

/** An empty directory whose own name no sync covers. */
function makeDirectory(disk: CrashFs): void {
  const parents = DIRECTORY.split('/').slice(1, -1);
  for (const [index, name] of parents.entries()) {
    const parent = `/${parents.slice(0, index).join('/')}`;
    disk.mkdirSync(`${parent === '/' ? '' : parent}/${name}`);
    disk.syncDirectorySync(parent);
  }
  disk.mkdirSync(DIRECTORY);
}

/** Stands for the bytes of an image and for what is known of it. */
function digestOf(fs: CrashFs, ledger: unknown): string {
  const hash = createHash('sha1');
  const copy = fs.kill();
  const walk = (path: string): void => {
    for (const { name, kind } of copy.readDirectorySync(path === '' ? '/' : path)) {
      const at = `${path}/${name}`;
      hash.update(`${at}\0`);
      if (kind === 'directory') {
        walk(at);
        continue;
      }
      const file = copy.openSync(at, 'read');
      const bytes = new Uint8Array(file.sizeSync());
      file.readSync(bytes, 0, bytes.length, 0);
      file.closeSync();
      hash.update(bytes);
    }
  };
  walk('');
  const known = (_key: string, value: unknown): unknown =>
    value instanceof Set || ArrayBuffer.isView(value)
      ? [...(value as unknown as Iterable<unknown>)]
      : value;
  return hash.update(JSON.stringify(ledger, known)).digest('hex');
}

/**
 * Throws a Violation for the first image that breaks a rule; resolves to the number of faults that
 * the last life has met.
 */
export async function runStoreProgram(
  program: StoreProgram,
  stats: StoreStats,
  exhaustive?: ExhaustiveOptions,
): Promise<number> {
  return await new StoreRun(program, stats, exhaustive).run();
}
