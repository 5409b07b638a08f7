/** The messages of a queue that are not done with, in the order of the log. */
import type { GroupState } from './group-state.js';
import type { LeasedMessage } from './lease.js';
import { readMessage } from './message-picker.js';
import type { QueueContext } from './queue-context.js';
import { headerOf, MESSAGE } from './queue-records.js';

/**
 * Messages from `from` on that the group, or when there is none anybody, has before it. What comes
 * or goes meanwhile may be seen or not.
 */
export async function* openMessages(
  core: QueueContext,
  group: GroupState | undefined,
  from: number,
): AsyncIterableIterator<LeasedMessage> {
  const { log, state } = core;
  const { channel } = log;
  for (let next = Math.max(from, channel.firstSeq); next < log.limit;) {
    const to = log.limit;
    const records = await channel.readBatch({ from: next, to, limit: 1024, maxBytes: 1024 * 1024 });
    next = (records.at(-1)?.seq ?? to - 1) + 1;
    for (const record of records) {
      if (record.type !== MESSAGE || headerOf(record)?.of !== undefined) continue;
      const isSettled = (seq: number): boolean =>
        group === undefined ? state.isSettled(seq) : group.settled.has(seq) || state.gone.has(seq);
      if (isSettled(record.seq)) continue;
      const message = await readMessage(core, record.seq, record);
      if (message !== undefined) yield message;
    }
    next = Math.max(next, channel.firstSeq);
  }
}
