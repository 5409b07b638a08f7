/** What was known of a store at one moment, for whoever judges an image of it. */
import type { RecordFacts } from './record-ledger.js';

export interface CommitEntryPart {
  readonly does: 'append' | 'create' | 'delete';
  /** Place in the list of creations; -1 when it is not known. */
  readonly channel: number;
  /** Ids of its records. */
  readonly first: number;
  readonly count: number;
  /** No record of it can have a lower seq. */
  readonly fromSeq: number;
}

/** One commit that was asked for, whatever came of it. */
export interface CommitEntry {
  readonly parts: readonly CommitEntryPart[];
}

interface ChannelFacts {
  readonly options: ReadonlySet<string>;
  readonly records: RecordFacts;
}

/** What was known of the whole store at one moment. */
export interface StoreFacts {
  /** Keys of the maps of names that are possible. */
  readonly names: ReadonlySet<string>;
  /** By place in the list of creations. */
  readonly channels: readonly ChannelFacts[];
  readonly commits: readonly CommitEntry[];
  /** How many deletions each channel may have met, by its place. */
  readonly deletions: ReadonlyMap<number, number>;
  /** Undefined while no open has returned. */
  readonly storeId: string | undefined;
}
