/** What queues hold, as their users see it, and whether what they count is what is there. */
import { RedexError } from '../core/errors.js';
import type { QueueMessage } from '../queues/queue-browser.js';
import type { QueueStore } from '../queues/queue-store.js';
import type { Queue } from '../queues/queue.js';
import type { Redex } from '../store/redex.js';
import { lineKey, plainSight, type QueueEntry, type QueueSight } from './queues-lines.js';
import { QUEUES } from './queues-options.js';
import { Violation } from './violation.js';

export const AUDIT = 'audit';

export interface FoundMessage {
  readonly queue: string;
  readonly group: string;
  readonly view: QueueMessage;
  readonly sight: QueueSight;
}

/** What of the model is needed to count. */
interface KnownMessages {
  readonly entries: ReadonlyMap<string, QueueEntry>;
  /** Queues in which a group began where messages were. */
  readonly sought: ReadonlySet<string>;
}

export interface Look {
  readonly sights: ReadonlyMap<string, QueueSight>;
  readonly messages: readonly FoundMessage[];
}

/** Texts are `number.version filling`: the whole of it is not needed. */
export function shortText(bytes: Uint8Array): string {
  const [head = ''] = Buffer.from(bytes).toString().split(' ', 1);
  return `${head}:${bytes.length}`;
}

/** Opens all queues that there are. */
export async function openQueues(store: QueueStore): Promise<Map<string, Queue>> {
  const queues = new Map<string, Queue>();
  for (const name of await store.list()) {
    queues.set(name, await store.queue(name, { createIfMissing: false }));
  }
  return queues;
}

const KNOWN_NAMES: readonly string[] = Object.keys(QUEUES).flatMap((name) => [
  name,
  `${name}.dead`,
]);

/** The same, at once, of those that a workload may have made: takes less time. */
export async function openKnownQueues(store: QueueStore): Promise<Map<string, Queue>> {
  const opened = KNOWN_NAMES.map(async (name): Promise<[string, Queue] | undefined> => {
    if (!(await store.has(name))) return undefined;
    return [name, await store.queue(name, { createIfMissing: false })];
  });
  return new Map((await Promise.all(opened)).filter((each) => each !== undefined));
}

/** Rejects with a Violation where counts do not fit. */
export async function look(
  redex: Redex,
  queues: ReadonlyMap<string, Queue>,
  known: KnownMessages,
): Promise<Look> {
  const sights = new Map<string, QueueSight>();
  const messages: FoundMessage[] = [];
  for (const [name, queue] of queues) {
    const found = await messagesOf(queue);
    for (const each of found) {
      const key = lineKey(name, each.view.seq, each.group);
      if (sights.has(key)) throw new Violation(`${key} is there twice`);
      sights.set(key, each.sight);
    }
    messages.push(...found);
    if (queue.isPaused) sights.set(lineKey(name, 'paused', ''), plainSight('yes'));
    const { backoffMs } = queue.options;
    if (backoffMs !== 1000) {
      sights.set(lineKey(name, 'backoff', ''), plainSight(String(backoffMs)));
    }
    if (queue.options.mode === 'fanout') {
      for (const group of queue.groups.list()) {
        sights.set(lineKey(name, `group ${group.name}`, ''), plainSight('yes'));
      }
    }
    for (const { key, deadLetters } of queue.keys.blocked()) {
      for (const { seq } of deadLetters) {
        sights.set(lineKey(name, `blocked ${key} ${seq}`, ''), plainSight('yes'));
      }
    }
    await judgeCounts(queue, found, known);
  }
  for (const [seq, text] of (await auditOf(redex)).entries()) {
    sights.set(lineKey(AUDIT, seq, ''), plainSight(text));
  }
  return { sights, messages };
}

async function messagesOf(queue: Queue): Promise<FoundMessage[]> {
  const { name } = queue;
  const found: FoundMessage[] = [];
  for (const { name: group } of queue.groups.list()) {
    for await (const view of queue.browse(group === '' ? {} : { group })) {
      const { deliveryCount: count, priority, dueAt: dueMs = 0, bytes } = view;
      const { expiresAt: untilMs = Infinity } = view;
      const sight = { text: shortText(bytes), count, priority, dueMs, untilMs };
      found.push({ queue: name, group, view, sight });
    }
  }
  return found;
}

async function judgeCounts(
  queue: Queue,
  found: readonly FoundMessage[],
  { entries, sought }: KnownMessages,
): Promise<void> {
  const stats = await queue.stats();
  const { name } = queue;
  const seqs = new Set(found.map(({ view }) => view.seq));
  let bytes = 0;
  for (const seq of seqs) {
    // A message that nobody knows is found by others.
    const view = found.find((each) => each.view.seq === seq)?.view;
    bytes += view?.bytes.length ?? entries.get(`${name}/${seq}`)?.bytes ?? 0;
  }
  const inState = (state: string): number =>
    found.filter(({ view }) => view.state === state).length;
  const { blockedKeys } = stats;
  const counted = [stats.messages, stats.bytes, stats.ready, stats.delayed, stats.inFlight];
  const there = [seqs.size, bytes, inState('ready'), inState('delayed'), inState('inFlight')];
  counted.push(blockedKeys);
  there.push(queue.keys.blocked().length);
  // Whether a message is put off that a group has not come to yet is not known to it.
  if (sought.has(name))
    for (const each of [counted, there]) each.splice(2, 2, (each[2] ?? 0) + (each[3] ?? 0));
  if (counted.join() !== there.join()) {
    const what = 'messages, bytes, ready, delayed, inFlight, blocked keys';
    throw new Violation(`${name}: ${what} are ${there.join()}, counted ${counted.join()}`);
  }
  for (const group of queue.groups.list()) {
    const open = found.filter((each) => each.group === group.name).length;
    if (open === group.open) continue;
    throw new Violation(`${name}: group '${group.name}' has ${open}, counted ${group.open}`);
  }
}

async function auditOf(redex: Redex): Promise<string[]> {
  try {
    const channel = await redex.channel(AUDIT, { createIfMissing: false });
    const records = await channel.readBatch({ from: 0 });
    await channel.close();
    return records.map(({ payload }) => Buffer.from(payload).toString());
  } catch (error) {
    if (RedexError.is(error, 'NOT_FOUND')) return [];
    throw error;
  }
}
