/**
 * One process that uses queues: what it has open and in hand, and the model that follows it. After
 * each step the queues are as the model says, or a Violation is thrown: nothing is taken over from
 * them but what the model cannot know, and that is checked.
 */
import type { Delivery } from '../queues/delivery.js';
import type { QueueStore } from '../queues/queue-store.js';
import type { Queue } from '../queues/queue.js';
import type { Redex } from '../store/redex.js';
import type { Random } from '../testing/choices.js';
import type { ManualRuntime } from '../testing/manual-runtime.js';
import { isThere, keepsSome, keptEntries } from './queues-keep.js';
import { judgeSkipped, lags } from './queues-lag.js';
import { look, openQueues, shortText, type FoundMessage, type Look } from './queues-look.js';
import { judgeOrder, type OpenLine } from './queues-order.js';
import { blocksKeys, dropsExpired, isLimited, MAX_DELIVERIES, QUEUES } from './queues-options.js';
import {
  isSame,
  lineKey,
  textOf,
  type Block,
  type Deed,
  type Moment,
  type QueueEntry,
  type QueueLine,
} from './queues-lines.js';
import type { QueuesModel } from './queues-model.js';
import { Violation } from './violation.js';

export interface Held {
  readonly delivery: Delivery;
  readonly line: QueueLine;
  readonly entry: QueueEntry;
}

/** A message that comes back from the dead letters. */
interface Revived {
  readonly from: QueueEntry;
  readonly text: string;
  readonly target: string;
  readonly deed: Deed;
  /** Its key does not wait for it. */
  readonly isLoose: boolean;
}

/** A group that has begun again. */
interface Adopted {
  readonly queue: string;
  readonly group: string;
  readonly start: number;
  /** It was told that nothing is missing. */
  readonly isComplete: boolean;
  readonly deed: Deed;
}

/** What one step leads to that is found only by looking. */
export interface StepContext {
  /** Of what becomes a dead letter in it. */
  readonly deed: Deed;
  readonly rejected: Set<QueueLine>;
  readonly revived: Revived[];
  adopted: Adopted | undefined;
  /** Nothing else was done at the same time. */
  isOne: boolean;
}

interface Doomed extends OpenLine {
  readonly deed: Deed;
  /** It may be let go of without a trace. */
  readonly isDropped: boolean;
}

export class QueuesScene {
  readonly model: QueuesModel;
  readonly random: Random;
  readonly runtime: ManualRuntime;
  readonly redex: Redex;
  readonly store: QueueStore;
  readonly #operations: () => number;
  queues: ReadonlyMap<string, Queue> = new Map();
  held: Held[] = [];
  /** In this step. */
  rejected: ReadonlySet<QueueLine> = new Set();
  /** Told of what became of steps, so that it is known what occurs. */
  count: (kind: string) => void = () => {};
  /** When each group got or settled something, as far as this process has seen. */
  readonly activeMs: Map<string, number> = new Map();
  readonly #openedMs: number;
  /** What was enqueued in this step should have replaced these, if they waited. */
  notReplaced: QueueEntry[] = [];

  constructor(
    model: QueuesModel,
    random: Random,
    parts: {
      readonly runtime: ManualRuntime;
      readonly redex: Redex;
      readonly store: QueueStore;
      /** Of the file system, so far. */
      readonly operations: () => number;
    },
  ) {
    this.model = model;
    this.random = random;
    this.runtime = parts.runtime;
    this.redex = parts.redex;
    this.store = parts.store;
    this.#operations = parts.operations;
    this.#openedMs = parts.runtime.now();
  }

  /** What goes on by itself has come to its end. */
  async settle(): Promise<void> {
    for (let before = -1; before !== this.#operations();) {
      before = this.#operations();
      await this.runtime.settle();
    }
  }

  queue(name: string): Queue {
    const queue = this.queues.get(name);
    if (queue === undefined) throw new Error(`no queue ${name}`);
    return queue;
  }

  groupsOf(name: string): string[] {
    return this.queue(name)
      .groups.list()
      .map((group) => group.name);
  }

  isHeld(line: QueueLine): boolean {
    return this.held.some((each) => each.line === line);
  }

  drop(held: Held): void {
    this.held = this.held.filter((each) => each !== held);
  }

  /** No group has got it, or is done with it. */
  isWaiting({ queue, seq }: QueueEntry): boolean {
    return this.groupsOf(queue).every((group) => {
      const line = this.model.lines.get(lineKey(queue, seq, group));
      return line?.last !== undefined && !this.isHeld(line);
    });
  }

  /** Makes the model know what the step has led to, and compares all. */
  async follow(context: StepContext): Promise<void> {
    await this.settle();
    this.queues = await openQueues(this.store);
    const seen = await look(this.redex, this.queues, this.model);
    this.model.acknowledge(context.deed);
    if (context.adopted !== undefined) this.#adopt(context.adopted, seen);
    const doomed = this.#vanished(context, seen);
    this.#appeared(context, doomed, seen);
    this.#skip(context, doomed);
    for (const { entry, line, isDropped } of doomed) {
      if (isDropped) this.count('drop');
      if (isDropped || QUEUES[line.queue]?.deadLetter === false) continue;
      throw new Violation(`message ${entry.number} of ${line.queue} is neither here nor dead`);
    }
    this.#compare(seen);
    for (const entry of this.notReplaced) {
      if (this.isWaiting(entry)) throw new Violation(`${entry.number} waits, and is not replaced`);
    }
    this.notReplaced = [];
  }

  #adopt({ queue, group, start, isComplete, deed }: Adopted, { messages }: Look): void {
    const moment: Moment = { at: this.model.time, kind: 'kill', nowMs: this.runtime.now() };
    const kept = keepsSome(queue) ? keptEntries(this.model, queue, moment) : undefined;
    const found = messages.filter((each) => each.queue === queue && each.group === group);
    const bySeq = new Map(found.map((each) => [each.view.seq, each]));
    const elsewhere = new Set(
      this.groupsOf(queue)
        .filter((name) => name !== group)
        .flatMap((name) => this.model.openLines(queue, name).map(({ entry }) => entry.seq)),
    );
    for (const { entry } of this.model.openLines(queue, group)) elsewhere.add(entry.seq);
    const isMissed = (entry: QueueEntry): boolean =>
      kept?.has(entry) === true || (isComplete && isThere(entry, moment));
    for (const entry of this.model.entries.values()) {
      if (entry.queue !== queue) continue;
      const sight = bySeq.get(entry.seq)?.sight;
      bySeq.delete(entry.seq);
      const isWrong =
        sight === undefined
          ? entry.seq >= start && (elsewhere.has(entry.seq) || isMissed(entry))
          : entry.seq < start || entry.goneBy !== undefined || sight.count !== 0;
      if (isWrong) {
        throw new Violation(`${deed.what}: seq ${entry.seq} of ${queue} is ${textOf(sight)}`);
      }
      if (sight !== undefined && !entry.numbers.has(Number.parseInt(sight.text, 10))) {
        throw new Violation(`${deed.what}: seq ${entry.seq} of ${queue} is another message`);
      }
      const texts = kept === undefined ? undefined : this.model.textsOf(entry, moment);
      if (sight !== undefined && texts !== undefined && texts.size > 0 && !texts.has(sight.text)) {
        throw new Violation(`${deed.what}: seq ${entry.seq} of ${queue} is not as it was`);
      }
      if (sight === undefined && !this.model.lines.has(lineKey(queue, entry.seq, group))) continue;
      this.model.line(entry, group).push(sight, deed);
    }
    for (const seq of bySeq.keys()) throw new Violation(`${deed.what}: nobody put ${seq} there`);
  }

  /** Messages that are gone, and may be. */
  #vanished({ deed, rejected }: StepContext, { sights }: Look): Set<Doomed> {
    const doomed = new Set<Doomed>();
    for (const [key, line] of this.model.lines) {
      const { entry, last: sight } = line;
      if (entry === undefined || sight === undefined || sights.has(key)) continue;
      const isExpired = sight.untilMs <= this.runtime.now();
      const isWorn = sight.count >= MAX_DELIVERIES && isLimited(line.queue);
      const isEnded = isExpired || isWorn || rejected.has(line);
      if (!lags(line.queue) && (this.isHeld(line) || !isEnded)) {
        throw new Violation(`${key}, ${textOf(sight)}, is gone`);
      }
      // Each is moved as a whole, not all of a step.
      const isDropped = isExpired && dropsExpired(line.queue);
      // A skipped one that turns out to be a dead letter is promised less than it could be.
      const isSynced = QUEUES[line.queue]?.deadLetter !== false && !isDropped && !lags(line.queue);
      const own = { ...deed, isSynced, what: `the end of message ${entry.number}` };
      line.push(undefined, own);
      doomed.add({ line, entry, sight, deed: own, isDropped });
    }
    return doomed;
  }

  /** What is gone of groups that were moved on. */
  #skip({ deed, isOne }: StepContext, doomed: Set<Doomed>): void {
    const skipped = new Set<QueueLine>();
    for (const each of doomed) {
      if (!lags(each.line.queue)) continue;
      doomed.delete(each);
      skipped.add(each.line);
      this.model.skips.add(each.deed);
      this.held = this.held.filter(({ line }) => line !== each.line);
    }
    if (skipped.size > 0) this.count('skip');
    for (const queue of this.queues.keys()) {
      if (!lags(queue)) continue;
      for (const group of this.groupsOf(queue)) {
        const isIdle = this.#isIdle(queue, group);
        judgeSkipped(this.model, queue, group, { skipped, begun: deed, isIdle, isOne });
      }
    }
  }

  #isIdle(queue: string, group: string): boolean {
    const { maxIdleMs = Infinity } = QUEUES[queue] ?? {};
    const isHeld = this.held.some(({ line }) => line.queue === queue && line.group === group);
    const active = this.activeMs.get(`${queue}/${group}`) ?? 0;
    return !isHeld && this.runtime.now() - Math.max(active, this.#openedMs) >= maxIdleMs;
  }

  /** Messages that have come, and may have. */
  #appeared(context: StepContext, doomed: Set<Doomed>, { messages }: Look): void {
    const found = new Map<string, FoundMessage[]>();
    for (const each of messages) {
      const { queue, group, view } = each;
      if (this.model.lines.get(lineKey(queue, view.seq, group))?.last !== undefined) continue;
      const place = `${queue}/${view.seq}`;
      found.set(place, [...(found.get(place) ?? []), each]);
    }
    for (const of of found.values()) this.#appearedOne(context, doomed, of);
  }

  #appearedOne(context: StepContext, doomed: Set<Doomed>, found: readonly FoundMessage[]): void {
    const [first] = found;
    if (first === undefined) return;
    const { queue, view, sight } = first;
    const dead = [...doomed].find(({ line }) => isOriginOf(line, view.origin));
    const index = context.revived.findIndex(
      ({ from, target }) => target === queue && from.id === view.id,
    );
    const back = context.revived[index];
    const source = dead?.entry ?? back?.from;
    const text = dead?.sight.text ?? back?.text;
    if (source === undefined || source.id !== view.id || sight.text !== text) {
      throw new Violation(`${queue}/${view.seq}: ${textOf(sight)}, which nobody has put there`);
    }
    if (dead !== undefined) {
      doomed.delete(dead);
      if (dead.isDropped && view.origin?.cause === 'expired') {
        throw new Violation(`${queue}/${view.seq} has expired, and is a dead letter`);
      }
      if (view.origin?.deliveryCount !== dead.sight.count) {
        const counts = `${view.origin?.deliveryCount ?? -1}, not ${dead.sight.count}`;
        throw new Violation(`dead letter ${queue}/${view.seq} was delivered ${counts} times`);
      }
    } else context.revived.splice(index, 1);
    const entry: QueueEntry = {
      queue,
      seq: view.seq,
      id: source.id,
      number: source.number,
      numbers: source.numbers,
      bytes: view.bytes.length,
      key: source.key,
      priority: sight.priority,
      dueMs: 0,
      isFront: false,
      cameBy: dead?.deed ?? back?.deed ?? context.deed,
      cameMs: this.runtime.now(),
      place: dead === undefined ? (source.holds?.place ?? view.seq) : view.seq,
      isLoose: back?.isLoose === true,
      holds: dead === undefined ? undefined : this.#holdUp(dead),
      goneBy: undefined,
      isEdited: false,
    };
    if (sight.count !== 0 || view.key !== source.key) {
      throw new Violation(`${queue}/${view.seq} was moved as ${textOf(sight)}`);
    }
    const groups = found.map((each) => [each.group, each.sight] as const);
    this.model.enter(entry, groups, entry.cameBy);
  }

  /** Its key waits from now on, in the same step. */
  #holdUp({ line: { queue }, entry, deed }: Doomed): Block | undefined {
    if (entry.key === undefined || !blocksKeys(queue)) return undefined;
    this.count('block');
    return this.model.block(entry, entry.key, deed);
  }

  #compare({ sights, messages }: Look): void {
    const nowMs = this.runtime.now();
    const states = new Map(
      messages.map(({ queue, group, view }) => [lineKey(queue, view.seq, group), view.state]),
    );
    for (const [key, line] of this.model.lines) {
      const { last, entry } = line;
      if (!isSame(last, sights.get(key), nowMs, entry?.isFront === true)) {
        const [is, was] = [textOf(sights.get(key)), textOf(last)];
        throw new Violation(`${key} is ${is}, not ${was}, ${line.states.at(-1)?.deed.what ?? ''}`);
      }
      if ((states.get(key) === 'inFlight') !== this.isHeld(line)) {
        throw new Violation(`${key} is ${states.get(key) ?? 'gone'}, held: ${this.isHeld(line)}`);
      }
    }
    for (const key of sights.keys()) {
      if (!this.model.lines.has(key)) throw new Violation(`${key} is not known`);
    }
  }

  /** Deliveries are as the model says, and in the order that was promised. */
  onDelivered(queue: string, deliveries: readonly Delivery[], deed: Deed): void {
    for (const delivery of deliveries) {
      const { seq, group, deliveryCount, payload, id } = delivery;
      const line = this.model.lines.get(lineKey(queue, seq, group));
      const before = line?.last;
      const entry = line?.entry;
      const what = `${queue}/${seq}/${group}, delivery ${deliveryCount}`;
      if (line === undefined || before === undefined || entry === undefined) {
        throw new Violation(`${what}: the message is done with`);
      }
      if (this.isHeld(line)) throw new Violation(`${what}: somebody has it`);
      if (shortText(payload) !== before.text || id !== entry.id) {
        throw new Violation(`${what}: ${shortText(payload)}, not ${before.text}`);
      }
      const isTooMany = isLimited(queue) && deliveryCount > MAX_DELIVERIES;
      if (deliveryCount !== before.count + 1 || isTooMany) {
        throw new Violation(`${what}: it had ${before.count} before`);
      }
      if (before.dueMs > this.runtime.now() || before.untilMs <= this.runtime.now()) {
        throw new Violation(`${what}: too early or too late`);
      }
      if (this.model.isBlocked(entry)) throw new Violation(`${what}: its key waits`);
      judgeOrder(this, { line, entry, sight: before }, deed, what);
      line.push({ ...before, count: deliveryCount, dueMs: 0 }, deed);
      this.activeMs.set(`${queue}/${group}`, this.runtime.now());
      this.held.push({ delivery, line, entry });
    }
  }
}

function isOriginOf(line: QueueLine, origin: FoundMessage['view']['origin']): boolean {
  if (origin === undefined) return false;
  const { queue, seq, group = '' } = origin;
  return line.queue === queue && line.entry?.seq === seq && line.group === group;
}
