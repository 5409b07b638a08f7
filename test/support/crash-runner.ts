/**
 * Runs a program against the engine on a CrashFs, takes images of crashes on the way, and has each
 * of them verified. The only source of chance is the program.
 */
import { openChannelIn } from './open-channel.js';
import type { Channel } from '../../src/channel/channel.js';
import { RedexError } from '../../src/core/errors.js';
import { systemError } from '../../src/fs/system-error.js';
import { benign, worst, type Choose } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import type { InjectedFault } from '../../src/testing/fault-rules.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { choicesOf, ruleOf, type FaultCommand } from './crash-inputs.js';
import { pumped, turns } from '../../src/crash-test/pump.js';
import { payloadOf } from '../../src/crash-test/record-ledger.js';
import { CrashModel, foundOf, judge, PENDING, Violation } from './crash-model.js';
import { SIZES, type Command, type Life, type Program, type Step } from './crash-program.js';
import type { CrashStats } from './crash-stats.js';
import { changesState, DIRECTORY, verifyImage, type Image } from './crash-verify.js';

const MAX_IMAGES_A_LIFE = 48;
const START_MS = 1_700_000_000_000;

class Run {
  readonly model: CrashModel = new CrashModel();
  readonly #program: Program;
  readonly #stats: CrashStats;
  readonly #exhaustive: boolean;
  #disk: CrashFs = new CrashFs();
  #faults: FaultFs = new FaultFs(this.#disk);
  #runtime: ManualRuntime = new ManualRuntime();
  #channel: Channel | undefined;
  #images: Image[] = [];
  #places = 0;
  #draws = 0;
  #lives = 0;
  #taken = 0;
  #nowMs = START_MS;
  /** The next open has told what is there, so that a kill may lose nothing of it. */
  #settled = true;
  /** `durableSeq` when the channel was poisoned. */
  #poisonedAt: number | undefined;
  /** The last `durableSeq` of this life. */
  #shownSeq = 0;
  #injected: InjectedFault[] = [];
  #firedBefore = 0;
  readonly #seeds = { next: 0 };
  #verified = 0;
  /** Found in a callback; thrown by the next step. */
  #violation: Error | undefined;
  /** The sync of a directory that fails; 0 for none. */
  #failNames = 0;

  constructor(program: Program, stats: CrashStats, exhaustive: boolean) {
    this.#program = program;
    this.#stats = stats;
    this.#exhaustive = exhaustive;
  }

  async run(): Promise<void> {
    for (const life of this.#program.lives) {
      await this.#live(life);
      await this.#verifyImages();
    }
  }

  async #live(life: Life): Promise<void> {
    this.#lives += 1;
    this.#poisonedAt = undefined;
    this.#startProcess();
    await this.#open(life);
    for (const step of life.steps) {
      await this.#step(step);
      this.#observe();
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
    // The disk that the last process left; it goes on with this one's completions.
    if (this.#lives === 1) this.#disk = new CrashFs({ defer: deferIo });
    this.#faults = new FaultFs(this.#disk, { defer: deferIo });
    this.#disk.onOperation = (operation) => {
      if (changesState(operation)) this.#sample(`before ${operation.operation} ${operation.path}`);
      if (operation.operation.startsWith('syncDirectory')) this.#beforeNames(operation.path);
    };
  }

  /** A sync of a directory may fail. Its names are not lost by that: a later sync covers them. */
  #beforeNames(path: string): void {
    if (this.#failNames === 0) return;
    this.#failNames -= 1;
    if (this.#failNames === 0) throw systemError('EIO', 'syncDirectory', path);
  }

  #clearFaults(): void {
    this.#faults.clearFaults();
    this.#failNames = 0;
  }

  async #open(life: Life): Promise<void> {
    const { sync, segmentBytes } = this.#program;
    const options = { fs: this.#faults, runtime: this.#runtime, sync, segmentBytes };
    if (life.openFault !== undefined) {
      this.#inject(life.openFault);
      try {
        const channel = await this.#pump(openChannelIn(DIRECTORY, options));
        this.#channel = channel;
      } catch (error) {
        this.#clearFaults();
        if (!RedexError.is(error) || (error.code !== 'IO' && error.code !== 'POISONED')) {
          throw new Violation(`an open with a fault failed with ${String(error)}`);
        }
        this.#stats.failedOpens += 1;
        this.#channel = undefined;
      }
      this.#clearFaults();
    }
    const channel = this.#channel ?? (await this.#pump(openChannelIn(DIRECTORY, options)));
    this.#channel = channel;
    const found = (await this.#pump(channel.readBatch())).map(foundOf);
    const kind = this.#settled ? 'kill' : 'power';
    judge(found, this.model.attempts, this.model.ledger(), kind);
    this.model.rebase(found, channel.durableSeq, channel.recoveryEpoch);
    this.#shownSeq = channel.durableSeq;
    this.#settled = true;
  }

  async #step({ command, io }: Step): Promise<void> {
    await this.#command(command);
    await turns();
    if (io === 0) await this.#runtime.drainIo();
    for (let i = 1; i < io && this.#runtime.runIo(); i += 1) await turns();
    this.#sample('after a command');
  }

  async #command(command: Command): Promise<void> {
    switch (command.kind) {
      case 'append':
      case 'appendSync':
        return this.#append(command);
      case 'sync': {
        const count = this.model.attempts.length;
        this.#channelOrThrow()
          .sync()
          .then(
            () => {
              this.#checkNotPoisoned('sync', this.model.ackedEnd(count));
              this.model.synced(count);
            },
            (error: unknown) => this.#onError(error),
          );
        return;
      }
      case 'elapse':
        this.#runtime.advance(command.ms);
        this.#nowMs += command.ms;
        return;
      case 'read':
        return this.#read();
      case 'fault':
        this.#inject(command);
        return;
    }
  }

  #channelOrThrow(): Channel {
    if (this.#channel === undefined) throw new Error('no channel is open');
    return this.#channel;
  }

  #append(command: Extract<Command, { kind: 'append' | 'appendSync' }>): void {
    const { sizes, durability, plain, skip, kind } = command;
    const { model } = this;
    const channel = this.#channelOrThrow();
    const first = model.nextId;
    const timeMs = this.#runtime.now();
    // Only when nothing is under way is it known which seqs are free.
    const idle = !model.ledger().states.includes(PENDING);
    const explicit = skip > 0 && idle ? channel.nextSeq + skip : undefined;
    const records = sizes.map((size, index) => {
      const id = first + index;
      const bytes = payloadOf(id, SIZES[size] ?? 8);
      const explicitSeq = index === 0 ? explicit : undefined;
      const isPlain = plain && bytes.length >= 4 && explicitSeq === undefined;
      const type = isPlain ? 0 : id;
      model.add({
        batch: first,
        batchSize: sizes.length,
        type,
        payload: bytes,
        timeMs,
        timed: !isPlain,
        explicitSeq,
      });
      if (isPlain) return bytes;
      return { payload: bytes, type, timestamp: timeMs, seq: explicitSeq };
    });
    const count = records.length;
    const asked = durability === 'default' ? undefined : durability;
    const synced = asked === undefined ? this.#program.sync === 'always' : asked === 'synced';
    const onDone = (seq: number): void => {
      if (synced) this.#checkNotPoisoned(`append ${first}`, seq + count);
      for (let i = 0; i < count; i += 1) model.acked(first + i, seq + i, synced);
    };
    const onError = (error: unknown): void => {
      const outcome = this.#onError(error);
      for (let i = 0; i < count; i += 1) model.rejected(first + i, outcome);
    };
    const options = { durability: asked };
    if (kind === 'appendSync') {
      try {
        onDone(channel.appendBatchSync(records, options).firstSeq);
      } catch (error) {
        onError(error);
      }
      return;
    }
    const [only] = records;
    const single = count === 1 && only instanceof Uint8Array;
    const promise = single
      ? channel.append(only, options)
      : channel.appendBatch(records, options).then(({ firstSeq }) => firstSeq);
    promise.then(onDone, onError);
  }

  async #read(): Promise<void> {
    const reading = this.#channelOrThrow().readBatch();
    const found = await this.#pump(reading.catch((error: unknown) => this.#readError(error)));
    if (found === undefined) return;
    for (const record of found) foundOf(record);
  }

  #readError(error: unknown): undefined {
    if (RedexError.is(error, 'POISONED')) return undefined;
    throw new Violation(`a read failed: ${String(error)}`, { cause: error });
  }

  #onError(error: unknown): 'absent' | 'unknown' {
    if (!RedexError.is(error)) {
      this.#violation ??= error instanceof Error ? error : new Violation(typeof error);
      return 'unknown';
    }
    if (error.code === 'POISONED') {
      if (this.#poisonedAt === undefined) this.#stats.poisonings += 1;
      this.#poisonedAt ??= this.#channelOrThrow().durableSeq;
      return 'unknown';
    }
    if (RedexError.is(error, 'IO')) {
      if (error.systemCode === 'ENOSPC') this.#stats.noSpace += 1;
      return error.outcome;
    }
    if (error.code === 'BUSY' || error.code === 'CLOSED') return 'absent';
    this.#violation ??= new Violation(`an unexpected error: ${String(error)}`, { cause: error });
    return 'unknown';
  }

  /** A callback may run a little after what it tells, but not tell what was not durable then. */
  #checkNotPoisoned(what: string, endSeq: number): void {
    if (this.#poisonedAt === undefined || endSeq <= this.#poisonedAt) return;
    this.#violation ??= new Violation(`I12: ${what} was synced after poison`);
  }

  /** What the channel shows between two steps. */
  #observe(): void {
    if (this.#violation !== undefined) throw this.#violation;
    const { durableSeq } = this.#channelOrThrow();
    if (durableSeq < this.#shownSeq) throw new Violation(`I12: durableSeq fell to ${durableSeq}`);
    this.#shownSeq = durableSeq;
    if (this.#poisonedAt !== undefined && durableSeq > this.#poisonedAt) {
      throw new Violation(`I12: durableSeq rose to ${durableSeq} after poison`);
    }
    this.model.durableSeq = Math.max(this.model.durableSeq, durableSeq);
  }

  #inject(fault: FaultCommand): void {
    const rule = ruleOf(fault);
    if (rule === undefined) this.#failNames = fault.nth;
    else this.#injected.push(this.#faults.inject(rule));
  }

  async #end({ end }: Life): Promise<void> {
    this.#clearFaults();
    if (end === 'close') {
      try {
        await this.#pump(this.#channelOrThrow().close());
        this.#sample('after close');
      } catch (error) {
        this.#onError(error);
      }
      await this.#runtime.drainIo();
    }
    this.#observe();
    this.#channel = undefined;
    const runtime = new ManualRuntime({ seed: this.#program.seed, startMs: this.#nowMs });
    this.#runtime = runtime;
    // The next process brings its own completions along.
    const defer = (complete: () => void): void => this.#runtime.deferIo(complete);
    const choose = end === 'close' ? benign : this.#choices();
    this.#disk.onOperation = undefined;
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
    const fired = this.#injected.reduce((sum, fault) => sum + fault.fired, 0);
    const isFaulty = fired !== this.#firedBefore;
    this.#firedBefore = fired;
    if (isFaulty) return;
    this.#places += 1;
    if (this.#exhaustive) {
      // Creating the channel is the same in all programs; the random ones crash it.
      if (this.#lives > 1 || this.#channel !== undefined) this.#sampleAll(place);
      return;
    }
    const isBirth = this.#lives === 1 && this.#channel === undefined;
    // Creating a channel is the same in all programs: every eighth crashes it.
    if (isBirth && this.#program.seed % 8 !== 0) return;
    if (this.#places % this.#program.stride !== 0) return;
    if (this.#images.length >= MAX_IMAGES_A_LIFE) return;
    const turn = (this.#taken += 1) % 10;
    if (turn === 3 || turn === 7) this.#take('kill', this.#choices(), place);
    else this.#take('power', turn === 0 ? worst : this.#choices(), place);
  }

  #sampleAll(place: string): void {
    this.#take('power', worst, place);
    this.#take('power', this.#choices(), place);
    this.#take('kill', this.#choices(), place);
  }

  #take(kind: 'power' | 'kill', choose: Choose, place: string): void {
    const fs = kind === 'power' ? this.#disk.crash(choose) : this.#disk.kill(choose);
    const settled = kind === 'kill' && !this.#settled ? 'power' : kind;
    const where = `life ${this.#lives}, operation ${this.#disk.operations.length}, ${place}`;
    this.#images.push({
      fs,
      ledger: this.model.ledger(),
      kind: settled,
      allDurable: kind === 'power',
      place: where,
    });
  }

  async #verifyImages(): Promise<void> {
    const { sync, segmentBytes } = this.#program;
    const setting = {
      sync,
      segmentBytes,
      nowMs: this.#nowMs,
      attempts: this.model.attempts,
      stats: this.#stats,
      seeds: this.#seeds,
    };
    for (const image of this.#images) {
      const turn = this.#program.seed + (this.#verified += 1);
      // Where every place has its images, the dearer checks of some are enough.
      const depth = this.#exhaustive && turn % 64 >= 8 ? 0 : turn;
      await verifyImage(image, setting, depth, this.#choices());
    }
    this.#images = [];
  }
}

/** Throws a Violation for the first image that breaks an invariant. */
export async function runProgram(
  program: Program,
  stats: CrashStats,
  exhaustive = false,
): Promise<void> {
  await new Run(program, stats, exhaustive).run();
}
