/**
 * What is carried from one store to another, whatever it is written as: for each channel its head,
 * its records in order, and its end. A sequence of items that ends without an error is whole.
 */
import type { SeqRange } from '../core/errors.js';
import type { StoredChannelOptions } from '../channel/options.js';

export interface ChannelHead {
  readonly name: string;
  readonly options: StoredChannelOptions;
  /** The first seq that is carried, and the end: records lie in [firstSeq, nextSeq). */
  readonly firstSeq: number;
  readonly nextSeq: number;
}

/** A payload lives until the next item is asked for. */
export interface TransferRecord {
  readonly seq: number;
  readonly type: number;
  readonly timestampNs: bigint;
  readonly payload: Uint8Array;
}

export type TransferItem =
  | { readonly kind: 'channel'; readonly head: ChannelHead }
  | { readonly kind: 'records'; readonly records: readonly TransferRecord[] }
  | {
      readonly kind: 'channelEnd';
      /** Seqs that could not be read where it was exported; their records are not carried. */
      readonly damaged: readonly SeqRange[];
    };

export interface Totals {
  channels: number;
  records: number;
  payloadBytes: number;
}

export function noTotals(): Totals {
  return { channels: 0, records: 0, payloadBytes: 0 };
}

/** Told after each batch of records; throwing ends the transfer. */
export type TransferProgress = (progress: {
  readonly channel: string;
  /** Records and payload bytes so far, of all channels. */
  readonly records: number;
  readonly payloadBytes: number;
}) => void;

/** Names under which imports build channels. They are neither exported nor imported to. */
export const STAGE_PREFIX = '.redex-import/';

export function isStageName(name: string): boolean {
  return /^\.redex-import\/\d+$/.test(name);
}
