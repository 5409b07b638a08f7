/**
 * What a repair tells: each step with its place and reason, what cannot be saved, and where the
 * bytes are that were damaged. A plan and a report have the same form.
 */
import type { SeqRange } from '../core/errors.js';

/**
 * - `store`: another `redex.json`. `journal`: the journal is set aside; what it has that is not in
 *   the files yet goes there. `config`, `manifest`: another file of that kind.
 * - `generation`: one that is not the channel's is set aside; one that becomes it gets a number.
 * - `damage`: records that cannot be read, or the proof that they are all there; the `salvage` of
 *   the channel leaves them out.
 * - `salvage`: a new generation with everything that verifies.
 * - `tail`: a torn tail is cut off. `index`: an idx or ts file is built anew.
 * - `checkpoint`: one of a fold is set aside.
 */
export type RepairStepKind =
  | 'store'
  | 'journal'
  | 'config'
  | 'manifest'
  | 'generation'
  | 'damage'
  | 'salvage'
  | 'tail'
  | 'index'
  | 'checkpoint';

export interface RepairStep {
  readonly kind: RepairStepKind;
  /** Full name, or the entry in `channels` of one that has none; absent for the store itself. */
  readonly channel?: string;
  readonly path: string;
  /** Byte position in the file where what is wrong begins. */
  readonly position?: number;
  /** Seqs that are concerned. */
  readonly seqRange?: SeqRange;
  /** Bytes that are wrong, or that are written. */
  readonly bytes?: number;
  /** What is wrong. */
  readonly reason: string;
  /** What is done about it. */
  readonly action: string;
}

/** What cannot be saved. */
export interface RepairLoss {
  readonly channel?: string;
  readonly path: string;
  readonly position?: number;
  /** Seqs that may be lost; those that never were a record are among them. */
  readonly seqRange?: SeqRange;
  readonly bytes?: number;
  readonly reason: string;
}

/** Bytes that are kept. */
export interface KeptAside {
  readonly path: string;
  /** Where they are; in a plan, where they would be if it were carried out now. */
  readonly keptAt: string;
  readonly bytes: number;
}

export interface RepairPlan {
  /** Absolute, with all links resolved. */
  readonly directory: string;
  /** In the order in which they are taken. None: there is nothing to repair. */
  readonly steps: readonly RepairStep[];
  readonly losses: readonly RepairLoss[];
  readonly kept: readonly KeptAside[];
  /** Records of the channels that are salvaged: those that verify. */
  readonly savedRecords: number;
  /** Bytes that are written for them. */
  readonly writtenBytes: number;
}

export interface RepairReport extends RepairPlan {
  /** Something was changed. */
  readonly repaired: boolean;
}

/** Collects what is told. */
export class RepairNotes {
  readonly steps: RepairStep[] = [];
  readonly losses: RepairLoss[] = [];
  readonly kept: KeptAside[] = [];
  savedRecords = 0;
  writtenBytes = 0;

  planFor(directory: string): RepairPlan {
    const { steps, losses, kept, savedRecords, writtenBytes } = this;
    return { directory, steps, losses, kept, savedRecords, writtenBytes };
  }
}
