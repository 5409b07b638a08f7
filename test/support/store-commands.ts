/**
 * Gives a store the commands of a program, any number of them at once, and tells the model what
 * was asked for and what was answered.
 */
import type { Channel } from '../../src/channel/channel.js';
import { RedexError } from '../../src/core/errors.js';
import type { Redex } from '../../src/store/redex.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import type { OperationRecord } from '../../src/testing/operations.js';
import type { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { payloadOf } from '../../src/crash-test/record-ledger.js';
import { Violation } from './crash-model.js';
import { storedWith } from '../../src/channel/options.js';
import type { NameOperation } from '../../src/crash-test/name-ledger.js';
import type { ModelChannel, StoreModel } from './store-model.js';
import { CHANNELS } from './store-observe.js';
import { NAMES, OPTIONS, type StoreCommand } from './store-program.js';
import type { StoreStats } from './store-stats.js';
import { encodeChannelName } from '../../src/format/channel-name.js';

type Given = Exclude<StoreCommand, { kind: 'fault' | 'elapse' }>;
type Append = Extract<StoreCommand, { kind: 'append' }>;

export class StoreCommands {
  readonly #model: StoreModel;
  readonly #stats: StoreStats;
  #redex: Redex | undefined;
  #disk: CrashFs | undefined;
  #runtime: ManualRuntime | undefined;
  /** Answers that come later belong to a process that is gone. */
  #life = 0;
  #isPoisoned = false;
  #violation: Error | undefined;

  constructor(model: StoreModel, stats: StoreStats) {
    this.#model = model;
    this.#stats = stats;
  }

  get isOpen(): boolean {
    return this.#redex !== undefined;
  }

  begin(redex: Redex, disk: CrashFs, runtime: ManualRuntime): void {
    this.#life += 1;
    this.#isPoisoned = false;
    this.#redex = redex;
    this.#disk = disk;
    this.#runtime = runtime;
  }

  end(): void {
    this.#life += 1;
    this.#redex = undefined;
  }

  /** Throws what an answer has broken. */
  check(): void {
    if (this.#violation !== undefined) throw this.#violation;
    this.#model.names.possible();
  }

  async close(): Promise<void> {
    try {
      await this.#store().close();
    } catch (error) {
      this.#refused(error);
    }
  }

  #store(): Redex {
    if (this.#redex === undefined) throw new Error('no store is open');
    return this.#redex;
  }

  /** Begins a command; what it leads to is told to the model. */
  give(command: Given): void {
    const life = this.#life;
    this.#run(command).catch((error: unknown) => {
      if (life !== this.#life) return;
      this.#violation ??= error instanceof Error ? error : new Violation(String(error));
    });
  }

  async #run(command: Given): Promise<void> {
    if (command.kind === 'syncAll') return this.#syncAll();
    const name = nameAt(command.name);
    switch (command.kind) {
      case 'create':
        return this.#create(name, command.options);
      case 'delete':
        return this.#delete(name);
      case 'rename':
        return this.#rename(name, nameAt(command.to));
      case 'append':
        return this.#with(name, (channel, known) => this.#append(channel, known, command));
      case 'configure':
        return this.#with(name, (channel, known) =>
          this.#configure(channel, known, command.options),
        );
      case 'sync':
      case 'close': {
        const { kind } = command;
        return this.#with(name, async (channel, known) => {
          const count = known.records.attempts.length;
          await (kind === 'sync' ? channel.sync() : channel.close());
          known.records.synced(count);
        });
      }
    }
  }

  async #syncAll(): Promise<void> {
    try {
      await this.#store().sync();
    } catch (error) {
      this.#refused(error);
    }
  }

  async #create(name: string, options: number): Promise<void> {
    const stored = OPTIONS[options] ?? OPTIONS[0];
    if (stored === undefined) return;
    const asked = this.#model.addChannel(stored);
    const operation = this.#model.names.begin('create', name, name, asked.index);
    const { firstSeq } = asked;
    await this.#answer(operation, async () => {
      const begun = this.#operations.length;
      const channel = await this.#store().channel(name, { ...stored, firstSeq });
      if (channel.firstSeq !== firstSeq) return this.#found(channel);
      this.#requireJournaled(begun, ({ to }) => to === `${CHANNELS}/${encodeChannelName(name)}`);
      return { kind: 'done' };
    });
  }

  #found(channel: Channel): { kind: 'found'; channel: number } {
    return { kind: 'found', channel: this.#model.channelOf(channel.firstSeq).index };
  }

  async #delete(name: string): Promise<void> {
    const operation = this.#model.names.begin('delete', name);
    await this.#answer(operation, async () => {
      const begun = this.#operations.length;
      const isDone = await this.#store().deleteChannel(name);
      if (isDone) {
        const from = `${CHANNELS}/${encodeChannelName(name)}`;
        this.#requireJournaled(begun, ({ path }) => path === from);
      }
      return { kind: isDone ? 'done' : 'missing' };
    });
  }

  async #rename(from: string, to: string): Promise<void> {
    const operation = this.#model.names.begin('rename', from, to);
    await this.#answer(operation, async () => {
      await this.#store().renameChannel(from, to);
      if (from !== to) {
        const target = `${CHANNELS}/${encodeChannelName(to)}`;
        const passage = `${CHANNELS}/.rename/${encodeChannelName(to)}`;
        const directories = [`${CHANNELS}/.rename`, CHANNELS];
        this.#requireSynced(passage, directories, target);
        this.#requireSynced(target, directories);
      }
      return { kind: 'done' };
    });
  }

  /**
   * N1: the directories that hold a name were synced after the last such rename, and before the one
   * to `then`. An image would not show it: what renames a directory is one change to the disk.
   */
  #requireSynced(to: string, directories: readonly string[], then?: string): void {
    const log = this.#operations;
    const renamed = log.findLastIndex((done) => done.operation === 'renameSync' && done.to === to);
    const next = log.findIndex(
      (done, index) => index > renamed && then !== undefined && done.to === then,
    );
    const between = log.slice(renamed, next < 0 ? undefined : next);
    for (const directory of directories) {
      const isSynced = between.some(
        ({ operation, path, error }) =>
          operation.startsWith('syncDirectory') && path === directory && error === undefined,
      );
      if (renamed < 0 || isSynced) continue;
      const told = between.map((done) => `${done.operation} ${done.path} ${done.error ?? ''}`);
      throw new Violation(`N1: no sync of ${directory} after the rename: ${told.join()}`);
    }
  }

  /**
   * N1, J3: since the command began the journal was written and synced, with nothing written to it
   * between the sync and the rename: a redo makes the name again.
   */
  #requireJournaled(begun: number, isIt: (done: OperationRecord) => boolean): void {
    const log = this.#operations.slice(begun);
    const renamed = log.findLastIndex((done) => done.operation === 'renameSync' && isIt(done));
    const before = log
      .slice(0, renamed)
      .filter(({ path }) => path.endsWith('.journal'))
      .map(({ operation, error }) => (error === undefined ? operation : 'failed'));
    const written = before.findLastIndex((operation) => operation.startsWith('write'));
    const isSynced = before.slice(written).some((operation) => operation.startsWith('datasync'));
    if (renamed < 0) throw new Violation('N1: no rename');
    if (written >= 0 && isSynced) return;
    throw new Violation(`N1: no sync of the journal before the rename: ${before.join()}`);
  }

  get #operations(): readonly OperationRecord[] {
    return this.#disk?.operations ?? [];
  }

  async #answer(
    operation: NameOperation,
    work: () => Promise<NameOperation['answer']>,
  ): Promise<void> {
    const life = this.#life;
    const wasPoisoned = this.#isPoisoned;
    let answer: NameOperation['answer'];
    try {
      answer = await work();
    } catch (error) {
      if (error instanceof Violation) throw error;
      answer = this.#refusal(operation, error, wasPoisoned);
    }
    if (life !== this.#life) return;
    operation.answer = answer;
    if (answer.kind === 'taken') this.#stats.taken += 1;
    if (answer.kind === 'missing') this.#stats.missing += 1;
    if (answer.kind === 'done' && wasPoisoned && operation.kind !== 'look') {
      throw new Violation(`S3: a poisoned store has done a ${operation.kind}`);
    }
  }

  #refusal(
    operation: NameOperation,
    error: unknown,
    wasPoisoned: boolean,
  ): NameOperation['answer'] {
    if (RedexError.is(error, 'NOT_FOUND')) return { kind: 'missing' };
    if (RedexError.is(error, 'EXISTS')) return { kind: 'taken' };
    if (RedexError.is(error, 'OPTIONS_CONFLICT')) return { kind: 'refused' };
    const isUnclear = this.#refused(error);
    if (RedexError.is(error, 'POISONED')) {
      if (!this.#isPoisoned) this.#stats.storePoisonings += 1;
      this.#isPoisoned = true;
      return { kind: wasPoisoned ? 'refused' : 'unclear' };
    }
    // A channel may have been created before it could not be opened.
    const { kind } = operation;
    const isOpening = RedexError.is(error, 'IO') && error.operation === 'open';
    return { kind: isUnclear || (kind === 'create' && isOpening) ? 'unclear' : 'refused' };
  }

  /** Whether it is unknown what a crash would leave. Throws for what no fault explains. */
  #refused(error: unknown): boolean {
    this.#stats.refusals += 1;
    if (RedexError.is(error, 'POISONED')) return true;
    if (RedexError.is(error, 'IO')) return error.outcome === 'unknown';
    if (RedexError.is(error, 'CLOSED') || RedexError.is(error, 'BUSY')) return false;
    throw new Violation(`an unexpected error: ${String(error)}`, { cause: error });
  }

  /** Opens a channel that has to be there and goes on with it; a failure ends it. */
  async #with(
    name: string,
    use: (channel: Channel, known: ModelChannel) => Promise<void>,
  ): Promise<void> {
    const operation = this.#model.names.begin('look', name);
    const life = this.#life;
    let channel: Channel | undefined;
    await this.#answer(operation, async () => {
      channel = await this.#store().channel(name, { createIfMissing: false });
      return this.#found(channel);
    });
    if (channel === undefined || life !== this.#life) return;
    try {
      await use(channel, this.#model.channelOf(channel.firstSeq));
    } catch (error) {
      if (error instanceof Violation) throw error;
      if (RedexError.is(error, 'POISONED')) this.#stats.channelPoisonings += 1;
      this.#refused(error);
    }
  }

  async #append(channel: Channel, known: ModelChannel, command: Append): Promise<void> {
    const { records, firstSeq } = known;
    const life = this.#life;
    const timeMs = this.#runtime?.now() ?? 0;
    const id = records.nextId;
    const payload = payloadOf(id, command.size);
    const unique = { batch: id, batchSize: 1, type: id, timed: true, explicitSeq: undefined };
    records.add({ ...unique, payload, timeMs });
    const asked = command.durability === 'default' ? undefined : command.durability;
    const synced =
      (asked ?? (channel.options.sync === 'always' ? 'synced' : 'written')) === 'synced';
    try {
      const options = { type: id, timestamp: timeMs, durability: asked };
      const seq = await channel.append(payload, options);
      if (life !== this.#life) return;
      records.acked(id, seq - firstSeq, synced);
      records.durableSeq = Math.max(records.durableSeq, channel.durableSeq - firstSeq);
    } catch (error) {
      if (life !== this.#life) return;
      const isAbsent = RedexError.is(error, 'CLOSED') || RedexError.is(error, 'BUSY');
      const isRefused = RedexError.is(error, 'IO') && error.outcome === 'absent';
      records.rejected(id, isAbsent || isRefused ? 'absent' : 'unknown');
      throw error;
    }
  }

  async #configure(channel: Channel, known: ModelChannel, options: number): Promise<void> {
    const stored = OPTIONS[options] ?? OPTIONS[0];
    if (stored === undefined) return;
    // Only a part is given, in turns: the rest has to stay.
    const { sync, segmentBytes } = stored;
    const given = options === 0 ? { sync } : options === 1 ? { segmentBytes } : stored;
    const life = this.#life;
    const before = storedWith({}, channel.options);
    const change = known.change(given);
    try {
      await channel.configure(given);
      if (life !== this.#life) return;
      change.state = 'done';
    } catch (error) {
      if (life !== this.#life) return;
      if (!RedexError.is(error, 'POISONED')) change.state = 'refused';
      const now = JSON.stringify(channel.options);
      if (now !== JSON.stringify(before) && !RedexError.is(error, 'CLOSED')) {
        throw new Violation(`a configure that failed has changed the options to ${now}`);
      }
      throw error;
    }
  }
}

function nameAt(place: number): string {
  return NAMES[place] ?? 'a';
}
