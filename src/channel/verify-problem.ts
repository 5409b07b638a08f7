/** Makes problems: what their kind says of their severity, and what a repair would do. */
import type { FailedCheck, SeqRange } from '../core/errors.js';
import { METADATA_REPAIRS } from './damaged-file.js';
import type { VerifyKind, VerifyProblem, VerifySeverity } from './verify-report.js';

export interface ProblemPlace {
  readonly path: string;
  readonly position?: number | undefined;
  readonly check?: FailedCheck | undefined;
  readonly seqRange?: SeqRange | undefined;
  readonly recordsBehind?: number | undefined;
}

const REBUILD = 'builds it anew from the dat file';
const SALVAGE =
  'copies the records around it into a new generation, notes the gap, and keeps the bytes aside';
const NOTHING = 'nothing';

const REPAIRS: Readonly<Record<VerifyKind, string>> = {
  config: METADATA_REPAIRS.config,
  manifest: METADATA_REPAIRS.manifest,
  'clean-mark': 'copies what verifies into a new generation, of which the mark says nothing',
  generation: METADATA_REPAIRS.generation,
  'missing-segment': 'notes the gap in a new generation, unless a backup has the file',
  header: SALVAGE,
  frame: SALVAGE,
  seal: 'copies the segment into a new generation and seals it',
  time: NOTHING,
  tail: 'cuts them off and keeps them aside, as the next open for writing does with a torn tail',
  idx: REBUILD,
  ts: REBUILD,
  checkpoint: 'sets it aside; its fold goes on from the one before, or from the log',
  unreadable: 'copies what can be read into a new generation and notes the gap',
  leftover: NOTHING,
  'kept-aside': NOTHING,
};

export function problemOf(
  severity: VerifySeverity,
  kind: VerifyKind,
  place: ProblemPlace,
  what: string,
): VerifyProblem {
  const { path, position = 0, check, seqRange, recordsBehind } = place;
  const lost =
    seqRange === undefined
      ? ''
      : `; records ${seqRange.firstSeq} to ${seqRange.nextSeq - 1} cannot be read`;
  const isDerived = severity === 'derived';
  return {
    severity,
    kind,
    path,
    position,
    ...(check === undefined ? {} : { check }),
    ...(seqRange === undefined ? {} : { seqRange }),
    ...(recordsBehind === undefined ? {} : { recordsBehind }),
    message: `${what}${lost}`,
    repair: isDerived ? REBUILD : REPAIRS[kind],
  };
}

/** A dat file that has to be there, and the seqs that the channel should hold in it. */
export function missingSegment(path: string, seqRange: SeqRange | undefined): VerifyProblem {
  const place = { path, check: 'missing', seqRange } as const;
  return problemOf('damage', 'missing-segment', place, `${path} is not there`);
}

/** The seqs of a range that the channel holds; undefined when there are none. */
export function rangeOf(from: number, to: number, firstSeq: number): SeqRange | undefined {
  const range = { firstSeq: Math.max(from, firstSeq), nextSeq: to };
  return range.firstSeq < range.nextSeq ? range : undefined;
}
