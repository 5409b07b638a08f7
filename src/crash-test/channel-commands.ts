/**
 * The commands on one channel: each is given, and its answer told to the ledger of the channel.
 * A rejection has to be explained by a fault, by poison or by a close.
 */
import type { Channel } from '../channel/channel.js';
import { storedWith } from '../channel/options.js';
import type { AppendBatchOptions, RecordInput } from '../channel/record-input.js';
import { RedexError } from '../core/errors.js';
import type { LogRecord } from '../core/record.js';
import type { ManualRuntime } from '../testing/manual-runtime.js';
import type { Counters } from './counters.js';
import { judgeRecord } from './record-judge.js';
import { foundOf, idOf, keyOf, KEYS, payloadOf, type RecordLedger } from './record-ledger.js';
import { seenFold } from './seen-fold.js';
import type { ChannelLedger } from './store-ledger.js';
import { Violation } from './violation.js';
import { OPTIONS, type Append, type ChannelCommand } from './workload.js';

/** What is under way, by kind. */
export interface Maintenance {
  trim: number;
  compaction: number;
  checkpoint: number;
}

interface OpenedChannel {
  readonly channel: Channel;
  readonly known: ChannelLedger;
  /** The last `durableSeq` that was seen. */
  shownSeq: number;
  /** `durableSeq` when the channel was poisoned. */
  poisonedAt: number | undefined;
}

export class ChannelCommands {
  readonly maintenance: Maintenance = { trim: 0, compaction: 0, checkpoint: 0 };
  readonly #counters: Counters;
  readonly #runtime: ManualRuntime;
  readonly #isAlive: () => boolean;
  readonly #opened: Map<Channel, OpenedChannel> = new Map();

  constructor(counters: Counters, runtime: ManualRuntime, isAlive: () => boolean) {
    this.#counters = counters;
    this.#runtime = runtime;
    this.#isAlive = isAlive;
  }

  opened(channel: Channel, known: ChannelLedger): OpenedChannel {
    const before = this.#opened.get(channel);
    if (before !== undefined) return before;
    // The one before was closed, and shows nothing new.
    for (const [other, { known: its }] of this.#opened) {
      if (its === known) this.#opened.delete(other);
    }
    const { durableSeq } = channel;
    const opened = { channel, known, shownSeq: durableSeq, poisonedAt: undefined };
    this.#opened.set(channel, opened);
    known.records.durableSeq = Math.max(known.records.durableSeq, durableSeq);
    return opened;
  }

  /** The channel of this name is gone: nothing of it is synced any more. */
  deleted(name: string): void {
    for (const channel of this.#opened.keys()) {
      if (channel.name === name) this.#opened.delete(channel);
    }
  }

  /** I12: what the channels show between two steps. */
  observe(): void {
    for (const opened of this.#opened.values()) {
      const { channel, known, shownSeq, poisonedAt } = opened;
      const { durableSeq, firstSeq } = channel;
      if (durableSeq < shownSeq) throw new Violation(`I12: durableSeq fell to ${durableSeq}`);
      if (durableSeq > (poisonedAt ?? Infinity)) {
        throw new Violation(`I12: durableSeq rose to ${durableSeq} after poison`);
      }
      if (firstSeq > durableSeq) throw new Violation(`G1: firstSeq ${firstSeq} > ${durableSeq}`);
      opened.shownSeq = durableSeq;
      known.records.durableSeq = Math.max(known.records.durableSeq, durableSeq);
    }
  }

  /**
   * S7: nothing is in flight, no fault was asked for, and `waitedMs` have just gone by: what the
   * policies say is synced.
   */
  requireSynced(waitedMs: number): void {
    if (Object.values(this.maintenance).some((count) => count > 0)) return;
    for (const { channel, known } of this.#opened.values()) {
      const { sync } = channel.options;
      const { durableSeq, nextSeq } = channel;
      const { everyN = Infinity, intervalMs = Infinity } = typeof sync === 'string' ? {} : sync;
      const pending = known.records.ackedFrom(durableSeq, Infinity);
      if (pending >= everyN) throw new Violation(`S7: ${pending} are not synced of ${everyN}`);
      if (waitedMs <= (sync === 'always' ? 1000 : 2 * intervalMs)) continue;
      const isLate = known.records.ackedFrom(durableSeq, this.#runtime.now() - waitedMs) > 0;
      if (isLate) throw new Violation(`S7: ${durableSeq} of ${nextSeq} are synced`);
    }
  }

  /** Rejects with a Violation for what no fault explains. */
  async run(channel: Channel, known: ChannelLedger, command: ChannelCommand): Promise<void> {
    try {
      await this.#run(channel, known, command);
    } catch (error) {
      if (!this.#isAlive()) return;
      if (error instanceof Violation) throw error;
      this.#refused(channel, error);
    }
  }

  async #run(channel: Channel, known: ChannelLedger, command: ChannelCommand): Promise<void> {
    const { records } = known;
    switch (command.kind) {
      case 'append': {
        const isBurst = command.bare && command.sizes.length > 1 && !command.blocking;
        if (isBurst) return await this.#burst(channel, records, command);
        return await this.#append(channel, records, command);
      }
      case 'sync':
      case 'close': {
        const count = records.attempts.length;
        await (command.kind === 'sync' ? channel.sync() : channel.close());
        if (!this.#isAlive()) return;
        this.#requireHealthy(channel, command.kind);
        return records.synced(count);
      }
      case 'configure':
        return await this.#configure(channel, known, command.options);
      case 'read':
        return await this.#read(channel, known);
      case 'tail':
        return await this.#tail(channel, known);
      case 'fold':
        return await this.#during('checkpoint', this.#fold(channel, records, command.close));
      case 'retention':
        return await this.#during('trim', channel.applyRetention());
      case 'trim':
        return await this.#during('trim', this.#trim(channel, records, command.share));
      case 'compact':
        return await this.#during('compaction', this.#compact(channel, known, command));
    }
  }

  async #during(what: keyof Maintenance, work: Promise<void>): Promise<void> {
    this.maintenance[what] += 1;
    try {
      await work;
    } finally {
      this.maintenance[what] -= 1;
    }
  }

  #refused(channel: Channel, error: unknown): void {
    this.#counters.refusals += 1;
    if (RedexError.is(error, 'POISONED')) {
      const opened = this.#opened.get(channel);
      if (opened !== undefined && opened.poisonedAt === undefined) {
        this.#counters.poisonings += 1;
        opened.poisonedAt = channel.durableSeq;
      }
      return;
    }
    if (RedexError.is(error, 'IO')) {
      if (error.systemCode === 'ENOSPC') this.#counters.noSpace += 1;
      return;
    }
    if (RedexError.is(error, 'BUSY')) this.#counters.busy += 1;
    else if (RedexError.is(error, 'SEQ_CONFLICT')) this.#counters.conflicts += 1;
    // More than a small journal can hold, or it is full of what a fault has pinned.
    else if (RedexError.is(error, 'LIMIT')) return;
    // What a trim or retention has let go meanwhile.
    else if (!RedexError.is(error, 'CLOSED') && !RedexError.is(error, 'OUT_OF_RANGE')) {
      throw new Violation(`an unexpected error: ${String(error)}`, { cause: error });
    }
  }

  /** Nothing above what was durable then is synced after poison. */
  #requireHealthy(channel: Channel, what: string, endSeq = 0): void {
    const { poisonedAt } = this.#opened.get(channel) ?? {};
    if (poisonedAt === undefined || endSeq <= poisonedAt) return;
    throw new Violation(`I12: ${what} was synced after poison`);
  }

  async #append(channel: Channel, records: RecordLedger, command: Append): Promise<void> {
    const first = records.nextId;
    const { inputs, options } = this.#inputs(channel, records, command);
    const always = channel.options.sync === 'always';
    const isSynced = (options.durability ?? (always ? 'synced' : 'written')) === 'synced';
    try {
      const { firstSeq } = command.blocking
        ? channel.appendBatchSync(inputs, options)
        : await channel.appendBatch(inputs, options);
      if (!this.#isAlive()) return;
      for (let i = 0; i < inputs.length; i += 1) records.acked(first + i, firstSeq + i, isSynced);
      if (isSynced) this.#requireHealthy(channel, `append ${first}`, firstSeq + inputs.length);
    } catch (error) {
      if (error instanceof Violation || !this.#isAlive()) throw error;
      const outcome = outcomeOf(error);
      for (let i = 0; i < inputs.length; i += 1) records.rejected(first + i, outcome);
      throw error;
    }
  }

  /** Each record by itself, all in one tick, and a sync before that tick has ended. */
  async #burst(channel: Channel, records: RecordLedger, command: Append): Promise<void> {
    const works = command.sizes.map((size) => {
      const alone = { ...command, sizes: [size], conditional: false, skip: 0 };
      return this.#append(channel, records, alone);
    });
    const count = records.attempts.length;
    works.push(
      channel.sync().then(() => {
        if (this.#isAlive()) records.synced(count);
      }),
    );
    for (const outcome of await Promise.allSettled(works)) {
      if (outcome.status === 'rejected') throw outcome.reason;
    }
  }

  #inputs(
    channel: Channel,
    records: RecordLedger,
    { sizes, durability, bare, skip, conditional, key }: Append,
  ): { inputs: RecordInput[]; options: AppendBatchOptions } {
    const { nextSeq } = channel;
    const first = records.nextId;
    const timeMs = this.#runtime.now();
    // Only when nothing is under way is it known which seqs are free.
    const explicit = skip > 0 && records.isIdle ? nextSeq + skip : undefined;
    const inputs = sizes.map((size, index): RecordInput => {
      const id = first + index;
      const payload = payloadOf(id, size);
      const seq = index === 0 ? explicit : undefined;
      const isBare = bare && size >= 4 && seq === undefined;
      const type = isBare ? 0 : id * KEYS + key;
      records.add({
        batch: first,
        batchSize: sizes.length,
        type,
        payload,
        timeMs,
        isTimed: !isBare,
        explicitSeq: seq,
        skippedFrom: seq === undefined ? undefined : nextSeq,
      });
      return isBare ? { payload } : { payload, type, timestamp: timeMs, seq };
    });
    return {
      inputs,
      options: {
        durability: durability === 'default' ? undefined : durability,
        expectedSeq: conditional && explicit === undefined ? nextSeq : undefined,
      },
    };
  }

  async #configure(channel: Channel, known: ChannelLedger, options: number): Promise<void> {
    const stored = OPTIONS[options];
    if (stored === undefined) return;
    // Only a part is given, in turns: the rest has to stay.
    const { sync, segmentBytes, retention = null } = stored;
    const given =
      options === 0 ? { sync } : options === 1 ? { segmentBytes } : { ...stored, retention };
    const before = JSON.stringify(storedWith({}, channel.options));
    const change = known.change(given);
    try {
      await channel.configure(given);
      if (this.#isAlive()) change.state = 'done';
    } catch (error) {
      if (!this.#isAlive()) return;
      if (!RedexError.is(error, 'POISONED')) change.state = 'refused';
      if (JSON.stringify(channel.options) !== before && !RedexError.is(error, 'CLOSED')) {
        throw new Violation('a configure that failed has changed the options');
      }
      throw error;
    }
  }

  async #read(channel: Channel, known: ChannelLedger): Promise<void> {
    const found = await channel.readBatch({ from: channel.firstSeq });
    if (this.#isAlive()) this.#judge(found, known);
  }

  /** A few records that come from now on. */
  async #tail(channel: Channel, known: ChannelLedger): Promise<void> {
    const tail = channel.tail({ from: 'end', copy: true });
    for (let left = 5; left > 0; left -= 1) {
      const next = await tail.next();
      if (next.done === true || !this.#isAlive()) break;
      this.#counters.tailed += 1;
      this.#judge([next.value], known);
    }
    await tail.return?.();
  }

  #judge(found: readonly LogRecord[], { records }: ChannelLedger): void {
    const facts = records.facts();
    let last = -1;
    for (const record of found) {
      // What a compaction has dropped meanwhile may still have been read.
      const seen = { ...facts, flags: new Uint8Array(facts.flags.length) };
      judgeRecord(foundOf(record), records.attempts, seen);
      if (record.seq <= last) throw new Violation(`a read gave ${record.seq} after ${last}`);
      last = record.seq;
    }
  }

  async #fold(channel: Channel, records: RecordLedger, close: boolean): Promise<void> {
    const fold = await channel.fold(seenFold(records.beginsAt));
    await fold.caughtUp();
    await (close ? fold.close() : fold.checkpoint());
    if (!this.#isAlive()) return;
    // A close never rejects, whether it could save something or not.
    records.foldedTo = Math.max(records.foldedTo, fold.checkpointSeq ?? -1);
  }

  async #trim(channel: Channel, records: RecordLedger, share: number): Promise<void> {
    const { firstSeq, durableSeq } = channel;
    const beforeSeq = firstSeq + Math.floor(((durableSeq - firstSeq) * share) / 16);
    records.trimAsked = Math.max(records.trimAsked, beforeSeq);
    await channel.trim({ beforeSeq });
    if (!this.#isAlive()) return;
    this.#counters.trims += 1;
    if (channel.firstSeq < beforeSeq) throw new Violation(`trim left ${channel.firstSeq}`);
    records.trimDone = Math.max(records.trimDone, beforeSeq);
  }

  async #compact(
    channel: Channel,
    { records }: ChannelLedger,
    { by, share }: Extract<ChannelCommand, { kind: 'compact' }>,
  ): Promise<void> {
    const condemned = new Set<number>();
    const salt = records.nextId;
    const look = ({ seq, type, payload }: LogRecord): number => {
      const id = idOf(type, payload);
      if (seq >= channel.durableSeq) throw new Violation(`G1: seq ${seq} is not durable`);
      records.shown(id, seq);
      return id;
    };
    const keep = (record: LogRecord): boolean => {
      const id = look(record);
      if ((Math.imul(id + salt, 0x9e3779b1) >>> 8) % 8 >= share) return true;
      records.condemned(id, 0);
      condemned.add(id);
      return false;
    };
    const latest = new Map<string, { readonly id: number; readonly seq: number }>();
    const key = (record: LogRecord): string | undefined => {
      const id = look(record);
      const its = keyOf(record.type);
      const before = its === undefined ? undefined : latest.get(its);
      if (its === undefined || (before?.seq ?? -1) >= record.seq) return its;
      if (before !== undefined) {
        records.condemned(before.id, id);
        condemned.add(before.id);
      }
      latest.set(its, { id, seq: record.seq });
      return its;
    };
    this.#counters.compactions += 1;
    const report = await channel.compact(by === 'keep' ? { keep } : { key });
    if (!this.#isAlive() || !report.compacted) return;
    this.#counters.compactionsSwapped += 1;
    for (const id of condemned) records.dropped(id);
  }
}

function outcomeOf(error: unknown): 'absent' | 'unknown' {
  if (RedexError.is(error, 'IO') || RedexError.is(error, 'POISONED')) return error.outcome;
  const absent = ['CLOSED', 'BUSY', 'SEQ_CONFLICT', 'LIMIT'];
  return RedexError.is(error) && absent.includes(error.code) ? 'absent' : 'unknown';
}
