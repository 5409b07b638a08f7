/** A stream as the catalog has it: all that is known of it without opening its channel. */
import type { ForkLink } from './catalog-records.js';
import type { CountedStream } from './byte-caps.js';
import type { StreamConfig } from './stream-config.js';
import type { StreamPosition } from './stream-position.js';
import { isOverfull } from './stream-retention.js';

/** Channels of this prefix belong to the streams. */
const STREAMS_PREFIX = '$streams/';
export const CATALOG_CHANNEL: string = `${STREAMS_PREFIX}catalog`;
const MAX_CHANNEL_NAME_BYTES = 1024;

export class CatalogEntry implements CountedStream {
  /** Never used for another stream. */
  readonly id: number;
  readonly name: string;
  readonly config: StreamConfig;
  readonly createdAtMs: number;
  readonly fork: ForkLink | undefined;
  /** Forks of it that are there, deleted ones that have forks of their own included. */
  readonly forks: Set<number> = new Set();
  /** Seq of the record that made it a tombstone. */
  tombstoneSeq: number | undefined;
  /** It is not listed any more. */
  isRemoved = false;
  /** Unix milliseconds of the last read or write that is known. */
  accessedAtMs: number;
  bytes: number | undefined;
  /** It was seen to hold more messages, or bytes of them, than it is to keep. */
  isOverfull = false;
  /** Unix milliseconds: no message that it keeps is older, as far as that is known. */
  keptFromMs: number;
  /** Its channel was opened since the store was: `accessedAtMs` covers all that was written. */
  isKnown = false;
  /** A deletion is under way: whoever asks for the stream waits for its end. */
  leaving: Promise<void> | undefined;

  constructor(
    id: number,
    {
      name,
      config,
      createdAtMs,
      fork,
    }: Pick<CatalogEntry, 'name' | 'config' | 'createdAtMs' | 'fork'>,
  ) {
    this.id = id;
    this.name = name;
    this.config = config;
    this.createdAtMs = createdAtMs;
    this.fork = fork;
    this.accessedAtMs = createdAtMs;
    this.keptFromMs = createdAtMs;
  }

  /** What it holds has changed. */
  noteSize(ends: { readonly floor: StreamPosition; readonly tail: StreamPosition }): void {
    this.isOverfull = isOverfull(this.config.retention, ends);
  }

  /** Deleted, and kept for its forks. */
  get isTombstone(): boolean {
    return this.tombstoneSeq !== undefined;
  }

  get channelName(): string {
    return channelNameOf(this.id, this.name);
  }
}

/** The id makes it the stream's own; the name, as much of it as has place, is for people. */
export function channelNameOf(id: number, name: string): string {
  const prefix = `${STREAMS_PREFIX}${id}/`;
  let place = MAX_CHANNEL_NAME_BYTES - prefix.length;
  let shown = '';
  for (const character of name) {
    place -= Buffer.byteLength(character);
    if (place < 0) break;
    shown += character;
  }
  return prefix + shown;
}
