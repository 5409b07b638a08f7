/**
 * Gives a store the commands of a workload, any number of them at once, and tells the ledger what
 * was asked for and what was answered.
 */
import type { Channel } from '../channel/channel.js';
import { RedexError } from '../core/errors.js';
import type { Redex } from '../store/redex.js';
import type { ManualRuntime } from '../testing/manual-runtime.js';
import { ChannelCommands } from './channel-commands.js';
import { CommitCommands, type NameActivity } from './commit-commands.js';
import type { Counters } from './counters.js';
import type { Answer, NameOperation } from './name-ledger.js';
import type { ChannelLedger, StoreLedger } from './store-ledger.js';
import { Violation } from './violation.js';
import { NAMES, OPTIONS, type Command } from './workload.js';

type Given = Exclude<Command, { kind: 'fault' | 'elapse' }>;

/** What is under way in one life. Answers that come after its end are those of a dead process. */
export class Commands {
  readonly #ledger: StoreLedger;
  readonly #counters: Counters;
  readonly #redex: Redex;
  readonly #onChannel: ChannelCommands;
  #hasEnded = false;
  #isPoisoned = false;
  #violation: Error | undefined;
  readonly #onCommit: CommitCommands;
  readonly #activity: NameActivity = { changing: 0, begun: 0 };

  constructor(redex: Redex, ledger: StoreLedger, counters: Counters, runtime: ManualRuntime) {
    this.#redex = redex;
    this.#ledger = ledger;
    this.#counters = counters;
    const isAlive = (): boolean => !this.#hasEnded;
    this.#onChannel = new ChannelCommands(counters, runtime, isAlive);
    const shared = { redex, ledger, counters, runtime, isAlive, activity: this.#activity };
    this.#onCommit = new CommitCommands({ ...shared, onChannel: this.#onChannel });
  }

  get maintenance(): ChannelCommands['maintenance'] {
    return this.#onChannel.maintenance;
  }

  get isChangingNames(): boolean {
    return this.#activity.changing > 0;
  }

  get isCommitting(): boolean {
    return this.#onCommit.inFlight > 0;
  }

  end(): void {
    this.#hasEnded = true;
  }

  /** Throws what an answer has broken. */
  check(): void {
    if (this.#violation !== undefined) throw this.#violation;
    this.#onChannel.observe();
    this.#ledger.names.possible();
  }

  /** S7: what the sync policies have promised, when nothing is in flight. */
  requireSynced(waitedMs: number): void {
    this.#onChannel.requireSynced(waitedMs);
  }

  async close(): Promise<void> {
    await this.#redex.close().catch((error: unknown) => void this.#refused(error));
  }

  /** Begins a command; what it leads to is told to the ledger. */
  give(command: Given): void {
    this.#run(command).catch((error: unknown) => {
      if (this.#hasEnded) return;
      this.#violation ??= error instanceof Error ? error : new Violation(String(error));
    });
  }

  async #run(command: Given): Promise<void> {
    const { kind } = command;
    if (kind === 'syncAll') {
      return await this.#redex.sync().catch((error: unknown) => void this.#refused(error));
    }
    if (kind === 'commit') return await this.#onCommit.run(command);
    const name = nameAt(command.name);
    if (kind === 'create') return await this.#create(name, command.options);
    if (kind === 'delete') return await this.#delete(name);
    if (kind === 'rename') return await this.#rename(name, nameAt(command.to));
    return await this.#with(name, (channel, known) => this.#onChannel.run(channel, known, command));
  }

  async #create(name: string, options: number): Promise<void> {
    const stored = OPTIONS[options];
    if (stored === undefined) return;
    const asked = this.#ledger.addChannel(stored);
    const operation = this.#ledger.names.begin('create', name, name, asked.index);
    const { beginsAt } = asked.records;
    await this.#answer(operation, async () => {
      const channel = await this.#redex.channel(name, { ...stored, firstSeq: beginsAt });
      const found = this.#ledger.channelAt(channel.nextSeq);
      if (found !== asked) return { kind: 'found', channel: found.index };
      this.#onChannel.opened(channel, found);
      return { kind: 'done' };
    });
  }

  async #delete(name: string): Promise<void> {
    this.#ledger.mayDelete(name);
    const operation = this.#ledger.names.begin('delete', name);
    await this.#answer(operation, async () => {
      if (!(await this.#redex.deleteChannel(name))) return { kind: 'missing' };
      this.#onChannel.deleted(name);
      this.#counters.deletes += 1;
      return { kind: 'done' };
    });
  }

  async #rename(from: string, to: string): Promise<void> {
    const operation = this.#ledger.names.begin('rename', from, to);
    await this.#answer(operation, async () => {
      await this.#redex.renameChannel(from, to);
      this.#counters.renames += 1;
      return { kind: 'done' };
    });
  }

  async #answer(operation: NameOperation, work: () => Promise<Answer>): Promise<void> {
    const wasPoisoned = this.#isPoisoned;
    const changes = operation.kind === 'look' ? 0 : 1;
    this.#activity.changing += changes;
    this.#activity.begun += changes;
    let answer: Answer;
    try {
      answer = await work();
    } catch (error) {
      if (error instanceof Violation) throw error;
      answer = this.#refusal(operation, error, wasPoisoned);
    }
    this.#activity.changing -= changes;
    if (this.#hasEnded) return;
    // A channel that is still open is shown, though a crash may leave a deletion that failed.
    const saysNothing = answer.kind === 'found' && wasPoisoned;
    operation.answer = saysNothing ? { kind: 'refused' } : answer;
    if (answer.kind === 'done' && wasPoisoned && changes > 0) {
      throw new Violation(`S3: a poisoned store has done a ${operation.kind}`);
    }
  }

  #refusal({ kind }: NameOperation, error: unknown, wasPoisoned: boolean): Answer {
    if (RedexError.is(error, 'NOT_FOUND')) return { kind: 'missing' };
    if (RedexError.is(error, 'EXISTS')) return { kind: 'taken' };
    if (RedexError.is(error, 'OPTIONS_CONFLICT')) return { kind: 'refused' };
    const isUnclear = this.#refused(error);
    if (RedexError.is(error, 'POISONED')) {
      // Or only the channel, which was to be opened or deleted.
      if (!CHANNEL_PATH.test(error.path)) this.#isPoisoned = true;
      return { kind: wasPoisoned ? 'refused' : 'unclear' };
    }
    // A channel may have been created before it could not be opened.
    const isOpening = RedexError.is(error, 'IO') && error.operation === 'open';
    return { kind: isUnclear || (kind === 'create' && isOpening) ? 'unclear' : 'refused' };
  }

  /** Whether it is unknown what a crash would leave. Throws for what no fault explains. */
  #refused(error: unknown): boolean {
    this.#counters.refusals += 1;
    if (RedexError.is(error, 'POISONED')) return true;
    if (RedexError.is(error, 'IO')) return error.outcome === 'unknown';
    if (RedexError.is(error, 'CLOSED') || RedexError.is(error, 'BUSY')) return false;
    throw new Violation(`an unexpected error: ${String(error)}`, { cause: error });
  }

  /** Opens a channel that has to be there and goes on with it; a failure ends it. */
  async #with(
    name: string,
    use: (channel: Channel, known: ChannelLedger) => Promise<void>,
  ): Promise<void> {
    const operation = this.#ledger.names.begin('look', name);
    let channel: Channel | undefined;
    await this.#answer(operation, async () => {
      channel = await this.#redex.channel(name, { createIfMissing: false });
      const known = this.#ledger.channelAt(channel.nextSeq);
      this.#onChannel.opened(channel, known);
      return { kind: 'found', channel: known.index };
    });
    if (channel === undefined || this.#hasEnded) return;
    await use(channel, this.#ledger.channelAt(channel.nextSeq));
  }
}

/** Below the directory of one channel. */
const CHANNEL_PATH = /\/channels\/[^.]/;

function nameAt(place: number): string {
  return NAMES[place] ?? 'a';
}
