/**
 * Walks the units of a dat file, verifying each: place, length, checksum, link to the frame
 * before, blocks as their frame lists them, seqs that rise. Knows nothing of I/O: it is given
 * chunks and says how many bytes it needs. Between two calls its fields describe the last step.
 */
import type { FailedCheck } from '../core/errors.js';
import { readChecksum, sameChecksum, type Checksum } from '../format/checksum.js';
import {
  BLOCK_LIST_AT,
  BLOCK_MAGIC,
  coveredBytes,
  decodeUnitHeader,
  FLAG_BLOCKS,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  SEAL_MAGIC,
  verifyUnit,
  type UnitHeader,
} from '../format/unit.js';
import { checkRecordTable, nextSeqOf, seqsRise } from '../format/unit-records.js';
import type { Chunk } from './chunk.js';

/**
 * What a step found.
 * - `more`: give a chunk from `position` with at least `needed` bytes.
 * - `head`: the verified head of a frame of blocks, which come next.
 * - `records`: a verified unit with records (none in a witness), `at` in the chunk.
 * - `seal`: the segment ends here.
 * - `end`: the limit was reached at a unit's edge.
 * - `failed`: the bytes at `position` fail `check`.
 */
export type Step = 'more' | 'head' | 'records' | 'seal' | 'end' | 'failed';

export interface ParserStart {
  readonly nonce: Checksum;
  readonly position: number;
  /** Bytes of the file that may be walked. */
  readonly end: number;
  /** Checksum that the first frame must link to; undefined where the walk starts in the middle. */
  readonly link: Checksum | undefined;
  /** The lowest seq that the next record may have. */
  readonly nextSeq: number;
}

export class UnitParser {
  /** Where the next unit starts; of a failed step, where the failing one starts. */
  position: number;
  /** The lowest seq that the next record may have. */
  nextSeq: number;
  /** Checksum that the next frame must link to, when known. */
  link: Checksum | undefined;
  needed: number = FRAME_HEADER_BYTES;
  check: FailedCheck = 'magic';
  /** The unit of the last step, and where it stands in the chunk. */
  unit: UnitHeader | undefined;
  at = 0;
  readonly #nonce: Checksum;
  readonly #end: number;
  #blocks: Checksum[] = [];
  #nextBlock = 0;
  #frameEnd = 0;
  #askedAt = -1;

  constructor(start: ParserStart) {
    this.position = start.position;
    this.nextSeq = start.nextSeq;
    this.link = start.link;
    this.#nonce = start.nonce;
    this.#end = start.end;
  }

  /** Whether the last unit was the last of its frame. */
  get atFrameEnd(): boolean {
    return this.#nextBlock === this.#blocks.length;
  }

  step(chunk: Chunk): Step {
    const remaining = this.#end - this.position;
    if (remaining <= 0) return this.atFrameEnd ? 'end' : this.#fail('length');
    const at = this.position - chunk.position;
    const filled = chunk.byteLength - at;
    if (filled < Math.min(FRAME_HEADER_BYTES, remaining)) {
      return this.#more(Math.min(FRAME_HEADER_BYTES, remaining), chunk);
    }
    const unit = decodeUnitHeader(chunk.view, at, this.position, remaining);
    if (typeof unit === 'string') return this.#fail(unit);
    if ((unit.flags & FLAG_BLOCKS) !== 0 && filled < BLOCK_LIST_AT) {
      return this.#more(Math.min(BLOCK_LIST_AT, unit.byteLength), chunk);
    }
    const covered = coveredBytes(chunk.view, at, unit);
    if (covered === undefined) return this.#fail('length');
    if (filled < covered) return this.#more(covered, chunk);
    const failure =
      verifyUnit(chunk.bytes, at, covered, unit.checksum, this.#nonce) ?? this.#order(unit);
    if (failure !== undefined) return this.#fail(failure);
    return this.#accept(chunk.view, at, unit, covered);
  }

  /** Checks that do not depend on the unit's bytes alone: it is the one that must come next. */
  #order(unit: UnitHeader): FailedCheck | undefined {
    if (unit.baseSeq < this.nextSeq) return 'sequence';
    if (unit.magic === BLOCK_MAGIC) {
      // In the middle of a file a walk may begin inside a frame; later a block needs its frame's
      // head, or what a failed write left behind would pass for a part of the log.
      if (this.#blocks.length === 0 && this.link === undefined) return undefined;
      const listed = this.#blocks[this.#nextBlock];
      return listed !== undefined && sameChecksum(listed, unit.checksum) ? undefined : 'chain';
    }
    if (!this.atFrameEnd) return 'chain';
    return this.link === undefined || sameChecksum(this.link, unit.link) ? undefined : 'chain';
  }

  #accept(view: DataView, at: number, unit: UnitHeader, covered: number): Step {
    this.unit = unit;
    this.at = at;
    if (unit.magic === BLOCK_MAGIC) return this.#acceptBlock(view, at, unit);
    if (unit.magic === FRAME_MAGIC && (unit.flags & FLAG_BLOCKS) !== 0) {
      this.#blocks = [];
      for (let i = BLOCK_LIST_AT; i < covered; i += 8) {
        this.#blocks.push(readChecksum(view, at + i));
      }
      if (this.#blocks.length === 0) return this.#fail('fields');
      this.#nextBlock = 0;
      this.#frameEnd = this.position + unit.byteLength;
      this.position += covered;
      this.link = unit.checksum;
      return 'head';
    }
    this.#blocks = [];
    this.#nextBlock = 0;
    if (unit.magic === SEAL_MAGIC) {
      this.position += unit.byteLength;
      this.link = unit.checksum;
      return 'seal';
    }
    return this.#acceptRecords(view, at, unit, unit.checksum);
  }

  #acceptBlock(view: DataView, at: number, unit: UnitHeader): Step {
    if (this.#blocks.length > 0) {
      const end = this.position + unit.byteLength;
      const isLast = this.#nextBlock === this.#blocks.length - 1;
      if (isLast ? end !== this.#frameEnd : end > this.#frameEnd) return this.#fail('length');
      this.#nextBlock++;
    }
    return this.#acceptRecords(view, at, unit, this.link);
  }

  #acceptRecords(view: DataView, at: number, unit: UnitHeader, link: Checksum | undefined): Step {
    const failure = checkRecordTable(view, at, unit);
    if (failure !== undefined) return this.#fail(failure);
    if (!seqsRise(view, at, unit)) return this.#fail('sequence');
    this.nextSeq = nextSeqOf(view, at, unit);
    this.position += unit.byteLength;
    this.link = link;
    return 'records';
  }

  #more(needed: number, chunk: Chunk): Step {
    const repeated = this.#askedAt === this.position && this.needed === needed;
    // A chunk that was read for this and has too little: the file is shorter than it was said.
    if (repeated && chunk.position === this.position) return this.#fail('length');
    this.#askedAt = this.position;
    this.needed = needed;
    return 'more';
  }

  #fail(check: FailedCheck): Step {
    this.check = check;
    return 'failed';
  }
}
