/** What a process does with whole queues and groups, and the time that passes; each alone. */
import { keepsSome } from './queues-keep.js';
import { lags } from './queues-lag.js';
import { isLimited, MAX_DELIVERIES } from './queues-options.js';
import { plainSight, type QueueSight } from './queues-lines.js';
import type { QueueActions } from './queues-actions.js';
import type { Held, QueuesScene, StepContext } from './queues-scene.js';
import { Violation } from './violation.js';

/** Microtasks that it takes to give space back, at most about. */
export const MOST_RECLAIM_TURNS = 600;
/** About as many as are kept, and some more. */
const MOST_KEPT = 30;
/** Messages of which so many are one place of what has come. */
const FLOOD = 70;
/** Looks at leases after which one that is over must have ended. */
const MOST_TURNS = 50;

export class WideActions {
  readonly #actions: QueueActions;
  readonly #scene: QueuesScene;

  constructor(actions: QueueActions) {
    this.#actions = actions;
    this.#scene = actions.scene;
  }

  /** Time passes; deliveries that were not settled in time have failed. */
  async elapse(ms: number): Promise<void> {
    const scene = this.#scene;
    await scene.runtime.elapse(ms);
    for (let turn = 0; this.#isOver(); turn++) {
      if (turn === MOST_TURNS) throw new Violation('a delivery does not end when its time is over');
      await scene.runtime.elapse(20);
    }
    const pending = new Set<string>();
    for (const [name, queue] of scene.queues) {
      for (const { seq, group } of queue.pending()) pending.add(`${name}/${seq}/${group}`);
    }
    scene.held = scene.held.filter(({ line, entry }) =>
      pending.has(`${line.queue}/${entry.seq}/${line.group}`),
    );
  }

  #isOver(): boolean {
    for (const queue of this.#scene.queues.values()) {
      if (queue.pending().some(({ leftMs }) => leftMs <= 0)) return true;
    }
    return false;
  }

  async purge(name: string): Promise<void> {
    const { model, runtime } = this.#scene;
    const [count, deed] = await this.#actions.done(`purge ${name}`, true, () =>
      this.#scene.queue(name).purge(),
    );
    const there = new Set<number>();
    for (const line of model.lines.values()) {
      const { entry } = line;
      if (line.queue !== name || entry === undefined) continue;
      entry.goneBy = deed;
      if (line.last === undefined) continue;
      there.add(entry.seq);
      line.push(undefined, deed);
    }
    if (count !== there.size) {
      throw new Violation(`${deed.what} says ${count}, not ${there.size}, at ${runtime.now()}`);
    }
    this.#scene.held = this.#scene.held.filter(({ line }) => line.queue !== name);
  }

  async createGroup(name: string, group: string, context: StepContext): Promise<void> {
    const { model } = this.#scene;
    // One that begins behind too much is moved on at once.
    const start = lags(name) ? 'latest' : this.#start(name);
    const what = `group ${group} of ${name} from ${start}`;
    const [{ created }, deed] = await this.#actions.done(what, true, () =>
      this.#scene.queue(name).groups.create(group, { start }),
    );
    if (!created) throw new Violation(`${what} was there`);
    model.plainLine(name, `group ${group}`).push(plainSight('yes'), deed);
    model.sought.add(name);
    const from = start === 'earliest' ? 0 : start === 'latest' ? Infinity : start;
    context.adopted = { queue: name, group, start: from, isComplete: false, deed };
    this.#scene.activeMs.set(`${name}/${group}`, this.#scene.runtime.now());
  }

  async deleteGroup(name: string, group: string): Promise<void> {
    const { model } = this.#scene;
    const [, deed] = await this.#actions.done(`delete ${group} of ${name}`, true, () =>
      this.#scene.queue(name).groups.delete(group),
    );
    for (const { line } of model.openLines(name, group)) line.push(undefined, deed);
    model.plainLine(name, `group ${group}`).push(undefined, deed);
    this.#letGo(name, group);
  }

  async seek(name: string, group: string, context: StepContext): Promise<void> {
    const { model } = this.#scene;
    const start = this.#start(name);
    const what = `seek ${name}/${group} to ${start}`;
    const [{ complete: isComplete }, deed] = await this.#actions.done(what, true, () =>
      this.#scene.queue(name).groups.seek(group === '' ? undefined : group, start),
    );
    this.#letGo(name, group);
    model.sought.add(name);
    const from = start === 'earliest' ? 0 : start;
    context.adopted = { queue: name, group, start: from, isComplete, deed };
  }

  #letGo(name: string, group: string): void {
    this.#scene.held = this.#scene.held.filter(
      ({ line }) => line.queue !== name || line.group !== group,
    );
  }

  #start(name: string): number | 'earliest' {
    const all = [...this.#scene.model.entries.values()]
      .filter(({ queue }) => queue === name)
      .map(({ seq }) => seq);
    // What is kept are the newest ones.
    const seqs = keepsSome(name) ? all.slice(-MOST_KEPT) : all;
    const seq = seqs[this.#actions.below(seqs.length + 1)];
    return seq ?? 'earliest';
  }

  async redrive(name: string, context: StepContext): Promise<void> {
    const { model } = this.#scene;
    const limit = 1 + this.#actions.below(4);
    const moved = model.openLines(`${name}.dead`, '').slice(0, limit);
    const [count, deed] = await this.#actions.done(`redrive ${limit} to ${name}`, true, () =>
      this.#scene.queue(name).redrive({ limit }),
    );
    if (count !== moved.length) throw new Violation(`${deed.what}: ${count}, not ${moved.length}`);
    for (const { line, entry } of moved) {
      const text = line.last?.text ?? '';
      const isLoose = entry.holds !== undefined && entry.holds.line.last === undefined;
      context.revived.push({ from: entry, text, target: name, deed, isLoose });
      line.push(undefined, deed);
      model.goOn(entry, deed);
    }
  }

  /** Dead letters end where they are: what waits for them goes on. */
  async endDeadLetters(name: string): Promise<void> {
    const scene = this.#scene;
    const dead = `${name}.dead`;
    if (!scene.queues.has(dead)) return;
    const open = scene.model.openLines(dead, '');
    const found = open[this.#actions.below(open.length)];
    if (this.#actions.once(4)) {
      await this.ackUpTo(dead, '');
      return;
    }
    if (found === undefined || this.#actions.once(2)) {
      await this.consume(dead, '', 1 + this.#actions.below(3));
      return;
    }
    const apply = await this.#actions.cancel(found.line, found.entry).run();
    apply();
  }

  /** All up to one are done with, those that somebody has included. */
  async ackUpTo(name: string, group: string): Promise<void> {
    const scene = this.#scene;
    const open = scene.model.openLines(name, group);
    const upTo = open[this.#actions.below(open.length)]?.entry.seq;
    if (upTo === undefined) return;
    const durability = this.#actions.once(2) ? 'written' : 'synced';
    const of = { durability, ...(group === '' ? {} : { group }) } as const;
    const what = `ackUpTo ${upTo} of ${name}/${group} ${durability}`;
    const [count, deed] = await this.#actions.done(what, durability === 'synced', () =>
      scene.queue(name).ackUpTo(upTo, of),
    );
    const ended = open.filter(({ entry }) => entry.seq <= upTo);
    if (count !== ended.length) throw new Violation(`${what} says ${count}, not ${ended.length}`);
    const lines = new Set<unknown>(ended.map(({ line }) => line));
    scene.held = scene.held.filter(({ line }) => !lines.has(line));
    for (const { line, entry } of ended) {
      line.push(undefined, deed);
      scene.model.goOn(entry, deed);
    }
  }

  /** A key goes on without its dead letters, which stay. */
  async unblock(name: string): Promise<void> {
    const { model } = this.#scene;
    const key = `k${this.#actions.below(3)}`;
    const [isDone, deed] = await this.#actions.done(`unblock ${key} of ${name}`, true, () =>
      this.#scene.queue(name).keys.unblock(key),
    );
    const of = [...model.blocks].filter((block) => block.queue === name && block.key === key);
    const waiting = of.filter(({ line }) => line.last !== undefined);
    if (isDone !== waiting.length > 0) throw new Violation(`${deed.what} says ${isDone}`);
    for (const { line } of waiting) line.push(undefined, deed);
  }

  async pauseOrResume(name: string): Promise<void> {
    const queue = this.#scene.queue(name);
    const { isPaused } = queue;
    const what = `${isPaused ? 'resume' : 'pause'} ${name}`;
    const [, deed] = await this.#actions.done(what, true, () =>
      isPaused ? queue.resume() : queue.pause(),
    );
    const sight = isPaused ? undefined : plainSight('yes');
    this.#scene.model.plainLine(name, 'paused').push(sight, deed);
  }

  async configure(name: string): Promise<void> {
    const backoffMs = 1000 + this.#actions.below(3);
    const [, deed] = await this.#actions.done(`configure ${name}`, true, () =>
      this.#scene.queue(name).configure({ backoffMs }),
    );
    const sight = backoffMs === 1000 ? undefined : plainSight(String(backoffMs));
    this.#scene.model.plainLine(name, 'backoff').push(sight, deed);
  }

  async pop(name: string): Promise<void> {
    const end = this.#actions.once(2) ? 'pop' : 'popRight';
    const durability = this.#actions.once(3) ? 'written' : 'synced';
    const { model } = this.#scene;
    const leased = model.begin(`${end} from ${name}, leased`, false);
    const [views, deed] = await this.#actions.done(
      `${end} from ${name} ${durability}`,
      durability === 'synced',
      () => this.#scene.queue(name)[end]({ max: 1 + this.#actions.below(3), durability }),
    );
    model.acknowledge(leased);
    for (const { seq } of views) {
      const line = model.lines.get(`${name}/${seq}/`);
      const sight = line?.last;
      if (line === undefined || sight === undefined || this.#scene.isHeld(line)) {
        throw new Violation(`${deed.what}: ${seq} was not there`);
      }
      if (end === 'pop') line.push(delivered(sight), leased);
      line.push(undefined, deed);
    }
  }

  /** Takes over deliveries, which counts as others do. */
  async claim(name: string, group: string): Promise<void> {
    const scene = this.#scene;
    const max = 1 + this.#actions.below(3);
    const [claimed, deed] = await this.#actions.done(`claim from ${name}/${group}`, false, () =>
      scene.queue(name).claim(group === '' ? { max } : { max, group }),
    );
    for (const delivery of claimed) {
      const held = scene.held.find(
        ({ line, entry }) =>
          line.queue === name && line.group === group && entry.seq === delivery.seq,
      );
      const sight = held?.line.last;
      if (held === undefined || sight === undefined) {
        throw new Violation(`${deed.what}: nobody had ${delivery.seq}`);
      }
      if (delivery.deliveryCount !== sight.count + 1) {
        throw new Violation(`${deed.what}: ${delivery.seq} had ${sight.count} deliveries`);
      }
      if (delivery.deliveryCount > MAX_DELIVERIES && isLimited(name)) {
        throw new Violation(`${deed.what}: ${delivery.seq} is delivered too often`);
      }
      held.line.push(delivered(sight), deed);
      scene.drop(held);
      scene.held.push({ ...held, delivery });
    }
  }

  /** What a group has before it is done with, so that there is space to give back. */
  async consume(name: string, group: string, max: number = 20): Promise<void> {
    const scene = this.#scene;
    const request = group === '' ? { max } : { max, group };
    const [deliveries, deed] = await this.#actions.done(`receive all of ${name}`, false, () =>
      scene.queue(name).receive(request),
    );
    scene.onDelivered(name, deliveries, deed);
    const [, acks] = await this.#actions.done(`ack all of ${name}`, true, () =>
      scene.queue(name).ackMany(deliveries, { durability: 'synced' }),
    );
    for (const held of scene.held.filter(({ delivery }) => deliveries.includes(delivery))) {
      held.line.push(undefined, acks);
      scene.model.goOn(held.entry, acks);
      scene.drop(held);
    }
  }

  /** So much has come, and is done with, that what is kept begins further on. */
  async flood(name: string): Promise<void> {
    const apply = await this.#actions.enqueueSmall(name, FLOOD).run();
    apply();
    await this.consume(name, '', 2 * FLOOD);
  }

  async reclaim(name: string): Promise<void> {
    await this.#scene.queue(name).reclaim();
  }

  /**
   * Of what a group has before it one message stays in somebody's hands; of the others some are
   * done with while the space of those before them is given back.
   */
  async tidy(name: string, group: string): Promise<void> {
    const scene = this.#scene;
    for (let piles = 1 + this.#actions.below(2); piles > 0; piles--) {
      const apply = await this.#actions.enqueue(name, { isPile: true }).run();
      apply();
    }
    const request = group === '' ? { max: 40 } : { max: 40, group };
    const [deliveries, deed] = await this.#actions.done(`receive to tidy ${name}`, false, () =>
      scene.queue(name).receive(request),
    );
    scene.onDelivered(name, deliveries, deed);
    const [, ...held] = scene.held.filter(({ delivery }) => deliveries.includes(delivery));
    const late = held.splice((held.length * 3) >> 2);
    await Promise.all(held.map((each) => this.#acknowledge(each)));
    const acknowledging = late.map(async (each) => {
      for (let left = this.#actions.below(MOST_RECLAIM_TURNS); left > 0; left--)
        await Promise.resolve();
      await this.#acknowledge(each);
    });
    await Promise.all([this.reclaim(name), ...acknowledging]);
  }

  async #acknowledge(held: Held): Promise<void> {
    const durability = this.#actions.once(2) ? 'written' : 'synced';
    const { delivery, line, entry } = held;
    const what = `ack ${line.queue}/${entry.seq}/${line.group} ${durability}`;
    const [, deed] = await this.#actions.done(what, durability === 'synced', () =>
      delivery.ack({ durability }),
    );
    line.push(undefined, deed);
    this.#scene.drop(held);
  }

  /** Everything is released, as if it had not been delivered. */
  async close(work: () => Promise<void>): Promise<void> {
    const { held, model } = this.#scene;
    const deeds: (() => void)[] = held.map(({ line }) => {
      const deed = model.begin(`close with ${line.queue}/${line.entry?.seq ?? ''}`, false);
      const sight = line.last;
      if (sight !== undefined) line.push({ ...sight, count: sight.count - 1 }, deed);
      return () => model.acknowledge(deed);
    });
    await work();
    for (const acknowledge of deeds) acknowledge();
    this.#scene.held = [];
  }
}

function delivered(sight: QueueSight): QueueSight {
  return { ...sight, count: sight.count + 1, dueMs: 0 };
}
