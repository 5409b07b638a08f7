/**
 * What a process does with single messages: each action says what it changes when it was
 * acknowledged. Several are done at once, of other messages each.
 */
import { RedexError } from '../core/errors.js';
import type { QueueCommitStep } from '../queues/queue-store-commit.js';
import { modeOf, notesOf, onEnqueued, type NewInput } from './queues-enqueued.js';
import { AUDIT, shortText } from './queues-look.js';
import {
  plainSight,
  type Deed,
  type QueueEntry,
  type QueueLine,
  type QueueSight,
} from './queues-lines.js';
import { lags } from './queues-lag.js';
import { blocksKeys, dropsExpired } from './queues-options.js';
import type { Held, QueuesScene, StepContext } from './queues-scene.js';
import { Violation } from './violation.js';

/** Resolves, when it is acknowledged, to what makes the model know it. */
type Action = () => Promise<() => void>;

/** Lower phases apply first: messages come, or come back, before they are delivered. */
export interface PlannedAction {
  readonly kind: string;
  readonly phase: number;
  readonly run: Action;
}

const PAYLOAD_BYTES = 300;
/** Several of these fill a segment. */
const PILED_BYTES = 1200;
const PILE = 6;

/** What other actions of the same step are about. */
export type Touched = Set<unknown>;

interface InputOptions {
  readonly touched?: Touched | undefined;
  /** What the action is about; messages of one batch may replace the same one. */
  readonly mine?: Touched;
  readonly most?: number;
}

export class QueueActions {
  readonly scene: QueuesScene;
  readonly #nextNumber: () => number;
  readonly #hasDedup: boolean;

  constructor(scene: QueuesScene, nextNumber: () => number, hasDedup: boolean) {
    this.scene = scene;
    this.#nextNumber = nextNumber;
    this.#hasDedup = hasDedup;
  }

  below(n: number): number {
    return this.scene.random.below(n);
  }

  /** True once in so many times. */
  once(n: number): boolean {
    return this.below(n) === 0;
  }

  /** A deed, acknowledged when the work has resolved. */
  async done<T>(what: string, isSynced: boolean, work: () => Promise<T>): Promise<[T, Deed]> {
    const deed = this.scene.model.begin(what, isSynced);
    const result = await work();
    this.scene.model.acknowledge(deed);
    return [result, deed];
  }

  payload(number: number, version: number, most: number = PAYLOAD_BYTES): Uint8Array {
    return Buffer.from(`${number}.${version} ${'x'.repeat(this.below(most))}`);
  }

  #input(
    queue: string,
    durability: 'synced' | 'written',
    { touched = new Set(), mine = touched, most }: InputOptions = {},
  ): NewInput {
    const number = this.#nextNumber();
    const dedup = queue === 'swap' ? this.#dedupIn(queue, touched, mine) : this.#dedup();
    // What replaces one with a key may not wait.
    const mayHaveKey = queue !== 'swap' || dedup.dedupKey === undefined;
    const key =
      mayHaveKey && this.once(blocksKeys(queue) ? 2 : 4) ? `k${this.below(3)}` : undefined;
    const mayWait = key === undefined || queue === 'loose';
    return {
      number,
      payload: this.payload(number, 0, most),
      durability,
      key,
      delayMs: mayWait && this.once(5) ? 500 * (1 + this.below(8)) : undefined,
      priority: mayWait && this.once(4) ? 1 + this.below(3) : undefined,
      ...dedup,
      ttlMs: this.#ttlMs(queue, key, dedup.dedupKey),
    };
  }

  /** What replaces a message says its end again, where that has one. */
  #ttlMs(queue: string, key?: string, dedupKey?: string): number | undefined {
    // Behind one that expires the next of its key is delivered, whether the key waits or not.
    if (key !== undefined && blocksKeys(queue)) return undefined;
    const isOften = dropsExpired(queue);
    const hasEnd =
      isOften && dedupKey !== undefined ? dedupKey === 'd3' : this.once(isOften ? 3 : 8);
    return hasEnd ? 1000 * (1 + this.below(6)) : undefined;
  }

  #dedup(): Pick<NewInput, 'dedupKey'> {
    return this.#hasDedup && this.once(4) ? { dedupKey: `d${this.below(4)}` } : {};
  }

  /** A key, and what is done with what had it before: nothing else is done with that meanwhile. */
  #dedupIn(
    queue: string,
    touched: Touched,
    mine: Touched,
  ): Pick<NewInput, 'dedupKey' | 'dedupMode'> {
    if (this.once(2)) return {};
    const dedupKey = `d${this.below(4)}`;
    const dedupMode = this.once(3) ? 'extend' : this.once(6) ? 'keep' : undefined;
    if (modeOf(queue, { dedupMode }) === 'replace') {
      const entries = notesOf(this.scene, queue, dedupKey).map(({ entry }) => entry);
      if (entries.some((entry) => touched.has(entry))) return {};
      for (const entry of entries) mine.add(entry);
    }
    return dedupMode === undefined ? { dedupKey } : { dedupKey, dedupMode };
  }

  enqueue(
    queue: string,
    { isPile = this.once(4), touched }: { isPile?: boolean; touched?: Touched } = {},
  ): PlannedAction {
    const durability = this.once(3) ? 'written' : 'synced';
    const mine: Touched = new Set();
    const count = isPile ? PILE : this.once(3) ? 1 + this.below(5) : 1;
    const most = isPile ? PILED_BYTES : PAYLOAD_BYTES;
    const inputs = Array.from({ length: count }, () =>
      this.#input(queue, durability, { touched, mine, most }),
    );
    for (const each of mine) touched?.add(each);
    const what = `enqueue ${inputs.map(({ number }) => number).join()} in ${queue} ${durability}`;
    const messages = inputs.map(({ number: _number, ...input }) => input);
    const run: Action = async () => {
      const nowMs = this.scene.runtime.now();
      const [results, deed] = await this.done(what, durability === 'synced', () =>
        this.scene.queue(queue).enqueueMany(messages),
      );
      return () => onEnqueued(this.scene, queue, inputs, results, { nowMs, deed, isFront: false });
    };
    return { kind: 'enqueue', phase: 0, run };
  }

  enqueueSmall(queue: string, count: number): PlannedAction {
    const inputs = Array.from({ length: count }, (): NewInput => {
      const number = this.#nextNumber();
      return { number, payload: this.payload(number, 0, 20) };
    });
    const messages = inputs.map(({ payload }) => ({ payload }));
    const run: Action = async () => {
      const nowMs = this.scene.runtime.now();
      const [results, deed] = await this.done(`enqueue ${count} in ${queue}`, true, () =>
        this.scene.queue(queue).enqueueMany(messages),
      );
      return () => onEnqueued(this.scene, queue, inputs, results, { nowMs, deed, isFront: false });
    };
    return { kind: 'enqueue', phase: 0, run };
  }

  pushFront(queue: string): PlannedAction {
    const { number, payload } = this.#input(queue, 'synced');
    const input: NewInput = { number, payload };
    const run: Action = async () => {
      const nowMs = this.scene.runtime.now();
      const [result, deed] = await this.done(`pushFront ${number} in ${queue}`, true, () =>
        this.scene.queue(queue).pushFront(payload),
      );
      return () => onEnqueued(this.scene, queue, [input], [result], { nowMs, deed, isFront: true });
    };
    return { kind: 'pushFront', phase: 0, run };
  }

  receive(queue: string, group: string): PlannedAction {
    const options = { max: 1 + this.below(3), ...(group === '' ? {} : { group }) };
    const run: Action = async () => {
      const [deliveries, deed] = await this.done(`receive from ${queue}/${group}`, false, () =>
        this.scene.queue(queue).receive(options),
      );
      return () => this.scene.onDelivered(queue, deliveries, deed);
    };
    return { kind: 'receive', phase: 2, run };
  }

  /** Something that a consumer does with what it has. */
  settle(held: Held, context: StepContext): PlannedAction {
    const { delivery, line, entry } = held;
    const name = `${line.queue}/${entry.seq}/${line.group}`;
    const sight = line.last ?? plainSight('');
    const change = (
      kind: string,
      work: () => Promise<unknown>,
      after: QueueSight | undefined,
      isSynced: boolean,
    ): PlannedAction => {
      const run: Action = async () => {
        const [isSkipped, deed] = await this.done(`${kind} ${name}`, isSynced, () =>
          skips(line.queue, work),
        );
        return () => {
          this.scene.activeMs.set(`${line.queue}/${line.group}`, this.scene.runtime.now());
          if (!isSkipped) line.push(after, deed);
          this.scene.drop(held);
        };
      };
      return { kind, phase: 1, run };
    };
    const isRejected = blocksKeys(line.queue) && entry.key !== undefined && this.once(2);
    if (isRejected) return this.#reject(held, context);
    switch (this.below(8)) {
      case 0:
      case 1:
        return change('ack', () => delivery.ack(), undefined, false);
      case 2:
      case 3:
        return change('ack', () => delivery.ack({ durability: 'synced' }), undefined, true);
      case 4:
        return change(
          'release',
          () => delivery.release(),
          { ...sight, count: sight.count - 1 },
          false,
        );
      case 5:
        return this.#reject(held, context);
      default: {
        const delayMs = this.once(2) ? 0 : 1500;
        const dueMs = delayMs > 0 ? this.scene.runtime.now() + delayMs : 0;
        return change('nack', () => delivery.nack({ delayMs }), { ...sight, dueMs }, false);
      }
    }
  }

  #reject(held: Held, context: StepContext): PlannedAction {
    const run: Action = async () => {
      const isSkipped = await skips(held.line.queue, () => held.delivery.reject('no'));
      return () => {
        if (!isSkipped) context.rejected.add(held.line);
        this.scene.drop(held);
      };
    };
    return { kind: 'reject', phase: 1, run };
  }

  /** Acknowledges, enqueues and appends in one step. */
  commit(held: readonly Held[], target: string, touched: Touched): PlannedAction {
    const input = this.#input(target, 'synced', { touched });
    const { number, payload, durability: _synced, ...options } = input;
    const { model, redex, store, runtime } = this.scene;
    const run: Action = async () => {
      const nowMs = runtime.now();
      const channel = await redex.channel(AUDIT, { sync: 'always' });
      const seq = channel.nextSeq;
      const steps: QueueCommitStep[] = [
        ...held.map(({ delivery }) => delivery.acking()),
        this.scene.queue(target).enqueuing(payload, options),
        channel.appending([Buffer.from(`audit ${number}`)]),
      ];
      const [{ enqueued }, deed] = await this.done(`commit ${number} in ${target}`, true, () =>
        store.commit(steps),
      );
      await channel.close();
      return () => {
        onEnqueued(this.scene, target, [input], enqueued, { nowMs, deed, isFront: false });
        model.plainLine(AUDIT, String(seq)).push(plainSight(`audit ${number}`), deed);
        for (const each of held) {
          each.line.push(undefined, deed);
          this.scene.drop(each);
        }
      };
    };
    return { kind: 'commit', phase: 1, run };
  }

  cancel(line: QueueLine, entry: QueueEntry): PlannedAction {
    const { queue } = line;
    const run: Action = async () => {
      const [isCancelled, deed] = await this.done(`cancel ${queue}/${entry.seq}`, true, () =>
        this.scene.queue(queue).cancel(this.once(2) ? entry.seq : entry.id),
      );
      return () => {
        if (!isCancelled) throw new Violation(`${deed.what}: it was not there`);
        entry.goneBy = deed;
        for (const of of this.scene.model.linesOf(entry)) of.push(undefined, deed);
        this.scene.model.goOn(entry, deed);
        this.scene.held = this.scene.held.filter((each) => each.entry !== entry);
      };
    };
    return { kind: 'cancel', phase: 2, run };
  }

  update(line: QueueLine, entry: QueueEntry): PlannedAction {
    const { queue } = line;
    const [number = 0, before = 0] = line.last?.text.split(/[.:]/).map(Number) ?? [];
    const version = before + 1;
    const mayMove = (entry.key === undefined || queue === 'loose') && !entry.isFront;
    const priority = mayMove && this.once(2) ? this.below(4) : undefined;
    const delayMs = mayMove && this.once(2) ? 1000 * this.below(3) : undefined;
    // One that changes nothing would write nothing.
    const isSame = priority === undefined && delayMs === undefined;
    const isNew = isSame || this.once(2);
    const payload = isNew ? this.payload(number, version) : undefined;
    const change = {
      ...(payload === undefined ? {} : { payload }),
      ...(priority === undefined ? {} : { priority }),
      ...(delayMs === undefined ? {} : { delayMs }),
    };
    const run: Action = async () => {
      const nowMs = this.scene.runtime.now();
      const what = `update ${queue}/${entry.seq} ${Object.keys(change).join()}`;
      const [, deed] = await this.done(what, true, () =>
        this.scene.queue(queue).update(entry.seq, change),
      );
      const dueMs = delayMs === undefined ? undefined : delayMs > 0 ? nowMs + delayMs : 0;
      return () => {
        for (const of of this.scene.model.linesOf(entry)) {
          const sight = of.last ?? plainSight('');
          const isMoved = dueMs !== undefined && !this.scene.isHeld(of);
          const text = payload === undefined ? sight.text : shortText(payload);
          const to = { priority: priority ?? sight.priority, dueMs: isMoved ? dueMs : sight.dueMs };
          of.push({ ...sight, text, ...to }, deed);
        }
        if (priority !== undefined || delayMs !== undefined) entry.isEdited = true;
      };
    };
    return { kind: 'update', phase: 2, run };
  }
}

/** Whether its message was skipped before the work was done. */
async function skips(queue: string, work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    const reason = RedexError.is(error, 'LEASE_LOST') ? error.reason : undefined;
    if (!lags(queue) || reason !== 'skipped') throw error;
    return true;
  }
}
