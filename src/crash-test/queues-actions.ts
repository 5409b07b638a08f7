/**
 * What a process does with single messages: each action says what it changes when it was
 * acknowledged. Several are done at once, of other messages each.
 */
import type { QueueCommitStep } from '../queues/queue-store-commit.js';
import type { EnqueueInput } from '../queues/enqueue-input.js';
import type { EnqueueResult } from '../queues/enqueuing.js';
import { AUDIT, DEDUP_MS, shortText } from './queues-look.js';
import {
  plainSight,
  type Deed,
  type QueueEntry,
  type QueueLine,
  type QueueSight,
} from './queues-model.js';
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

export interface NewInput extends EnqueueInput<Uint8Array> {
  readonly number: number;
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

  #input(queue: string, durability: 'synced' | 'written', most?: number): NewInput {
    const number = this.#nextNumber();
    const key = this.once(4) ? `k${this.below(3)}` : undefined;
    const mayWait = key === undefined || queue === 'loose';
    return {
      number,
      payload: this.payload(number, 0, most),
      durability,
      key,
      delayMs: mayWait && this.once(5) ? 500 * (1 + this.below(8)) : undefined,
      priority: mayWait && this.once(4) ? 1 + this.below(3) : undefined,
      dedupKey: this.#hasDedup && this.once(4) ? `d${this.below(4)}` : undefined,
      ttlMs: this.once(8) ? 1000 * (1 + this.below(6)) : undefined,
    };
  }

  enqueue(queue: string, isPile: boolean = this.once(4)): PlannedAction {
    const durability = this.once(3) ? 'written' : 'synced';
    const count = isPile ? PILE : this.once(3) ? 1 + this.below(5) : 1;
    const most = isPile ? PILED_BYTES : PAYLOAD_BYTES;
    const inputs = Array.from({ length: count }, () => this.#input(queue, durability, most));
    const what = `enqueue ${inputs.map(({ number }) => number).join()} in ${queue} ${durability}`;
    const messages = inputs.map(({ number: _number, ...input }) => input);
    const run: Action = async () => {
      const nowMs = this.scene.runtime.now();
      const [results, deed] = await this.done(what, durability === 'synced', () =>
        this.scene.queue(queue).enqueueMany(messages),
      );
      return () => this.onEnqueued(queue, inputs, results, { nowMs, deed, isFront: false });
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
      return () => this.onEnqueued(queue, [input], [result], { nowMs, deed, isFront: true });
    };
    return { kind: 'pushFront', phase: 0, run };
  }

  onEnqueued(
    queue: string,
    inputs: readonly NewInput[],
    results: readonly EnqueueResult[],
    how: { readonly nowMs: number; readonly deed: Deed; readonly isFront: boolean },
  ): void {
    const { model } = this.scene;
    const { nowMs, deed, isFront } = how;
    for (const [index, input] of inputs.entries()) {
      const result = results[index];
      if (result === undefined) throw new Violation(`${deed.what}: a result is missing`);
      const notes = this.#notesOf(queue, input.dedupKey);
      const before = notes.findLast(({ atMs }) => nowMs < atMs + DEDUP_MS);
      if (result.duplicate) {
        if (before?.entry.id === result.id && before.entry.seq === result.seq) continue;
        throw new Violation(`${deed.what}: ${result.id} is no duplicate in the window`);
      }
      // Of a message before a crash nobody may know whether it is there.
      if (before !== undefined && before.deed.endedAt < Infinity) {
        throw new Violation(`${deed.what}: the window of key ${input.dedupKey ?? ''} is not over`);
      }
      const { number, payload, key, priority = 0, delayMs = 0, ttlMs = Infinity } = input;
      const entry: QueueEntry = {
        queue,
        seq: result.seq,
        id: result.id,
        number,
        bytes: payload.length,
        key,
        priority,
        dueMs: delayMs > 0 ? nowMs + delayMs : 0,
        untilMs: nowMs + ttlMs,
        isFront,
        goneBy: undefined,
        isEdited: false,
      };
      const sight: QueueSight = {
        text: shortText(payload),
        count: 0,
        priority,
        dueMs: entry.dueMs,
      };
      const groups = this.scene.groupsOf(queue).map((group) => [group, sight] as const);
      model.enter(entry, groups, deed);
      notes.push({ entry, atMs: nowMs, deed });
    }
  }

  #notesOf(
    queue: string,
    dedupKey: string | undefined,
  ): { entry: QueueEntry; atMs: number; deed: Deed }[] {
    if (dedupKey === undefined) return [];
    const name = `${queue}/${dedupKey}`;
    const notes = this.scene.model.keys.get(name) ?? [];
    this.scene.model.keys.set(name, notes);
    return notes;
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
        const [, deed] = await this.done(`${kind} ${name}`, isSynced, work);
        return () => {
          line.push(after, deed);
          this.scene.drop(held);
        };
      };
      return { kind, phase: 1, run };
    };
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
      await held.delivery.reject('no');
      return () => {
        context.rejected.add(held.line);
        this.scene.drop(held);
      };
    };
    return { kind: 'reject', phase: 1, run };
  }

  /** Acknowledges, enqueues and appends in one step. */
  commit(held: readonly Held[], target: string): PlannedAction {
    const input = this.#input(target, 'synced');
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
        this.onEnqueued(target, [input], enqueued, { nowMs, deed, isFront: false });
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
        for (const of of this.#linesOf(entry)) of.push(undefined, deed);
        this.scene.held = this.scene.held.filter((each) => each.entry !== entry);
      };
    };
    return { kind: 'cancel', phase: 2, run };
  }

  update(line: QueueLine, entry: QueueEntry): PlannedAction {
    const { queue } = line;
    const version = Number.parseInt(line.last?.text.split('.')[1] ?? '0', 10) + 1;
    const mayMove = (entry.key === undefined || queue === 'loose') && !entry.isFront;
    const priority = mayMove && this.once(2) ? this.below(4) : undefined;
    const delayMs = mayMove && this.once(2) ? 1000 * this.below(3) : undefined;
    // One that changes nothing would write nothing.
    const isSame = priority === undefined && delayMs === undefined;
    const isNew = isSame || this.once(2);
    const payload = isNew ? this.payload(entry.number, version) : undefined;
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
        for (const of of this.#linesOf(entry)) {
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

  /** Lines of groups that have it before them. */
  #linesOf(entry: QueueEntry): QueueLine[] {
    return [...this.scene.model.lines.values()].filter(
      (line) => line.entry === entry && line.last !== undefined,
    );
  }
}
