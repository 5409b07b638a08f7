/** Steps with queues, drawn from a seed: several actions at once, or one that is about all. */
import type { Random } from '../testing/choices.js';
import { QueueActions, type PlannedAction } from './queues-actions.js';
import type { QueuesModel } from './queues-model.js';
import { keepsSome } from './queues-keep.js';
import { lags } from './queues-lag.js';
import { blocksKeys, firstGroup, isFanout, NAMES } from './queues-options.js';
import type { Held, QueuesScene, StepContext } from './queues-scene.js';
import { MOST_RECLAIM_TURNS, WideActions } from './queues-wide-actions.js';

/** Messages that a queue may hold before fewer are enqueued. */
const MANY = 30;

export class QueuesWorkload {
  readonly #random: Random;
  readonly #model: QueuesModel;
  readonly #counts: Record<string, number>;
  /** Of its queues. */
  readonly names: readonly string[];
  /** What is remembered of keys keeps much from being let go. */
  readonly #hasDedup: boolean;
  #number = 0;
  /** What is under way, for messages. */
  where = 'open';

  constructor(random: Random, model: QueuesModel, counts: Record<string, number>) {
    this.#random = random;
    this.#model = model;
    this.#counts = counts;
    this.#hasDedup = random.below(2) === 0;
    this.names = NAMES[random.below(NAMES.length)] ?? NAMES[0];
  }

  /** Does one step; resolves when the model and the queues agree about it. */
  async step(scene: QueuesScene): Promise<void> {
    const context: StepContext = {
      deed: this.#model.begin('dead letters of a step', true),
      rejected: new Set(),
      revived: [],
      adopted: undefined,
      isOne: false,
    };
    scene.rejected = context.rejected;
    scene.count = (kind) => this.#count(kind);
    const actions = new QueueActions(scene, () => this.#number++, this.#hasDedup);
    if (this.#random.below(4) === 0) await this.#wide(scene, new WideActions(actions), context);
    else await this.#together(scene, actions, context);
    await scene.follow(context);
  }

  #count(kind: string): void {
    this.#counts[kind] = (this.#counts[kind] ?? 0) + 1;
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#random.below(from.length)];
  }

  #queueName(): string {
    return this.#pick(this.names) ?? 'work';
  }

  async #together(scene: QueuesScene, actions: QueueActions, context: StepContext): Promise<void> {
    const planned: PlannedAction[] = [];
    const free = [...scene.held];
    const received = new Set<string>();
    const touched = new Set<unknown>();
    for (let left = 1 + this.#random.below(4); left > 0; left--) {
      const name = this.#queueName();
      const isFull = this.#model.openLines(name, firstGroup(name)).length >= MANY;
      const action = this.#draw(scene, actions, { name, isFull, free, received, touched, context });
      if (action !== undefined) planned.push(action);
    }
    const isReclaimed = this.#random.below(4) === 0;
    if (isReclaimed) planned.push(this.#reclaim(scene));
    for (const { kind } of planned) this.#count(kind);
    context.isOne = planned.length === 1;
    this.where = planned.map(({ kind }) => kind).join(' + ');
    // As they end: a duplicate is told of after what it is one of.
    const applied: { readonly phase: number; readonly apply: () => void }[] = [];
    await Promise.all(
      planned.map(async ({ kind, phase, run }) => {
        // Some come while checkpoints are written, or after them.
        const turns =
          isReclaimed && kind !== 'reclaim' ? this.#random.below(MOST_RECLAIM_TURNS) : 0;
        for (let left = turns; left > 0; left--) await Promise.resolve();
        applied.push({ phase, apply: await run() });
      }),
    );
    for (const { apply } of applied.toSorted((a, b) => a.phase - b.phase)) apply();
  }

  #reclaim(scene: QueuesScene): PlannedAction {
    const name = this.#queueName();
    const run = async (): Promise<() => void> => {
      await scene.queue(name).reclaim();
      return () => {};
    };
    return { kind: 'reclaim', phase: 0, run };
  }

  #draw(
    scene: QueuesScene,
    actions: QueueActions,
    step: {
      readonly name: string;
      readonly isFull: boolean;
      readonly free: Held[];
      readonly received: Set<string>;
      readonly touched: Set<unknown>;
      readonly context: StepContext;
    },
  ): PlannedAction | undefined {
    const { name, isFull, free, received, touched, context } = step;
    const take = (): Held[] => free.splice(this.#random.below(free.length), 1);
    const chance = this.#random.below(20);
    if (chance < 6) return isFull ? undefined : actions.enqueue(name, { touched });
    if (chance < 11) {
      const group = this.#pick(scene.groupsOf(name));
      const place = `${name}/${group ?? ''}`;
      if (group === undefined || received.has(place)) return undefined;
      received.add(place);
      return actions.receive(name, group);
    }
    if (chance < 16) {
      const [held] = take();
      if (held === undefined || touched.has(held.entry)) return undefined;
      touched.add(held.entry);
      return actions.settle(held, context);
    }
    // What may be skipped meanwhile is not touched otherwise.
    if (lags(name)) return isFanout(name) && chance < 18 ? actions.enqueue(name) : undefined;
    if (chance < 17) {
      const held = [...take(), ...(this.#random.below(2) === 0 ? take() : [])];
      const isFree = held.every(({ entry }) => !touched.has(entry));
      for (const { entry } of held) touched.add(entry);
      const hasCommit = touched.has('commit');
      touched.add('commit');
      return isFree && !hasCommit && !isFull ? actions.commit(held, name, touched) : undefined;
    }
    if (chance < 18) return isFull || isFanout(name) ? undefined : actions.pushFront(name);
    // Of one that is delivered meanwhile it cannot be said which came first.
    if ([...received].some((place) => place.startsWith(`${name}/`))) return undefined;
    const found = this.#pick(this.#model.openLines(name, firstGroup(name)));
    if (found === undefined || touched.has(found.entry)) return undefined;
    touched.add(found.entry);
    for (const group of scene.groupsOf(name)) received.add(`${name}/${group}`);
    const { line, entry } = found;
    return chance < 19 ? actions.cancel(line, entry) : actions.update(line, entry);
  }

  async #wide(scene: QueuesScene, wide: WideActions, context: StepContext): Promise<void> {
    const name = this.#queueName();
    const workName = this.#pick(this.names.filter((each) => !isFanout(each)));
    const deadName = this.#pick(this.names.filter((each) => each !== 'loose')) ?? 'work';
    const fan = this.names.find((each) => isFanout(each));
    const isThere = fan !== undefined && scene.groupsOf(fan).includes('g2');
    const group = this.#pick(scene.groupsOf(name)) ?? '';
    const { isPaused } = scene.queue(name);
    // Of a message that is delivered again while it is a dead letter nothing is promised.
    const blocks = blocksKeys(name);
    // What is there for a short time shows only when some passes.
    const isTimed = name === 'swap' || name === 'recent';
    const isLagging = lags(name);
    const hasDead = blocks && this.#model.openLines(`${name}.dead`, '').length > 0;
    const steps: readonly (readonly [kind: string, weight: number, () => Promise<void>])[] = [
      [
        'elapse',
        isTimed ? 20 : 6,
        () => wide.elapse(1500 * (1 + this.#random.below(isTimed ? 2 : 4))),
      ],
      ['reclaim', 2, () => wide.reclaim(name)],
      ['tidy', isLagging ? 0 : 10, () => wide.tidy(name, group)],
      ['consume', isLagging ? 0 : 8, () => wide.consume(name, group)],
      ['pop', workName === undefined ? 0 : 3, () => wide.pop(workName ?? name)],
      ['redrive', hasDead ? 12 : 4, () => wide.redrive(deadName, context)],
      [
        'group',
        fan === undefined ? 0 : 3,
        () =>
          isThere ? wide.deleteGroup(fan, 'g2') : wide.createGroup(fan ?? name, 'g2', context),
      ],
      ['flood', name === 'kept' ? 8 : 0, () => wide.flood(name)],
      [
        'seek',
        blocks || isLagging ? 0 : keepsSome(name) ? 10 : 1,
        () => wide.seek(name, group, context),
      ],
      ['purge', 1, () => wide.purge(name)],
      ['pause', isPaused ? 9 : 1, () => wide.pauseOrResume(name)],
      ['configure', 1, () => wide.configure(name)],
      ['claim', 2, () => wide.claim(name, group)],
      ['ackUpTo', isLagging ? 0 : 8, () => wide.ackUpTo(name, group)],
      ['endDeadLetters', hasDead ? 14 : 0, () => wide.endDeadLetters(name)],
      ['unblock', hasDead ? 5 : 0, () => wide.unblock(name)],
    ];
    let left = this.#random.below(steps.reduce((sum, [, weight]) => sum + weight, 0));
    const chosen = steps.find(([, weight]) => (left -= weight) < 0);
    if (chosen === undefined) return;
    const [kind, , run] = chosen;
    this.#count(kind);
    this.where = kind;
    await run();
  }
}
