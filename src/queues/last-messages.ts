/**
 * The messages at the other end of a work queue: those that came last come first, and behind them
 * those that were put before all others, the one that was put there first at the very end.
 */
import type { LeasedMessage } from './lease.js';
import { readMessage } from './message-picker.js';
import type { QueueCore } from './queue-core.js';

/** Reserves up to `max` messages that could be delivered now, in `run`. */
export async function lastMessages(core: QueueCore, max: number): Promise<LeasedMessage[]> {
  const group = core.group(undefined);
  const reserved: LeasedMessage[] = [];
  const toTheFront: LeasedMessage[] = [];
  if (core.state.isPaused) return reserved;
  const reserve = (message: LeasedMessage): void => {
    if (!group.isFree(message.seq)) return;
    core.reserve(group, message);
    reserved.push(message);
  };
  // What is due is not counted as put off any more when it is taken.
  group.takeDue(core.log.clock.now());
  let seq = group.settled.prevMissing(core.log.limit - 1);
  while (seq !== undefined && reserved.length < max) {
    const message = group.isFree(seq) ? await readMessage(core, seq) : undefined;
    const due = group.attempts.get(seq)?.dueMs ?? message?.header.at ?? 0;
    const nowMs = core.log.clock.now();
    const isOver = (message?.header.until ?? Infinity) <= nowMs;
    if (message !== undefined && due <= nowMs && !isOver) {
      if (message.header.front === true) toTheFront.push(message);
      else reserve(message);
    }
    seq = seq === 0 ? undefined : group.settled.prevMissing(seq - 1);
  }
  for (const message of toTheFront.toReversed()) if (reserved.length < max) reserve(message);
  return reserved;
}
