/**
 * A walk over all units of a segment that goes on behind damage: what index rebuilding and looking
 * for a record without an index have in common. It decides nothing about the damage.
 */
import type { FailedCheck } from '../core/errors.js';
import { FILE_HEADER_BYTES } from '../format/file-header.js';
import type { UnitHeader } from '../format/unit.js';
import type { FileHandle } from '../fs/file-system.js';
import { ChunkReader } from './chunk.js';
import { findNextUnit } from './resync.js';
import type { Segment } from './segment.js';
import { UnitParser } from './unit-parser.js';

export interface SegmentVisitor {
  /** A verified unit with records, in a view that lives until it returns. False ends the walk. */
  records(view: DataView, at: number, unit: UnitHeader): boolean;
  /**
   * Bytes at `position`, where `nextSeq` was expected, fail `check`; the walk goes on with the next
   * unit that verifies.
   */
  damage?(position: number, check: FailedCheck, nextSeq: number): void;
}

/** Where a walk has ended. */
export interface WalkEnd {
  readonly position: number;
  /** The lowest seq that the next record may have. */
  readonly firstSeq: number;
  /** It has met the seal. */
  readonly isSeal: boolean;
}

/**
 * Walks a segment from the unit at `start`, which is the first one or one that was verified, to
 * the end of its accepted bytes.
 */
export async function walkSegment(
  file: FileHandle,
  segment: Segment,
  start: number,
  visitor: SegmentVisitor,
): Promise<WalkEnd> {
  const { nonce, datLength: end } = segment;
  const chunks = new ChunkReader({ ownBytes: false });
  let parser = new UnitParser({
    nonce,
    position: start,
    end,
    link: start === FILE_HEADER_BYTES ? segment.headerChecksum : undefined,
    nextSeq: segment.baseSeq,
  });
  let chunk = await chunks.read(file, parser.position, parser.needed, end);
  for (;;) {
    const step = parser.step(chunk);
    if (step === 'end' || step === 'seal') return endOf(parser, step === 'seal');
    if (step === 'more') {
      chunk = await chunks.read(file, parser.position, parser.needed, end);
    } else if (step === 'records' && parser.unit !== undefined) {
      if (!visitor.records(chunk.view, parser.at, parser.unit)) return endOf(parser, false);
    } else if (step === 'failed') {
      visitor.damage?.(parser.position, parser.check, parser.nextSeq);
      const next = await findNextUnit(file, { nonce, position: parser.position + 8, end });
      if (next === undefined) return endOf(parser, false);
      const { position } = next;
      const nextSeq = Math.max(parser.nextSeq, next.baseSeq);
      parser = new UnitParser({ nonce, position, end, link: undefined, nextSeq });
      chunk = await chunks.read(file, position, parser.needed, end);
    }
  }
}

function endOf({ position, nextSeq: firstSeq }: UnitParser, isSeal: boolean): WalkEnd {
  return { position, firstSeq, isSeal };
}
