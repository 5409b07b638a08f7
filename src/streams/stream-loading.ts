/**
 * The state of a stream, read from the end of its channel: the last record, and the records of
 * state that it leads to, back to a snapshot. What lies between is not read, however long the
 * stream is.
 */
import type { Channel } from '../channel/channel.js';
import type { LogRecord } from '../core/record.js';
import {
  bodyOf,
  CHANGE,
  decodeChange,
  decodeHeader,
  decodeSnapshot,
  MESSAGE,
  SNAPSHOT,
  type RecordHeader,
} from './stream-records.js';
import { strangeRecord } from './stream-errors.js';
import type { StreamChange, StreamState } from './stream-state.js';

/** The newest records of state of a stream, and how much is to be read to know them. */
export interface StateChain {
  /** Seq of the newest one. */
  readonly link: number;
  /** Changes since the snapshot, and their bytes. */
  readonly changes: number;
  readonly changeBytes: number;
  readonly snapshotBytes: number;
}

export interface LoadedStream {
  readonly state: StreamState;
  readonly chain: StateChain;
  /** Seq of the next record. */
  readonly nextSeq: number;
}

/** Rejects with CORRUPT, IO, POISONED, CLOSED. */
export async function loadStream(channel: Channel): Promise<LoadedStream> {
  const { nextSeq } = channel;
  const last = (await channel.last(1))[0];
  if (last === undefined || last.seq + 1 !== nextSeq) {
    throw strangeRecord(channel.name, Math.max(0, nextSeq - 1), 'the end of a stream is missing');
  }
  const header = headerOf(channel, last);
  const tail =
    last.type === MESSAGE
      ? { count: header.count + 1, bytes: header.bytes + bodyOf(last).length }
      : { count: header.count, bytes: header.bytes };
  const link = last.type === MESSAGE ? header.link : last.seq;
  const { state, ...walked } = await walkBack(channel, link, last.seq === link ? last : undefined);
  state.tail = tail;
  if (last.type !== SNAPSHOT) state.updatedAtMs = last.timestamp;
  return { state, chain: { link, ...walked }, nextSeq };
}

interface Walked extends Omit<StateChain, 'link'> {
  readonly state: StreamState;
}

/** The state after the records of state up to `link`, which may have been read already. */
async function walkBack(
  channel: Channel,
  link: number,
  newest: LogRecord | undefined,
): Promise<Walked> {
  const changes: StreamChange[] = [];
  let changeBytes = 0;
  let record = newest ?? (await linked(channel, link));
  while (record.type === CHANGE) {
    const body = bodyOf(record);
    const change = decodeChange(body);
    if (change === undefined) throw strangeRecord(channel.name, record.seq, 'no change of state');
    changes.push(change);
    changeBytes += record.byteLength;
    record = await linked(channel, headerOf(channel, record).link);
  }
  const body = bodyOf(record);
  const isSnapshot = record.type === SNAPSHOT;
  const state = isSnapshot ? decodeSnapshot(body, headerOf(channel, record)) : undefined;
  if (state === undefined) throw strangeRecord(channel.name, record.seq, 'no state of a stream');
  for (const change of changes.toReversed()) state.apply(change);
  return { state, changes: changes.length, changeBytes, snapshotBytes: record.byteLength };
}

async function linked(channel: Channel, seq: number): Promise<LogRecord> {
  const record = await channel.get(seq);
  if (record === undefined) throw strangeRecord(channel.name, seq, 'a record of state is missing');
  return record;
}

/** Throws CORRUPT for what is no record of a stream. */
export function headerOf(channel: Channel, record: LogRecord): RecordHeader {
  const header = decodeHeader(record);
  if (header === undefined) throw strangeRecord(channel.name, record.seq, 'not a stream record');
  return header;
}
