/** Uses up what a crash has left: what is delivered then, how often, and in which order. */
import type { Queue } from '../queues/queue.js';
import type { QueueStore } from '../queues/queue-store.js';
import type { ManualRuntime } from '../testing/manual-runtime.js';
import type { FoundMessage, Look } from './queues-look.js';
import { lineKey, type QueueEntry } from './queues-lines.js';
import type { QueuesModel } from './queues-model.js';
import { lags } from './queues-lag.js';
import { blocksKeys, dropsExpired, isLimited, MAX_DELIVERIES, QUEUES } from './queues-options.js';
import { Violation } from './violation.js';

interface Drained {
  readonly runtime: ManualRuntime;
  readonly store: QueueStore;
  readonly queues: ReadonlyMap<string, Queue>;
}

/** Receives and acknowledges all that there is; resolves to what was delivered. */
async function drain({ queues, runtime, store }: Drained): Promise<string[]> {
  const delivered: string[] = [];
  const waiting = [...queues.keys()].filter((name) => blocksKeys(name));
  for (const [name, queue] of queues) await drainOne(name, queue, runtime, delivered);
  // What waits for dead letters comes after them, and may become some in turn.
  for (let before = waiting.length === 0 ? delivered.length : -1; before !== delivered.length;) {
    before = delivered.length;
    for (const name of waiting.flatMap((each) => [each, `${each}.dead`])) {
      // There may be none yet.
      if (!(await store.has(name))) continue;
      await drainOne(name, await store.queue(name), runtime, delivered);
    }
  }
  return delivered;
}

async function drainOne(
  name: string,
  queue: Queue,
  runtime: ManualRuntime,
  delivered: string[],
): Promise<void> {
  if (queue.isPaused) await queue.resume();
  for (const { name: group } of queue.groups.list()) {
    for (let turn = 0; turn < 3; turn++) {
      for (;;) {
        const some = await queue.receive(group === '' ? { max: 8 } : { max: 8, group });
        if (some.length === 0) break;
        for (const { seq, deliveryCount, origin } of some) {
          if (origin?.cause === 'expired' && dropsExpired(origin.queue)) {
            throw new Violation(`${name}/${seq} has expired, and is a dead letter`);
          }
          delivered.push(`${name}/${seq}/${group}/${deliveryCount}`);
        }
        await queue.ackMany(some);
      }
      runtime.advance(4000);
    }
  }
}

export async function judgeDrain(model: QueuesModel, opened: Drained, found: Look): Promise<void> {
  const delivered = await drain(opened);
  const counts = new Map<string, number>();
  const order = new Map<string, number>();
  for (const [index, each] of delivered.entries()) {
    const [queue = '', seq = '', group = '', count = ''] = each.split('/');
    const key = `${queue}/${seq}/${group}`;
    if (counts.has(key)) throw new Violation(`${key} was acknowledged and delivered again`);
    counts.set(key, Number(count));
    order.set(key, index);
  }
  for (const { queue, group, view } of found.messages) {
    const { seq, deliveryCount } = view;
    const key = `${queue}/${seq}/${group}`;
    const count = counts.get(key);
    const hasLimit = isLimited(queue);
    if (count === undefined) {
      // Groups are moved on while others are served.
      if (lags(queue)) continue;
      const isWorn = hasLimit && deliveryCount >= MAX_DELIVERIES;
      if (isWorn || view.expiresAt !== undefined || (view.dueAt ?? 0) > opened.runtime.now())
        continue;
      throw new Violation(`${key} is not delivered: ${view.state}, ${deliveryCount} deliveries`);
    }
    if (count !== deliveryCount + 1 || (hasLimit && count > MAX_DELIVERIES)) {
      throw new Violation(`${key} is delivery ${count}, and had ${deliveryCount}`);
    }
  }
  judgeOrder(model, found, order);
  judgeBlocked(model, found, order);
}

/** What waits for a dead letter comes after it. */
function judgeBlocked(model: QueuesModel, found: Look, order: ReadonlyMap<string, number>): void {
  for (const { queue, key, place, seq } of model.blocks) {
    if (!found.sights.has(lineKey(queue, `blocked ${key} ${seq}`, ''))) continue;
    const letters = found.messages.filter(({ view }) => view.origin?.queue === queue);
    const letter = letters.find(({ view }) => view.origin?.seq === seq);
    const at = order.get(`${queue}.dead/${letter?.view.seq ?? -1}/`) ?? Infinity;
    for (const { view } of found.messages.filter((each) => each.queue === queue)) {
      const entry = model.entries.get(`${queue}/${view.seq}`);
      if (entry === undefined || view.key !== key || entry.place <= place || entry.isLoose)
        continue;
      if ((order.get(`${queue}/${view.seq}/`) ?? Infinity) > at) continue;
      throw new Violation(`${queue}/${view.seq} is delivered before the dead letter of ${seq}`);
    }
  }
}

function judgeOrder(model: QueuesModel, found: Look, order: ReadonlyMap<string, number>): void {
  const last = new Map<string, { readonly at: number; readonly seq: number }>();
  const placeOf = ({ queue, view: { seq } }: FoundMessage): number =>
    model.entries.get(`${queue}/${seq}`)?.place ?? seq;
  for (const each of found.messages.toSorted((a, b) => placeOf(a) - placeOf(b))) {
    const { queue, group, view } = each;
    const { seq, key, priority } = view;
    const entry = model.entries.get(`${queue}/${seq}`);
    const at = order.get(`${queue}/${seq}/${group}`);
    if (entry === undefined || at === undefined) continue;
    const isOfLane = key !== undefined && QUEUES[queue]?.ordering !== 'relaxed';
    const isStrict = isOfLane && !entry.isLoose;
    const isMet = priority === 0 || !model.sought.has(queue);
    const isNew = view.deliveryCount === 0 && view.expiresAt === undefined;
    const isPlain = key === undefined && isUntouched(entry) && isNew && isMet;
    if (!isStrict && !isPlain) continue;
    const lane = `${queue}/${group}/${isStrict ? `key ${key}` : `priority ${priority}`}`;
    const before = last.get(lane);
    if (before !== undefined && before.at > at) {
      throw new Violation(`${lane}: ${before.seq} is delivered after ${seq}`);
    }
    last.set(lane, { at, seq });
  }
}

function isUntouched({ dueMs, isFront, isEdited }: QueueEntry): boolean {
  return dueMs === 0 && !isFront && !isEdited;
}
