/**
 * What is known of a stream beside its messages: whether it is closed, Stream-Seq, its producers,
 * and where its messages begin and end. A state is changed only by what is written in the same
 * batch as the messages that it belongs to, so that it is never ahead of them or behind.
 */
import { FIRST_POSITION, type StreamPosition } from './stream-position.js';

/** One append of a producer. */
export interface ProducerTuple {
  readonly id: string;
  readonly epoch: number;
  readonly seq: number;
}

/** The highest that was accepted of a producer. */
export interface ProducerState {
  readonly epoch: number;
  readonly seq: number;
}

/** What one batch changes; what it does not name stays. */
export interface StreamChange {
  readonly closed?: true | undefined;
  readonly streamSeq?: string | undefined;
  readonly producer?: ProducerTuple | undefined;
  /** Messages before it are let go of. */
  readonly floor?: StreamPosition | undefined;
}

export class StreamState {
  /** The tail: after the last message. */
  tail: StreamPosition;
  /** Where its own messages begin: what is before is another stream's, or nobody's. */
  readonly base: StreamPosition;
  /** The first message that may be read. */
  floor: StreamPosition;
  closed = false;
  streamSeq: string | undefined;
  readonly producers: Map<string, ProducerState> = new Map();
  /** Unix milliseconds of the last append or close; undefined before the first. */
  updatedAtMs: number | undefined;

  constructor(base: StreamPosition = FIRST_POSITION) {
    this.base = base;
    this.tail = base;
    this.floor = base;
  }

  /** Bytes of messages that are its own and were not let go of. */
  get retainedBytes(): number {
    return this.tail.bytes - this.floor.bytes;
  }

  apply(change: StreamChange): void {
    const { closed, streamSeq, producer, floor } = change;
    if (producer !== undefined) {
      this.producers.set(producer.id, { epoch: producer.epoch, seq: producer.seq });
    }
    if (streamSeq !== undefined) this.streamSeq = streamSeq;
    if (floor !== undefined) this.floor = floor;
    if (closed === true) this.closed = true;
  }
}

export function isEmptyChange(change: StreamChange): boolean {
  return Object.values(change).every((value) => value === undefined);
}
