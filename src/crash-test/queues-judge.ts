/**
 * Opens what a crash has left, compares it with what may be there, and uses it: what is delivered
 * from then on, in which order, what is remembered of dedup keys, and whether the state that a
 * checkpoint holds is that which the log alone gives.
 */
import { microtasksDone } from '../core/runtime.js';
import type { QueueStore } from '../queues/queue-store.js';
import { QueueStore as Store } from '../queues/queue-store.js';
import type { Queue } from '../queues/queue.js';
import { Redex } from '../store/redex.js';
import { benign, choicesFromSeed, worst, type Choose } from '../testing/choices.js';
import type { CrashFs } from '../testing/crash-fs.js';
import { ManualRuntime } from '../testing/manual-runtime.js';
import { imageKey } from './image-key.js';
import { changesState } from './image.js';
import { standingNotes } from './queues-dedup.js';
import { judgeDrain } from './queues-drain.js';
import { judgeKept, keepsSome } from './queues-keep.js';
import { judgeSkips } from './queues-lag.js';
import { look, openKnownQueues, type Look } from './queues-look.js';
import { hasBegun, isPromised, textOf, type Moment } from './queues-lines.js';
import type { QueuesModel } from './queues-model.js';
import { Violation } from './violation.js';

/** What is done with an image beside opening it and comparing. */
export type Deep =
  /** Nothing. */
  | 'open'
  /** Closed and opened again, it is the same; then it is used. */
  | 'again'
  /** Receives and acknowledges all, and enqueues what was enqueued before. */
  | 'use'
  | 'verify'
  /** Messages that are enqueued get ids that nobody has. */
  | 'ids'
  /** Built from the log alone, it is the same, and is used. */
  | 'scratch'
  /** Without the newest checkpoint of each queue the one before it does, and it is used. */
  | 'older'
  /** The opening is crashed. */
  | 'nested';

const USED: ReadonlySet<Deep> = new Set<Deep>(['verify', 'use', 'older']);

export interface QueuesImage extends Moment {
  readonly fs: CrashFs;
  readonly where: string;
  readonly deep: Deep;
  /** For what is drawn in the check. */
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

/** What is kept for a full disk is not judged here, and is kept by some. */
export async function openStore(
  fs: CrashFs,
  runtime: ManualRuntime,
  reserveBytes: number = 0,
): Promise<{ readonly redex: Redex; readonly store: QueueStore }> {
  const redex = await Redex.open('/data', { fs, runtime, journalBytes: JOURNAL_BYTES });
  const store = await Store.open(redex, { segmentBytes: SEGMENT_BYTES, runtime, reserveBytes });
  return { redex, store };
}

/** Judges the images of one workload. */
export class QueuesJudge {
  readonly #model: QueuesModel;
  readonly #counts: Record<string, number>;
  /** What the same bytes were opened to at the same time. */
  readonly #looks = new Map<string, Look>();
  readonly #keys = new Set<string>();

  constructor(model: QueuesModel, counts: Record<string, number>) {
    this.#model = model;
    this.#counts = counts;
  }

  /** Rejects with a Violation. */
  async judge(image: QueuesImage): Promise<void> {
    try {
      const left = await this.#judgeOne(image);
      if (left !== undefined) await this.#judgeOne({ ...image, fs: left, deep: 'open' });
    } catch (error) {
      throw new Violation(`${image.where}, ${image.deep}: ${String(error)}`, { cause: error });
    }
  }

  /** Resolves with what a crash of its opening has left, where there was one. */
  async #judgeOne(image: QueuesImage): Promise<CrashFs | undefined> {
    const { fs, deep, nowMs } = image;
    const bytes = imageKey(fs);
    this.#count('images');
    this.#count(this.#keys.has(bytes) ? 'repeated' : 'distinct');
    this.#keys.add(bytes);
    const key = `${bytes} ${nowMs}`;
    const same = deep === 'nested' ? undefined : this.#looks.get(key);
    if (same !== undefined) {
      this.#model.match(same.sights, image);
      return undefined;
    }
    this.#count(deep);
    const { found, left } = await judgeImage(this.#model, image);
    this.#looks.set(key, found);
    // A turn of the event loop: what was opened can be collected.
    await microtasksDone();
    return left;
  }

  #count(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1;
  }
}

async function openImage(fs: CrashFs, nowMs: number): Promise<Opened> {
  const runtime = new ManualRuntime({ startMs: nowMs, ioOrder: 'immediate' });
  const { redex, store } = await openStore(fs, runtime);
  return { runtime, redex, store, queues: await openKnownQueues(store) };
}

async function close({ redex, store }: Opened): Promise<void> {
  await store.close();
  await redex.close();
}

/**
 * What was opened is left as it is: nothing of it is outside the memory. Resolves with what was
 * found, and with what a crash of the opening has left.
 */
async function judgeImage(
  model: QueuesModel,
  image: QueuesImage,
): Promise<{ readonly found: Look; readonly left: CrashFs | undefined }> {
  const { fs, nowMs, number, deep } = image;
  const copy = deep === 'scratch' ? fs.crash(benign) : undefined;
  if (deep === 'older') removeCheckpoints(fs, false);
  let left: CrashFs | undefined;
  if (deep === 'nested') {
    let operations = number % 29;
    fs.onOperation = (operation) => {
      if (changesState(operation) && operations-- === 0) left = fs.crash(nestedChoice(number));
    };
  }
  const opened = await openImage(fs, nowMs);
  fs.onOperation = undefined;
  const found = await look(opened.redex, opened.queues, model);
  model.match(found.sights, image);
  judgeSkips(model, found.sights, image);
  if (deep === 'verify') await judgeVerify(opened);
  if (deep === 'ids') await judgeIds(model, image, opened);
  if (deep === 'again') {
    await close(opened);
    const again = await openImage(fs, nowMs);
    refuseOther(found, await look(again.redex, again.queues, model), 'the second opening');
    await use(model, image, again, found);
  } else if (USED.has(deep)) await use(model, image, opened, found);
  if (copy !== undefined) await judgeScratch(model, image, copy, found);
  return { found, left };
}

function nestedChoice(number: number): Choose {
  if (number % 3 === 0) return benign;
  return number % 3 === 1 ? worst : choicesFromSeed(number);
}

async function use(
  model: QueuesModel,
  image: QueuesImage,
  opened: Opened,
  found: Look,
): Promise<void> {
  // Nothing that is delivered again is delivered as it was left.
  if (image.number % 2 === 0 && [...opened.queues.keys()].some((name) => keepsSome(name))) {
    await judgeKept(model, image, opened.queues);
    await judgeKeys(model, image, opened);
    return;
  }
  await judgeKeys(model, image, opened);
  await judgeDrain(model, opened, found);
}

/** Of what a power cut took, somebody may hold the ids. */
async function judgeIds(
  { ids }: QueuesModel,
  { at }: QueuesImage,
  { queues }: Opened,
): Promise<void> {
  for (const [name, queue] of queues) {
    const { id } = await queue.enqueue(Buffer.from('-1.0 '), { durability: 'written' });
    const known = ids.get(id);
    if (known === undefined || known.knownAt > at) continue;
    throw new Violation(`${name}: id ${id} was that of message ${known.number}`);
  }
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
async function judgeScratch(
  model: QueuesModel,
  image: QueuesImage,
  copy: CrashFs,
  found: Look,
): Promise<void> {
  removeCheckpoints(copy, true);
  const scratch = await openImage(copy, image.nowMs);
  const rebuilt = await look(scratch.redex, scratch.queues, model);
  refuseOther(found, rebuilt, 'without checkpoints');
  model.match(rebuilt.sights, image);
  await use(model, image, scratch, rebuilt);
}

/** All of them, or the newest of each queue: then the one before it must do. */
function removeCheckpoints(fs: CrashFs, isAll: boolean): void {
  if (fs.statSync('/data/channels') === undefined) return;
  for (const { name } of fs.readDirectorySync('/data/channels')) {
    const directory = `/data/channels/${name}/checkpoints`;
    if (fs.statSync(directory) === undefined) continue;
    const files = fs.readDirectorySync(directory).map((file) => file.name);
    const removed = isAll ? files : files.toSorted().slice(-1);
    for (const file of removed) fs.unlinkSync(`${directory}/${file}`);
  }
}

/** What was promised to be remembered is, and what was not enqueued is not. */
async function judgeKeys(
  { keys }: QueuesModel,
  image: QueuesImage,
  { queues }: Opened,
): Promise<void> {
  for (const [place, notes] of keys) {
    const [queue = '', dedupKey = ''] = place.split('/');
    const { standing, isSure: promised } = standingNotes(
      notes.filter(({ deed }) => hasBegun(deed, image)),
      ({ deed }) => isPromised(deed, image),
      image.nowMs,
    );
    const found = queues.get(queue);
    if (found === undefined) {
      if (promised) throw new Violation(`queue ${queue} is gone`);
      continue;
    }
    const options = { dedupKey, dedupMode: 'keep' } as const;
    const { duplicate, id } = await found.enqueue(Buffer.from('-1.0 '), options);
    const isKnown = standing.some(({ entry }) => entry.id === id);
    if (duplicate ? isKnown : !promised) continue;
    const what = duplicate ? `of ${id}` : 'enqueued again';
    throw new Violation(`a message with key ${place} is ${what}, window promised: ${promised}`);
  }
}
