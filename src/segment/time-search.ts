/**
 * The first record of a segment at or after a time. The times of records never go back, so one
 * verified record that is older proves that all before it are, those in damaged bytes included.
 * Where nothing proves that, the record that is looked for may be among them: the search fails.
 */
import type { FailedCheck, SeqRange } from '../core/errors.js';
import { compareNanos, type Nanos } from '../core/nanos.js';
import type { UnitHeader } from '../format/unit.js';
import { visitRecordKeys } from '../format/unit-records.js';
import type { FileHandle } from '../fs/file-system.js';
import { corruption, segmentPath, type Segment } from './segment.js';
import { walkSegment } from './segment-walk.js';

/** Bytes in which nothing verifies, and the first seq that may be in them. */
interface Gap {
  readonly position: number;
  readonly check: FailedCheck;
  readonly firstSeq: number;
}

/**
 * Searches from the unit at `start`, before which every record is older, to the end; the segment's
 * next seq when there is none. Throws CORRUPT when it may be one of `wanted` that cannot be read.
 */
export async function searchTime(
  dat: FileHandle,
  segment: Segment,
  start: number,
  time: Nanos,
  wanted: SeqRange,
): Promise<number> {
  const { damage, sealed, nextSeq } = segment;
  let found: number | undefined;
  let gap: Gap | undefined;
  /** Fails when a record that is wanted may have been lost from the gap on. */
  const requireNone = ({ position, check, firstSeq: lost }: Gap, end: number): void => {
    const range = { firstSeq: Math.max(lost, wanted.firstSeq), nextSeq: end };
    if (range.firstSeq >= Math.min(end, wanted.nextSeq)) return;
    throw corruption(segmentPath(segment, 'dat'), position, check, range);
  };
  const end = await walkSegment(dat, segment, start, {
    records: (view, at, unit) => {
      if (gap !== undefined && compareNanos(timeOf(unit), time) >= 0) {
        requireNone(gap, unit.baseSeq);
      }
      gap = undefined;
      visitRecordKeys(view, at, unit, (seq, hi, lo) => {
        if (found === undefined && compareNanos({ hi, lo }, time) >= 0) found = seq;
      });
      return found === undefined;
    },
    damage: (position, check, firstSeq) => {
      gap ??= { position, check, firstSeq };
    },
  });
  if (found !== undefined) return found;
  if (gap !== undefined) requireNone(gap, nextSeq);
  else if (damage !== undefined) requireNone({ ...damage, firstSeq: damage.fromSeq }, nextSeq);
  else if (sealed && !end.isSeal) requireNone({ ...end, check: 'missing' }, nextSeq);
  return nextSeq;
}

/** Of its first record; of a unit without any, of the last one before it. */
function timeOf({ timestampHi: hi, timestampLo: lo }: UnitHeader): Nanos {
  return { hi, lo };
}
