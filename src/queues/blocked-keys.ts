/**
 * Keys that wait for a dead letter go on when that has left the queue of dead letters. The two
 * queues are two logs: the key goes on after the dead letter is durably gone, and what a crash in
 * between leaves is found when the queue of the key is opened. A dead letter that comes back to its
 * queue needs nothing of this: it is in the commit that it comes with.
 */
import type { Logger } from '../core/runtime.js';
import type { GroupState } from './group-state.js';
import type { LeasedMessage } from './lease.js';
import { isFrom } from './moved-messages.js';
import { openMessages } from './open-messages.js';
import type { QueueContext } from './queue-context.js';
import type { OperationContent, Origin } from './queue-records.js';
import { groupField } from './queue-state.js';

export interface BlockedKeysHost {
  readonly logger: Logger;
  /** The queue, if it is open or being opened. */
  opened(name: string): Promise<QueueContext | undefined>;
  allOpened(): Promise<readonly QueueContext[]>;
  /** An open queue; undefined when there is none. */
  openIfThere(name: string): Promise<QueueContext | undefined>;
}

/** A dead letter that others of its key wait for. */
interface Blocking {
  readonly group: string;
  readonly key: string;
  readonly seq: number;
  readonly in: string;
}

export class BlockedKeys {
  readonly #host: BlockedKeysHost;

  constructor(host: BlockedKeysHost) {
    this.#host = host;
  }

  /** These are not in a queue of dead letters any more. Never rejects. */
  async onGone(core: QueueContext, messages: readonly LeasedMessage[]): Promise<void> {
    const byQueue = new Map<string, Origin[]>();
    for (const { header } of messages) {
      const { origin, holds } = header;
      if (origin === undefined || holds === undefined) continue;
      const others = byQueue.get(origin.queue);
      if (others === undefined) byQueue.set(origin.queue, [origin]);
      else others.push(origin);
    }
    try {
      if (byQueue.size > 0) await core.log.channel.sync();
      for (const [name, origins] of byQueue) {
        const of = await this.#host.opened(name);
        if (of === undefined || of.isClosed) continue;
        const own = origins.filter((origin) => isFrom(origin, of));
        const gone = new Set(own.map(({ group = '', seq }) => nameOf(group, seq)));
        await goOn(
          of,
          blockingIn(of, core.name).filter(({ group, seq }) => gone.has(nameOf(group, seq))),
        );
      }
    } catch (error) {
      const details = { queue: core.name, error };
      this.#host.logger.warn('keys wait for dead letters that are gone, until an open', details);
    }
  }

  /** Much has gone from a queue: whoever waits for what was there looks again. Never rejects. */
  async reviewOf(deadLetters: string): Promise<void> {
    for (const core of await this.#host.allOpened()) {
      if (core.name !== deadLetters && !core.isClosed) await this.review(core);
    }
  }

  /** Lets keys go on whose dead letters are where they were no more. Never rejects. */
  async review(core: QueueContext): Promise<void> {
    const blocking = blockingIn(core);
    const queues = new Set(blocking.map(({ in: queue }) => queue));
    for (const queue of queues) {
      try {
        const of = blocking.filter((each) => each.in === queue);
        const there = await this.#lettersOf(core, queue);
        await goOn(
          core,
          of.filter(({ group, seq }) => !there.has(nameOf(group, seq))),
        );
      } catch (error) {
        const details = { queue: core.name, deadLetters: queue, error };
        this.#host.logger.warn(
          'nobody knows which dead letters keys wait for, and they wait',
          details,
        );
      }
    }
  }

  /** What is in a queue of dead letters and comes from a queue. */
  async #lettersOf(queue: QueueContext, deadLetters: string): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    const core = await this.#host.openIfThere(deadLetters);
    if (core === undefined) return found;
    for await (const { header } of openMessages(core, undefined, core.state.floor)) {
      const { origin } = header;
      if (isFrom(origin, queue)) found.add(nameOf(origin.group ?? '', origin.seq));
    }
    await core.log.channel.sync();
    return found;
  }
}

function nameOf(group: string, seq: number): string {
  return `${seq} ${group}`;
}

/** The dead letters that keys of a queue wait for; those in one queue of dead letters. */
function blockingIn({ state }: QueueContext, queue?: string): Blocking[] {
  const found: Blocking[] = [];
  for (const { name: group, lanes } of state.groups.values()) {
    for (const [key, blocks] of lanes.blocks()) {
      for (const { seq, in: deadLetters } of blocks) {
        if (queue === undefined || queue === deadLetters) {
          found.push({ group, key, seq, in: deadLetters });
        }
      }
    }
  }
  return found;
}

async function goOn(core: QueueContext, gone: readonly Blocking[]): Promise<void> {
  if (gone.length === 0) return;
  await core.log.run(async () => {
    const left = gone.filter((each) => isBlocking(core.state.groups.get(each.group), each));
    const operations = left.map(({ group, key, seq }): OperationContent => {
      return { o: 'unblock', g: groupField(group), k: key, s: seq };
    });
    if (operations.length > 0) await core.log.operateAll(operations, 'synced');
  });
  core.wake();
}

function isBlocking(group: GroupState | undefined, { key, seq }: Blocking): boolean {
  return group?.lanes.blocksOf(key).some((block) => block.seq === seq) === true;
}
