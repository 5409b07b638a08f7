/**
 * What a verification tells: each problem with its place, what it costs, and what a repair would
 * do about it. Bounded: beyond a number of problems they are only counted, and the places of a
 * list are never all taken by harmless ones.
 */
import type { FailedCheck, SeqRange } from '../core/errors.js';
import { checkKnown, checkType } from './option-checks.js';

/**
 * `damage` costs records, the proof that they are all there, or the state of a fold. `derived` is a
 * wrong idx or ts file: reads check what it says, and it is rebuilt. A `note` is worth knowing and
 * harms nothing.
 */
export type VerifySeverity = 'damage' | 'derived' | 'note';

/**
 * - `config`, `manifest`, `clean-mark`: that file of the channel.
 * - `generation`: the directory with the segments is not there.
 * - `missing-segment`: a dat file that must be there is not.
 * - `header`: the file header of a dat file.
 * - `frame`: one or more frames or blocks in a row.
 * - `seal`: the end of a segment that is written no more.
 * - `time`: records whose times go back.
 * - `tail`: bytes behind the end of the log in a segment; they are no part of it.
 * - `idx`, `ts`: a derived file.
 * - `checkpoint`: a checkpoint of a fold.
 * - `unreadable`: the operating system cannot read a file.
 * - `leftover`: a name that belongs to nothing.
 * - `kept-aside`: bytes that a recovery has cut off and kept.
 */
export type VerifyKind =
  | 'config'
  | 'manifest'
  | 'clean-mark'
  | 'generation'
  | 'missing-segment'
  | 'header'
  | 'frame'
  | 'seal'
  | 'time'
  | 'tail'
  | 'idx'
  | 'ts'
  | 'checkpoint'
  | 'unreadable'
  | 'leftover'
  | 'kept-aside';

export interface VerifyProblem {
  readonly severity: VerifySeverity;
  readonly kind: VerifyKind;
  readonly path: string;
  /** Byte position in the file: where the unit or the entry begins that fails. */
  readonly position: number;
  /** The check that failed, where it is one of these. */
  readonly check?: FailedCheck;
  /** The seqs that cannot be read because of it; those that were skipped are among them. */
  readonly seqRange?: SeqRange;
  /** Of damage in a dat file: records behind it, in the same segment, that verify. */
  readonly recordsBehind?: number;
  readonly message: string;
  /** What `redex repair` would do. */
  readonly repair: string;
}

export interface VerifyReport {
  /** Nothing is damaged, of what was read. Wrong derived files and notes do not count. */
  readonly ok: boolean;
  /** No record was read: see `VerifyOptions.quick`. */
  readonly quick: boolean;
  /** In the order in which they were found; at most 10,000. */
  readonly problems: readonly VerifyProblem[];
  /** Problems that were found and are not in the list. */
  readonly moreProblems: number;
  /** Records that verify, those behind damage included; 0 when none was read. */
  readonly recordCount: number;
  /** Bytes of dat files that were read; of a quick one those of headers and seals. */
  readonly byteCount: number;
  readonly segmentCount: number;
  readonly durationMs: number;
}

export interface VerifyProgress {
  /** Bytes of dat files and checkpoints; idx and ts are read along with dat. */
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** The dat file or checkpoint that is being read. */
  readonly path: string;
}

export interface VerifyOptions {
  /**
   * Reads no record, so that the number of files counts and not their size: config, manifest,
   * clean mark, names, and of dat, idx, ts and checkpoint files the headers, seals and lengths.
   * Finds what is missing, cut off or another's; damage inside of files it does not find. Default
   * false.
   */
  readonly quick?: boolean | undefined;
  /** Ends it: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called about every MiB, and at the end. What it throws ends the verification. A promise is not
   * waited for; if it rejects, that ends a verification that is not done yet.
   */
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined;
}

const KNOWN = new Set(['quick', 'signal', 'onProgress']);

export function checkVerifyOptions(options: VerifyOptions): void {
  checkKnown(options, KNOWN);
  checkType('quick', options.quick, 'boolean');
  checkType('onProgress', options.onProgress, 'function');
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError('signal must be an AbortSignal');
  }
}

const MAX_PROBLEMS = 10_000;
/** The other places are for damage. */
const MAX_HARMLESS: number = MAX_PROBLEMS / 2;

/** Collects problems up to the limit, and counts the rest. */
export class ProblemList {
  readonly kept: VerifyProblem[] = [];
  more = 0;
  hasDamage = false;
  #harmless = 0;

  get isEmpty(): boolean {
    return this.kept.length === 0 && this.more === 0;
  }

  add(problem: VerifyProblem): void {
    const isDamage = problem.severity === 'damage';
    if (isDamage) this.hasDamage = true;
    else if (this.#harmless === MAX_HARMLESS) {
      this.more++;
      return;
    }
    if (this.kept.length === MAX_PROBLEMS) {
      this.more++;
      return;
    }
    if (!isDamage) this.#harmless++;
    this.kept.push(problem);
  }

  addAll(list: ProblemList): void {
    for (const problem of list.kept) this.add(problem);
    this.more += list.more;
    if (list.hasDamage) this.hasDamage = true;
  }

  /** Those that another look at the same things has found as well. */
  alsoIn(other: ProblemList): ProblemList {
    const keys = new Set(other.kept.map(placeOf));
    const both = new ProblemList();
    for (const problem of this.kept) if (keys.has(placeOf(problem))) both.add(problem);
    if (both.kept.length === this.kept.length) both.more = Math.min(this.more, other.more);
    return both;
  }

  /** Whether another look has found the same. */
  isSameAs(other: ProblemList): boolean {
    const { length } = this.kept;
    return length === other.kept.length && this.alsoIn(other).kept.length === length;
  }
}

function placeOf({ kind, check, path, position }: VerifyProblem): string {
  return `${kind} ${check} ${position} ${path}`;
}
