/**
 * Messages that wait and are about to be changed or moved: nobody gets them until they are let go
 * of, and then they wait where they did.
 */
import { FRONT, type GroupState } from './group-state.js';
import type { QueueContext } from './queue-context.js';
import type { MessageHeader } from './queue-records.js';

export interface HeldMessage {
  readonly seq: number;
  readonly header: MessageHeader;
}

/** Whether a message waits in every group there is: nobody has got it or settled it. */
export function isWaiting({ state }: QueueContext, seq: number): boolean {
  if (state.gone.has(seq) || state.held.has(seq)) return false;
  for (const group of state.groups.values()) if (!group.isFree(seq)) return false;
  return true;
}

/** Nobody gets a message that waits. */
export function holdMessage({ state }: QueueContext, { seq }: HeldMessage): void {
  state.held.add(seq);
}

export function letGo(core: QueueContext, message: HeldMessage): void {
  const { state } = core;
  state.held.delete(message.seq);
  for (const group of state.groups.values()) {
    if (group.isFree(message.seq)) waitAgain(core, group, message);
  }
}

/** A message that was taken out of where it waits, or may have been, is there again. */
export function waitAgain(
  { log }: QueueContext,
  group: GroupState,
  { seq, header }: HeldMessage,
): void {
  const attempt = group.attempts.get(seq);
  group.taken.delete(seq);
  // What is put off is still where it comes from when it is due.
  if ((attempt?.dueMs ?? header.at ?? 0) > log.clock.now()) return;
  const priority = header.front === true ? FRONT : (header.priority ?? 0);
  group.putBack(seq, attempt?.priority ?? priority);
}
