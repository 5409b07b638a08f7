/**
 * Arbitrary structures of the format, whole dat files made of them with what is known of each
 * byte, and a walk that reads such a file as a reader would.
 */
import fc from 'fast-check';
import type { FailedCheck } from '../../src/core/errors.js';
import { nanosFromBigint, type Nanos } from '../../src/core/nanos.js';
import type { LogRecord } from '../../src/core/record.js';
import { viewOf } from '../../src/format/bytes.js';
import { bindToNonce, checksumOf, writeChecksum } from '../../src/format/checksum.js';
import type { Checksum } from '../../src/format/checksum.js';
import type { Decoded } from '../../src/format/decoded.js';
import {
  DAT_MAGIC,
  decodeFileHeader,
  encodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
} from '../../src/format/file-header.js';
import {
  FrameEncoder,
  type FrameContent,
  type FramePlace,
} from '../../src/format/frame-encoder.js';
import { BATCH_END } from '../../src/format/unit.js';
import { decodeRecords } from '../../src/format/unit-records.js';
import type { Chunk } from '../../src/segment/chunk.js';
import { UnitParser } from '../../src/segment/unit-parser.js';

export const u32: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0xffffffff });
/** A u64 in halves: a nonce, a checksum, a time. */
export const halves: fc.Arbitrary<Checksum> = fc.record({ hi: u32, lo: u32 });
export const channelIds: fc.Arbitrary<Uint8Array> = fc.uint8Array({
  minLength: 16,
  maxLength: 16,
});
export const safeIntegers: fc.Arbitrary<number> = fc.maxSafeNat();

export const fileHeaders: fc.Arbitrary<Omit<FileHeader, 'checksum'>> = fc.record({
  channelId: channelIds,
  baseSeq: safeIntegers,
  nonce: halves,
  durableSeq: safeIntegers,
  timestampFloor: halves,
});

/** The value of a structure that must decode. */
export function valueOf<T>(result: Decoded<T>): T {
  if (!result.ok) throw new Error(`does not decode: ${result.check}`);
  return result.value;
}

/** The first bit whose flip `accepts` lets through, if any. `bytes` are as before afterwards. */
export function acceptedFlip(
  bytes: Uint8Array,
  accepts: (flipped: Uint8Array, bit: number) => boolean,
): number | undefined {
  for (let bit = 0; bit < 8 * bytes.byteLength; bit++) {
    flipBit(bytes, bit);
    const accepted = accepts(bytes, bit);
    flipBit(bytes, bit);
    if (accepted) return bit;
  }
  return undefined;
}

export function flipBit(bytes: Uint8Array, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
}

/** Bytes that look random and are the same for the same seed. */
export function payloadBytes(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export interface ModelRecord {
  readonly seq: number;
  readonly type: number;
  readonly timestampNs: bigint;
  readonly payload: Uint8Array;
  readonly batchEnd: boolean;
}

/** One record relative to the one before it, so that any list of them makes a valid log. */
interface RecordSpec {
  readonly length: number;
  readonly seed: number;
  /** Seqs left out before it. */
  readonly gap: number;
  readonly type: number;
  /** Nanoseconds since the record before it. */
  readonly step: number;
  readonly batchEnd: boolean;
}

function mostlyZero(max: number): fc.Arbitrary<number> {
  return fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max }));
}

function recordSpecs(lengths: fc.Arbitrary<number>): fc.Arbitrary<RecordSpec> {
  return fc.record({
    length: lengths,
    seed: fc.nat(0xffff),
    gap: mostlyZero(0xffff),
    type: mostlyZero(0xffff),
    step: mostlyZero(0xffffffff),
    batchEnd: fc.boolean(),
  });
}

/** The records of one frame from places in a log. */
function modelRecords(
  specs: readonly RecordSpec[],
  firstSeq: number,
  since: bigint,
): ModelRecord[] {
  let seq = firstSeq;
  let timestampNs = since;
  return specs.map((spec, i) => {
    seq += spec.gap;
    timestampNs += BigInt(spec.step);
    const batchEnd = spec.batchEnd || i === specs.length - 1;
    const payload = payloadBytes(spec.length, spec.seed);
    const record = { seq: seq++, type: spec.type, timestampNs, payload, batchEnd };
    return shownAs(record, `seq ${record.seq}, ${timestampNs} ns, ${JSON.stringify(spec)}`);
  });
}

/** What a failed property prints of a value, instead of its bytes. */
function shownAs<T extends object>(value: T, text: string): T {
  return Object.defineProperty(value, fc.toStringMethod, { value: () => text });
}

/** Records of one frame: small ones make it a single unit, large ones a frame of blocks. */
export function frameRecords(size: 'small' | 'large'): fc.Arbitrary<ModelRecord[]> {
  const specs =
    size === 'small'
      ? fc.array(recordSpecs(fc.nat(40)), { minLength: 1, maxLength: 6 })
      : fc.array(recordSpecs(fc.integer({ min: 700, max: 10_000 })), {
          minLength: 13,
          maxLength: 20,
        });
  return fc
    .tuple(specs, fc.nat(2 ** 52), fc.bigInt({ min: 0n, max: 2n ** 63n }))
    .map(([list, firstSeq, since]) => modelRecords(list, firstSeq, since));
}

/** Encoder input for records. Entries before `first`, and payloads before the start, are junk. */
export function contentOf(records: readonly ModelRecord[], first: number = 2): FrameContent {
  const count = first + records.length;
  const lengths = new Uint32Array(count).fill(0xaaaaaaaa);
  const seqs = new Float64Array(count).fill(7);
  const types = new Uint16Array(count).fill(0xaaaa);
  const timestamps = new Uint32Array(2 * count).fill(0xaaaaaaaa);
  for (const [i, { seq, type, timestampNs, payload, batchEnd }] of records.entries()) {
    const { hi, lo } = nanosFromBigint(timestampNs);
    lengths[first + i] = payload.byteLength + (batchEnd ? BATCH_END : 0);
    seqs[first + i] = seq;
    types[first + i] = type;
    timestamps.set([lo, hi], 2 * (first + i));
  }
  const baseSeq = records[0]?.seq ?? 0;
  const since = records[0]?.timestampNs ?? 0n;
  const gapless = records.every(({ seq }, i) => seq === baseSeq + i);
  const payloads = Buffer.concat([payloadBytes(first, 1), ...records.map((r) => r.payload)]);
  return {
    first,
    recordCount: records.length,
    lengths,
    seqs: gapless ? undefined : seqs,
    types: records.every(({ type }) => type === 0) ? undefined : types,
    timestamps: records.every(({ timestampNs }) => timestampNs === since) ? undefined : timestamps,
    baseSeq,
    timestamp: nanosFromBigint(since),
    payloads,
    payloadStart: first,
    payloadBytes: payloads.byteLength - first,
  };
}

export const framePlaces: fc.Arbitrary<FramePlace> = fc.record({
  position: fc.nat(2 ** 28).map((n) => 8 * n),
  attempt: u32,
  link: halves,
  nonce: halves,
  durableSeq: safeIntegers,
});

export interface FileUnit {
  readonly start: number;
  /** Where the bytes under its own checksum end. */
  readonly end: number;
  /** Records of the units before it. */
  readonly recordsBefore: number;
}

export interface FileFrame {
  readonly bytes: Uint8Array;
  readonly checksum: Checksum;
  readonly place: FramePlace;
  readonly records: readonly ModelRecord[];
}

export interface DatImage {
  readonly bytes: Uint8Array;
  readonly nonce: Checksum;
  /** The file header first, then each unit. */
  readonly units: readonly FileUnit[];
  readonly frames: readonly FileFrame[];
  readonly records: readonly ModelRecord[];
}

/** Builds a dat file frame by frame. */
export class DatBuilder {
  readonly nonce: Checksum;
  readonly frames: FileFrame[] = [];
  link: Checksum;
  position: number = FILE_HEADER_BYTES;
  nextSeq: number;
  lastTimestamp: Nanos;
  readonly #encoder: FrameEncoder = new FrameEncoder();
  readonly #pieces: Uint8Array[];
  readonly #units: FileUnit[] = [{ start: 0, end: FILE_HEADER_BYTES, recordsBefore: 0 }];
  #recordCount = 0;
  #attempt = 0;

  constructor(header: Omit<FileHeader, 'checksum'>) {
    const bytes = encodeFileHeader(DAT_MAGIC, header);
    this.nonce = header.nonce;
    this.link = valueOf(decodeFileHeader(DAT_MAGIC, bytes)).checksum;
    this.nextSeq = header.baseSeq;
    this.lastTimestamp = header.timestampFloor;
    this.#pieces = [bytes];
  }

  /** A frame with these records; without any, a witness. */
  frame(records: readonly ModelRecord[], durableSeq: number): this {
    const place = this.#place(durableSeq);
    const last = records.at(-1);
    if (last === undefined) {
      this.#encoder.encodeWitness(this.nextSeq, this.lastTimestamp, place);
    } else {
      this.#encoder.encode(contentOf(records), place);
      this.nextSeq = last.seq + 1;
      this.lastTimestamp = nanosFromBigint(last.timestampNs);
    }
    return this.#take(records, place);
  }

  seal(durableSeq: number): this {
    const place = this.#place(durableSeq);
    this.#encoder.encodeSeal(this.nextSeq, this.#recordCount, this.lastTimestamp, place);
    return this.#take([], place);
  }

  #place(durableSeq: number): FramePlace {
    const { position, link, nonce } = this;
    this.#attempt++;
    return { position, attempt: this.#attempt, link, nonce, durableSeq };
  }

  #take(records: readonly ModelRecord[], place: FramePlace): this {
    const { byteLength, checksum, units } = this.#encoder;
    const bytes = this.#encoder.bytes.slice(0, byteLength);
    const start = this.position;
    this.position += byteLength;
    const isWhole = (units[0]?.position ?? start) === start;
    const blocks = isWhole ? [] : units;
    const firstEnd = blocks[0]?.position ?? this.position;
    this.#units.push({ start, end: firstEnd, recordsBefore: this.#recordCount });
    for (const block of blocks) {
      const end = block.position + block.byteLength;
      this.#units.push({ start: block.position, end, recordsBefore: this.#recordCount });
      this.#recordCount += block.recordCount;
    }
    if (isWhole) this.#recordCount += records.length;
    this.link = checksum;
    this.#pieces.push(bytes);
    this.frames.push({ bytes, checksum, place, records });
    return this;
  }

  build(): DatImage {
    const { nonce, frames } = this;
    const bytes = new Uint8Array(Buffer.concat(this.#pieces));
    const records = frames.flatMap((frame) => frame.records);
    const image = { bytes, nonce, units: this.#units, frames, records };
    const parts = frames.map((frame) => `${frame.records.length} in ${frame.bytes.byteLength}`);
    return shownAs(image, `${bytes.byteLength} bytes, records: ${parts.join(', ')}`);
  }
}

/** Whole files of small frames and witnesses, some sealed, some with a frame of blocks. */
export function datImages(size: 'small' | 'large'): fc.Arbitrary<DatImage> {
  const small = fc.array(recordSpecs(fc.nat(20)), { maxLength: 4 });
  const large = fc.array(recordSpecs(fc.integer({ min: 800, max: 1100 })), {
    minLength: 21,
    maxLength: 21,
  });
  const frames =
    size === 'small'
      ? fc.array(small, { minLength: 1, maxLength: 4 })
      : fc.tuple(small, large, small);
  return fc
    .tuple(fileHeaders, fc.nat(2 ** 52), frames, fc.boolean())
    .map(([header, baseSeq, lists, sealed]) => {
      const builder = new DatBuilder({
        ...header,
        baseSeq,
        timestampFloor: { hi: header.timestampFloor.hi >>> 1, lo: header.timestampFloor.lo },
      });
      for (const specs of lists) {
        const { hi, lo } = builder.lastTimestamp;
        const since = (BigInt(hi) << 32n) | BigInt(lo);
        builder.frame(modelRecords(specs, builder.nextSeq, since), builder.nextSeq);
      }
      if (sealed) builder.seal(builder.nextSeq);
      return builder.build();
    });
}

export interface Walk {
  readonly records: readonly LogRecord[];
  readonly ended: 'end' | 'seal' | 'failed';
  /** Where the walk ended; of a failure, where the unit that failed starts. */
  readonly position: number;
  readonly check: FailedCheck | 'version' | undefined;
}

function chunkOf(bytes: Uint8Array, position: number): Chunk {
  return { bytes, view: viewOf(bytes), position, byteLength: bytes.byteLength };
}

/** Reads a dat file from its header to its end, in pieces no longer than what was asked for. */
export function walkDat(bytes: Uint8Array, inPieces: boolean = false): Walk {
  const header = decodeFileHeader(DAT_MAGIC, bytes.subarray(0, FILE_HEADER_BYTES));
  const records: LogRecord[] = [];
  if (!header.ok) return { records, ended: 'failed', position: 0, check: header.check };
  const { nonce, checksum: link, baseSeq: nextSeq } = header.value;
  const end = bytes.byteLength;
  const parser = new UnitParser({ nonce, position: FILE_HEADER_BYTES, end, link, nextSeq });
  let chunk = chunkOf(bytes.subarray(0, inPieces ? 0 : end), 0);
  for (let steps = 0; steps <= end; steps++) {
    const step = parser.step(chunk);
    const { position, unit, at, needed } = parser;
    if (step === 'more') {
      if (needed > end - position) throw new Error('more was asked for than there is');
      chunk = chunkOf(bytes.subarray(position, inPieces ? position + needed : end), position);
    } else if (step === 'records' && unit !== undefined) {
      decodeRecords(chunk.bytes, chunk.view, at, unit, 0, Infinity, records);
    } else if (step !== 'records' && step !== 'head') {
      return {
        records,
        ended: step,
        position,
        check: step === 'failed' ? parser.check : undefined,
      };
    }
  }
  throw new Error('the walk does not end');
}

/** Whether a record that was read is, to the byte, the one that was written. */
export function isSame(read: LogRecord, written: ModelRecord): boolean {
  return (
    read.seq === written.seq &&
    read.type === written.type &&
    read.timestampNs === written.timestampNs &&
    Buffer.compare(read.payload, written.payload) === 0
  );
}

/** Makes a unit that was tampered with verify, as one who knows the nonce could. */
export function reseal(bytes: Uint8Array, at: number, covered: number, nonce: Checksum): void {
  const checksum = bindToNonce(checksumOf(bytes, at + 8, covered - 8), nonce);
  writeChecksum(viewOf(bytes), at, checksum);
}
