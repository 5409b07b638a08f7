/**
 * The records of a verified unit. The table stands in front of the payloads as columns:
 * timestamps (u64 each) if flagged, lengths (u32, top bit: last of its batch), seqs as distances
 * from the unit's base seq (u32) if flagged, types (u16) if flagged.
 */
import type { FailedCheck } from '../core/errors.js';
import type { Nanos } from '../core/nanos.js';
import { LogRecord } from '../core/record.js';
import {
  FLAG_SEQS,
  FLAG_TIMESTAMPS,
  FLAG_TYPES,
  LENGTH_MASK,
  tableBytes,
  unitHeaderBytes,
  type UnitHeader,
} from './unit.js';

/** Where each column of a unit starts, as places in the view it was read from. */
interface Columns {
  readonly timestamps: number;
  readonly lengths: number;
  readonly seqs: number;
  readonly types: number;
  readonly payloads: number;
}

function columnsOf(unit: UnitHeader, at: number): Columns {
  const { recordCount, flags } = unit;
  const timestamps = at + unitHeaderBytes(unit.magic);
  const lengths = timestamps + ((flags & FLAG_TIMESTAMPS) === 0 ? 0 : 8 * recordCount);
  const seqs = lengths + 4 * recordCount;
  const types = seqs + ((flags & FLAG_SEQS) === 0 ? 0 : 4 * recordCount);
  const payloads = types + ((flags & FLAG_TYPES) === 0 ? 0 : 2 * recordCount);
  return { timestamps, lengths, seqs, types, payloads };
}

/** Where the lengths of a unit's records start. */
export function lengthsAt(unit: UnitHeader, at: number): number {
  return columnsOf(unit, at).lengths;
}

/**
 * Whether the table and the payloads fill the unit exactly. Only a unit that passed is decoded:
 * the checksum says that these are the bytes that were written, this that they make sense.
 */
export function checkRecordTable(
  view: DataView,
  at: number,
  unit: UnitHeader,
): FailedCheck | undefined {
  const { recordCount, byteLength } = unit;
  const headBytes = unitHeaderBytes(unit.magic) + tableBytes(recordCount, unit.flags);
  if (headBytes > byteLength) return 'fields';
  const { lengths } = columnsOf(unit, at);
  let total = headBytes;
  for (let i = 0; i < recordCount; i++) {
    total += view.getUint32(lengths + 4 * i, true) & LENGTH_MASK;
  }
  return total <= byteLength && byteLength - total < 8 ? undefined : 'fields';
}

/** The seq that follows the unit's last record. */
export function nextSeqOf(view: DataView, at: number, unit: UnitHeader): number {
  const { recordCount, baseSeq, flags } = unit;
  if ((flags & FLAG_SEQS) === 0 || recordCount === 0) return baseSeq + recordCount;
  const { seqs } = columnsOf(unit, at);
  return baseSeq + view.getUint32(seqs + 4 * (recordCount - 1), true) + 1;
}

/** The time of the unit's last record; of a unit without records, the unit's own. */
export function lastTimestampOf(view: DataView, at: number, unit: UnitHeader): Nanos {
  if ((unit.flags & FLAG_TIMESTAMPS) === 0 || unit.recordCount === 0) {
    return { hi: unit.timestampHi, lo: unit.timestampLo };
  }
  const stamp = columnsOf(unit, at).timestamps + 8 * (unit.recordCount - 1);
  return { hi: view.getUint32(stamp + 4, true), lo: view.getUint32(stamp, true) };
}

/** Whether the seqs of a unit rise, as those of every unit that we write do. */
export function seqsRise(view: DataView, at: number, unit: UnitHeader): boolean {
  if ((unit.flags & FLAG_SEQS) === 0) return true;
  const { seqs } = columnsOf(unit, at);
  for (let i = 1; i < unit.recordCount; i++) {
    if (view.getUint32(seqs + 4 * i, true) <= view.getUint32(seqs + 4 * i - 4, true)) return false;
  }
  return true;
}

/** Calls `visit` with the seq and time of each record, in order. */
export function visitRecordKeys(
  view: DataView,
  at: number,
  unit: UnitHeader,
  visit: (seq: number, nanosHi: number, nanosLo: number) => void,
): void {
  const { timestamps, seqs } = columnsOf(unit, at);
  const hasSeqs = (unit.flags & FLAG_SEQS) !== 0;
  const hasTimestamps = (unit.flags & FLAG_TIMESTAMPS) !== 0;
  for (let i = 0; i < unit.recordCount; i++) {
    const seq = unit.baseSeq + (hasSeqs ? view.getUint32(seqs + 4 * i, true) : i);
    if (hasTimestamps) {
      const stamp = timestamps + 8 * i;
      visit(seq, view.getUint32(stamp + 4, true), view.getUint32(stamp, true));
    } else {
      visit(seq, unit.timestampHi, unit.timestampLo);
    }
  }
}

/** The record `seq` of a unit, as a view of `bytes`; undefined when it is not in it. */
export function findRecord(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  unit: UnitHeader,
  seq: number,
): LogRecord | undefined {
  const { flags, baseSeq, recordCount } = unit;
  const columns = columnsOf(unit, at);
  const hasSeqs = (flags & FLAG_SEQS) !== 0;
  let index = seq - baseSeq;
  let start = columns.payloads;
  for (let i = 0; i < recordCount; i++) {
    if (hasSeqs && view.getUint32(columns.seqs + 4 * i, true) === seq - baseSeq) index = i;
    else if (hasSeqs && i === index) index = recordCount;
    if (i === index) break;
    start += view.getUint32(columns.lengths + 4 * i, true) & LENGTH_MASK;
  }
  if (index < 0 || index >= recordCount) return undefined;
  const length = view.getUint32(columns.lengths + 4 * index, true) & LENGTH_MASK;
  const type = (flags & FLAG_TYPES) === 0 ? 0 : view.getUint16(columns.types + 2 * index, true);
  const hasTimes = (flags & FLAG_TIMESTAMPS) !== 0;
  const stamp = columns.timestamps + 8 * index;
  const hi = hasTimes ? view.getUint32(stamp + 4, true) : unit.timestampHi;
  const lo = hasTimes ? view.getUint32(stamp, true) : unit.timestampLo;
  return new LogRecord(seq, type, bytes.buffer, bytes.byteOffset + start, length, hi, lo);
}

/**
 * Appends the records of a unit with `from` <= seq < `to` to `out`, as views of `bytes`, and
 * returns how many payload bytes these have.
 */
export function decodeRecords(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  unit: UnitHeader,
  from: number,
  to: number,
  out: LogRecord[],
): number {
  const { flags, baseSeq, recordCount, timestampHi, timestampLo } = unit;
  const columns = columnsOf(unit, at);
  const { buffer } = bytes;
  let start = bytes.byteOffset + columns.payloads;
  let payloadBytes = 0;
  for (let i = 0; i < recordCount; i++) {
    const length = view.getUint32(columns.lengths + 4 * i, true) & LENGTH_MASK;
    const seq =
      baseSeq + ((flags & FLAG_SEQS) === 0 ? i : view.getUint32(columns.seqs + 4 * i, true));
    if (seq >= to) break;
    if (seq >= from) {
      const type = (flags & FLAG_TYPES) === 0 ? 0 : view.getUint16(columns.types + 2 * i, true);
      let hi = timestampHi;
      let lo = timestampLo;
      if ((flags & FLAG_TIMESTAMPS) !== 0) {
        hi = view.getUint32(columns.timestamps + 8 * i + 4, true);
        lo = view.getUint32(columns.timestamps + 8 * i, true);
      }
      out.push(new LogRecord(seq, type, buffer, start, length, hi, lo));
      payloadBytes += length;
    }
    start += length;
  }
  return payloadBytes;
}
