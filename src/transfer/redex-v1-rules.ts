/**
 * What the recovery of RedEX would have left of a log, rule by rule, so that somebody who moves a
 * log knows what opening it once more would have cost. A computation: nothing is opened or cut.
 */
import type { V1Entries } from './redex-v1-entries.js';

type V1Rule =
  /** Files that are not all there: another generation is opened, or an empty one begun. */
  | 'generation'
  /** Entries at the end are cut from the first whose payload dat does not have. */
  | 'dat-end'
  /** Entries whose payload does not fit their checksum are skipped. */
  | 'checksum'
  /** Everything from the first entry on whose seq does not rise is cut. */
  | 'seq-order'
  /** With fewer times than entries all times are forgotten, and replaced by that of the open. */
  | 'times';

interface V1RuleEffect {
  readonly rule: V1Rule;
  /** Records that are lost by it, or, of `times`, whose time is. */
  readonly records: number;
}

export interface V1Recovery {
  /** Records that it would have kept. */
  readonly kept: number;
  readonly effects: readonly V1RuleEffect[];
}

interface Given {
  readonly entries: V1Entries;
  readonly datBytes: number;
  /** Times in the ts file; undefined without one. */
  readonly timeCount: number | undefined;
  /** 1 for entries whose payload is there and fits the checksum. */
  readonly isGood: Uint8Array;
  /** RedEX would open the files that these are. */
  readonly isOpened: boolean;
}

/** With, for each entry, whether RedEX would keep it. */
export function recoveryOfRedex(given: Given): V1Recovery & { readonly keeps: Uint8Array } {
  const { entries, timeCount, isGood, isOpened } = given;
  const keeps = new Uint8Array(entries.count);
  const effects: V1RuleEffect[] = [];
  const lose = (rule: V1Rule, records: number): void => {
    if (records > 0) effects.push({ rule, records });
  };
  if (!isOpened) {
    lose('generation', entries.count);
    return { kept: 0, effects, keeps };
  }
  const end = fittingEnd(entries, given.datBytes);
  lose('dat-end', entries.count - end);
  let bad = 0;
  let kept = 0;
  let isCut = false;
  let cut = 0;
  let last: bigint | undefined;
  for (let i = 0; i < end; i++) {
    if (isGood[i] === 0) {
      bad++;
      continue;
    }
    const seq = entries.rawSeqOf(i);
    if (last !== undefined && seq <= last) isCut = true;
    if (isCut) {
      cut++;
      continue;
    }
    last = seq;
    keeps[i] = 1;
    kept++;
  }
  lose('checksum', bad);
  lose('seq-order', cut);
  if (timeCount === undefined || timeCount < end) lose('times', kept);
  return { kept, effects, keeps };
}

/** Walks back from the end to the first entry whose payload dat has. */
function fittingEnd(entries: V1Entries, datBytes: number): number {
  let end = entries.count;
  for (let i = entries.count - 1; i >= 0; i--) {
    if (entries.isInline(i)) continue;
    if (entries.endOf(i) <= datBytes) break;
    end = i;
  }
  return end;
}
