/**
 * The records of one batch: messages, and behind them the state that they change, if they do. Now
 * and then that is the whole state, so that a stream is read from few records however long it is
 * written.
 */
import type { RecordInput } from '../channel/record-input.js';
import type { StateChain } from './stream-loading.js';
import { MAX_POSITION, type StreamPosition } from './stream-position.js';
import {
  CHANGE,
  encodeChange,
  encodeSnapshot,
  HEADER_BYTES,
  MESSAGE,
  placed,
  SNAPSHOT,
} from './stream-records.js';
import { overLimit } from './stream-errors.js';
import { isEmptyChange, type StreamChange, type StreamState } from './stream-state.js';

/** Changes after which the whole state is written, once they have as many bytes as it had. */
const CHANGES_PER_SNAPSHOT = 16;

export interface StreamBatch {
  readonly records: readonly RecordInput[];
  readonly chain: StateChain;
}

/**
 * The first records of a stream, in its channel from seq 0 on: its state, which is that behind the
 * whole batch, and then the messages, which `state` takes in.
 */
export function firstBatch(
  state: StreamState,
  messages: readonly Uint8Array[],
  nowMs: number,
): StreamBatch {
  const payload = placed(encodeSnapshot(state), { ...state.tail, link: 0 });
  const records: RecordInput[] = [{ payload, type: SNAPSHOT, timestamp: nowMs }];
  state.tail = addMessages(records, state.tail, messages, 0, nowMs);
  if (messages.length > 0) state.updatedAtMs = nowMs;
  return { records, chain: { link: 0, changes: 0, changeBytes: 0, snapshotBytes: payload.length } };
}

/** The records that come next, from `nextSeq` on; `state` is then as it is behind them. */
export function nextBatch(
  state: StreamState,
  chain: StateChain,
  nextSeq: number,
  batch: { messages: readonly Uint8Array[]; change: StreamChange; wantsSnapshot?: boolean },
  nowMs: number,
): StreamBatch {
  const { messages, change, wantsSnapshot = false } = batch;
  const records: RecordInput[] = [];
  state.tail = addMessages(records, state.tail, messages, chain.link, nowMs);
  state.updatedAtMs = wantsSnapshot ? state.updatedAtMs : nowMs;
  state.apply(change);
  if (isEmptyChange(change)) return { records, chain };
  const seq = nextSeq + messages.length;
  const isDue = chain.changes >= CHANGES_PER_SNAPSHOT && chain.changeBytes >= chain.snapshotBytes;
  if (isDue || wantsSnapshot) {
    const payload = placed(encodeSnapshot(state), { ...state.tail, link: seq });
    records.push({ payload, type: SNAPSHOT, timestamp: nowMs });
    const { length: snapshotBytes } = payload;
    return { records, chain: { link: seq, changes: 0, changeBytes: 0, snapshotBytes } };
  }
  const payload = placed(encodeChange(change), { ...state.tail, link: chain.link });
  records.push({ payload, type: CHANGE, timestamp: nowMs });
  return {
    records,
    chain: {
      link: seq,
      changes: chain.changes + 1,
      changeBytes: chain.changeBytes + payload.length,
      snapshotBytes: chain.snapshotBytes,
    },
  };
}

function addMessages(
  records: RecordInput[],
  from: StreamPosition,
  messages: readonly Uint8Array[],
  link: number,
  timestamp: number,
): StreamPosition {
  let { count, bytes } = from;
  for (const message of messages) {
    records.push({ payload: placed(message, { count, bytes, link }), type: MESSAGE, timestamp });
    count++;
    bytes += message.length - HEADER_BYTES;
    if (bytes > MAX_POSITION) throw overLimit('bytes of a stream', MAX_POSITION, bytes);
  }
  return { count, bytes };
}
