/**
 * What a recovery tells: the operator on the day after a power cut wants to know what was cut,
 * whether anybody may have been promised it, and where the bytes are now.
 */
import type { FailedCheck, SeqRange } from '../core/errors.js';

/** A stretch of a file that was cut off. */
export interface CutRegion {
  readonly path: string;
  readonly position: number;
  readonly byteLength: number;
  /** File that keeps the bytes; undefined when they are all zeros or there was no space. */
  readonly keptAside: string | undefined;
}

export interface TornTail {
  /** Records known to have been cut: those that still verified behind the tear. */
  readonly count: number;
  /** Bytes cut, in all files. */
  readonly bytes: number;
  /** What was wrong with the first bytes that were cut. */
  readonly reason: FailedCheck;
  /**
   * False when it is certain that none of the cut bytes was acknowledged as synced: they are the
   * beginning of a write that never returned. Otherwise damage done to the last sync group cannot
   * be told from a torn write, and this is true.
   */
  readonly mayHaveBeenAcknowledged: boolean;
  readonly regions: readonly CutRegion[];
}

/** Damage below what is known to have been synced. Nothing was changed because of it. */
export interface SuffixDamage {
  readonly path: string;
  readonly position: number;
  readonly check: FailedCheck;
  readonly seqRange: SeqRange;
}

export interface RecoveryReport {
  /** Full name of the channel. */
  readonly channel: string;
  readonly directory: string;
  readonly scannedSegments: number;
  readonly scannedBytes: number;
  readonly tornTail: TornTail | undefined;
  readonly damage: SuffixDamage | undefined;
  /** The next seq after the recovery. */
  readonly nextSeq: number;
  /** Every record below it is known to have been synced before the stop. */
  readonly durableSeq: number;
  /** Raised by each recovery that cut something. */
  readonly recoveryEpoch: number;
}
