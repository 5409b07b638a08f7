/** Looks at messages without taking them. */
import { decodedValue, type Codec } from '../channel/codec.js';
import { checkInteger, checkKnown } from '../channel/option-checks.js';
import { checkSeq } from '../channel/record-input.js';
import { comesInOrder, FRONT, type GroupState } from './group-state.js';
import type { LeasedMessage } from './lease.js';
import { readMessage } from './message-picker.js';
import { openMessages } from './open-messages.js';
import type { QueueCore } from './queue-core.js';
import type { FailedDelivery, Origin } from './queue-records.js';
import { indexMoved } from './recount.js';

const STATES = ['ready', 'delayed', 'inFlight'] as const;
export type MessageState = (typeof STATES)[number];

/** A message as it is now. */
export interface QueueMessage<T = Uint8Array> {
  readonly id: string;
  readonly seq: number;
  /** Undefined when the codec does not decode it: see `bytes`. */
  readonly payload: T | undefined;
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  readonly key: string | undefined;
  readonly priority: number;
  readonly state: MessageState;
  /** Deliveries so far. */
  readonly deliveryCount: number;
  /** Deliveries that may fail; Infinity in a queue without dead letters. */
  readonly maxDeliveries: number;
  /** Unix milliseconds. */
  readonly enqueuedAt: number;
  /** Unix milliseconds before which it is not delivered; undefined when that is now. */
  readonly dueAt: number | undefined;
  /** Unix milliseconds from which it is not delivered. */
  readonly expiresAt: number | undefined;
  readonly origin: Origin | undefined;
  /** The last few deliveries that failed. */
  readonly errors: readonly FailedDelivery[];
}

export interface BrowseOptions {
  /** Only what this group has before it. */
  readonly group?: string | undefined;
  readonly state?: MessageState | undefined;
  /** The first seq. */
  readonly from?: number | undefined;
  readonly limit?: number | undefined;
}

const BROWSE: ReadonlySet<string> = new Set(['group', 'state', 'from', 'limit']);

export class QueueBrowser<T> {
  readonly #core: QueueCore;
  readonly #codec: Codec<T> | undefined;

  constructor(core: QueueCore, codec: Codec<T> | undefined) {
    this.#core = core;
    this.#codec = codec;
  }

  async peek(count: number, groupName: string | undefined): Promise<QueueMessage<T>[]> {
    this.#core.requireOpen();
    checkInteger('count', count, 1, Number.MAX_SAFE_INTEGER);
    const group = this.#core.group(groupName);
    const nowMs = this.#core.log.clock.now();
    group.takeDue(nowMs);
    const found: { readonly message: LeasedMessage; readonly priority: number }[] = [];
    const seen = new Set<number>();
    const add = (message: LeasedMessage | undefined, priority: number): void => {
      if (message === undefined || seen.has(message.seq)) return;
      if (!group.mayBeDelivered(message.seq, nowMs)) return;
      seen.add(message.seq);
      found.push({ message, priority });
    };
    for (const { seq, priority } of group.waiting(count)) {
      add(await readMessage(this.#core, seq), priority);
    }
    for (const seq of group.suspects()) add(await readMessage(this.#core, seq), FRONT);
    let inOrder = 0;
    for await (const message of openMessages(this.#core, group, group.cursor)) {
      if (inOrder >= count) break;
      if (!comesNext(group, message)) continue;
      inOrder++;
      add(message, message.priority);
    }
    const isBefore = (a: (typeof found)[0], b: (typeof found)[0]): number => {
      const sign = a.priority === FRONT ? -1 : 1;
      return b.priority - a.priority || sign * (a.message.seq - b.message.seq);
    };
    const next = found.toSorted(isBefore).slice(0, count);
    return next.map(({ message }) => this.view(message, group));
  }

  async *browse(options: BrowseOptions): AsyncGenerator<QueueMessage<T>, void, undefined> {
    this.#core.requireOpen();
    checkKnown(options, BROWSE);
    const { group: name, state, from = 0, limit = Infinity } = options;
    checkSeq('from', from);
    if (limit !== Infinity) checkInteger('limit', limit, 0, Number.MAX_SAFE_INTEGER);
    if (state !== undefined && !STATES.includes(state)) {
      throw new TypeError(`state must be ${STATES.map((each) => `'${each}'`).join(' or ')}`);
    }
    const { groups } = this.#core.state;
    const isOne = name !== undefined || this.#core.options.mode === 'work';
    const group = isOne ? this.#core.group(name) : undefined;
    let left = limit;
    for await (const message of openMessages(this.#core, group, from)) {
      const view = this.view(message, group ?? groups.values().next().value);
      if (state !== undefined && view.state !== state) continue;
      if (left-- <= 0) return;
      yield view;
    }
  }

  async get(idOrSeq: string | number): Promise<QueueMessage<T> | undefined> {
    this.#core.requireOpen();
    const message = await findMessage(this.#core, idOrSeq);
    if (message === undefined) return undefined;
    return this.view(message, this.#core.state.groups.values().next().value);
  }

  view(message: LeasedMessage, group: GroupState | undefined): QueueMessage<T> {
    const { id, seq, payload, headers, header, enqueuedAt } = message;
    const attempt = group?.attempts.get(seq);
    const nowMs = this.#core.log.clock.now();
    const due = attempt === undefined ? (header.at ?? 0) : attempt.dueMs;
    const dueAt = due > nowMs ? due : undefined;
    const isInFlight = attempt?.isLeased === true;
    return {
      id,
      seq,
      payload: this.#decoded(payload),
      bytes: payload,
      headers,
      key: header.key,
      priority: Math.min(attempt?.priority ?? message.priority, FRONT - 1),
      state: isInFlight ? 'inFlight' : dueAt === undefined ? 'ready' : 'delayed',
      deliveryCount: attempt?.count ?? 0,
      maxDeliveries: this.#core.maxDeliveriesOf(header),
      enqueuedAt,
      dueAt,
      expiresAt: header.until,
      origin: header.origin,
      errors: attempt?.errors ?? [],
    };
  }

  #decoded(payload: Uint8Array): T | undefined {
    if (this.#codec === undefined) return payload as T;
    try {
      return decodedValue(this.#codec, payload);
    } catch {
      return undefined;
    }
  }
}

/** The cursor would deliver it when it met it. */
function comesNext(group: GroupState, { seq, header }: LeasedMessage): boolean {
  if (group.attempts.get(seq) !== undefined) return false;
  return comesInOrder(header) || (seq < group.placedFrom && header.at === undefined);
}

/** A message that is not done with, by its id or seq. */
export async function findMessage(
  core: QueueCore,
  idOrSeq: string | number,
): Promise<LeasedMessage | undefined> {
  if (typeof idOrSeq !== 'string' && typeof idOrSeq !== 'number') {
    throw new TypeError('a message is named by its id or its seq');
  }
  const { state, log } = core;
  const own = typeof idOrSeq === 'number' ? idOrSeq : seqOf(idOrSeq, state.tag);
  if (own !== undefined && Number.isSafeInteger(own) && own >= 0 && own < log.limit) {
    const message = state.isSettled(own) ? undefined : await readMessage(core, own);
    if (typeof idOrSeq === 'number' || message?.id === idOrSeq) return message;
  }
  if (typeof idOrSeq === 'number') return undefined;
  return findMoved(core, idOrSeq);
}

/** One that was moved here, or was moved away and back, has an id that does not say where it is. */
async function findMoved(core: QueueCore, id: string): Promise<LeasedMessage | undefined> {
  const { state, log } = core;
  if (!state.moved.isComplete) await indexMoved(log.channel, state, log.limit);
  for (const seq of state.moved.find(id)) {
    if (seq >= log.limit || state.isSettled(seq)) continue;
    const message = await readMessage(core, seq);
    if (message?.id === id) return message;
  }
  return undefined;
}

function seqOf(id: string, tag: string): number | undefined {
  return id.startsWith(`${tag}-`) ? Number(id.slice(tag.length + 1)) : undefined;
}
