/**
 * Reads records forward, chunk by chunk, over all segments. Everything it returns was verified
 * against dat; what does not verify ends the read with CORRUPT at the record that is missing.
 *
 * A cursor that has come to the end goes on from there when there is more: its segment has grown,
 * or was sealed, or there is a next one. Between two steps it holds no open segment, so that an
 * abandoned one costs no descriptor; the segment may have been closed and opened again meanwhile.
 */
import type { RedexError } from '../core/errors.js';
import type { LogRecord } from '../core/record.js';
import { FILE_HEADER_BYTES } from '../format/file-header.js';
import { BLOCK_MAGIC } from '../format/unit.js';
import { decodeRecords } from '../format/unit-records.js';
import { ChunkReader, type Chunk, type ChunkSource } from '../segment/chunk.js';
import type { OpenSegment } from '../segment/open-segment.js';
import { findNextUnit } from '../segment/resync.js';
import { corruption, segmentPath, type Segment } from '../segment/segment.js';
import { UnitParser } from '../segment/unit-parser.js';
import type { ChainSnapshot } from './chain-snapshots.js';
import { indexIn, type SegmentChain } from './segment-chain.js';

export interface CursorOptions {
  readonly from: number;
  /** Exclusive, for steps that name no other end. Never above what is visible. */
  readonly to: number;
  /** The segments of a read that is under way; otherwise those of the chain at each step. */
  readonly snapshot?: ChainSnapshot | undefined;
  /** What reads the chunks of a segment; asked when a segment is entered. */
  readonly chunks: () => ChunkSource;
}

/**
 * Chunks for a read: with `ownBytes` every batch gets a buffer that is never written again.
 * Otherwise all segments share the memory, so that they have to be read one after the other.
 */
export function chunksFor(ownBytes: boolean): () => ChunkSource {
  if (ownBytes) return () => new ChunkReader({ ownBytes });
  const reader = new ChunkReader({ ownBytes });
  return () => {
    reader.restart();
    return reader;
  };
}

/** A position inside of one segment. */
interface Walk {
  readonly segment: Segment;
  readonly chunks: ChunkSource;
  parser: UnitParser;
  /** The accepted bytes of the segment that the parser knows of. */
  end: number;
  /** Its seal was there when the parser began, so the walk has to meet it. */
  sealed: boolean;
  chunk: Chunk | undefined;
  /** The parser's last unit has records that were above the end of the last step. */
  isUnitOpen: boolean;
  /** How the walk has come to the end of the segment. */
  ended: 'end' | 'seal' | undefined;
}

export class BatchCursor {
  readonly #chain: SegmentChain;
  readonly #options: CursorOptions;
  /** The next seq that is wanted. */
  #next: number;
  #walk: Walk | undefined;
  /** The walk's segment, borrowed for as long as a step takes. */
  #open: OpenSegment | undefined;

  constructor(chain: SegmentChain, options: CursorOptions) {
    this.#chain = chain;
    this.#options = options;
    this.#next = options.from;
  }

  /** Everything below it has been returned or does not exist. */
  get nextSeq(): number {
    return this.#next;
  }

  /** It reads what the channel has now, and not what it had when a read began. */
  get isLive(): boolean {
    return this.#options.snapshot === undefined;
  }

  /**
   * After an error: the next step looks for the segment again, among those that the channel has
   * now, and so do all that read by the same snapshot. Returns the seq it goes on with.
   */
  restart(): number {
    this.#walk = undefined;
    const { snapshot } = this.#options;
    if (snapshot !== undefined) this.#chain.renew(snapshot);
    return this.#next;
  }

  /** Bytes of dat between here and the end, or somewhat more; counting stops above `limit`. */
  lagBytes(limit: number): number {
    const walk = this.#walk;
    if (walk === undefined) return bytesFrom(this.#chain, this.#chain.indexOf(this.#next), limit);
    const { segment, parser } = walk;
    const index = this.#chain.indexOf(segment.baseSeq);
    return bytesFrom(this.#chain, index, limit + parser.position) - parser.position;
  }

  /**
   * The next records, about a chunk full and at most about `limit`; undefined at the end. How long
   * their bytes live is up to the chunks. One step at a time.
   */
  async next(limit: number, to: number = this.#options.to): Promise<LogRecord[] | undefined> {
    if (this.#next >= to) return undefined;
    try {
      return await this.#step(limit, to);
    } finally {
      this.#release();
    }
  }

  async #step(limit: number, to: number): Promise<LogRecord[] | undefined> {
    const batch: LogRecord[] = [];
    while (this.#next < to) {
      if (this.#hasPassed(this.#walk)) this.#walk = undefined;
      const walk = this.#walk ?? (await this.#enter());
      walk.ended ??= await this.#fill(walk, batch, limit, to);
      // What was found before damage is delivered before the damage is told.
      if (batch.length > 0) return batch;
      if (walk.ended !== undefined && !extend(walk)) this.#leave(walk, walk.ended, to);
    }
    return undefined;
  }

  /**
   * Nothing but the seal of the segment is left: its files may be gone, because whoever reads has
   * said that it does not need them any more.
   */
  #hasPassed(walk: Walk | undefined): boolean {
    if (walk === undefined || this.#open !== undefined) return false;
    return this.#next >= walk.segment.nextSeq && this.#segments.at(-1) !== walk.segment;
  }

  #borrow(segment: Segment): OpenSegment {
    this.#open ??= this.#chain.borrow(segment);
    return this.#open;
  }

  #release(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) this.#chain.release(open);
  }

  async #enter(): Promise<Walk> {
    const segments = this.#segments;
    const segment = segments[indexIn(segments, this.#next)];
    if (segment === undefined) throw missingHead(segments, this.#next);
    const { damage } = segment;
    if (damage !== undefined && damage.fromSeq === segment.baseSeq) {
      const range = { firstSeq: this.#next, nextSeq: segment.nextSeq };
      throw corruption(segmentPath(segment, 'dat'), damage.position, damage.check, range);
    }
    const position = await this.#borrow(segment).locate(this.#next);
    const { nonce, datLength: end, headerChecksum, baseSeq, sealed } = segment;
    const link = position === FILE_HEADER_BYTES ? headerChecksum : undefined;
    const parser = new UnitParser({ nonce, position, end, link, nextSeq: baseSeq });
    const chunks = this.#options.chunks();
    this.#walk = {
      segment,
      chunks,
      parser,
      end,
      sealed,
      chunk: undefined,
      isUnitOpen: false,
      ended: undefined,
    };
    return this.#walk;
  }

  get #segments(): readonly Segment[] {
    return this.#options.snapshot?.segments ?? this.#chain.all;
  }

  async #read(walk: Walk): Promise<Chunk> {
    const { parser, end } = walk;
    const { dat } = this.#borrow(walk.segment);
    walk.chunk = await walk.chunks.read(dat, parser.position, parser.needed, end);
    return walk.chunk;
  }

  /** Takes records out of the walk until there is a batch, or tells how the segment ended. */
  async #fill(
    walk: Walk,
    batch: LogRecord[],
    limit: number,
    to: number,
  ): Promise<'end' | 'seal' | undefined> {
    let { parser } = walk;
    let chunk = walk.chunk ?? (await this.#read(walk));
    for (;;) {
      const step = walk.isUnitOpen ? 'records' : parser.step(chunk);
      if (step === 'records' && parser.unit !== undefined) {
        const { unit, at } = parser;
        decodeRecords(chunk.bytes, chunk.view, at, unit, this.#next, to, batch);
        walk.isUnitOpen = parser.nextSeq > to;
        if (parser.nextSeq > this.#next) this.#next = Math.min(parser.nextSeq, to);
        if (this.#next >= to || batch.length >= limit) return undefined;
      } else if (step === 'more') {
        // The next chunk takes the place of this one: what is found has to be used first.
        if (batch.length > 0) return undefined;
        chunk = await this.#read(walk);
      } else if (step === 'failed') {
        if (batch.length > 0) return undefined;
        // A damaged seal costs no record: all those before it have been read.
        if (this.#next >= walk.segment.nextSeq) return 'end';
        await this.#passHead(walk);
        parser = walk.parser;
        chunk = await this.#read(walk);
      } else if (step === 'end' || step === 'seal') {
        return step;
      }
    }
  }

  /** The walk is over all of its segment: the next one goes on where it ended. */
  #leave(walk: Walk, ended: 'end' | 'seal', to: number): void {
    const { segment } = walk;
    const isLast = this.#segments.at(-1) === segment;
    const wanted = isLast ? to : Math.min(segment.nextSeq, to);
    if (!isLast || ended === 'seal') {
      this.#walk = undefined;
      this.#release();
    }
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

  /**
   * Goes on where only the head of a frame of blocks is damaged, which holds no record: the block
   * with the next record verifies by itself. Otherwise throws the error for bytes that fail, with
   * the records that cannot be read because of them.
   */
  async #passHead(walk: Walk): Promise<void> {
    const { segment, parser, end } = walk;
    const { nonce } = segment;
    const { position, check } = parser;
    const request = { nonce, position: position + 8, end };
    const next = await findNextUnit(this.#borrow(segment).dat, request);
    if (next?.magic === BLOCK_MAGIC && next.baseSeq === parser.nextSeq) {
      const { nextSeq } = parser;
      walk.parser = new UnitParser({
        nonce,
        position: next.position,
        end,
        link: undefined,
        nextSeq,
      });
      return;
    }
    const firstSeq = Math.max(parser.nextSeq, this.#next);
    const nextSeq = Math.max(firstSeq + 1, next?.baseSeq ?? segment.nextSeq);
    throw corruption(segmentPath(segment, 'dat'), position, check, { firstSeq, nextSeq });
  }
}

/** Lets a walk that has ended go on into what its segment has got since; false if that is none. */
function extend(walk: Walk): boolean {
  const { segment, parser } = walk;
  if (walk.ended !== 'end' || segment.datLength <= walk.end) return false;
  const { nonce, datLength: end } = segment;
  const { position, link, nextSeq } = parser;
  walk.parser = new UnitParser({ nonce, position, end, link, nextSeq });
  walk.end = end;
  walk.sealed = segment.sealed;
  walk.ended = undefined;
  return true;
}

/** The error for records from `firstSeq` on, whose segment was before the first that is there. */
export function missingHead(segments: readonly Segment[], firstSeq: number): RedexError {
  const [first] = segments;
  const path = first === undefined ? '' : segmentPath(first, 'dat');
  return corruption(path, 0, 'missing', { firstSeq, nextSeq: first?.baseSeq ?? firstSeq });
}

/** Bytes of dat from a segment on; counting stops above `limit`. */
export function bytesFrom(chain: SegmentChain, index: number, limit: number): number {
  const { all } = chain;
  let bytes = 0;
  for (let i = Math.max(0, index); i < all.length && bytes <= limit; i++) {
    bytes += all[i]?.datLength ?? 0;
  }
  return bytes;
}
