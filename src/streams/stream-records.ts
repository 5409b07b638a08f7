/**
 * The records of a stream's channel. Each begins with its place in the stream and a link to the
 * newest record of state before it, so that the state of a stream is found from its last record,
 * and a message from its number, without reading what lies between.
 *
 *   count  u48  messages before this record
 *   bytes  u48  bytes of these messages
 *   link   u48  seq of the newest record of state before this one; a first one names itself
 *   body        the message, or JSON of a change or of the whole state
 *
 * A record of state is the last of its batch: its place is the tail behind the batch. Only in the
 * first batch of a stream it comes first.
 */
import type { LogRecord } from '../core/record.js';
import { MAX_POSITION, type StreamPosition } from './stream-position.js';
import { StreamState, type ProducerTuple, type StreamChange } from './stream-state.js';

/** Types of records in a stream's channel. */
export const MESSAGE = 1;
export const CHANGE = 2;
export const SNAPSHOT = 3;

export const HEADER_BYTES = 18;

export interface RecordHeader extends StreamPosition {
  readonly link: number;
}

/** A record with a header that is still to be set, and a copy of the body. */
export function recordOf(body: Uint8Array | string): Uint8Array {
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  const record = Buffer.allocUnsafe(HEADER_BYTES + length);
  if (typeof body === 'string') record.write(body, HEADER_BYTES);
  else record.set(body, HEADER_BYTES);
  return record;
}

/** The same record, at this place. */
export function placed(record: Uint8Array, header: RecordHeader): Uint8Array {
  const { buffer, byteOffset } = record;
  const bytes = Buffer.from(buffer, byteOffset, HEADER_BYTES);
  bytes.writeUIntLE(header.count, 0, 6);
  bytes.writeUIntLE(header.bytes, 6, 6);
  bytes.writeUIntLE(header.link, 12, 6);
  return record;
}

/** Undefined for what cannot be a record of a stream. */
export function decodeHeader(record: LogRecord): RecordHeader | undefined {
  const { type, byteLength } = record;
  if (type !== MESSAGE && type !== CHANGE && type !== SNAPSHOT) return undefined;
  if (byteLength < HEADER_BYTES) return undefined;
  const { buffer, byteOffset } = record.payload;
  const header = Buffer.from(buffer, byteOffset, HEADER_BYTES);
  const link = header.readUIntLE(12, 6);
  if (link > record.seq || (link === record.seq && type !== SNAPSHOT)) return undefined;
  return { count: header.readUIntLE(0, 6), bytes: header.readUIntLE(6, 6), link };
}

/** What follows the header: a view of the record's bytes. */
export function bodyOf(record: LogRecord): Uint8Array {
  return record.payload.subarray(HEADER_BYTES);
}

const decoder = new TextDecoder('utf-8', { fatal: true });

type TupleJson = readonly [id: string, epoch: number, seq: number];
type PositionJson = readonly [count: number, bytes: number];

export function encodeChange({ closed, streamSeq, producer, floor }: StreamChange): Uint8Array {
  return recordOf(
    JSON.stringify({
      closed,
      streamSeq,
      producer: producer && tupleJson(producer),
      floor: floor && [floor.count, floor.bytes],
    }),
  );
}

export function encodeSnapshot(state: StreamState): Uint8Array {
  const { base, floor, closed, streamSeq, producers, updatedAtMs } = state;
  return recordOf(
    JSON.stringify({
      base: [base.count, base.bytes],
      floor: [floor.count, floor.bytes],
      closed,
      streamSeq,
      updatedAtMs,
      producers: [...producers].map(([id, { epoch, seq }]): TupleJson => [id, epoch, seq]),
    }),
  );
}

function tupleJson({ id, epoch, seq }: ProducerTuple): TupleJson {
  return [id, epoch, seq];
}

/** Undefined for bytes that are no change. */
export function decodeChange(body: Uint8Array): StreamChange | undefined {
  const json = objectFrom(body);
  if (json === undefined) return undefined;
  const { closed, streamSeq, producer, floor } = json;
  if (closed !== undefined && closed !== true) return undefined;
  if (streamSeq !== undefined && typeof streamSeq !== 'string') return undefined;
  const tuple = producer === undefined ? undefined : tupleFrom(producer);
  const position = floor === undefined ? undefined : positionFrom(floor);
  if ((producer !== undefined && tuple === undefined) || isLost(floor, position)) return undefined;
  return { closed, streamSeq, producer: tuple, floor: position };
}

/** Undefined for bytes that are no snapshot. `tail` is the place of its record. */
export function decodeSnapshot(body: Uint8Array, tail: StreamPosition): StreamState | undefined {
  const json = objectFrom(body);
  const base = positionFrom(json?.['base']);
  const floor = positionFrom(json?.['floor']);
  if (json === undefined || base === undefined || floor === undefined) return undefined;
  const { closed, streamSeq, updatedAtMs, producers } = json;
  const isRest =
    typeof closed === 'boolean' &&
    (streamSeq === undefined || typeof streamSeq === 'string') &&
    (updatedAtMs === undefined || typeof updatedAtMs === 'number') &&
    Array.isArray(producers);
  if (!isRest) return undefined;
  const state = new StreamState(base);
  for (const each of producers as unknown[]) {
    const tuple = tupleFrom(each);
    if (tuple === undefined) return undefined;
    state.producers.set(tuple.id, { epoch: tuple.epoch, seq: tuple.seq });
  }
  Object.assign(state, { tail, floor, closed, streamSeq, updatedAtMs });
  return state;
}

const isLost = (json: unknown, decoded: unknown): boolean =>
  json !== undefined && decoded === undefined;

function objectFrom(body: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(decoder.decode(body));
    const isObject = typeof json === 'object' && json !== null;
    return isObject ? (json as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

function tupleFrom(json: unknown): ProducerTuple | undefined {
  if (!Array.isArray(json) || json.length !== 3) return undefined;
  const [id, epoch, seq] = json as unknown[];
  if (typeof id !== 'string' || !isCount(epoch) || !isCount(seq)) return undefined;
  return { id, epoch, seq };
}

function positionFrom(json: unknown): StreamPosition | undefined {
  if (!Array.isArray(json) || json.length !== 2) return undefined;
  const [count, bytes] = json as unknown as PositionJson;
  const isPosition = isCount(count) && isCount(bytes);
  return isPosition && count <= MAX_POSITION && bytes <= MAX_POSITION
    ? { count, bytes }
    : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
