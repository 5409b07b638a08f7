/**
 * The decision what a new generation is made of, free of I/O. Its segments join without a hole, as
 * those of every generation do: where a file is missing or has nothing that verifies, a segment
 * without records takes its place, which reads like one that a compaction has emptied.
 */
import type { FailedCheck } from '../core/errors.js';
import { MAX_SEQ } from '../channel/options.js';
import { endOf, type SegmentSurvey } from './segment-survey.js';

/** A segment of the new generation. */
export type Piece =
  | { readonly kind: 'copy'; readonly survey: SegmentSurvey }
  | {
      readonly kind: 'rewrite';
      readonly survey: SegmentSurvey;
      readonly baseSeq: number;
      /** The seal says that the next segment begins there. */
      readonly nextBase: number;
    }
  | { readonly kind: 'empty'; readonly baseSeq: number; readonly nextBase: number };

/** Something that is wrong. */
export interface Finding {
  readonly path: string;
  readonly position: number;
  readonly bytes: number;
  readonly check: FailedCheck;
  /** Seqs that cannot be read because of it, `firstSeq` to `nextSeq`; none when they are equal. */
  readonly firstSeq: number;
  readonly nextSeq: number;
  readonly what: string;
}

export interface SalvageInput {
  /** In the order of their seqs. */
  readonly surveys: readonly SegmentSurvey[];
  /** The channel holds nothing below it. */
  readonly firstSeq: number;
  /** Records below it were synced: the log may not end before. */
  readonly proven: number;
  /** Where the channel goes on at least. */
  readonly floor: number;
  /** Nothing has been written behind what `floor` says. */
  readonly isExact: boolean;
  /** The path that a dat file with this base seq has. */
  readonly pathOf: (baseSeq: number) => string;
}

export interface SalvagePlan {
  /** False: the generation can stay as it is. */
  readonly isNeeded: boolean;
  readonly pieces: readonly Piece[];
  readonly findings: readonly Finding[];
  /** No seq below it is given to another record. */
  readonly nextSeq: number;
  readonly recordCount: number;
}

/** The fewest bytes that a record takes in a dat file. */
const RECORD_BYTES = 4;

export function planSalvage(input: SalvageInput): SalvagePlan {
  return new Planner(input).plan();
}

/** A seq above those of all records that may have been in what cannot be read at its end. */
function reachOf(survey: SegmentSurvey): number {
  const { baseSeq, identity, seal, regions, size } = survey;
  const end = endOf(survey);
  if (typeof identity === 'string') return baseSeq + Math.ceil(size / RECORD_BYTES);
  const tail = seal === undefined ? regions.at(-1) : undefined;
  if (tail === undefined || tail.nextSeq !== undefined) return end;
  return Math.max(end, tail.firstSeq + Math.ceil((tail.end - tail.position) / RECORD_BYTES));
}

class Planner {
  readonly #input: SalvageInput;
  readonly #pieces: Piece[] = [];
  readonly #findings: Finding[] = [];
  readonly #nextSeq: number;
  #recordCount = 0;
  /** Where the next piece begins. */
  #at: number;

  constructor(input: SalvageInput) {
    const { surveys, floor, firstSeq, proven, isExact } = input;
    this.#input = input;
    const last = surveys.at(-1);
    const reach = last === undefined || isExact ? 0 : reachOf(last);
    const known = surveys.map((survey) => Math.max(endOf(survey), survey.witness));
    const highest = Math.max(floor, firstSeq, proven, reach, ...known);
    // Behind the last seq that there is nothing can be appended any more.
    this.#nextSeq = Math.min(highest, MAX_SEQ + 1);
    this.#at = Math.min(firstSeq, surveys[0]?.baseSeq ?? firstSeq);
  }

  plan(): SalvagePlan {
    const { surveys, proven } = this.#input;
    for (const [i, survey] of surveys.entries()) this.#judge(survey, i);
    const last = surveys.at(-1);
    const end = last === undefined ? this.#at : endOf(last);
    const isTold = this.#findings.some(({ nextSeq }) => nextSeq >= proven);
    if (end < proven && !isTold) this.#missing(end, proven);
    if (this.#at < this.#nextSeq) {
      this.#pieces.push({ kind: 'empty', baseSeq: this.#at, nextBase: this.#nextSeq });
    }
    return {
      isNeeded: this.#findings.length > 0,
      pieces: this.#pieces,
      findings: this.#findings,
      nextSeq: this.#nextSeq,
      recordCount: this.#recordCount,
    };
  }

  #judge(survey: SegmentSurvey, index: number): void {
    const { surveys } = this.#input;
    const { identity, baseSeq, path, size } = survey;
    const rest = surveys.slice(index + 1);
    const readable = rest.find((next) => typeof next.identity !== 'string')?.baseSeq;
    const nextBase = readable ?? this.#nextSeq;
    if (typeof identity === 'string') {
      const nextSeq = Math.max(baseSeq, nextBase);
      this.#find({ path, position: 0, bytes: size, check: identity, firstSeq: baseSeq, nextSeq });
      return;
    }
    this.#fill(baseSeq);
    this.#findIn(survey, nextBase);
    const end = endOf(survey);
    const isLast = rest.length === 0;
    if (survey.isWhole && survey.seal !== undefined && baseSeq === this.#at && end <= nextBase) {
      this.#pieces.push({ kind: 'copy', survey });
      this.#recordCount += survey.recordCount;
      this.#at = end;
      return;
    }
    if (!isLast) this.#findJoin(survey, rest[0]?.baseSeq ?? nextBase);
    const begin = Math.max(this.#at, baseSeq);
    const next = Math.max(nextBase, end, begin);
    // All of its seqs are in a segment before it, which has taken its place.
    if (next === begin) return;
    this.#pieces.push({ kind: 'rewrite', survey, baseSeq: begin, nextBase: next });
    this.#recordCount += survey.recordCount;
    this.#at = next;
  }

  /** What is wrong between a segment that cannot stay as it is and the file behind it. */
  #findJoin(survey: SegmentSurvey, nextBase: number): void {
    const { path, size, seal, nextSeq, regions } = survey;
    const end = endOf(survey);
    if (end > nextBase) {
      const range = { firstSeq: nextBase, nextSeq: nextBase };
      this.#find({ path, position: size, bytes: 0, check: 'sequence', ...range });
    } else if (seal !== undefined) this.#missing(seal.baseSeq, nextBase);
    else if (regions.length === 0) {
      const range = { firstSeq: nextSeq, nextSeq: nextBase };
      this.#find({ path, position: size, bytes: 0, check: 'missing', ...range });
    }
  }

  /** The place of files that are not there, or have nothing that verifies. */
  #fill(baseSeq: number): void {
    const at = this.#at;
    if (at >= baseSeq) return;
    const isTold = this.#findings.some((each) => each.firstSeq <= at && each.nextSeq >= baseSeq);
    if (!isTold) this.#missing(at, baseSeq);
    this.#pieces.push({ kind: 'empty', baseSeq: at, nextBase: baseSeq });
    this.#at = baseSeq;
  }

  #findIn(survey: SegmentSurvey, nextBase: number): void {
    const { path, identity, regions, isMisnamed, baseSeq, seal, size } = survey;
    if (typeof identity === 'string') return;
    const none = { firstSeq: baseSeq, nextSeq: baseSeq };
    if (identity.check !== undefined) {
      this.#find({ path, position: 0, bytes: 64, check: identity.check, ...none });
    } else if (isMisnamed) {
      this.#find({ path, position: 24, bytes: 8, check: 'identity', ...none });
    }
    for (const { position, end, check, firstSeq, nextSeq } of regions) {
      const known = nextSeq ?? Math.max(seal?.baseSeq ?? nextBase, firstSeq);
      this.#find({ path, position, bytes: end - position, check, firstSeq, nextSeq: known });
    }
    const sealEnd = seal === undefined ? size : seal.position + seal.byteLength;
    if (sealEnd < size) {
      this.#find({ path, position: sealEnd, bytes: size - sealEnd, check: 'length', ...none });
    }
  }

  #missing(from: number, nextSeq: number): void {
    const firstSeq = Math.max(from, this.#input.firstSeq);
    if (firstSeq >= nextSeq) return;
    const path = this.#input.pathOf(from);
    this.#find({ path, position: 0, bytes: 0, check: 'missing', firstSeq, nextSeq });
  }

  #find(finding: Omit<Finding, 'what'>): void {
    const { path, position, check } = finding;
    const what =
      check === 'missing'
        ? `${path} is not there, or ends before it should`
        : `${path} is damaged at byte ${position} (${check})`;
    const firstSeq = Math.max(finding.firstSeq, this.#input.firstSeq);
    const nextSeq = Math.max(finding.nextSeq, firstSeq);
    this.#findings.push({ ...finding, firstSeq, nextSeq, what });
  }
}
