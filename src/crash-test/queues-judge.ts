/**
 * Opens what a crash has left, compares it with what may be there, and uses it: what is delivered
 * from then on, in which order, what is remembered of dedup keys, and whether the state that a
 * checkpoint holds is that which the log alone gives.
 */
import type { QueueStore } from '../queues/queue-store.js';
import { QueueStore as Store } from '../queues/queue-store.js';
import type { Queue } from '../queues/queue.js';
import { Redex } from '../store/redex.js';
import { benign, worst } from '../testing/choices.js';
import type { CrashFs } from '../testing/crash-fs.js';
import { ManualRuntime } from '../testing/manual-runtime.js';
import { DEDUP_MS, look, MAX_DELIVERIES, openQueues, QUEUES, type Look } from './queues-look.js';
import {
  hasBegun,
  isPromised,
  textOf,
  type Moment,
  type QueueEntry,
  type QueuesModel,
} from './queues-model.js';
import { Violation } from './violation.js';

export interface QueuesImage extends Moment {
  readonly fs: CrashFs;
  readonly where: string;
  /** Counts the images: what is not done with each is done by turns. */
  readonly number: number;
}

interface Opened {
  readonly runtime: ManualRuntime;
  readonly redex: Redex;
  readonly store: QueueStore;
  readonly queues: ReadonlyMap<string, Queue>;
}

/** Small, so that there are many segments. */
const SEGMENT_BYTES = 4096;
const JOURNAL_BYTES: number = 256 * 1024;

export async function openStore(
  fs: CrashFs,
  runtime: ManualRuntime,
): Promise<{ readonly redex: Redex; readonly store: QueueStore }> {
  const redex = await Redex.open('/data', { fs, runtime, journalBytes: JOURNAL_BYTES });
  const store = await Store.open(redex, { segmentBytes: SEGMENT_BYTES, runtime });
  return { redex, store };
}

/** Rejects with a Violation. */
export async function judgeQueues(model: QueuesModel, image: QueuesImage): Promise<void> {
  try {
    const copy = image.fs.crash(benign);
    const nested = await judgeOpen(model, image);
    if (image.number % 4 === 1) await judgeScratch(model, image, copy);
    if (nested !== undefined) await judgeNested(model, image, nested);
  } catch (error) {
    throw new Violation(`${image.where}: ${String(error)}`, { cause: error });
  }
}

async function openImage(fs: CrashFs, nowMs: number): Promise<Opened> {
  const runtime = new ManualRuntime({ startMs: nowMs, ioOrder: 'immediate' });
  const { redex, store } = await openStore(fs, runtime);
  return { runtime, redex, store, queues: await openQueues(store) };
}

async function close({ redex, store }: Opened): Promise<void> {
  await store.close();
  await redex.close();
}

/** Resolves to what is left when the opening itself is crashed, for some. */
async function judgeOpen(model: QueuesModel, image: QueuesImage): Promise<CrashFs | undefined> {
  const { fs, nowMs, number } = image;
  let nested: CrashFs | undefined;
  if (number % 4 === 2) {
    let left = (number >> 2) % 24;
    fs.onOperation = () => {
      if (left-- === 0) nested = fs.crash(number % 8 === 2 ? worst : benign);
    };
  }
  const opened = await openImage(fs, nowMs);
  fs.onOperation = undefined;
  const found = await look(opened.redex, opened.queues, model);
  model.match(found.sights, image);
  if (number % 4 === 3) await judgeVerify(opened);
  if (number % 4 === 0) {
    await close(opened);
    const again = await openImage(fs, nowMs);
    refuseOther(found, await look(again.redex, again.queues, model), 'the second opening');
    await use(model, image, again, found);
  } else if (number % 4 === 3) await use(model, image, opened, found);
  else await close(opened);
  return nested;
}

async function use(
  model: QueuesModel,
  image: QueuesImage,
  opened: Opened,
  found: Look,
): Promise<void> {
  await judgeKeys(model, image, opened);
  await judgeDrain(model, opened, found);
  await close(opened);
}

async function judgeVerify({ redex, queues }: Opened): Promise<void> {
  for (const name of queues.keys()) {
    const channel = await redex.channel(`$queues/${name}`, { createIfMissing: false });
    const { ok, problems } = await channel.verify();
    // Derived files are not synced: reads check what they say.
    const bad = problems.filter(({ severity }) => severity === 'damage');
    if (ok) continue;
    throw new Violation(`verify of ${name}: ${bad.map(({ message }) => message).join('; ')}`);
  }
}

function refuseOther(found: Look, other: Look, what: string): void {
  for (const [key, sight] of found.sights) {
    const is = textOf(other.sights.get(key));
    if (is !== textOf(sight)) throw new Violation(`${what}: ${key} is ${is}, not ${textOf(sight)}`);
  }
  for (const key of other.sights.keys()) {
    if (!found.sights.has(key)) throw new Violation(`${what}: ${key} was not there`);
  }
}

/** The log alone says the same as the checkpoints do with what came after them. */
async function judgeScratch(model: QueuesModel, image: QueuesImage, copy: CrashFs): Promise<void> {
  const other = copy.crash(benign);
  const runtime = new ManualRuntime({ startMs: image.nowMs, ioOrder: 'immediate' });
  const redex = await Redex.open('/data', { fs: other, runtime, journalBytes: JOURNAL_BYTES });
  await redex.close();
  removeCheckpoints(other, image.number % 8 === 1);
  const scratch = await openImage(other, image.nowMs);
  const whole = await openImage(copy, image.nowMs);
  const found = await look(whole.redex, whole.queues, model);
  const rebuilt = await look(scratch.redex, scratch.queues, model);
  refuseOther(found, rebuilt, 'without checkpoints');
  model.match(rebuilt.sights, image);
  await judgeKeys(model, image, whole);
  await judgeKeys(model, image, scratch);
  // Their order may differ where it is not promised: lanes and suspects.
  const first = new Set(await judgeDrain(model, whole, found));
  const second = new Set(await judgeDrain(model, scratch, rebuilt));
  for (const each of first) {
    if (!second.delete(each)) throw new Violation(`without checkpoints ${each} is not delivered`);
  }
  for (const each of second) throw new Violation(`without checkpoints ${each} is delivered`);
  await close(whole);
  await close(scratch);
}

/** All of them, or the newest of each queue: then the one before it must do. */
function removeCheckpoints(fs: CrashFs, isAll: boolean): void {
  for (const { name } of fs.readDirectorySync('/data/channels')) {
    const directory = `/data/channels/${name}/checkpoints`;
    if (fs.statSync(directory) === undefined) continue;
    const files = fs.readDirectorySync(directory).map((file) => file.name);
    const removed = isAll ? files : files.toSorted().slice(-1);
    for (const file of removed) fs.unlinkSync(`${directory}/${file}`);
  }
}

async function judgeNested(model: QueuesModel, image: QueuesImage, fs: CrashFs): Promise<void> {
  const opened = await openImage(fs, image.nowMs);
  const found = await look(opened.redex, opened.queues, model);
  model.match(found.sights, image);
  await close(opened);
}

/** What was promised to be remembered is, and what was not enqueued is not. */
async function judgeKeys(
  { keys }: QueuesModel,
  image: QueuesImage,
  { queues }: Opened,
): Promise<void> {
  for (const [place, notes] of keys) {
    const [queue = '', dedupKey = ''] = place.split('/');
    const inWindow = notes.filter(
      ({ deed, atMs }) => hasBegun(deed, image) && image.nowMs < atMs + DEDUP_MS,
    );
    const promised = inWindow.some(({ deed }) => isPromised(deed, image));
    const found = queues.get(queue);
    if (found === undefined) {
      if (promised) throw new Violation(`queue ${queue} is gone`);
      continue;
    }
    const { duplicate, id } = await found.enqueue(Buffer.from('-1.0 '), { dedupKey });
    const isKnown = inWindow.some(({ entry }) => entry.id === id);
    if (duplicate ? isKnown : !promised) continue;
    const what = duplicate ? `of ${id}` : 'enqueued again';
    throw new Violation(`a message with key ${place} is ${what}, window promised: ${promised}`);
  }
}

/** Receives and acknowledges all that there is; resolves to what was delivered. */
async function drain({ queues, runtime }: Opened): Promise<string[]> {
  const delivered: string[] = [];
  for (const [name, queue] of queues) {
    if (queue.isPaused) await queue.resume();
    for (const { name: group } of queue.groups.list()) {
      for (let turn = 0; turn < 3; turn++) {
        for (;;) {
          const some = await queue.receive(group === '' ? { max: 8 } : { max: 8, group });
          if (some.length === 0) break;
          for (const { seq, deliveryCount } of some) {
            delivered.push(`${name}/${seq}/${group}/${deliveryCount}`);
          }
          await queue.ackMany(some);
        }
        runtime.advance(4000);
      }
    }
  }
  return delivered;
}

async function judgeDrain(
  model: QueuesModel,
  opened: Opened,
  found: Look,
): Promise<readonly string[]> {
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
    const isLimited = QUEUES[queue]?.deadLetter !== false && !queue.endsWith('.dead');
    if (count === undefined) {
      const isWorn = isLimited && deliveryCount >= MAX_DELIVERIES;
      if (isWorn || view.expiresAt !== undefined || (view.dueAt ?? 0) > opened.runtime.now())
        continue;
      throw new Violation(`${key} is not delivered: ${view.state}, ${deliveryCount} deliveries`);
    }
    if (count !== deliveryCount + 1 || (isLimited && count > MAX_DELIVERIES)) {
      throw new Violation(`${key} is delivery ${count}, and had ${deliveryCount}`);
    }
  }
  judgeOrder(model, found, order);
  return delivered;
}

function judgeOrder(model: QueuesModel, found: Look, order: ReadonlyMap<string, number>): void {
  const last = new Map<string, { readonly at: number; readonly seq: number }>();
  for (const { queue, group, view } of found.messages) {
    const { seq, key, priority } = view;
    const entry = model.entries.get(`${queue}/${seq}`);
    const at = order.get(`${queue}/${seq}/${group}`);
    if (entry === undefined || at === undefined) continue;
    const isStrict = key !== undefined && QUEUES[queue]?.ordering !== 'relaxed';
    const isMet = priority === 0 || !model.sought.has(queue);
    const isPlain = key === undefined && isUntouched(entry) && view.deliveryCount === 0 && isMet;
    if (!isStrict && !isPlain) continue;
    const lane = `${queue}/${group}/${isStrict ? `key ${key}` : `priority ${priority}`}`;
    const before = last.get(lane);
    if (before !== undefined && before.at > at) {
      throw new Violation(`${lane}: ${before.seq} is delivered after ${seq}`);
    }
    last.set(lane, { at, seq });
  }
}

function isUntouched({ dueMs, untilMs, isFront, isEdited }: QueueEntry): boolean {
  return dueMs === 0 && untilMs === Infinity && !isFront && !isEdited;
}
