/** What operations on streams are refused with, each with its fields. */
import { RedexError, redexError } from '../core/errors.js';
import type { StreamPosition } from './stream-position.js';
import { formatOffset } from './stream-position.js';
import type { ProducerState, ProducerTuple } from './stream-state.js';

export function storeClosed(): RedexError {
  return redexError('CLOSED', 'the streams are closed', { resource: 'streams' });
}

export function notFound(stream: string): RedexError {
  const fields = { kind: 'stream', resource: stream };
  return redexError('NOT_FOUND', `there is no stream ${stream}`, fields);
}

/** The path of a deleted stream that forks still read. */
export function pathTaken(stream: string): RedexError {
  const message = `stream ${stream} was deleted, and is kept for its forks`;
  return redexError('EXISTS', message, { kind: 'stream', resource: stream });
}

export function streamGone(stream: string): RedexError {
  const message = `stream ${stream} was deleted, and is kept only for its forks`;
  return redexError('STREAM_GONE', message, { stream });
}

export function streamClosed(stream: string, tail: StreamPosition): RedexError {
  const fields = { stream, nextOffset: formatOffset(tail) };
  return redexError('STREAM_CLOSED', `stream ${stream} is closed`, fields);
}

export function configMismatch(
  stream: string,
  difference: { readonly field: string; readonly stored: unknown; readonly given: unknown },
): RedexError {
  const { field, stored, given } = difference;
  const [shown, wanted] = [stored, given].map((value) => JSON.stringify(value) ?? 'none');
  const message = `stream ${stream} has ${field} ${shown}, not ${wanted}`;
  return redexError('CONFIG_MISMATCH', message, { stream, field, stored, given });
}

export function contentTypeMismatch(stream: string, stored: string, given: string): RedexError {
  const message = `stream ${stream} has the content type ${stored}, not ${given}`;
  return redexError('CONTENT_TYPE_MISMATCH', message, { stream, stored, given });
}

export function invalidOffset(stream: string, offset: string, why: string): RedexError {
  return redexError('INVALID_OFFSET', `stream ${stream}: ${why}`, { stream, offset });
}

/** What was let go of was asked for. The numbers are those of messages. */
export function belowFloor(stream: string, asked: number, floor: number, tail: number): RedexError {
  const message = `stream ${stream} begins at message ${floor}: ${asked} was let go of`;
  return redexError('OUT_OF_RANGE', message, { seq: asked, firstSeq: floor, nextSeq: tail });
}

export function fenced({ id, epoch }: ProducerTuple, currentEpoch: number): RedexError {
  const message = `producer ${id} has the epoch ${currentEpoch}, and ${epoch} is older`;
  return redexError('FENCED', message, { producerId: id, epoch, currentEpoch });
}

export function producerGap(
  { id, epoch, seq }: ProducerTuple,
  known: ProducerState | undefined,
  expectedSeq: number,
): RedexError {
  return redexError('PRODUCER_GAP', `producer ${id} sent ${seq}, not ${expectedSeq}`, {
    producerId: id,
    epoch,
    currentEpoch: known?.epoch,
    expectedSeq,
    receivedSeq: seq,
  });
}

/** The tail is not the one that the append was for. */
export function tailConflict(
  stream: string,
  expected: StreamPosition,
  actual: StreamPosition,
): RedexError {
  const message = `stream ${stream} ends at ${formatOffset(actual)}, not ${formatOffset(expected)}`;
  const fields = { stream, expectedSeq: expected.count, actualSeq: actual.count };
  return redexError('SEQ_CONFLICT', message, fields);
}

/** Stream-Seq did not grow. */
export function streamSeqConflict(
  stream: string,
  tail: StreamPosition,
  streamSeq: string,
  lastStreamSeq: string,
): RedexError {
  return redexError('SEQ_CONFLICT', `stream ${stream} has had Stream-Seq ${lastStreamSeq}`, {
    stream,
    expectedSeq: tail.count,
    actualSeq: tail.count,
    streamSeq,
    lastStreamSeq,
  });
}

export function overLimit(what: string, limit: number, actual: number): RedexError {
  const fields = { what, limit, actual };
  return redexError('LIMIT', `${what} is ${limit}: ${actual} is over it`, fields);
}

/** A record of a channel is whole, but not what a stream or the list of streams consists of. */
export function strangeRecord(channel: string, seq: number, what: string): RedexError {
  return redexError('CORRUPT', `channel ${channel}, record ${seq}: ${what}`, {
    path: channel,
    position: 0,
    check: 'fields',
    seqRange: { firstSeq: seq, nextSeq: seq + 1 },
  });
}

/** There is no such stream any more, for who does not read its forks. */
export function isGoneError(error: unknown): boolean {
  return RedexError.is(error, 'NOT_FOUND') || RedexError.is(error, 'STREAM_GONE');
}

/** What a stream holds cannot be read, and will not be when it is tried again. */
export function isDamage(error: unknown): boolean {
  return ['CORRUPT', 'FORMAT_VERSION', 'NOT_FOUND'].some(
    (code) => RedexError.is(error) && error.code === code,
  );
}
