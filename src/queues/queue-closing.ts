/** How a queue ends: closed, with all that is to be known the next time, or deleted. */
import type { QueueCore } from './queue-core.js';

/** What a queue asks of those who have opened it. */
export interface QueueHost {
  openQueue(name: string): Promise<QueueCore>;
  openForDeadLetters(name: string): Promise<QueueCore>;
  /** Throws TypeError when dead letters would come back to the queue that they come from. */
  refuseCycle(name: string, deadLetter: string | false): Promise<void>;
  forget(core: QueueCore): void;
}

/** Releases what is under way and closes the queue. */
export function closeQueue(core: QueueCore, host: QueueHost): Promise<void> {
  core.closing ??= close(core, host);
  return core.closing;
}

/** Ends what is under way; `remove` then takes the channel away, so nothing is written to it. */
export function discardQueue(
  core: QueueCore,
  host: QueueHost,
  remove: () => Promise<unknown>,
): Promise<void> {
  core.closing ??= discard(core, host, remove);
  return core.closing;
}

async function close(core: QueueCore, host: QueueHost): Promise<void> {
  core.close();
  const { log, leases, state } = core;
  try {
    await core.lag.stop();
    await core.reclaim.stop();
    await log.run(async () => {
      for (const { name } of state.groups.values()) {
        const seqs = [...leases.of(name)]
          .filter(({ isSettling }) => !isSettling)
          .map(({ message }) => message.seq);
        if (seqs.length > 0) await core.giveBack(name, seqs, { isUndone: true });
      }
    });
    leases.close();
    try {
      await log.checkpoint();
      await log.alone(async () => {
        await log.operate({ o: 'close' });
        log.end();
      });
    } catch (error) {
      core.logger.warn('a queue is closed without a checkpoint', { queue: core.name, error });
    }
  } finally {
    leases.close();
    // Who opens the queue meanwhile waits for it.
    await log.close().finally(() => host.forget(core));
  }
}

async function discard(
  core: QueueCore,
  host: QueueHost,
  remove: () => Promise<unknown>,
): Promise<void> {
  core.close();
  try {
    await core.lag.stop();
    await core.reclaim.stop();
    core.leases.close();
    core.log.end();
    await remove();
  } finally {
    await core.log.close().finally(() => host.forget(core));
  }
}
