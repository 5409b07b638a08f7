/**
 * A run of records in one chunk: a table of small numbers, then all payloads. Seqs and times are
 * distances from the record before, so that most rows have a handful of bytes.
 */
import { bigintFromNanos, nanosFromBigint, MAX_TIMESTAMP_NS } from '../core/nanos.js';
import { readSafeU64, UNSAFE, viewOf, writeSafeU64 } from '../format/bytes.js';
import { readChecksum, writeChecksum } from '../format/checksum.js';
import { decoded, failed, type Decoded } from '../format/decoded.js';
import { MAX_SEQ } from '../channel/options.js';
import { CHUNK_HEAD_BYTES, newChunk, RECORDS_CHUNK, sealChunk } from './archive-chunk.js';
import type { TransferRecord } from './transfer-items.js';
import { MAX_VARINT_BYTES, VarintReader, writeVarint } from './varint.js';

/** A chunk is full when its payloads have so many bytes, or it has so many records. */
const FULL_BYTES = 256 * 1024;
const FULL_RECORDS = 16_384;
/** A reader takes memory for each record, however few bytes it has. */
const MAX_RECORDS = 65_536;
const ROW_BYTES = 4 * MAX_VARINT_BYTES;
const LEAST_ROW_BYTES = 4;
/** Count, bytes of the table, first seq, first time. */
const FIXED_BYTES = 24;
const MAX_STEP_NS = BigInt(Number.MAX_SAFE_INTEGER);

/** Gathers records, over bytes of its own. */
export class RecordsChunk {
  #table = new Uint8Array(4096);
  #tableBytes = 0;
  #payloads = new Uint8Array(FULL_BYTES);
  #payloadBytes = 0;
  #count = 0;
  #firstSeq = 0;
  #firstTime = 0n;
  #lastSeq = 0;
  #lastTime = 0n;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Whether the chunk is to end before this record. */
  endsBefore({ timestampNs, payload }: TransferRecord): boolean {
    if (this.#count === 0) return false;
    const step = timestampNs - this.#lastTime;
    if (step < 0n || step > MAX_STEP_NS || this.#count >= FULL_RECORDS) return true;
    return this.#payloadBytes + payload.byteLength > FULL_BYTES;
  }

  add({ seq, type, timestampNs, payload }: TransferRecord): void {
    if (this.#count === 0) {
      this.#firstSeq = seq;
      this.#firstTime = timestampNs;
      this.#lastSeq = seq - 1;
      this.#lastTime = timestampNs;
    }
    this.#table = withRoom(this.#table, this.#tableBytes, ROW_BYTES);
    this.#payloads = withRoom(this.#payloads, this.#payloadBytes, payload.byteLength);
    let at = this.#tableBytes;
    at = writeVarint(this.#table, at, seq - this.#lastSeq - 1);
    at = writeVarint(this.#table, at, Number(timestampNs - this.#lastTime));
    at = writeVarint(this.#table, at, type);
    this.#tableBytes = writeVarint(this.#table, at, payload.byteLength);
    this.#payloads.set(payload, this.#payloadBytes);
    this.#payloadBytes += payload.byteLength;
    this.#lastSeq = seq;
    this.#lastTime = timestampNs;
    this.#count++;
  }

  /** The chunk of what was added; the next one begins empty. */
  finish(number: number): Uint8Array {
    const bodyBytes = FIXED_BYTES + this.#tableBytes + this.#payloadBytes;
    const chunk = newChunk(RECORDS_CHUNK, number, bodyBytes);
    const view = viewOf(chunk);
    let at = CHUNK_HEAD_BYTES;
    view.setUint32(at, this.#count, true);
    view.setUint32(at + 4, this.#tableBytes, true);
    writeSafeU64(view, at + 8, this.#firstSeq);
    writeChecksum(view, at + 16, nanosFromBigint(this.#firstTime));
    at += FIXED_BYTES;
    chunk.set(this.#table.subarray(0, this.#tableBytes), at);
    chunk.set(this.#payloads.subarray(0, this.#payloadBytes), at + this.#tableBytes);
    this.#count = 0;
    this.#tableBytes = 0;
    this.#payloadBytes = 0;
    // A large record does not keep its memory for all that come after it.
    if (this.#payloads.byteLength > 2 * FULL_BYTES) this.#payloads = new Uint8Array(FULL_BYTES);
    return sealChunk(chunk);
  }
}

function withRoom(bytes: Uint8Array, used: number, more: number): Uint8Array<ArrayBuffer> {
  if (used + more <= bytes.byteLength) return bytes as Uint8Array<ArrayBuffer>;
  const larger = new Uint8Array(Math.max(used + more, 2 * bytes.byteLength));
  larger.set(bytes.subarray(0, used));
  return larger;
}

/** Payloads are views of `body`. */
export function decodeRecordsBody(body: Uint8Array): Decoded<TransferRecord[]> {
  if (body.byteLength < FIXED_BYTES) return failed('length');
  const view = viewOf(body);
  const count = view.getUint32(0, true);
  const tableBytes = view.getUint32(4, true);
  const firstSeq = readSafeU64(view, 8);
  const time = readChecksum(view, 16);
  const room = body.byteLength - FIXED_BYTES;
  if (tableBytes > room || count === 0 || count * LEAST_ROW_BYTES > tableBytes) {
    return failed('length');
  }
  if (count > MAX_RECORDS) return failed('fields');
  if (firstSeq === UNSAFE) return failed('fields');
  const table = new VarintReader(body, FIXED_BYTES, FIXED_BYTES + tableBytes);
  const records: TransferRecord[] = [];
  let seq = firstSeq - 1;
  let timestampNs = bigintFromNanos(time.hi, time.lo);
  let at = table.end;
  for (let i = 0; i < count; i++) {
    const skip = table.next();
    const step = table.next();
    const type = table.next();
    const length = table.next();
    if (skip === UNSAFE || step === UNSAFE || type === UNSAFE || length === UNSAFE) {
      return failed('fields');
    }
    seq += skip + 1;
    timestampNs += BigInt(step);
    if (seq > MAX_SEQ || type > 0xffff || timestampNs > MAX_TIMESTAMP_NS) return failed('fields');
    if (length > body.byteLength - at) return failed('length');
    records.push({ seq, type, timestampNs, payload: body.subarray(at, at + length) });
    at += length;
  }
  const isWhole = table.at === table.end && at === body.byteLength;
  return isWhole ? decoded(records) : failed('length');
}
