/**
 * What is written for messages that are enqueued together, and what each of them is told when it is
 * written. From when it is made until its end nobody gets what it replaces, and who comes with one
 * of its keys waits.
 */
import {
  fatesOf,
  isPutOff,
  replacedBy,
  replacementOf,
  type EarlierMessage,
  type Fate,
} from './enqueue-fates.js';
import { messageAt, type CheckedMessage } from './enqueue-input.js';
import { holdMessage, letGo, type HeldMessage } from './held-messages.js';
import type { QueueContext } from './queue-context.js';
import type { NewMessage } from './queue-log.js';
import type { OperationContent } from './queue-records.js';

export interface EnqueueResult {
  readonly id: string;
  readonly seq: number;
  /** The message was there already: it is the earlier one's id and seq. */
  readonly duplicate: boolean;
  /** That one waited, and has what was enqueued now. */
  readonly replaced?: true;
}

export interface Room {
  readonly messages: number;
  readonly bytes: number;
}

type Place = number | Promise<EnqueueResult>;

export class EnqueuePlan {
  readonly operations: OperationContent[] = [];
  /** New ones, and what replaces earlier ones. */
  readonly messages: NewMessage[] = [];
  /** What those need that are new. */
  readonly room: Room;
  readonly #core: QueueContext;
  /** Keys of messages on their way, of all plans. */
  readonly #pending: Map<string, Promise<EnqueueResult>>;
  /** For each message that was given: which of the new ones it is, or what it is told. */
  readonly #places: Place[] = [];
  readonly #checked: readonly CheckedMessage[];
  readonly #fates: readonly Fate[];
  readonly #keys = new Set<string>();
  readonly #held: HeldMessage[] = [];
  readonly #written: Promise<number>;
  #begin: (firstSeq: number) => void = () => {};
  #fail: (error: unknown) => void = () => {};
  #isEnded = false;

  /** Throws TypeError for what may not replace what came before. */
  constructor(
    core: QueueContext,
    pending: Map<string, Promise<EnqueueResult>>,
    checked: readonly CheckedMessage[],
    known: ReadonlyMap<string, EarlierMessage>,
  ) {
    this.#core = core;
    this.#pending = pending;
    this.#checked = checked;
    this.#fates = fatesOf(core, checked, known);
    this.room = roomFor(core, checked, this.#fates);
    this.#written = new Promise((resolve, reject) => {
      this.#begin = resolve;
      this.#fail = reject;
    });
    this.#written.catch(() => undefined);
  }

  /** The new ones of the messages. */
  get added(): number {
    return this.#places.filter((place) => typeof place === 'number').length;
  }

  /** Takes its keys and what it replaces: in the turn in which it was made. */
  begin(): void {
    const nowMs = this.#core.log.clock.now();
    for (const [index, message] of this.#checked.entries()) {
      const fate = this.#fates[index];
      if (fate === undefined) break;
      switch (fate.kind) {
        case 'new':
          this.#add(message, nowMs);
          break;
        case 'told own':
        case 'replaced own':
          this.#addOwn(message, fate.index, fate.kind === 'replaced own', nowMs);
          break;
        case 'told':
          this.#places.push(Promise.resolve(duplicateOf(fate.of, false)));
          break;
        case 'renewed':
        case 'replaced':
          this.#change(message, fate, nowMs);
      }
    }
  }

  #add(message: CheckedMessage, nowMs: number): void {
    const index = this.messages.push(messageAt(message, nowMs)) - 1;
    this.#places.push(index);
    if (message.dedup !== undefined) this.#take(message.dedup, this.#resultOf(index));
  }

  /** The message that came before is one of these. */
  #addOwn(message: CheckedMessage, of: number, isReplaced: boolean, nowMs: number): void {
    const index = this.#places[of];
    if (typeof index !== 'number') throw new Error('a new message has a place');
    const before = this.messages[index];
    if (isReplaced && before !== undefined) {
      this.messages[index] = replacedBy(before, messageAt(message, nowMs), isPutOff(message));
    }
    const result = this.#resultOf(index).then((first) => duplicateOf(first, isReplaced));
    result.catch(() => undefined);
    this.#places.push(result);
  }

  #change(
    message: CheckedMessage,
    fate: Extract<Fate, { readonly kind: 'renewed' | 'replaced' }>,
    nowMs: number,
  ): void {
    const result = duplicateOf(fate.of, fate.kind === 'replaced');
    this.#places.push(Promise.resolve(result));
    const { dedup } = message;
    if (dedup === undefined) return;
    const written = this.#written.then(() => result);
    this.#take(dedup, written);
    const { seq } = fate.of;
    if (fate.kind === 'renewed') {
      this.operations.push({ o: 'renew', s: seq, k: dedup });
      return;
    }
    const { update, edit } = replacementOf(message, fate, nowMs);
    this.messages.push(update);
    if (edit !== undefined) this.operations.push(edit);
    const held = { seq, header: fate.header };
    this.#held.push(held);
    holdMessage(this.#core, held);
  }

  #resultOf(index: number): Promise<EnqueueResult> {
    return this.#written.then((firstSeq) => this.#resultAt(firstSeq + index));
  }

  #resultAt(seq: number): EnqueueResult {
    return { id: this.#core.idOf(seq, {}), seq, duplicate: false };
  }

  /** Who comes with the same key waits for what becomes of this. */
  #take(key: string, result: Promise<EnqueueResult>): void {
    result.catch(() => undefined);
    this.#keys.add(key);
    this.#pending.set(key, result);
  }

  /** What each is told, once the seq of the first of `messages` is known. */
  results(firstSeq: number): Promise<EnqueueResult[]> {
    this.#begin(firstSeq);
    this.#core.counters.duplicates += this.#places.length - this.added;
    return Promise.all(
      this.#places.map(async (place) =>
        typeof place === 'number' ? this.#resultAt(firstSeq + place) : place,
      ),
    );
  }

  /** To be called in any case when it was written, or failed. False: it has ended before. */
  end(error?: unknown): boolean {
    if (this.#isEnded) return false;
    this.#isEnded = true;
    if (error !== undefined) this.#fail(error);
    for (const key of this.#keys) this.#pending.delete(key);
    for (const message of this.#held) letGo(this.#core, message);
    return true;
  }
}

function duplicateOf(
  { id, seq }: { readonly id: string; readonly seq: number },
  isReplaced: boolean,
): EnqueueResult {
  return isReplaced ? { id, seq, duplicate: true, replaced: true } : { id, seq, duplicate: true };
}

function roomFor(
  { state }: QueueContext,
  checked: readonly CheckedMessage[],
  fates: readonly Fate[],
): Room {
  let messages = 0;
  let bytes = 0;
  for (const [index, fate] of fates.entries()) {
    const { kind } = fate;
    const length = checked[index]?.payload.length ?? 0;
    // At most: what it replaces is counted, too.
    if (kind === 'new' || kind === 'replaced own') bytes += length;
    if (kind === 'new') messages++;
    if (kind !== 'replaced') continue;
    bytes += Math.max(0, length - fate.of.size - state.updated.grownBy(fate.of.seq));
  }
  return { messages, bytes };
}
