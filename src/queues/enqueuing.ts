/**
 * Messages on their way into a queue: those that came before are told so, the others take room and
 * are written. Room that was taken is given back when it is not used.
 */
import type { Durability } from '../channel/record-input.js';
import { messageAt, withOwnPayload, type CheckedMessage } from './enqueue-input.js';
import type { LeasedMessage } from './lease.js';
import { openMessages } from './open-messages.js';
import { queueFull } from './queue-errors.js';
import type { QueueContext } from './queue-context.js';
import type { NewMessage } from './queue-log.js';
import { encodeMessage, headerOf, MESSAGE, type MessageHeader } from './queue-records.js';

export interface EnqueueResult {
  readonly id: string;
  readonly seq: number;
  /** The message was there already: it is the earlier one's id and seq. */
  readonly duplicate: boolean;
}

/** Messages that are written together, and where the results of all are. */
export interface PlannedEnqueue {
  readonly messages: readonly NewMessage[];
  /** The results, once the seq of the first message is known. */
  results(firstSeq: number): Promise<EnqueueResult[]>;
  /** To be called in any case when it was written, or failed. */
  end(error?: unknown): void;
}

interface Room {
  readonly messages: number;
  readonly bytes: number;
}

/** Messages that had the same keys, of those below a seq. */
interface Found {
  readonly known: ReadonlyMap<string, EnqueueResult>;
  readonly lookedTo: number;
}

const NO_HEADER: MessageHeader = {};
const NOTHING_FOUND: Found = { known: new Map(), lookedTo: Infinity };

type Place = { readonly index: number } | { readonly of: Promise<EnqueueResult> };

export class Enqueuing {
  readonly #core: QueueContext;
  /** Keys of messages on their way, with what becomes of them. */
  readonly #pending = new Map<string, Promise<EnqueueResult>>();
  /** Room that messages on their way have taken. */
  #taken: Room = { messages: 0, bytes: 0 };
  readonly #waiting = new Set<() => void>();

  constructor(core: QueueContext) {
    this.#core = core;
  }

  /**
   * One message, whose payload may still be its caller's: mostly it has no key to look for, the
   * queue no limits, and nothing holds the log. Then it is encoded within the call. Throws for what
   * cannot be.
   */
  enqueueOne(checked: CheckedMessage, durability: Durability): Promise<EnqueueResult> {
    if (checked.dedup === undefined && !this.#hasLimits && !this.#core.log.isHeld) {
      return this.#writeNow(checked, durability);
    }
    return this.#enqueueOnly(withOwnPayload(checked), durability);
  }

  /** By callbacks: an async function takes twice the memory for each message on its way. */
  #writeNow(checked: CheckedMessage, durability: Durability): Promise<EnqueueResult> {
    const { log, name } = this.#core;
    log.reserve.requireRoom(name);
    const timestamp = log.clock.now();
    const { header, payload } = messageAt(checked, timestamp);
    const { length } = payload;
    const bytes = encodeMessage(header, payload);
    const underway = log.enter();
    return log.channel.append(bytes, { type: MESSAGE, timestamp, durability }).then(
      (seq) => {
        // Who waits for it goes on in a later turn.
        log.leave(underway);
        log.appended(seq, header, length, timestamp);
        this.#core.counters.enqueued++;
        this.#core.wake();
        return this.#resultAt(seq);
      },
      (error: unknown) => {
        log.leave(underway);
        throw error;
      },
    );
  }

  async #enqueueOnly(checked: CheckedMessage, durability: Durability): Promise<EnqueueResult> {
    const [result] = await this.enqueue([checked], durability);
    if (result === undefined) throw new Error('a message without a result');
    return result;
  }

  get #hasLimits(): boolean {
    const { maxMessages, maxBytes } = this.#core.options;
    return maxMessages !== null || maxBytes !== null;
  }

  /** All of them are in the queue when it resolves, or, when it rejects, none. */
  async enqueue(
    checked: readonly CheckedMessage[],
    durability: Durability,
    signal?: AbortSignal,
  ): Promise<EnqueueResult[]> {
    const { log, counters } = this.#core;
    if (checked.length === 0) return [];
    const plan = await this.plan(checked, signal);
    try {
      let firstSeq = 0;
      if (plan.messages.length > 0) {
        firstSeq = await log.run(() => {
          this.#core.requireOpen();
          return log.append(plan.messages, durability);
        });
      }
      counters.enqueued += plan.messages.length;
      const results = plan.results(firstSeq);
      plan.end();
      this.#core.wake();
      return await results;
    } catch (error) {
      plan.end(error);
      throw error;
    }
  }

  /** Room is taken, and keys are, until `end`. Rejects with LIMIT, CLOSED, the signal's reason. */
  async plan(checked: readonly CheckedMessage[], signal?: AbortSignal): Promise<PlannedEnqueue> {
    const keys = checked.flatMap(({ dedup }) => (dedup === undefined ? [] : [dedup]));
    for (;;) {
      this.#core.log.reserve.requireRoom(this.#core.name);
      const found = keys.length === 0 ? NOTHING_FOUND : await this.#lookFor(keys);
      // In one turn from here on, until the room is taken or has to be made.
      if (keys.some((key) => this.#pending.has(key))) continue;
      const room = this.#roomFor(checked, found);
      const excess = this.#excess(room);
      if (excess === undefined) {
        this.#taken = {
          messages: this.#taken.messages + room.messages,
          bytes: this.#taken.bytes + room.bytes,
        };
        return this.#planned(checked, found, room);
      }
      await this.#makeRoom(room, excess, signal);
    }
  }

  /** What had the keys before. Those on their way are waited for: they may fail. */
  async #lookFor(keys: readonly string[]): Promise<Found> {
    for (const key of keys) await this.#pending.get(key)?.catch(() => undefined);
    const known = new Map<string, EnqueueResult>();
    const lookedTo = this.#core.log.channel.nextSeq;
    for (const key of keys) {
      const found = await this.#find(key);
      if (found !== undefined) known.set(key, found);
    }
    return { known, lookedTo };
  }

  /** In the turn in which the room is taken. */
  #planned(checked: readonly CheckedMessage[], found: Found, room: Room): PlannedEnqueue {
    const nowMs = this.#core.log.clock.now();
    const messages: NewMessage[] = [];
    const places: Place[] = [];
    const keys: string[] = [];
    let begin: (firstSeq: number) => void = () => {};
    let isEnded = false;
    let fail: (error: unknown) => void = () => {};
    const written = new Promise<number>((resolve, reject) => {
      begin = resolve;
      fail = reject;
    });
    written.catch(() => undefined);
    for (const message of checked) {
      const { dedup } = message;
      const before = dedup === undefined ? undefined : this.#earlier(dedup, found);
      if (before !== undefined) {
        places.push({ of: before.then(asDuplicate) });
        continue;
      }
      const index = messages.length;
      if (dedup !== undefined) {
        keys.push(dedup);
        const result = written.then((firstSeq) => this.#resultAt(firstSeq + index));
        result.catch(() => undefined);
        this.#pending.set(dedup, result);
      }
      places.push({ index });
      messages.push(messageAt(message, nowMs));
    }
    return {
      messages,
      results: (firstSeq) => {
        begin(firstSeq);
        this.#core.counters.duplicates += places.length - messages.length;
        return Promise.all(
          places.map((place) =>
            'of' in place ? place.of : Promise.resolve(this.#resultAt(firstSeq + place.index)),
          ),
        );
      },
      end: (error) => {
        if (isEnded) return;
        isEnded = true;
        if (error !== undefined) fail(error);
        for (const key of keys) this.#pending.delete(key);
        this.#taken = {
          messages: this.#taken.messages - room.messages,
          bytes: this.#taken.bytes - room.bytes,
        };
        this.onRoom();
      },
    };
  }

  #resultAt(seq: number): EnqueueResult {
    return { id: this.#core.idOf(seq, NO_HEADER), seq, duplicate: false };
  }

  #earlier(dedup: string, { known, lookedTo }: Found): Promise<EnqueueResult> | undefined {
    const found = known.get(dedup);
    if (found !== undefined) return Promise.resolve(found);
    const pending = this.#pending.get(dedup);
    if (pending !== undefined) return pending;
    // It may have been written since it was looked for.
    const { state, log } = this.#core;
    const seq = state.dedup.find(dedup, log.clock.now());
    return seq === undefined || seq < lookedTo ? undefined : Promise.resolve(this.#resultAt(seq));
  }

  /** The message that had this key in the window. */
  async #find(dedup: string): Promise<EnqueueResult | undefined> {
    const { log, state } = this.#core;
    const seq = state.dedup.find(dedup, log.clock.now());
    if (seq === undefined) return undefined;
    const { channel } = log;
    const record = seq < channel.firstSeq ? undefined : await channel.get(seq);
    const header = record === undefined ? undefined : headerOf(record);
    // Two keys of one hash are not the same: the message itself says which it was.
    if (header !== undefined && header.dedup !== dedup) return undefined;
    return { id: this.#core.idOf(seq, header ?? {}), seq, duplicate: true };
  }

  /** What is left when those are gone that came before. */
  #roomFor(checked: readonly CheckedMessage[], found: Found): Room {
    const seen = new Set<string>();
    let messages = 0;
    let bytes = 0;
    for (const { dedup, payload } of checked) {
      if (dedup !== undefined) {
        if (seen.has(dedup) || this.#earlier(dedup, found) !== undefined) continue;
        seen.add(dedup);
      }
      messages++;
      bytes += payload.length;
    }
    return { messages, bytes };
  }

  /** The limit that this much more would exceed. */
  #excess({ messages, bytes }: Room): Parameters<typeof queueFull> | undefined {
    const { state, options, name } = this.#core;
    const { maxMessages, maxBytes } = options;
    const allMessages = state.messages + this.#taken.messages + messages;
    const allBytes = state.bytes + this.#taken.bytes + bytes;
    if (maxMessages !== null && allMessages > maxMessages) {
      return [name, 'maxMessages', maxMessages, allMessages];
    }
    if (maxBytes !== null && allBytes > maxBytes) return [name, 'maxBytes', maxBytes, allBytes];
    return undefined;
  }

  /** There may be room when it resolves. */
  async #makeRoom(
    room: Room,
    excess: Parameters<typeof queueFull>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { overflow, maxMessages, maxBytes } = this.#core.options;
    const tooMany = maxMessages !== null && room.messages > maxMessages;
    const isHopeless = tooMany || (maxBytes !== null && room.bytes > maxBytes);
    if (overflow === 'reject' || isHopeless) throw queueFull(...excess);
    if (overflow === 'wait') await this.#waitForRoom(signal);
    else if (!(await this.#dropOldest())) throw queueFull(...excess);
    this.#core.requireOpen();
  }

  async #waitForRoom(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.delete(wake);
        reject(signal?.reason as Error);
      };
      this.#waiting.add(wake);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Room may have come. All look again, in the order in which they came. */
  onRoom(): void {
    if (this.#waiting.size === 0) return;
    for (const wake of Array.from(this.#waiting)) wake();
  }

  /** The oldest message that nobody has becomes a dead letter; false when there is none. */
  async #dropOldest(): Promise<boolean> {
    const core = this.#core;
    const { log, state } = core;
    for await (const message of openMessages(core, undefined, state.floor)) {
      const groups = await log.run(() => Promise.resolve(this.#reserved(message)));
      if (groups.length === 0) continue;
      for (const group of groups) await core.bury(group, [{ message, cause: 'overflow' }]);
      return state.isSettled(message.seq);
    }
    return false;
  }

  /** The groups that have the message before them, if none has it in flight. */
  #reserved(message: LeasedMessage): string[] {
    const { groups } = this.#core.state;
    const open = [...groups.values()].filter(({ settled }) => !settled.has(message.seq));
    if (!open.every((group) => group.isFree(message.seq))) return [];
    for (const group of open) this.#core.reserve(group, message);
    return open.map(({ name }) => name);
  }
}

function asDuplicate(result: EnqueueResult): EnqueueResult {
  return { ...result, duplicate: true };
}
