/**
 * Reads the messages of one channel by their numbers. A message lies as many records before the end
 * as there are messages from it to the end, or further by the records of state between: a few steps
 * of that kind find it, and the next page begins where the last one has ended.
 */
import type { Channel } from '../channel/channel.js';
import { bodyOf, HEADER_BYTES, MESSAGE } from './stream-records.js';
import { headerOf } from './stream-loading.js';
import { isSamePosition, type StreamPosition } from './stream-position.js';
import { strangeRecord } from './stream-errors.js';

/** Ends of pages that are remembered, so that whoever reads on needs no search. */
const REMEMBERED = 8;
/** Records that one step reads at most, beside the limit of bytes. */
const RECORDS_AT_ONCE = 4096;

/** Where messages are to be read, and what bounds the search for them. */
export interface MessageRange {
  readonly from: StreamPosition;
  /** Exclusive; at most the tail of the channel. */
  readonly to: StreamPosition;
  readonly tail: StreamPosition;
  /** Seq behind the last record before the tail. */
  readonly nextSeq: number;
}

/** What a page may have at most; one message it may have whatever its length. */
export interface PageLimits {
  readonly maxBytes: number;
  readonly maxMessages: number;
}

/** A page: what was read, and how much more may be. */
export class Page {
  readonly messages: Uint8Array[] = [];
  readonly #maxMessages: number;
  #left: number;

  constructor({ maxBytes, maxMessages }: PageLimits) {
    this.#maxMessages = maxMessages;
    this.#left = maxBytes;
  }

  get bytesLeft(): number {
    return this.#left;
  }

  get messagesLeft(): number {
    return this.#maxMessages - this.messages.length;
  }

  /** At least one message has place, however long it is. */
  hasPlaceFor(bytes: number): boolean {
    return this.messages.length === 0 || (this.messagesLeft > 0 && bytes <= this.#left);
  }

  add(message: Uint8Array): void {
    this.messages.push(message);
    this.#left -= message.length;
  }
}

export class MessageReader {
  readonly #channel: Channel;
  /** Seqs of places, those that were used last at the end. */
  readonly #seqs = new Map<number, number>();

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /**
   * Adds the messages of the range to the page while there is place, and resolves to the place
   * behind the last one; undefined when no message begins at `from`. Rejects with CORRUPT, IO,
   * POISONED, CLOSED, OUT_OF_RANGE.
   */
  async read(range: MessageRange, page: Page): Promise<StreamPosition | undefined> {
    let { from: position } = range;
    let seq = await this.find(range);
    if (seq === undefined) return undefined;
    let isFull = false;
    while (position.count < range.to.count && !isFull) {
      const wanted = Math.min(range.to.count - position.count, page.messagesLeft);
      const records = await this.#channel.readBatch({
        from: seq,
        to: range.nextSeq,
        limit: Math.min(RECORDS_AT_ONCE, 2 * wanted + 1),
        maxBytes: Math.max(1, page.bytesLeft) + HEADER_BYTES,
      });
      if (records.length === 0)
        throw strangeRecord(this.#channel.name, seq, 'a message is missing');
      for (const record of records) {
        if (record.type === MESSAGE) {
          const message = bodyOf(record);
          isFull = position.count >= range.to.count || !page.hasPlaceFor(message.length);
          if (isFull) break;
          this.#requireAt(position, headerOf(this.#channel, record), record.seq);
          page.add(message);
          position = { count: position.count + 1, bytes: position.bytes + message.length };
        }
        seq = record.seq + 1;
      }
    }
    this.#remember(position.count, seq);
    return position;
  }

  #requireAt(position: StreamPosition, found: StreamPosition, seq: number): void {
    if (isSamePosition(position, found)) return;
    throw strangeRecord(this.#channel.name, seq, 'a message is in another place than it says');
  }

  /**
   * The seq of a record at `from`, before which there is no message from there on; undefined when
   * no message begins there.
   */
  async find({ from, tail, nextSeq }: MessageRange): Promise<number | undefined> {
    if (from.count >= tail.count) return isSamePosition(from, tail) ? nextSeq : undefined;
    const known = this.#seqs.get(from.count);
    if (known !== undefined) return (await this.#isAt(known, from)) ? known : undefined;
    // In [low, high] is the first record at or behind the place; `high` is one that is.
    let low = this.#channel.firstSeq;
    let high = nextSeq - (tail.count - from.count);
    let isEstimate = true;
    for (;;) {
      const { count } = await this.#header(high);
      if (count === from.count) break;
      if (count < from.count || high <= low) return undefined;
      // Either so many messages back, or half of what is left, in turn.
      high -= count - from.count;
      if (!isEstimate) {
        const middle = Math.floor((low + high) / 2);
        if ((await this.#header(middle)).count < from.count) low = middle + 1;
        else high = middle;
      }
      isEstimate = !isEstimate;
    }
    if (!(await this.#isAt(high, from))) return undefined;
    this.#remember(from.count, high);
    return high;
  }

  /** Seq of the first record of which this is true, as of all behind it; `nextSeq` when of none. */
  async firstWhere(nextSeq: number, isTrue: (at: StreamPosition) => boolean): Promise<number> {
    let low = this.#channel.firstSeq;
    let high = nextSeq;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (isTrue(await this.#header(middle))) high = middle;
      else low = middle + 1;
    }
    return high;
  }

  async #isAt(seq: number, position: StreamPosition): Promise<boolean> {
    return isSamePosition(await this.#header(seq), position);
  }

  async #header(seq: number): Promise<StreamPosition> {
    const record = await this.#channel.get(seq);
    if (record === undefined) throw strangeRecord(this.#channel.name, seq, 'a record is missing');
    return headerOf(this.#channel, record);
  }

  #remember(count: number, seq: number): void {
    this.#seqs.delete(count);
    this.#seqs.set(count, seq);
    if (this.#seqs.size <= REMEMBERED) return;
    const [oldest] = this.#seqs.keys();
    if (oldest !== undefined) this.#seqs.delete(oldest);
  }
}
