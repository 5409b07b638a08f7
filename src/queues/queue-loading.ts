/**
 * The state of a queue, from its newest checkpoint and what the log says after that; or from the
 * log alone, which has all that is needed for it, when no checkpoint can be used.
 */
import type { Channel } from '../channel/channel.js';
import type { KeptCheckpoints } from '../channel/kept-checkpoints.js';
import { strangeQueueRecord } from './queue-errors.js';
import { decodeOperation, OPERATION, type Operation } from './queue-records.js';
import { QueueState } from './queue-state.js';
import { decodeState } from './queue-state-bytes.js';
import { arrivalsIn, countOpen } from './recount.js';

/** Of the form of a checkpoint. */
export const STATE_VERSION = 1;
export const CHECKPOINTS_NAME = 'queue';

export interface LoadedQueue {
  readonly state: QueueState;
  readonly checkpointSeq: number | undefined;
}

/** Rejects with CORRUPT for a channel that is no queue. */
export async function loadQueue(
  channel: Channel,
  checkpoints: KeptCheckpoints,
): Promise<LoadedQueue> {
  const loaded = await checkpoints.load((bytes) => decodeState(bytes));
  if (loaded !== undefined) {
    const { state, seq } = loaded;
    const kept = state.options.keepMs !== 0;
    await replay(channel, state, seq);
    if (!kept) await countArrivals(channel, state);
    return { state, checkpointSeq: seq };
  }
  const base = await firstBase(channel);
  const state = new QueueState(base.options, base.tag);
  for (const { name, start } of base.groups) state.addGroup(name, start);
  await replay(channel, state, channel.firstSeq);
  // What was done with before records went is counted by no record that is left.
  await countOpen(channel, state);
  await countArrivals(channel, state);
  return { state, checkpointSeq: undefined };
}

/** What came before the queue began to keep what is done with. */
async function countArrivals(channel: Channel, state: QueueState): Promise<void> {
  if (state.options.keepMs !== 0) state.arrivals = await arrivalsIn(channel);
}

type Base = Operation & { readonly o: 'base' };

async function firstBase(channel: Channel): Promise<Base> {
  for await (const records of channel.readBatches()) {
    for (const record of records) {
      if (record.type !== OPERATION) continue;
      const operation = decodeOperation(record);
      if (operation?.o === 'base') return operation;
    }
  }
  const { name, firstSeq } = channel;
  throw strangeQueueRecord(name, firstSeq, 'no record says what queue this is');
}

async function replay(channel: Channel, state: QueueState, from: number): Promise<void> {
  const { firstSeq, nextSeq } = channel;
  let next = Math.max(from, firstSeq);
  state.skipBelow(Math.min(firstSeq, next));
  for await (const records of channel.readBatches({ from: next, to: nextSeq })) {
    for (const record of records) {
      // What is missing was done with, or it would not have been let go.
      if (record.seq > next) state.skipRange(next, record.seq);
      state.applyRecord(channel.name, record);
      next = record.seq + 1;
    }
  }
  if (nextSeq > next) state.skipRange(next, nextSeq);
}
