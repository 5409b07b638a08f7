/**
 * Moves a group on: all messages below a seq are done with for it, in one record, however many they
 * are. Those that other groups have before them stay for these.
 */
import type { Durability } from '../channel/record-input.js';
import type { GroupState } from './group-state.js';
import type { QueueContext } from './queue-context.js';
import { bodyOf, headerOf, MESSAGE, type OperationContent } from './queue-records.js';
import { groupField } from './queue-state.js';

/** Up to where a group is moved on: below a seq, and by so many messages at most. */
export interface Passing {
  readonly below: number;
  readonly most: number;
  readonly why: 'settled' | 'skipped';
  readonly durability: Durability;
  /** Asked when nothing else is under way; by default it is. */
  readonly isMeant?: (() => boolean) | undefined;
}

/** Resolves to how many messages that were. Not in `run`. */
export async function passGroup(
  core: QueueContext,
  group: GroupState,
  { below, most, why, durability, isMeant = () => true }: Passing,
): Promise<number> {
  const { log, state, leases } = core;
  const passed = await log.alone(async () => {
    if (state.groups.get(group.name) !== group || !isMeant()) return 0;
    const found = await messagesBelow(core, group, below, most);
    if (found.count === 0) return 0;
    const operation: OperationContent = {
      o: 'pass',
      g: groupField(group.name),
      to: found.to,
      open: group.open - found.count,
      total: [state.messages - found.goneMessages, state.bytes - found.goneBytes],
    };
    await log.operate(operation, durability);
    for (const lease of leases.some(group.name)) {
      if (lease.message.seq < found.to) leases.end(lease, why);
    }
    return found.count;
  });
  if (passed > 0) core.wake();
  return passed;
}

/** In a queue that has no group: messages below are done with for whatever groups there will be. */
export async function passAll(core: QueueContext, below: number): Promise<void> {
  const { log, state } = core;
  await log.alone(async () => {
    if (state.groups.size > 0) return;
    const found = await messagesBelow(core, undefined, below, Infinity);
    if (found.count === 0) return;
    const total = [state.messages - found.count, state.bytes - found.goneBytes] as const;
    await log.operate({ o: 'pass', to: found.to, open: 0, total });
  });
}

interface Below {
  /** Above the last of them. */
  readonly to: number;
  readonly count: number;
  /** Of them, those that no other group has before it. */
  readonly goneMessages: number;
  readonly goneBytes: number;
}

async function messagesBelow(
  { log, state }: QueueContext,
  group: GroupState | undefined,
  below: number,
  most: number,
): Promise<Below> {
  const { channel } = log;
  const others = [...state.groups.values()].filter((other) => other !== group);
  const from = Math.max(group?.settled.floor ?? state.gone.floor, channel.firstSeq);
  const found = { to: from, count: 0, goneMessages: 0, goneBytes: 0 };
  if (from >= below || most === 0) return found;
  for await (const records of channel.readBatches({ from, to: below })) {
    for (const record of records) {
      const { seq } = record;
      if (record.type !== MESSAGE || state.gone.has(seq) || group?.settled.has(seq)) continue;
      if (headerOf(record)?.of !== undefined) continue;
      found.count++;
      found.to = seq + 1;
      if (others.every(({ settled }) => settled.has(seq))) {
        found.goneMessages++;
        found.goneBytes += bodyOf(record).length + state.updated.grownBy(seq);
      }
      if (found.count === most) return found;
    }
  }
  return found;
}
