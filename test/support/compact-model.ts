/**
 * What a channel that is being compacted has promised, and whether a set of records keeps it. A
 * record may be missing only when a compaction was told so or a trim was asked for; with keys, only
 * when a later record of its key is there. What a compaction or trim has acknowledged stays gone.
 */
import type { CompactOptions } from '../../src/channel/survivors.js';
import type { Channel } from '../../src/channel/channel.js';
import type { AppendBatchOptions, RecordInput } from '../../src/channel/record-input.js';
import { RedexError } from '../../src/core/errors.js';
import type { LogRecord } from '../../src/core/record.js';
import { payload, payloadId } from './channel-kit.js';

type State = 'pending' | 'written' | 'synced' | 'absent' | 'unknown';
export type CompactMode = 'keep' | 'key';
export type LossKind = 'none' | 'kill' | 'power';

export interface Entry {
  readonly id: number;
  readonly size: number;
  /** Its key; 0 for none. */
  readonly type: number;
  seq: number | undefined;
  state: State;
  /** A compaction was told that it may go. */
  condemned: boolean;
  /** An acknowledged compaction has dropped it. */
  gone: boolean;
}

export interface Ledger {
  readonly mode: CompactMode;
  readonly entries: readonly Entry[];
  readonly durableSeq: number;
  readonly trimAsked: number;
  readonly trimDone: number;
}

export interface Row {
  readonly seq: number;
  readonly id: number | undefined;
  readonly type: number;
  readonly timestampNs: bigint;
  readonly size: number;
}

export const rowOf = (record: LogRecord): Row => ({
  seq: record.seq,
  id: payloadId(record.payload),
  type: record.type,
  timestampNs: record.timestampNs,
  size: record.byteLength,
});

/** Strictly rising, with digits below the millisecond. */
export const timeOf = (id: number): bigint => 1_800_000_000_000_000_000n + BigInt(id) * 1_000_003n;

const keyOf = ({ type }: { readonly type: number }): string | undefined =>
  type === 0 ? undefined : `key ${type}`;

export class CompactModel {
  readonly mode: CompactMode;
  entries: Entry[] = [];
  durableSeq = 0;
  trimAsked = 0;
  trimDone = 0;
  /** Broken within a callback; thrown by whoever looks next. */
  broken: string | undefined;

  constructor(mode: CompactMode) {
    this.mode = mode;
  }

  #enter(sizes: readonly number[], types: readonly number[]): [Entry[], RecordInput[]] {
    const from = this.entries.length + 1;
    const entries = sizes.map((size, i): Entry => {
      const type = types[i] ?? 0;
      const rest = { seq: undefined, state: 'pending' as const, condemned: false, gone: false };
      return { id: from + i, size: Math.max(4, size), type, ...rest };
    });
    this.entries.push(...entries);
    const records = entries.map(({ id, size, type }): RecordInput => {
      return { payload: payload(id, size), type, timestampNs: timeOf(id) };
    });
    return [entries, records];
  }

  #done(entries: readonly Entry[], firstSeq: number, synced: boolean): void {
    for (const [i, entry] of entries.entries()) {
      entry.seq = firstSeq + i;
      entry.state = synced ? 'synced' : 'written';
    }
  }

  #failed(entries: readonly Entry[], error: unknown): void {
    const absent =
      RedexError.is(error, 'BUSY') || (RedexError.is(error, 'IO') && error.outcome === 'absent');
    for (const entry of entries) entry.state = absent ? 'absent' : 'unknown';
  }

  /** Settles with the append, and never rejects. */
  async append(
    channel: Channel,
    sizes: readonly number[],
    types: readonly number[],
    options: AppendBatchOptions = {},
  ): Promise<void> {
    const [entries, records] = this.#enter(sizes, types);
    const always = channel.options.sync === 'always';
    const synced = (options.durability ?? (always ? 'synced' : 'written')) === 'synced';
    try {
      const { firstSeq } = await channel.appendBatch(records, options);
      this.#done(entries, firstSeq, synced);
    } catch (error) {
      this.#failed(entries, error);
    }
  }

  /** True when it was refused with BUSY. */
  appendSync(channel: Channel, sizes: readonly number[], types: readonly number[]): boolean {
    const [entries, records] = this.#enter(sizes, types);
    try {
      const { firstSeq } = channel.appendBatchSync(records);
      this.#done(entries, firstSeq, channel.options.sync === 'always');
    } catch (error) {
      this.#failed(entries, error);
      return RedexError.is(error, 'BUSY');
    }
    return false;
  }

  async trim(channel: Channel, beforeSeq: number): Promise<void> {
    this.trimAsked = Math.max(this.trimAsked, beforeSeq);
    await channel.trim({ beforeSeq });
    this.trimDone = Math.max(this.trimDone, beforeSeq);
  }

  /** Compacts; `drops` says who goes, in mode `keep`. Resolves with the report. */
  async compact(
    channel: Channel,
    drops: (id: number) => boolean,
    signal?: AbortSignal,
  ): ReturnType<Channel['compact']> {
    const dropped = new Set<Entry>();
    const latest = new Map<number, Entry>();
    const look = (record: LogRecord): Entry | undefined => {
      const id = payloadId(record.payload);
      const entry = this.entries[(id ?? 0) - 1];
      if (entry === undefined) this.broken ??= `compact was shown ${record.seq}: nobody's`;
      if (record.seq >= channel.durableSeq) {
        this.broken ??= `G1: seq ${record.seq} is looked at, durable is ${channel.durableSeq}`;
      }
      return entry;
    };
    const keep = (record: LogRecord): boolean => {
      const entry = look(record);
      if (entry === undefined || !drops(entry.id)) return true;
      entry.condemned = true;
      dropped.add(entry);
      return false;
    };
    const key = (record: LogRecord): string | undefined => {
      const entry = look(record);
      const before = latest.get(record.type);
      if (entry === undefined || record.type === 0 || before === entry) return keyOf(record);
      if (before === undefined || before.id < entry.id) {
        if (before !== undefined) {
          before.condemned = true;
          dropped.add(before);
        }
        latest.set(record.type, entry);
      }
      return keyOf(record);
    };
    const by: CompactOptions = this.mode === 'keep' ? { keep } : { key };
    const report = await channel.compact({ ...by, signal });
    if (report.compacted) for (const entry of dropped) entry.gone = true;
    return report;
  }

  ledger(channel: Channel | undefined): Ledger {
    this.durableSeq = Math.max(this.durableSeq, channel?.durableSeq ?? 0);
    const { mode, durableSeq, trimAsked, trimDone } = this;
    const entries = this.entries.map((entry) => ({ ...entry }));
    return { mode, entries, durableSeq, trimAsked, trimDone };
  }

  /** The next process has shown what there is: what was only possible is decided. */
  rebase(rows: readonly Row[], firstSeq: number): void {
    const found = new Map(rows.map((row) => [row.id, row.seq]));
    for (const entry of this.entries) {
      const seq = found.get(entry.id);
      if (seq !== undefined) {
        entry.seq = seq;
        if (entry.state !== 'synced') entry.state = 'written';
      } else if (entry.state === 'pending' || entry.state === 'unknown') {
        // A trim or a swap that was shown may still be taken back by a power cut.
        const mayReturn = entry.condemned || (entry.seq ?? Infinity) < firstSeq;
        if (!mayReturn) entry.state = 'absent';
      } else if (entry.state === 'written' && !entry.condemned) {
        if ((entry.seq ?? 0) >= firstSeq) entry.state = 'absent';
      }
    }
    this.trimDone = Math.max(this.trimDone, 0);
  }
}

/** What is wrong with these records, which are all there are; undefined when nothing is. */
export function brokenBy(
  rows: readonly Row[],
  firstSeq: number,
  ledger: Ledger,
  kind: LossKind,
): string | undefined {
  return brokenRow(rows, firstSeq, ledger) ?? missingRow(rows, firstSeq, ledger, kind);
}

function brokenRow(rows: readonly Row[], firstSeq: number, ledger: Ledger): string | undefined {
  const { entries, trimAsked, trimDone } = ledger;
  if (firstSeq < trimDone) return `trim: firstSeq ${firstSeq} after a trim to ${trimDone}`;
  if (firstSeq > trimAsked) return `trim: firstSeq ${firstSeq}, nobody asked above ${trimAsked}`;
  let last = -1;
  const seen = new Set<number>();
  for (const { seq, id, type, timestampNs, size } of rows) {
    const entry = id === undefined ? undefined : entries[id - 1];
    if (id === undefined || entry === undefined) return `seq ${seq} has bytes nobody appended`;
    if (seq <= last) return `seq ${seq} comes after ${last}`;
    if (seq < firstSeq) return `seq ${seq} is below firstSeq ${firstSeq}`;
    if (seen.has(id)) return `record ${id} is there twice`;
    if (entry.seq !== undefined && entry.seq !== seq) return `record ${id} moved to ${seq}`;
    if (entry.state === 'absent') return `record ${id} at ${seq} was refused or lost before`;
    if (entry.gone) return `record ${id} at ${seq} was compacted away`;
    if (entry.type !== type || entry.size !== size) return `record ${id} has another type or size`;
    if (timestampNs !== timeOf(id)) return `record ${id} has time ${timestampNs}`;
    last = seq;
    seen.add(id);
  }
  return undefined;
}

function missingRow(
  rows: readonly Row[],
  firstSeq: number,
  ledger: Ledger,
  kind: LossKind,
): string | undefined {
  const { entries, durableSeq, mode } = ledger;
  const ids = new Set(rows.map(({ id }) => id));
  const end = rows.at(-1)?.seq ?? -1;
  for (const { id, seq, state, type, condemned } of entries) {
    if (seq === undefined || seq < firstSeq || ids.has(id)) continue;
    if (state !== 'written' && state !== 'synced') continue;
    const isPromised = state === 'synced' || seq < durableSeq || kind !== 'power' || seq < end;
    if (!isPromised) continue;
    if (!condemned) return `record ${id}, ${state} at ${seq}, is lost`;
    if (mode === 'keep') continue;
    if (!rows.some((row) => row.seq > seq && row.type === type)) {
      return `G1: record ${id} at ${seq} is lost, and nothing later has its key ${type}`;
    }
  }
  return undefined;
}
