/**
 * The damaged regions of one dat file in their order: each run of bytes in which nothing verifies
 * is one region, with the seqs that cannot be read because of it.
 */
import type { FailedCheck } from '../core/errors.js';
import { problemOf, rangeOf } from './verify-problem.js';
import { ProblemList, type VerifyKind } from './verify-report.js';

const MAX_REGIONS = 10_000;

export interface Region {
  readonly kind: VerifyKind;
  readonly position: number;
  readonly check: FailedCheck | undefined;
  readonly what: string;
  readonly firstSeq: number;
  readonly nextSeq: number;
  /** Where it ends: the next unit verifies, or there is none. */
  readonly end: number;
  /** Records that were seen before it. */
  readonly recordsBefore: number;
}

export class RegionList {
  #regions: Region[] = [];
  #more = 0;

  get isEmpty(): boolean {
    return this.#regions.length === 0;
  }

  add(region: Region): void {
    const last = this.#regions.at(-1);
    if (last !== undefined && last.kind !== 'header' && last.end === region.position) {
      const nextSeq = Math.max(last.nextSeq, region.nextSeq);
      this.#regions[this.#regions.length - 1] = { ...last, nextSeq, end: region.end };
    } else if (this.#regions.length === MAX_REGIONS) {
      this.#more++;
    } else {
      this.#regions.push(region);
    }
  }

  /** The first region that ends behind a position costs these seqs too; false when none does. */
  widen(position: number, firstSeq: number, nextSeq: number): boolean {
    const index = this.#regions.findIndex(({ end }) => end > position);
    const region = this.#regions[index];
    if (region === undefined) return false;
    this.#regions[index] = {
      ...region,
      firstSeq: Math.min(region.firstSeq, firstSeq),
      nextSeq: Math.max(region.nextSeq, nextSeq),
    };
    return true;
  }

  /** Of a segment in which `recordCount` records were seen, in a channel from `firstSeq` on. */
  problems(path: string, recordCount: number, channelFirstSeq: number): ProblemList {
    const problems = new ProblemList();
    for (const { kind, position, check, what, ...region } of this.#regions) {
      const seqRange = rangeOf(region.firstSeq, region.nextSeq, channelFirstSeq);
      const recordsBehind = recordCount - region.recordsBefore;
      problems.add(
        problemOf('damage', kind, { path, position, check, seqRange, recordsBehind }, what),
      );
    }
    problems.more += this.#more;
    return problems;
  }
}
