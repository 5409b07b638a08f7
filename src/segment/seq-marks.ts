/**
 * Sparse places in the dat file of a segment that another process still writes: about one unit in
 * 64 KiB, with its first seq and time. They stand in for the index, which lags behind dat. The
 * units were verified when they were marked; who starts at one verifies it again.
 */
import { compareNanos, type Nanos } from '../core/nanos.js';
import type { UnitHeader } from '../format/unit.js';

const MARK_BYTES = 64 * 1024;

interface Mark {
  readonly seq: number;
  readonly position: number;
  readonly time: Nanos;
}

export class SeqMarks {
  readonly #marks: Mark[] = [];

  /** Marks a unit when it is far enough behind the last one. Units come in order. */
  add(unit: UnitHeader): void {
    const { position, baseSeq: seq, recordCount } = unit;
    const last = this.#marks.at(-1)?.position ?? -MARK_BYTES;
    if (recordCount === 0 || position - last < MARK_BYTES) return;
    this.#marks.push({ seq, position, time: { hi: unit.timestampHi, lo: unit.timestampLo } });
  }

  /** Forgets what lies at or behind a position. */
  trim(position: number): void {
    while ((this.#marks.at(-1)?.position ?? -1) >= position) this.#marks.pop();
  }

  /** The last mark with a first seq at or below `seq`. */
  atOrBelow(seq: number): { readonly seq: number; readonly position: number } | undefined {
    return this.#last((mark) => mark.seq <= seq);
  }

  /** Position of the last mark whose first record is older than `time`. */
  before(time: Nanos): number | undefined {
    return this.#last((mark) => compareNanos(mark.time, time) < 0)?.position;
  }

  /** The last one that satisfies what holds for all before the first that does not. */
  #last(holds: (mark: Mark) => boolean): Mark | undefined {
    let low = -1;
    let high = this.#marks.length;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      const mark = this.#marks[middle];
      if (mark !== undefined && holds(mark)) low = middle;
      else high = middle;
    }
    return this.#marks[low];
  }
}
