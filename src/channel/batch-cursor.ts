/**
 * Reads records forward, chunk by chunk, over all segments. Everything it returns was verified
 * against dat; what does not verify ends the read with CORRUPT at the record that is missing.
 */
import type { RedexError } from '../core/errors.js';
import type { LogRecord } from '../core/record.js';
import { FILE_HEADER_BYTES } from '../format/file-header.js';
import { decodeRecords } from '../format/unit-records.js';
import { ChunkReader, type Chunk } from '../segment/chunk.js';
import type { OpenSegment } from '../segment/open-segment.js';
import { findNextUnit } from '../segment/resync.js';
import { corruption, segmentPath, type Segment } from '../segment/segment.js';
import { UnitParser } from '../segment/unit-parser.js';
import type { SegmentChain } from './segment-chain.js';

export interface CursorOptions {
  readonly from: number;
  /** Exclusive. Never above what is visible. */
  readonly to: number;
  /** Every batch gets a buffer that is never written again. */
  readonly ownBytes: boolean;
}

/** A position inside of one segment. */
interface Walk {
  readonly open: OpenSegment;
  readonly segment: Segment;
  readonly parser: UnitParser;
  readonly chunks: ChunkReader;
  readonly end: number;
  /** Its seal was there when the walk began, so the walk has to meet it. */
  readonly sealed: boolean;
  chunk: Chunk | undefined;
  /** How the walk has come to the end of the segment. */
  ended: 'end' | 'seal' | undefined;
}

export class BatchCursor {
  readonly #chain: SegmentChain;
  readonly #options: CursorOptions;
  /** The next seq that is wanted. */
  #next: number;
  #walk: Walk | undefined;

  constructor(chain: SegmentChain, options: CursorOptions) {
    this.#chain = chain;
    this.#options = options;
    this.#next = options.from;
  }

  /**
   * The next records, about a chunk full and at most about `limit`; undefined at the end. Unless
   * they have own bytes, they live until the next call.
   */
  async next(limit: number, to: number = this.#options.to): Promise<LogRecord[] | undefined> {
    const batch: LogRecord[] = [];
    while (this.#next < to) {
      const walk = this.#walk ?? (await this.#enter());
      walk.ended ??= await this.#fill(walk, batch, limit, to);
      // What was found before damage is delivered before the damage is told.
      if (batch.length > 0) return batch;
      if (walk.ended !== undefined) this.#leave(walk, walk.ended, to);
    }
    this.close();
    return undefined;
  }

  async #enter(): Promise<Walk> {
    const index = this.#chain.indexOf(this.#next);
    const segment = this.#chain.all[index];
    if (segment === undefined) throw this.#missingHead();
    const open = this.#chain.borrow(segment);
    try {
      const position = await open.locate(this.#next);
      const { nonce, datLength: end, headerChecksum, baseSeq, sealed } = segment;
      const link = position === FILE_HEADER_BYTES ? headerChecksum : undefined;
      const parser = new UnitParser({ nonce, position, end, link, nextSeq: baseSeq });
      const { ownBytes } = this.#options;
      const chunks = new ChunkReader(open.dat, end, { ownBytes });
      this.#walk = {
        open,
        segment,
        parser,
        chunks,
        end,
        sealed,
        chunk: undefined,
        ended: undefined,
      };
      return this.#walk;
    } catch (error) {
      this.#chain.release(open);
      throw error;
    }
  }

  #missingHead(): RedexError {
    const first = this.#chain.all[0];
    const path = first === undefined ? '' : segmentPath(first, 'dat');
    return corruption(path, 0, 'missing', {
      firstSeq: this.#next,
      nextSeq: first?.baseSeq ?? this.#next,
    });
  }

  /** Takes records out of the walk until there is a batch, or tells how the segment ended. */
  async #fill(
    walk: Walk,
    batch: LogRecord[],
    limit: number,
    to: number,
  ): Promise<'end' | 'seal' | undefined> {
    const { parser } = walk;
    walk.chunk ??= await walk.chunks.read(parser.position, parser.needed);
    for (;;) {
      const { chunk } = walk;
      const step = parser.step(chunk);
      if (step === 'records' && parser.unit !== undefined) {
        const { unit, at } = parser;
        decodeRecords(chunk.bytes, chunk.view, at, unit, this.#next, to, batch);
        if (parser.nextSeq > this.#next) this.#next = Math.min(parser.nextSeq, to);
        if (this.#next >= to || batch.length >= limit) return undefined;
      } else if (step === 'more') {
        // The next chunk takes the place of this one: what is found has to be used first.
        if (batch.length > 0) return undefined;
        walk.chunk = await walk.chunks.read(parser.position, parser.needed);
      } else if (step === 'failed') {
        if (batch.length > 0) return undefined;
        // A damaged seal costs no record: all those before it have been read.
        if (this.#next >= walk.segment.nextSeq) return 'end';
        throw await this.#damage(walk);
      } else if (step === 'end' || step === 'seal') {
        return step;
      }
    }
  }

  /** The walk is over its segment: the next one goes on where it ended. */
  #leave(walk: Walk, ended: 'end' | 'seal', to: number): void {
    const { segment } = walk;
    this.#closeWalk();
    const isLast = this.#chain.last === segment;
    const wanted = isLast ? to : Math.min(segment.nextSeq, to);
    if (this.#next >= wanted) return;
    const { damage } = segment;
    if (damage !== undefined || (walk.sealed && ended !== 'seal')) {
      const check = damage?.check ?? 'missing';
      const position = damage?.position ?? walk.end;
      const range = { firstSeq: this.#next, nextSeq: segment.nextSeq };
      throw corruption(segmentPath(segment, 'dat'), position, check, range);
    }
    // What is left up to the next segment are seqs that were skipped.
    this.#next = wanted;
  }

  /** The error for bytes that fail, with the records that cannot be read because of them. */
  async #damage(walk: Walk): Promise<RedexError> {
    const { open, segment, parser, end } = walk;
    const next = await findNextUnit(open.dat, {
      nonce: segment.nonce,
      position: parser.position + 8,
      end,
    });
    const firstSeq = Math.max(parser.nextSeq, this.#next);
    const nextSeq = Math.max(firstSeq + 1, next?.baseSeq ?? segment.nextSeq);
    return corruption(segmentPath(segment, 'dat'), parser.position, parser.check, {
      firstSeq,
      nextSeq,
    });
  }

  /** After an error: `next` looks for the segment again. Returns the seq that it goes on with. */
  restart(): number {
    this.#closeWalk();
    return this.#next;
  }

  close(): void {
    this.#closeWalk();
    this.#next = Infinity;
  }

  #closeWalk(): void {
    const walk = this.#walk;
    if (walk === undefined) return;
    this.#walk = undefined;
    this.#chain.release(walk.open);
  }
}
