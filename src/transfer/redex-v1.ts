/**
 * A log of RedEX (files of version 1), read without changing it. Every record whose payload is
 * whole and for which a seq is left is read; the report says what is not, and what RedEX itself
 * would have dropped when it was opened the next time.
 */
import { ioError } from '../channel/io-error.js';
import type { SeqRange } from '../core/errors.js';
import { bigintFromNanos } from '../core/nanos.js';
import { viewOf } from '../format/bytes.js';
import { readChecksum } from '../format/checksum.js';
import type { FileSystem } from '../fs/file-system.js';
import { archiveDamage } from './archive-error.js';
import { readV1File, V1Entries, V1Payloads } from './redex-v1-entries.js';
import { findV1Files, type V1Layout } from './redex-v1-layout.js';
import {
  doubtfulEnds,
  orderSeqs,
  orderTimes,
  type RepairedSeq,
  type SeqOrder,
} from './redex-v1-order.js';
import { recoveryOfRedex, type V1Recovery } from './redex-v1-rules.js';
import type { TransferRecord } from './transfer-items.js';

const BATCH_RECORDS = 4096;
const BATCH_BYTES = 256 * 1024;
/** Entries that are checked before others get their turn. */
const CHECKED_AT_ONCE = 8192;

export interface RedexV1Options {
  /** The generation to read, when the manifest is damaged or names files that are not there. */
  readonly generation?: number | undefined;
  /** The time of records that have none and follow none that has one. Default: 0. */
  readonly missingTimeNs?: bigint | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface V1Loss {
  /** Number of the entry in the index. */
  readonly index: number;
  /** As it stands in the index. */
  readonly seq: bigint;
  /**
   * `missing`: dat does not have the payload. `checksum`: it is another one. `sequence`: the seq is
   * not between those of its neighbours, and there is not one place for it.
   */
  readonly reason: 'missing' | 'checksum' | 'sequence';
}

interface RedexV1Report {
  readonly directory: string;
  readonly generation: number | undefined;
  readonly manifest: V1Layout['manifest'];
  readonly otherGenerations: readonly number[];
  /** Entries of the index, and the bytes of one that is not whole behind them. */
  readonly entries: number;
  readonly tornIndexBytes: number;
  /** Bytes of dat behind the last payload that an entry leads to. */
  readonly unusedDatBytes: number;
  /** Records that can be read. */
  readonly records: number;
  readonly lost: readonly V1Loss[];
  readonly repairedSeqs: readonly RepairedSeq[];
  /** The first or the last entry, when one turned bit in its seq would look like it does. */
  readonly doubtfulSeqs: readonly number[];
  /**
   * `exact`: one for each entry. `longer`: more than entries, the first ones were taken. `shorter`:
   * the last records have none, and any may be that of a record before. `realigned`: as many are
   * missing as payloads are bad, and they were given to the others. `missing`: there are none.
   */
  readonly times: 'exact' | 'longer' | 'shorter' | 'realigned' | 'missing';
  /** Records that got the time of the one before: without a time, or with one out of order. */
  readonly unknownTimes: number;
  readonly adjustedTimes: number;
  /** What RedEX would have left, and how many of the records above it would not have kept. */
  readonly redex: V1Recovery;
  readonly saved: number;
}

export interface RedexV1Log {
  readonly report: RedexV1Report;
  /** Where the records lie; seqs of lost ones are part of it, so that nobody else gets them. */
  readonly firstSeq: number;
  readonly nextSeq: number;
  /** Seqs of which the records are lost. */
  readonly damaged: readonly SeqRange[];
  /** The records, in batches. Rejects with CORRUPT when a file has changed meanwhile, with IO. */
  batches(signal?: AbortSignal): AsyncIterable<readonly TransferRecord[]>;
}

/** Rejects with NOT_FOUND, CORRUPT (no index), FORMAT_VERSION, IO, or the signal's reason. */
export async function readRedexV1(
  fs: FileSystem,
  directory: string,
  options: RedexV1Options = {},
): Promise<RedexV1Log> {
  try {
    const layout = findV1Files(fs, directory, options.generation);
    const index = (await readV1File(fs, `${layout.directory}/idx`)) ?? new Uint8Array();
    const times = await readV1File(fs, `${layout.directory}/ts`);
    return await checkedLog(fs, layout, new V1Entries(index), times, options);
  } catch (error) {
    if (error === options.signal?.reason) throw error;
    throw ioError('import', directory, error, 'absent');
  }
}

async function checkedLog(
  fs: FileSystem,
  layout: V1Layout,
  entries: V1Entries,
  timeBytes: Uint8Array | undefined,
  options: RedexV1Options,
): Promise<RedexV1Log> {
  const datPath = `${layout.directory}/dat`;
  const payloads = new V1Payloads(fs, datPath, entries);
  const datBytes = payloads.size;
  let checked: Checked;
  try {
    checked = await checkPayloads(entries, payloads, options.signal);
  } finally {
    payloads.close();
  }
  const order = orderSeqs(checked.good, (index) => entries.seqOf(index));
  const timing = timesOf(order, checked, entries.count, timeBytes, options.missingTimeNs ?? 0n);
  const { openedByRedex, generation } = layout;
  const recovery = recoveryOfRedex({
    entries,
    datBytes,
    timeCount: timeBytes === undefined ? undefined : Math.floor(timeBytes.byteLength / 8),
    isGood: checked.isGood,
    isOpened: openedByRedex === (generation ?? 0),
  });
  const report = reportOf(layout, entries, datBytes, checked, order, timing, recovery);
  const open = (): V1Payloads => new V1Payloads(fs, datPath, entries);
  return new CheckedLog(report, entries, order, timing.times, open, datPath);
}

interface Checked {
  readonly good: number[];
  readonly isGood: Uint8Array;
  readonly lost: V1Loss[];
}

async function checkPayloads(
  entries: V1Entries,
  payloads: V1Payloads,
  signal: AbortSignal | undefined,
): Promise<Checked> {
  const checked: Checked = { good: [], isGood: new Uint8Array(entries.count), lost: [] };
  for (let index = 0; index < entries.count; index++) {
    if (index % CHECKED_AT_ONCE === 0) signal?.throwIfAborted();
    const isThere = payloads.isLoaded(index) || (await payloads.load(index));
    if (isThere && entries.isIntact(index, payloads.payload(index))) {
      checked.isGood[index] = 1;
      checked.good.push(index);
    } else {
      const reason = isThere ? 'checksum' : 'missing';
      checked.lost.push({ index, seq: entries.rawSeqOf(index), reason });
    }
  }
  return checked;
}

interface Timing {
  readonly state: RedexV1Report['times'];
  /** One for each record of the order. */
  readonly times: BigUint64Array;
  readonly unknown: number;
  readonly adjusted: number;
}

function timesOf(
  order: SeqOrder,
  { good, lost }: Checked,
  entryCount: number,
  bytes: Uint8Array | undefined,
  missingTimeNs: bigint,
): Timing {
  const stored = Math.floor((bytes?.byteLength ?? 0) / 8);
  const view = viewOf(bytes ?? new Uint8Array());
  const state = timeState(bytes === undefined ? undefined : stored, entryCount, lost.length);
  // A recovery of RedEX skips bad entries, and rewrites ts for the others alone.
  const places = new Map<number, number>();
  if (state === 'realigned') for (const [place, index] of good.entries()) places.set(index, place);
  const given = new BigUint64Array(order.entries.length);
  let unknown = 0;
  let last = missingTimeNs;
  for (const [i, index] of order.entries.entries()) {
    const place = state === 'realigned' ? (places.get(index) ?? 0) : index;
    if (place < stored) {
      const { hi, lo } = readChecksum(view, place * 8);
      last = bigintFromNanos(hi, lo);
    } else {
      unknown++;
    }
    given[i] = last;
  }
  const { times, adjusted } = orderTimes(given);
  return { state, times, unknown, adjusted };
}

function timeState(
  stored: number | undefined,
  entryCount: number,
  lostCount: number,
): RedexV1Report['times'] {
  if (stored === undefined) return entryCount === 0 ? 'exact' : 'missing';
  if (stored >= entryCount) return stored === entryCount ? 'exact' : 'longer';
  return lostCount > 0 && entryCount - stored === lostCount ? 'realigned' : 'shorter';
}

function reportOf(
  layout: V1Layout,
  entries: V1Entries,
  datBytes: number,
  checked: Checked,
  order: SeqOrder,
  timing: Timing,
  { keeps, kept, effects }: V1Recovery & { readonly keeps: Uint8Array },
): RedexV1Report {
  const { directory, generation, manifest, otherGenerations } = layout;
  let usedBytes = 0;
  for (let i = 0; i < entries.count; i++) {
    if (entries.endOf(i) <= datBytes) usedBytes = Math.max(usedBytes, entries.endOf(i));
  }
  const unordered = order.dropped.map((index): V1Loss => {
    return { index, seq: entries.rawSeqOf(index), reason: 'sequence' };
  });
  return {
    directory,
    generation,
    manifest,
    otherGenerations,
    entries: entries.count,
    tornIndexBytes: entries.tornBytes,
    unusedDatBytes: datBytes - usedBytes,
    records: order.entries.length,
    lost: [...checked.lost, ...unordered].toSorted((a, b) => a.index - b.index),
    repairedSeqs: order.repaired,
    doubtfulSeqs: doubtfulEnds(order),
    times: timing.state,
    unknownTimes: timing.unknown,
    adjustedTimes: timing.adjusted,
    redex: { kept, effects },
    saved: order.entries.filter((index) => keeps[index] === 0).length,
  };
}

class CheckedLog implements RedexV1Log {
  readonly report: RedexV1Report;
  readonly firstSeq: number;
  readonly nextSeq: number;
  readonly damaged: readonly SeqRange[];
  readonly #entries: V1Entries;
  readonly #order: SeqOrder;
  readonly #times: BigUint64Array;
  readonly #open: () => V1Payloads;
  readonly #datPath: string;

  constructor(
    report: RedexV1Report,
    entries: V1Entries,
    order: SeqOrder,
    times: BigUint64Array,
    open: () => V1Payloads,
    datPath: string,
  ) {
    this.report = report;
    this.#entries = entries;
    this.#order = order;
    this.#times = times;
    this.#open = open;
    this.#datPath = datPath;
    const { seqs, entries: kept } = order;
    const first = (seqs[0] ?? 0) - (kept[0] ?? 0);
    this.firstSeq = first >= 0 ? first : (seqs[0] ?? 0);
    const behind = entries.count - 1 - (kept.at(-1) ?? -1);
    this.nextSeq = Math.min(
      (seqs.at(-1) ?? this.firstSeq - 1) + 1 + behind,
      Number.MAX_SAFE_INTEGER,
    );
    this.damaged = lostRanges(order, entries.count, this.firstSeq, this.nextSeq);
  }

  async *batches(signal?: AbortSignal): AsyncGenerator<readonly TransferRecord[], undefined> {
    const payloads = this.#open();
    try {
      let batch: TransferRecord[] = [];
      let bytes = 0;
      for (const [i, index] of this.#order.entries.entries()) {
        if (!payloads.isLoaded(index)) await payloads.load(index);
        const payload = this.#payload(payloads, index);
        const seq = this.#order.seqs[i] ?? 0;
        batch.push({ seq, type: 0, timestampNs: this.#times[i] ?? 0n, payload });
        bytes += payload.byteLength;
        if (batch.length < BATCH_RECORDS && bytes < BATCH_BYTES) continue;
        signal?.throwIfAborted();
        yield batch;
        batch = [];
        bytes = 0;
      }
      if (batch.length > 0) yield batch;
    } catch (error) {
      if (error === signal?.reason) throw error;
      throw ioError('import', this.#datPath, error, 'absent');
    } finally {
      payloads.close();
    }
  }

  #payload(payloads: V1Payloads, index: number): Uint8Array {
    if (payloads.isLoaded(index)) {
      const payload = payloads.payload(index);
      if (this.#entries.isIntact(index, payload)) return payload;
    }
    const position = this.#entries.isInline(index) ? 0 : this.#entries.offsetOf(index);
    throw archiveDamage(this.#datPath, position, 'checksum', 'it has changed since it was read');
  }
}

/** The seqs that stand where entries are lost. */
function lostRanges(
  { entries, seqs }: SeqOrder,
  entryCount: number,
  firstSeq: number,
  endSeq: number,
): SeqRange[] {
  const ranges: SeqRange[] = [];
  let index = -1;
  let seq = firstSeq - 1;
  for (let i = 0; i <= entries.length; i++) {
    const nextIndex = entries[i] ?? entryCount;
    const nextSeq = seqs[i] ?? endSeq;
    const isLost = nextIndex > index + 1 && nextSeq > seq + 1;
    if (isLost) ranges.push({ firstSeq: seq + 1, nextSeq });
    index = nextIndex;
    seq = nextSeq;
  }
  return ranges;
}
