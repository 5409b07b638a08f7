/** What appends are given, checked and brought into one form. */
import { checkType, checkKnown } from '../channel/option-checks.js';
import { payloadOf, type Durability } from '../channel/record-input.js';
import type { AppendRequest } from './append-decision.js';
import { normalContentType } from './stream-config.js';
import { invalidOffset } from './stream-errors.js';
import { parseOffset, type StreamPosition } from './stream-position.js';
import { HEADER_BYTES, recordOf } from './stream-records.js';
import type { ProducerTuple } from './stream-state.js';

export interface StreamAppendOptions {
  /** Has to be the stream's; not compared when it is not given. */
  readonly contentType?: string | undefined;
  /** Has to be greater than the last one of the stream, compared by bytes of UTF-8. */
  readonly streamSeq?: string | undefined;
  /** Makes the append idempotent: what was accepted of this producer is not written again. */
  readonly producer?: ProducerTuple | undefined;
  /** Closes the stream in the same step. Default: false. */
  readonly close?: boolean | undefined;
  /** The offset that the tail of the stream has to be; otherwise SEQ_CONFLICT. */
  readonly ifMatch?: string | undefined;
  /**
   * `synced`: resolves when a power cut cannot take it back. `written`: resolves when a kill of
   * the process cannot. Default: `synced`.
   */
  readonly durability?: Durability | undefined;
}

const KNOWN: ReadonlySet<string> = new Set([
  'contentType',
  'streamSeq',
  'producer',
  'close',
  'ifMatch',
  'durability',
]);
const MAX_TEXT_BYTES = 1024;

/** Throws TypeError, RangeError, INVALID_OFFSET. */
export function appendRequest(
  stream: string,
  given: readonly (Uint8Array | string)[],
  options: StreamAppendOptions,
): AppendRequest {
  checkKnown(options, KNOWN);
  const { contentType, streamSeq, producer, close, ifMatch, durability } = options;
  checkType('close', close, 'boolean');
  if (durability !== undefined && durability !== 'written' && durability !== 'synced') {
    throw new TypeError("durability must be 'written' or 'synced'");
  }
  if (streamSeq !== undefined) checkText('streamSeq', streamSeq);
  const { messages, bytes } = messagesOf(given);
  if (messages.length === 0 && close !== true) {
    throw new RangeError('an append has at least one message, or closes the stream');
  }
  return {
    messages,
    bytes,
    contentType: contentType === undefined ? undefined : normalContentType(contentType),
    streamSeq,
    producer: producer === undefined ? undefined : checkedProducer(producer),
    close: close === true,
    ifMatch: ifMatch === undefined ? undefined : positionOf(stream, ifMatch),
  };
}

/** Copies of what was given, as records, and the bytes of the messages. Throws TypeError. */
export function messagesOf(given: readonly (Uint8Array | string)[]): {
  messages: Uint8Array[];
  bytes: number;
} {
  if (!Array.isArray(given)) throw new TypeError('messages must be an array');
  let bytes = 0;
  const messages = given.map((message: Uint8Array | string) => {
    const record = recordOf(typeof message === 'string' ? message : payloadOf(message));
    bytes += record.length - HEADER_BYTES;
    return record;
  });
  return { messages, bytes };
}

function checkedProducer(producer: ProducerTuple): ProducerTuple {
  if (typeof producer !== 'object' || producer === null) {
    throw new TypeError('producer must be { id, epoch, seq }');
  }
  const { id, epoch, seq } = producer;
  checkText('producer.id', id);
  for (const [name, value] of Object.entries({ epoch, seq })) {
    if (typeof value !== 'number') throw new TypeError(`producer.${name} must be a number`);
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`producer.${name} must be a safe integer of at least 0, not ${value}`);
    }
  }
  return { id, epoch, seq };
}

function checkText(what: string, text: unknown): void {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string`);
  // A lone surrogate has no UTF-8 form: two such texts would be compared as one.
  if (text === '' || /\p{Surrogate}/u.test(text) || Buffer.byteLength(text) > MAX_TEXT_BYTES) {
    throw new RangeError(`${what} must be 1 to ${MAX_TEXT_BYTES} bytes of well-formed UTF-8`);
  }
}

function positionOf(stream: string, offset: unknown): StreamPosition {
  if (typeof offset !== 'string') throw new TypeError('ifMatch must be a string');
  const position = parseOffset(offset);
  if (position !== undefined) return position;
  throw invalidOffset(stream, offset, `${JSON.stringify(offset)} is no offset of a tail`);
}
