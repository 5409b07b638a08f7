/** Takes deliveries over from consumers that have had them for long: these lose them. */
import { checkInteger } from '../channel/option-checks.js';
import type { ReceiveRequest } from './group-receiver.js';
import type { Lease, LeasedMessage } from './lease.js';
import { leaseOperation } from './lease-operation.js';
import { readMessage } from './message-picker.js';
import type { QueueCore } from './queue-core.js';
import { MAX_DELAY_MS } from './queue-options.js';

export async function claimLeases(
  core: QueueCore,
  { max, consumer }: ReceiveRequest,
  groupName: string | undefined,
  minIdleMs: number,
): Promise<Lease[]> {
  core.requireOpen();
  checkInteger('minIdleMs', minIdleMs, 0, MAX_DELAY_MS);
  const { leases, log } = core;
  const group = core.group(groupName);
  const before = leases.clock.now() - minIdleMs;
  const idle = [...leases.of(group.name)].filter(
    (lease) => lease.since <= before && !lease.isSettling && !core.isLast(lease),
  );
  const chosen = idle.slice(0, max);
  if (chosen.length === 0) return [];
  for (const lease of chosen) lease.isSettling = true;
  return log.run(async () => {
    // They may have been purged, or their group sought or deleted, while this waited for that.
    const taken = chosen.filter((lease) => leases.holds(lease));
    if (taken.length === 0) return [];
    const messages = taken.map(({ message }) => message);
    try {
      await log.operate(leaseOperation(group.name, messages));
    } catch (error) {
      for (const lease of taken) lease.isSettling = false;
      throw error;
    }
    // Who had them may have changed the bytes that were handed out.
    const written: (LeasedMessage | undefined)[] = [];
    for (const { message } of taken) written.push(await readMessage(core, message.seq));
    return taken.flatMap((lease, index) => {
      leases.end(lease, 'claimed');
      const message = {
        ...lease.message,
        payload: written[index]?.payload ?? lease.message.payload,
      };
      const { isSuspect } = lease;
      const mine = core.lease(group.name, { message, band: 0, isSuspect }, consumer);
      return mine === undefined ? [] : [mine];
    });
  });
}
