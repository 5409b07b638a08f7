/** Counts messages by looking at them: what cannot be known from what was counted before. */
import type { Channel } from '../channel/channel.js';
import { Arrivals } from './arrivals.js';
import { bodyOf, headerOf, MESSAGE, type Recount } from './queue-records.js';
import type { QueueState } from './queue-state.js';
import type { GroupState } from './group-state.js';

/** Visits every message that is in the log from `from` on and has not been taken from all. */
async function eachMessage(
  channel: Channel,
  state: QueueState,
  from: number,
  visit: (seq: number, size: number) => void,
): Promise<void> {
  for await (const records of channel.readBatches({ from: Math.max(from, channel.firstSeq) })) {
    for (const record of records) {
      if (record.type !== MESSAGE || state.gone.has(record.seq)) continue;
      const header = headerOf(record);
      if (header === undefined || header.of !== undefined) continue;
      visit(record.seq, bodyOf(record).length + state.updated.grownBy(record.seq));
    }
  }
}

/** Sets all counts of the state. */
export async function countOpen(channel: Channel, state: QueueState): Promise<void> {
  const groups = [...state.groups.values()];
  const open = new Map<GroupState, number>(groups.map((group) => [group, 0]));
  let messages = 0;
  let bytes = 0;
  await eachMessage(channel, state, 0, (seq, size) => {
    let isOpen = groups.length === 0;
    for (const group of groups) {
      if (group.settled.has(seq)) continue;
      isOpen = true;
      open.set(group, (open.get(group) ?? 0) + 1);
    }
    if (!isOpen) return;
    messages++;
    bytes += size;
  });
  for (const [group, count] of open) group.open = count;
  state.messages = messages;
  state.bytes = bytes;
}

/**
 * The counts when one group has all messages from `start` on before it, or, without a `start`, when
 * it is gone.
 */
export async function countFor(
  channel: Channel,
  state: QueueState,
  name: string,
  start: number | undefined,
): Promise<Recount> {
  const others = [...state.groups.values()].filter((group) => group.name !== name);
  let open = 0;
  let messages = 0;
  let bytes = 0;
  await eachMessage(channel, state, 0, (seq, size) => {
    const isOfGroup = start !== undefined && seq >= start;
    if (isOfGroup) open++;
    const isOfOthers = others.some((group) => !group.settled.has(seq));
    const isOfNobody = others.length === 0 && start === undefined;
    if (!isOfGroup && !isOfOthers && !isOfNobody) return;
    messages++;
    bytes += size;
  });
  return { open, total: [messages, bytes] };
}

/** Takes up where messages are that have come from other queues, below a seq. */
export async function indexMoved(channel: Channel, state: QueueState, to: number): Promise<void> {
  for await (const records of channel.readBatches({ from: channel.firstSeq, to })) {
    for (const record of records) {
      const id = record.type === MESSAGE ? headerOf(record)?.id : undefined;
      if (id === undefined || state.moved.find(id).includes(record.seq)) continue;
      state.moved.add(id, record.seq);
    }
  }
  state.moved.isComplete = true;
}

/** What has come, as far as it is in the log. */
export async function arrivalsIn(channel: Channel): Promise<Arrivals> {
  const arrivals = new Arrivals();
  for await (const records of channel.readBatches({ from: channel.firstSeq })) {
    for (const record of records) {
      const header = record.type === MESSAGE ? headerOf(record) : undefined;
      if (header === undefined || header.of !== undefined) continue;
      arrivals.note(record.seq, bodyOf(record).length);
    }
  }
  return arrivals;
}
