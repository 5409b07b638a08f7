/**
 * The records of a queue's channel: messages, and operations on them. What an operation means is
 * up to the state that it is applied to; here are only bytes in and values out.
 *
 *   message     u16 length of the header, the header as JSON (none: length 0), the payload
 *   operation   JSON with `o`, the name of the operation
 *
 * Seqs in operations are runs: [from, count, from, count, …], in any order.
 */
import type { LogRecord } from '../core/record.js';
import type { StoredQueueOptions } from './queue-options.js';
import { storedOptionsFrom } from './stored-options.js';

/** Types of records in a queue's channel. */
export const MESSAGE = 1;
export const OPERATION = 2;

/** Where a message was that was moved, and why it was moved. */
export interface Origin {
  readonly queue: string;
  /**
   * Begins the ids of messages that were enqueued there: of a queue that was deleted and made again
   * under its name it is another one. Absent in what an earlier version has moved.
   */
  readonly tag?: string | undefined;
  readonly seq: number;
  readonly group?: string | undefined;
  readonly cause: DeadCause;
  readonly reason?: string | undefined;
  readonly deliveryCount: number;
  readonly enqueuedAt: number;
  readonly priority?: number | undefined;
  readonly maxDeliveries?: number | undefined;
  readonly deadAt: number;
  readonly errors: readonly FailedDelivery[];
}

export type DeadCause =
  'attempts' | 'timeout' | 'crash' | 'rejected' | 'decode' | 'expired' | 'overflow';

/** One delivery that failed, of the last few of a message. */
export interface FailedDelivery {
  readonly deliveryCount: number;
  /** Unix milliseconds. */
  readonly at: number;
  readonly error: string;
}

/** What is said of a message beside its payload; mostly nothing. */
export interface MessageHeader {
  /** Unix milliseconds before which it is not delivered. */
  readonly at?: number | undefined;
  /** 1 to 15; absent for 0. */
  readonly priority?: number | undefined;
  /** It was put before all others. */
  readonly front?: true | undefined;
  readonly key?: string | undefined;
  readonly dedup?: string | undefined;
  /** Unix milliseconds from which it is not delivered any more. */
  readonly until?: number | undefined;
  /** Deliveries that may fail, if not as many as the queue says. */
  readonly max?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The id of a message that was enqueued elsewhere. */
  readonly id?: string | undefined;
  readonly origin?: Origin | undefined;
  /** The seq of the message whose place this one takes; with `dedup` its window begins again. */
  readonly of?: number | undefined;
  /** With `of`: bytes of the payload that the message was enqueued with. */
  readonly z?: number | undefined;
  /** Of a dead letter: its key waits for it, and this was its place in the order of the key. */
  readonly holds?: number | undefined;
  /** It comes back from the dead letters to its place in the order of its key, for one group. */
  readonly fills?: { readonly g?: string | undefined; readonly place: number } | undefined;
}

export type Runs = readonly number[];

/** A dead letter that others of its key wait for: its seq here, its place in their order. */
export type Held = readonly [seq: number, key: string, place: number];

/** `t` of each: Unix milliseconds on the clock of the queue, which never goes back. */
export type Operation = { readonly t: number } & OperationContent;

export type OperationContent =
  /** A process has opened the queue; what was leased is not any more. */
  | {
      readonly o: 'open';
      readonly epoch: number;
      /** The clock was more than a year ahead of what the queue had seen, and is followed. */
      readonly jumped?: true | undefined;
    }
  /** Everything before it is durable, and nothing was given a seq behind it. */
  | { readonly o: 'close' }
  /** All that is not said of single messages; a log that begins with a later record needs it. */
  | {
      readonly o: 'base';
      /** Begins the ids of messages that are enqueued here. */
      readonly tag: string;
      /** How often it was opened. */
      readonly epoch: number;
      readonly options: StoredQueueOptions;
      readonly paused: boolean;
      readonly groups: readonly GroupPlace[];
      /** Messages below that are done with may be missing, though the log begins before. */
      readonly sparse: number;
      /** Unix milliseconds: messages that are gone came before. */
      readonly goneMs: number;
    }
  /** Messages were handed out; `z`: their bytes, `k` and `p`: keys and priorities of some. */
  | {
      readonly o: 'lease';
      readonly g?: string | undefined;
      readonly s: Runs;
      readonly z: readonly number[];
      readonly k?: readonly (readonly [seq: number, key: string])[] | undefined;
      readonly p?: readonly (readonly [seq: number, priority: number])[] | undefined;
    }
  /** Messages are done with, for a group. `z`, `at` as in `cancel`, if they were never leased. */
  | {
      readonly o: 'done';
      readonly g?: string | undefined;
      readonly s: Runs;
      readonly why: DoneReason;
      readonly z?: readonly number[] | undefined;
      readonly at?: readonly number[] | undefined;
      /** Keys of some of them that wait from now on, for a dead letter in the queue `to`. */
      readonly h?: readonly Held[] | undefined;
      readonly to?: string | undefined;
    }
  /** Keys that wait for dead letters in the queue `to`, behind a `base`, which says of none. */
  | {
      readonly o: 'blocks';
      readonly g?: string | undefined;
      readonly h: readonly Held[];
      readonly to: string;
    }
  /** A key does not wait any more for the dead letter that had the seq, or for any. */
  | {
      readonly o: 'unblock';
      readonly g?: string | undefined;
      readonly k: string;
      readonly s?: number | undefined;
    }
  /** Messages that were leased wait again: until `at`, and as if not delivered with `undo`. */
  | {
      readonly o: 'back';
      readonly g?: string | undefined;
      readonly s: Runs;
      readonly at?: number | undefined;
      readonly undo?: true | undefined;
      readonly error?: string | undefined;
    }
  /** Messages are done with, for all groups; `at`: until when each was put off, or 0; `k`: keys. */
  | {
      readonly o: 'cancel';
      readonly s: Runs;
      readonly z: readonly number[];
      readonly at: readonly number[];
      readonly k: readonly (string | null)[];
    }
  /** The window of a dedup key, which the message `s` came with, begins again. */
  | { readonly o: 'renew'; readonly s: number; readonly k: string }
  /** All messages below are done with. */
  | { readonly o: 'purge'; readonly to: number }
  /** A message is to come at another time, or with another priority. */
  | {
      readonly o: 'edit';
      readonly s: number;
      readonly z: number;
      /** Absent: that stays. */
      readonly at?: number | undefined;
      readonly priority?: number | undefined;
      /** As it was enqueued. */
      readonly was: readonly [at: number, priority: number];
    }
  /** `open`: messages from `start` on that the group has before it. */
  | ({ readonly o: 'group'; readonly name: string; readonly start: number } & Recount)
  | ({ readonly o: 'ungroup'; readonly name: string } & Recount)
  | ({ readonly o: 'seek'; readonly g?: string | undefined; readonly to: number } & Recount)
  /** All messages below are done with for a group; in a queue of groups without one, for all. */
  | ({ readonly o: 'pass'; readonly g?: string | undefined; readonly to: number } & Recount);

interface GroupPlace {
  readonly name: string;
  readonly start: number;
  /** Unix milliseconds: when it got or settled something last. */
  readonly active: number;
}

/** What was counted, because it cannot be known otherwise. */
export interface Recount {
  /** Messages that the group has before it. */
  readonly open: number;
  /** Messages that some group has before it, and the bytes of these. */
  readonly total: readonly [messages: number, bytes: number];
}

type DoneReason = 'ack' | 'pop' | 'expired' | 'dead' | 'redriven' | 'discarded';

const HEADER_LENGTH_BYTES = 2;
const MAX_HEADER_BYTES = 0xffff;
/** The rest is for what is said of a message when it is moved. */
const MAX_OWN_HEADER_BYTES = 0x7fff;

const NO_HEADER: MessageHeader = {};

/** The bytes of a message. Throws RangeError when its header is too long. */
export function encodeMessage(header: MessageHeader | undefined, payload: Uint8Array): Uint8Array {
  const json = header === undefined ? '' : JSON.stringify(header);
  const headerBytes = json === '' || json === '{}' ? 0 : Buffer.byteLength(json);
  const most = header?.origin === undefined ? MAX_OWN_HEADER_BYTES : MAX_HEADER_BYTES;
  if (headerBytes > most) {
    throw new RangeError(`key, dedupKey and headers take ${headerBytes} bytes, not up to ${most}`);
  }
  const bytes = Buffer.allocUnsafe(HEADER_LENGTH_BYTES + headerBytes + payload.length);
  bytes.writeUInt16LE(headerBytes, 0);
  if (headerBytes > 0) bytes.write(json, HEADER_LENGTH_BYTES);
  bytes.set(payload, HEADER_LENGTH_BYTES + headerBytes);
  return bytes;
}

/** Undefined for bytes that are no message. */
export function headerOf(record: LogRecord): MessageHeader | undefined {
  return headerIn(record.payload);
}

/** The same of the payload of a record, each look at which makes a view. */
export function headerIn(payload: Uint8Array): MessageHeader | undefined {
  if (payload.length < HEADER_LENGTH_BYTES) return undefined;
  const length = lengthIn(payload);
  if (length === 0) return NO_HEADER;
  if (payload.length < HEADER_LENGTH_BYTES + length) return undefined;
  return jsonOf(payload.subarray(HEADER_LENGTH_BYTES, HEADER_LENGTH_BYTES + length));
}

/** A view of the bytes that were enqueued. Only for what `headerOf` has read. */
export function bodyOf(record: LogRecord): Uint8Array {
  return bodyIn(record.payload);
}

export function bodyIn(payload: Uint8Array): Uint8Array {
  const { buffer, byteOffset, length } = payload;
  const start = HEADER_LENGTH_BYTES + lengthIn(payload);
  return new Uint8Array(buffer, byteOffset + start, length - start);
}

function lengthIn(payload: Uint8Array): number {
  return (payload[0] ?? 0) | ((payload[1] ?? 0) << 8);
}

export function encodeOperation(operation: Operation): Uint8Array {
  return Buffer.from(JSON.stringify(operation));
}

/** Undefined for bytes that are no operation. */
export function decodeOperation(record: LogRecord): Operation | undefined {
  const json = jsonOf(record.payload);
  return isOperation(json) ? json : undefined;
}

/** Its checksum says that it is what was written: only what is no operation at all is told,
 * or has options that no queue has. */
function isOperation(json: unknown): json is Operation {
  const { o, t, s, options } = (json ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof o !== 'string' || typeof t !== 'number') return false;
  if (o === 'base' && storedOptionsFrom(options) === undefined) return false;
  return s === undefined || typeof s === 'number' || Array.isArray(s);
}

function jsonOf(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const { buffer, byteOffset, byteLength } = bytes;
    const json: unknown = JSON.parse(Buffer.from(buffer, byteOffset, byteLength).toString());
    const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
    return isObject ? (json as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

/** Ascending seqs as runs. */
export function runsOf(seqs: readonly number[]): number[] {
  const runs: number[] = [];
  let next = -1;
  for (const seq of seqs) {
    if (seq === next) runs[runs.length - 1] = (runs.at(-1) ?? 0) + 1;
    else runs.push(seq, 1);
    next = seq + 1;
  }
  return runs;
}

/** Calls back for each seq of the runs, with its index. */
export function eachSeq(runs: Runs, visit: (seq: number, index: number) => void): void {
  let index = 0;
  for (let at = 0; at + 1 < runs.length; at += 2) {
    const from = runs[at] ?? 0;
    const end = from + (runs[at + 1] ?? 0);
    for (let seq = from; seq < end; seq++) visit(seq, index++);
  }
}
