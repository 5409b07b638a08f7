/**
 * The scan of an unfinished segment after an unclean stop: how far its frames are whole and chain
 * up, and what anything in the file states about what was synced. It changes nothing on disk but,
 * when asked, the derived files, which it rebuilds on the way.
 */
import { assert } from '../core/assert.js';
import type { FailedCheck } from '../core/errors.js';
import { ZERO_NANOS, type Nanos } from '../core/nanos.js';
import { sharedBytes } from '../format/bytes.js';
import type { Checksum } from '../format/checksum.js';
import type { DecodeFailure } from '../format/decoded.js';
import {
  DAT_MAGIC,
  decodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
} from '../format/file-header.js';
import { FRAME_MAGIC } from '../format/unit.js';
import { lastTimestampOf } from '../format/unit-records.js';
import type { FileHandle } from '../fs/file-system.js';
import { ChunkReader, type Chunk } from './chunk.js';
import { IndexRebuild } from './index-rebuild.js';
import { surveyRemains } from './resync.js';
import type { IndexOwner } from './segment-index.js';
import type { Segment } from './segment.js';
import { isUnfinishedWrite } from './unfinished-write.js';
import { UnitParser } from './unit-parser.js';

/** The header of a dat file, or why there is none. */
export function readDatHeader(
  file: FileHandle,
): { ok: true; header: FileHeader } | { ok: false; failure: DecodeFailure } {
  const bytes = sharedBytes(FILE_HEADER_BYTES);
  const length = file.readSync(bytes, 0, FILE_HEADER_BYTES, 0);
  const decoded = decodeFileHeader(DAT_MAGIC, bytes.subarray(0, length));
  return decoded.ok ? { ok: true, header: decoded.value } : { ok: false, failure: decoded };
}

interface ScanFailure {
  readonly check: FailedCheck;
  /**
   * The bytes are the beginning of a frame that the file is too short for: its write never
   * returned, so nobody was told that it happened.
   */
  readonly unfinishedWrite: boolean;
}

export interface SegmentScan {
  /** The segment up to its last whole frame. */
  readonly segment: Segment;
  readonly fileLength: number;
  /** Why the frames end before the file does. */
  readonly failure: ScanFailure | undefined;
  /** The highest `durableSeq` that the header, a frame or a seal states, behind damage too. */
  readonly witness: number;
  /** Records behind the failure that still verify. */
  readonly recordsBehind: number;
  /** End position and next seq of each whole frame. */
  readonly frameEnds: readonly number[];
  readonly frameNextSeqs: readonly number[];
  /** Puts the rebuilt derived files in place, or leaves the old ones. */
  readonly finishIndex: (() => void) | undefined;
  readonly abandonIndex: (() => void) | undefined;
}

/** A segment of which only the header is known yet. */
export function segmentFromHeader(directory: string, header: FileHeader): Segment {
  return {
    directory,
    baseSeq: header.baseSeq,
    nonce: header.nonce,
    timestampFloor: header.timestampFloor,
    headerChecksum: header.checksum,
    nextSeq: header.baseSeq,
    recordCount: 0,
    frameCount: 0,
    datLength: FILE_HEADER_BYTES,
    lastTimestamp: header.timestampFloor,
    lastChecksum: header.checksum,
    sealed: false,
    damage: undefined,
    marks: undefined,
  };
}

/** Scans a segment whose header is good. */
export async function scanSegment(
  file: FileHandle,
  directory: string,
  header: FileHeader,
  owner: IndexOwner,
): Promise<SegmentScan> {
  const scanner = new Scanner(file, segmentFromHeader(directory, header), owner);
  try {
    return await surveyed(file, header, scanner);
  } catch (error) {
    scanner.index?.abandon();
    throw error;
  }
}

async function surveyed(
  file: FileHandle,
  header: FileHeader,
  scanner: Scanner,
): Promise<SegmentScan> {
  const failure = await scanner.run();
  const { segment, fileLength } = scanner;
  let witness = Math.max(scanner.witness, header.durableSeq);
  let recordsBehind = 0;
  if (failure !== undefined) {
    const position = segment.datLength;
    const request = { nonce: segment.nonce, position, end: fileLength };
    const remains = await surveyRemains(file, request);
    witness = Math.max(witness, remains.durableSeq);
    recordsBehind = remains.recordCount;
  }
  const { index, frameEnds, frameNextSeqs } = scanner;
  const { recordCount } = segment;
  return {
    segment,
    fileLength,
    failure,
    witness,
    recordsBehind,
    frameEnds,
    frameNextSeqs,
    finishIndex: index === undefined ? undefined : () => void index.finish(recordCount),
    abandonIndex: index === undefined ? undefined : () => index.abandon(),
  };
}

export interface SegmentExtension {
  readonly fileLength: number;
  readonly failure: ScanFailure | undefined;
  /** The highest `durableSeq` that the new frames state. */
  readonly witness: number;
  /** Where the last whole frame or seal begins; undefined when nothing was found. */
  readonly lastUnitAt: number | undefined;
  /** When the segment was found to be sealed, what was known of it without the seal. */
  readonly beforeSeal:
    { readonly segment: Segment; readonly lastUnitAt: number | undefined } | undefined;
}

/**
 * Takes up what stands behind the last frame that is known of a segment, for a reader beside the
 * writer: `segment` is moved on to the end of the last whole frame. Nothing on disk is changed.
 */
export async function extendSegment(
  file: FileHandle,
  segment: Segment,
  owner: IndexOwner,
): Promise<SegmentExtension> {
  assert(owner.readOnly, 'only who may not write looks at a part of a segment');
  segment.marks?.trim(segment.datLength);
  const scanner = new Scanner(file, segment, owner);
  const failure = await scanner.run();
  segment.marks?.trim(segment.datLength);
  const { fileLength, witness, lastUnitAt, beforeSeal } = scanner;
  return { fileLength, failure, witness, lastUnitAt, beforeSeal };
}

/** Goes on from the end of what is known of the segment, which may be its header. */
class Scanner {
  readonly segment: Segment;
  readonly fileLength: number;
  readonly index: IndexRebuild | undefined;
  readonly frameEnds: number[] = [];
  readonly frameNextSeqs: number[] = [];
  witness = 0;
  lastUnitAt: number | undefined;
  beforeSeal: SegmentExtension['beforeSeal'];
  readonly #file: FileHandle;
  #recordsInFrame = 0;
  #lastTimestamp: Nanos = ZERO_NANOS;
  #frameChecksum: Checksum;

  constructor(file: FileHandle, segment: Segment, owner: IndexOwner) {
    this.#file = file;
    this.segment = segment;
    this.fileLength = file.sizeSync();
    this.index = owner.readOnly ? undefined : new IndexRebuild(owner, segment);
    this.#lastTimestamp = segment.lastTimestamp;
    this.#frameChecksum = segment.lastChecksum;
  }

  async run(): Promise<ScanFailure | undefined> {
    const { segment, fileLength: end } = this;
    const chunks = new ChunkReader({ ownBytes: false });
    const parser = new UnitParser({
      nonce: segment.nonce,
      position: segment.datLength,
      end,
      link: segment.lastChecksum,
      nextSeq: segment.nextSeq,
    });
    let chunk = await chunks.read(this.#file, parser.position, parser.needed, end);
    for (;;) {
      const step = parser.step(chunk);
      if (step === 'more') {
        chunk = await chunks.read(this.#file, parser.position, parser.needed, end);
        continue;
      }
      if (step === 'end') return undefined;
      if (step === 'failed') return this.#failure(parser);
      this.#take(step, parser, chunk);
      if (step === 'seal') {
        const { position } = parser;
        return position === end ? undefined : { check: 'length', unfinishedWrite: true };
      }
    }
  }

  #take(step: 'head' | 'records' | 'seal', parser: UnitParser, chunk: Chunk): void {
    const { unit, at } = parser;
    if (unit === undefined) return;
    const { segment } = this;
    if (step === 'head') {
      this.#frameChecksum = unit.checksum;
      this.witness = Math.max(this.witness, unit.durableSeq);
      return;
    }
    if (step === 'seal') {
      this.beforeSeal = { segment: { ...segment }, lastUnitAt: this.lastUnitAt };
      segment.sealed = true;
      segment.nextSeq = unit.baseSeq;
      this.#endFrame(parser.position, unit.checksum);
      this.witness = Math.max(this.witness, unit.durableSeq);
      return;
    }
    this.index?.add(chunk.view, at, unit);
    segment.marks?.add(unit);
    this.#recordsInFrame += unit.recordCount;
    this.#lastTimestamp = lastTimestampOf(chunk.view, at, unit);
    this.witness = Math.max(this.witness, unit.durableSeq);
    if (!parser.atFrameEnd) return;
    if (unit.magic === FRAME_MAGIC) this.#frameChecksum = unit.checksum;
    segment.nextSeq = parser.nextSeq;
    segment.frameCount++;
    this.#endFrame(parser.position, this.#frameChecksum);
  }

  #endFrame(position: number, checksum: Checksum): void {
    const { segment } = this;
    segment.recordCount += this.#recordsInFrame;
    this.lastUnitAt = segment.datLength;
    segment.datLength = position;
    segment.lastTimestamp = this.#lastTimestamp;
    segment.lastChecksum = checksum;
    this.#recordsInFrame = 0;
    this.frameEnds.push(position);
    this.frameNextSeqs.push(segment.nextSeq);
  }

  /** Looks again at where the last whole frame ends: that is where the log ends. */
  #failure(parser: UnitParser): ScanFailure {
    const { datLength: position, nextSeq, lastChecksum: link, nonce } = this.segment;
    const remaining = this.fileLength - position;
    const place = { position, nextSeq, link, nonce };
    return {
      check: parser.check,
      unfinishedWrite: isUnfinishedWrite(this.#file, place, remaining),
    };
  }
}
