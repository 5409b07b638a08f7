/** Ends messages for everybody, whether somebody has them or not. */
import type { LeasedMessage } from './lease.js';
import { findMessage } from './queue-browser.js';
import type { QueueCore } from './queue-core.js';
import { runsOf } from './queue-records.js';

/** Resolves to whether each was there, in the same order: all of them in one operation; durable. */
export async function cancelMessages(
  core: QueueCore,
  idsOrSeqs: readonly (string | number)[],
): Promise<boolean[]> {
  core.requireOpen();
  const { log, state, leases } = core;
  const found: (LeasedMessage | undefined)[] = [];
  for (const each of idsOrSeqs) found.push(await findMessage(core, each));
  const bySeq = new Map(found.flatMap((each) => (each === undefined ? [] : [[each.seq, each]])));
  const ended = await log.run(async () => {
    const open = [...bySeq.values()].filter(({ seq }) => !state.isSettled(seq));
    const messages = open.toSorted((a, b) => a.seq - b.seq);
    if (messages.length === 0) return new Set<number>();
    const seqs = messages.map(({ seq }) => seq);
    const z = messages.map(({ size }) => size);
    const at = messages.map(({ header }) => header.at ?? 0);
    const k = messages.map(({ header }) => header.key ?? null);
    await log.operate({ o: 'cancel', s: runsOf(seqs), z, at, k }, 'synced');
    for (const { name } of state.groups.values()) {
      for (const seq of seqs) {
        const lease = leases.get(name, seq);
        if (lease !== undefined) leases.end(lease, 'cancelled');
      }
    }
    return new Set(seqs);
  });
  await core.onGone([...bySeq.values()].filter(({ seq }) => ended.has(seq)));
  core.wake();
  return found.map((each) => each !== undefined && ended.has(each.seq));
}
