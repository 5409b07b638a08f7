/**
 * One atomic step over several queues and channels: what each of them is to write goes into one
 * commit of the store, and is applied when that is durable.
 */
import type { CommitOperation } from '../store/commit-input.js';
import type { Redex } from '../store/redex.js';
import type { QueueContext } from './queue-context.js';
import { queueClosed } from './queue-errors.js';
import type { NewMessage } from './queue-log.js';
import type { OperationContent } from './queue-records.js';

/** What one queue writes: operations first, then messages. */
export interface QueuePart {
  readonly core: QueueContext;
  readonly operations: readonly OperationContent[];
  readonly messages: readonly NewMessage[];
}

/** The parts, made when nothing that they depend on can change any more. */
export type MakeParts = () => Promise<readonly QueuePart[]> | readonly QueuePart[];

/**
 * Commits what `make` says, in one step with what else is given; resolves to the seq of the first
 * message of each queue. Nothing of it is there when it rejects, unless the store is poisoned.
 */
export async function commitParts(
  redex: Redex,
  cores: readonly QueueContext[],
  make: MakeParts,
  others: readonly CommitOperation[] = [],
): Promise<ReadonlyMap<QueueContext, number>> {
  return inAll(sorted(cores), async () => commit(redex, await make(), others));
}

/** In the order of the names: two that want the same queues do not wait for each other. */
function sorted(cores: readonly QueueContext[]): readonly QueueContext[] {
  return [...new Set(cores)].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function inAll<T>(cores: readonly QueueContext[], work: () => Promise<T>): Promise<T> {
  const [first, ...rest] = cores;
  if (first === undefined) return work();
  return first.log.run(() => inAll(rest, work));
}

async function commit(
  redex: Redex,
  parts: readonly QueuePart[],
  others: readonly CommitOperation[],
): Promise<ReadonlyMap<QueueContext, number>> {
  const firstSeqs = new Map<QueueContext, number>();
  const own = parts.filter(({ operations, messages }) => operations.length + messages.length > 0);
  if (own.length + others.length === 0) return firstSeqs;
  const ends = own.map(({ core }) => core.log.noteUnderway());
  const commitNow = async (): Promise<void> => {
    // A channel is written to by its name: it may be that of a queue that was opened since.
    for (const { core } of own) if (core.log.isEnded) throw queueClosed(core.name);
    const planned = own.map(({ core, operations, messages }) => {
      return { core, ...core.log.plan(operations, messages) };
    });
    const { channels } = await redex.commit([
      ...planned.map(({ core, records }) => ({ channel: core.log.channel.name, records })),
      ...others,
    ]);
    for (const { core, apply } of planned) {
      const firstSeq = channels[core.log.channel.name]?.firstSeq;
      if (firstSeq !== undefined) firstSeqs.set(core, apply(firstSeq));
    }
  };
  try {
    await commitNow();
  } catch (error) {
    // All of them: each is of the store that has refused it.
    const noted = own.map(({ core }) => core.log.noteLimit(error));
    if (!noted.includes(true)) throw error;
    await commitNow();
  } finally {
    for (const end of ends) end();
  }
  return firstSeqs;
}
