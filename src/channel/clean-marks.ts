/**
 * The clean marks of an open channel: everything up to the end of the last segment is synced.
 * Written after the sync that makes it true, and only when the mark on disk says something else.
 */
import type { Segment } from '../segment/segment.js';
import type { ChannelContext } from './channel-context.js';
import { cleanMarkOf, writeCleanMark } from './channel-files.js';

/** A segment, and how far it goes. */
interface MarkedEnd {
  readonly baseSeq: number;
  readonly datLength: number;
}

export class CleanMarks {
  readonly #context: ChannelContext;
  #counter: number;
  /** What the mark on disk describes. */
  #marked: MarkedEnd | undefined;

  constructor(context: ChannelContext, counter: number, marked: MarkedEnd | undefined) {
    this.#context = context;
    this.#counter = counter;
    this.#marked = marked;
  }

  /** The mark on disk is another generation's. */
  forget(): void {
    this.#marked = undefined;
  }

  write(last: Segment | undefined, generation: number): void {
    if (last === undefined) return;
    const { baseSeq, datLength } = last;
    if (this.#marked?.baseSeq === baseSeq && this.#marked.datLength === datLength) return;
    const { fs, directory, channelId } = this.#context;
    this.#counter++;
    writeCleanMark(fs, directory, cleanMarkOf(last, channelId, generation, this.#counter));
    this.#marked = { baseSeq, datLength };
  }
}
