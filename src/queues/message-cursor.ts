/**
 * Walks the log of a queue for a group, forwards, and stops at each message that simply comes in
 * its order and nobody has. Messages that were put off, or have a priority, and were not placed
 * when they came, are placed on the way.
 */
import type { LogRecord } from '../core/record.js';
import { comesInOrder, type GroupState } from './group-state.js';
import type { QueueLog } from './queue-log.js';
import { headerIn, MESSAGE, type MessageHeader } from './queue-records.js';
import { strangeQueueRecord } from './queue-errors.js';

const FETCH_RECORDS = 2048;
const FETCH_BYTES = 1024 * 1024;

/** A message as it was enqueued, that nobody was given. */
export interface MetMessage {
  readonly seq: number;
  readonly header: MessageHeader;
  readonly payload: Uint8Array;
  /** Unix milliseconds. */
  readonly timestamp: number;
}

export class MessageCursor {
  readonly #log: QueueLog;
  readonly #group: GroupState;
  #records: readonly LogRecord[] = [];
  #index = 0;
  /** The records are all that there are from the first of them to below it. */
  #end = 0;

  constructor(log: QueueLog, group: GroupState) {
    this.#log = log;
    this.#group = group;
  }

  /** The next message, which stays the next; undefined at the end of what was fetched. */
  peek(): MetMessage | undefined {
    const group = this.#group;
    const { gone } = this.#log.state;
    for (; this.#index < this.#records.length; this.#index++) {
      const record = this.#records[this.#index];
      if (record === undefined || record.seq < group.cursor) continue;
      const { seq } = record;
      group.cursor = seq;
      const isOpen = !group.settled.has(seq) && !gone.has(seq);
      if (record.type === MESSAGE && isOpen && group.attempts.get(seq) === undefined) {
        const { payload } = record;
        const header = this.#headerIn(payload, seq);
        if (comesInOrder(header)) return { seq, header, payload, timestamp: record.timestamp };
        if (seq < group.placedFrom) group.place(seq, header);
      }
      group.cursor = seq + 1;
    }
    if (this.#end > group.cursor) group.cursor = this.#end;
    return undefined;
  }

  #headerIn(payload: Uint8Array, seq: number): MessageHeader {
    const header = headerIn(payload);
    if (header !== undefined) return header;
    throw strangeQueueRecord(this.#log.channel.name, seq, 'a message without header');
  }

  /** Goes on behind the message that `peek` has returned. */
  take(): void {
    const record = this.#records[this.#index];
    if (record === undefined) return;
    this.#index++;
    this.#group.cursor = record.seq + 1;
  }

  /** The group has begun again elsewhere. */
  reset(): void {
    this.#records = [];
    this.#index = 0;
    this.#end = 0;
  }

  /** There is more in the log. */
  get hasMore(): boolean {
    return this.#group.cursor < this.#log.limit;
  }

  /** Reads on. Rejects with CORRUPT, IO. */
  async fetch(): Promise<void> {
    const { channel, limit } = this.#log;
    // What is settled is not read again, however much of it there is.
    const next = this.#group.settled.nextMissing(this.#group.cursor);
    const from = Math.max(next, channel.firstSeq);
    this.#index = 0;
    this.#records = [];
    if (from < limit) {
      const options = { from, to: limit, limit: FETCH_RECORDS, maxBytes: FETCH_BYTES };
      this.#records = await channel.readBatch(options);
    }
    // Who sought meanwhile begins anew.
    if (this.#group.cursor > from) this.#records = [];
    this.#end = (this.#records.at(-1)?.seq ?? limit - 1) + 1;
  }
}
