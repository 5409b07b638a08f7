/**
 * What becomes of an append: a decision over the state of the stream, without any effect. The order
 * of the checks is part of the contract: what was accepted before is told before anything else,
 * then that the stream is closed, then what is wrong with the append itself.
 */
import type { RedexError } from '../core/errors.js';
import type { StreamPosition } from './stream-position.js';
import {
  contentTypeMismatch,
  fenced,
  overLimit,
  producerGap,
  streamClosed,
  streamSeqConflict,
  tailConflict,
} from './stream-errors.js';
import type { ProducerState, ProducerTuple, StreamChange, StreamState } from './stream-state.js';

/** An append or a close, checked. */
export interface AppendRequest {
  /** Records of messages, without their places. */
  readonly messages: readonly Uint8Array[];
  /** Bytes of the messages. */
  readonly bytes: number;
  /** Normalised; undefined when it is not to be compared. */
  readonly contentType: string | undefined;
  readonly streamSeq: string | undefined;
  readonly producer: ProducerTuple | undefined;
  readonly close: boolean;
  readonly ifMatch: StreamPosition | undefined;
}

/** What the decision needs to know of the stream beside its state. */
export interface AppendLimits {
  readonly stream: string;
  readonly contentType: string;
  readonly maxStreamBytes: number;
  readonly maxProducers: number;
}

export type AppendDecision =
  | { readonly kind: 'write'; readonly change: StreamChange }
  /** It has been done before, by this producer or by whoever closed the stream. */
  | { readonly kind: 'done'; readonly producer: ProducerTuple | undefined }
  | { readonly kind: 'refused'; readonly error: RedexError };

export function decideAppend(
  state: StreamState,
  request: AppendRequest,
  limits: AppendLimits,
): AppendDecision {
  const { stream } = limits;
  const { producer, close, messages } = request;
  const known = producer === undefined ? undefined : state.producers.get(producer.id);
  if (producer !== undefined && known !== undefined) {
    if (producer.epoch < known.epoch) return refused(fenced(producer, known.epoch));
    if (producer.epoch === known.epoch && producer.seq <= known.seq) {
      return { kind: 'done', producer: { id: producer.id, ...known } };
    }
  }
  if (state.closed) {
    const isCloseOnly = close && messages.length === 0 && producer === undefined;
    if (isCloseOnly) return { kind: 'done', producer: undefined };
    return refused(streamClosed(stream, state.tail));
  }
  const error =
    (producer === undefined ? undefined : sequenceError(producer, known)) ??
    contentError(request, limits) ??
    conflictError(state, request, stream) ??
    limitError(state, request, limits, known);
  if (error !== undefined) return refused(error);
  const { streamSeq } = request;
  return { kind: 'write', change: { streamSeq, producer, closed: close ? true : undefined } };
}

function refused(error: RedexError): AppendDecision {
  return { kind: 'refused', error };
}

/** A new producer, and every new epoch, begins with 0; then every seq follows the one before. */
function sequenceError(
  producer: ProducerTuple,
  known: ProducerState | undefined,
): RedexError | undefined {
  const isNew = known === undefined || producer.epoch > known.epoch;
  const expected = isNew ? 0 : known.seq + 1;
  return producer.seq === expected ? undefined : producerGap(producer, known, expected);
}

function contentError(
  { messages, contentType }: AppendRequest,
  limits: AppendLimits,
): RedexError | undefined {
  if (messages.length === 0 || contentType === undefined) return undefined;
  if (contentType === limits.contentType) return undefined;
  return contentTypeMismatch(limits.stream, limits.contentType, contentType);
}

function conflictError(
  { tail, streamSeq: last }: StreamState,
  { ifMatch, streamSeq }: AppendRequest,
  stream: string,
): RedexError | undefined {
  if (ifMatch !== undefined && (ifMatch.count !== tail.count || ifMatch.bytes !== tail.bytes)) {
    return tailConflict(stream, ifMatch, tail);
  }
  if (streamSeq === undefined || last === undefined) return undefined;
  // By bytes of UTF-8, where JavaScript would compare units of UTF-16.
  const isGreater = Buffer.compare(Buffer.from(streamSeq), Buffer.from(last)) > 0;
  return isGreater ? undefined : streamSeqConflict(stream, tail, streamSeq, last);
}

function limitError(
  state: StreamState,
  { bytes, producer }: AppendRequest,
  { maxStreamBytes, maxProducers }: AppendLimits,
  known: ProducerState | undefined,
): RedexError | undefined {
  const actual = state.retainedBytes + bytes;
  if (bytes > 0 && actual > maxStreamBytes) {
    return overLimit('maxStreamBytes', maxStreamBytes, actual);
  }
  const { size } = state.producers;
  if (producer !== undefined && known === undefined && size >= maxProducers) {
    return overLimit('maxProducers', maxProducers, size + 1);
  }
  return undefined;
}
