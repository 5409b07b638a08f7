/**
 * Chooses the messages that a group gets next: those before all others, suspects one at a time,
 * then by priority, and in the order of the log. A message whose key is taken waits behind it; one
 * that may not be delivered any more is set aside. Only in `run`, and one at a time.
 */
import type { Channel } from '../channel/channel.js';
import type { LogRecord } from '../core/record.js';
import type { GroupState } from './group-state.js';
import { comesInOrder, FRONT } from './group-state.js';
import type { LeasedMessage } from './lease.js';
import { MessageCursor, type MetMessage } from './message-cursor.js';
import type { QueueLog } from './queue-log.js';
import { bodyIn, headerIn, type DeadCause, type MessageHeader } from './queue-records.js';

/** A message that is to be handed out. */
export interface Picked {
  readonly message: LeasedMessage;
  /** Where it waits, if it is not handed out after all. */
  readonly band: number;
  readonly isSuspect: boolean;
}

/** A message that nobody gets any more. */
export interface Unfit {
  readonly message: LeasedMessage;
  readonly cause: DeadCause;
}

export interface PickLimits {
  readonly max: number;
  readonly maxBytes: number;
  /** A message that may have ended a process may be among them. */
  readonly allowsSuspect: boolean;
}

export interface Picks {
  readonly picked: Picked[];
  readonly unfit: Unfit[];
}

export interface PickerHost {
  readonly log: QueueLog;
  idOf(seq: number, header: MessageHeader): string;
  /** Why a message may not be delivered; undefined when it may. */
  unfitness(message: LeasedMessage, deliveries: number, isSuspect: boolean): DeadCause | undefined;
}

interface Candidate {
  readonly seq: number;
  readonly band: number;
  /** What the cursor has met; undefined for what waited in a heap. */
  readonly met: MetMessage | undefined;
}

const NO_HEADERS: Readonly<Record<string, string>> = {};

export class MessagePicker {
  readonly #host: PickerHost;
  readonly #group: GroupState;
  readonly #cursor: MessageCursor;

  constructor(host: PickerHost, group: GroupState) {
    this.#host = host;
    this.#group = group;
    this.#cursor = new MessageCursor(host.log, group);
  }

  reset(): void {
    this.#cursor.reset();
  }

  /**
   * Takes messages out of where they wait. They have to be leased or put back in the same `run`.
   * When it rejects, nothing is taken.
   */
  async pick({ max, maxBytes, allowsSuspect }: PickLimits): Promise<Picks> {
    const picks: Picks = { picked: [], unfit: [] };
    const group = this.#group;
    const { clock, state } = this.#host.log;
    let nowMs = clock.now();
    let bytes = 0;
    let mayBeSuspect = allowsSuspect;
    try {
      while (picks.picked.length < max) {
        const candidate = this.#next(mayBeSuspect, nowMs);
        if (candidate === undefined) break;
        if (candidate === 'fetch') {
          await this.#cursor.fetch();
          nowMs = clock.now();
          continue;
        }
        const message = this.#known(candidate) ?? (await this.#read(candidate));
        // It may have been popped, or moved, while it was read.
        if (message === undefined || !group.isFree(message.seq)) continue;
        const attempt = group.attempts.get(message.seq);
        const isSuspect = attempt?.isSuspect === true;
        const { payload, header, seq } = message;
        const cause = this.#host.unfitness(message, attempt?.count ?? 0, isSuspect);
        if (cause !== undefined) {
          // Its key is to wait for it as a dead letter: none behind it goes on before that.
          if (header.key !== undefined && state.options.onDead === 'block') {
            group.lanes.claim(header.key, seq);
          }
          group.taken.add(seq);
          picks.unfit.push({ message, cause });
          continue;
        }
        if (header.key !== undefined && !group.lanes.claim(header.key, seq)) {
          group.lanes.wait(header.key, seq, message.priority);
          continue;
        }
        if (picks.picked.length > 0 && bytes + payload.length > maxBytes) {
          group.putBack(seq, candidate.band);
          break;
        }
        bytes += payload.length;
        if (isSuspect) mayBeSuspect = false;
        group.taken.add(seq);
        picks.picked.push({ message, band: candidate.band, isSuspect });
      }
    } catch (error) {
      if (picks.picked.length + picks.unfit.length === 0) throw error;
      // Those before it are delivered first; the next who asks is told.
    }
    return picks;
  }

  /** Messages are not handed out after all. */
  putBack(picked: readonly Picked[]): void {
    for (const { message, band } of picked) this.#group.putBack(message.seq, band);
  }

  /** The next message, taken out of where it waits; `fetch`: it may be further on in the log. */
  #next(mayBeSuspect: boolean, nowMs: number): Candidate | 'fetch' | undefined {
    const group = this.#group;
    group.takeDue(nowMs);
    if (mayBeSuspect && group.hasSuspects) {
      const seq = group.popSuspect(nowMs);
      if (seq !== undefined) return { seq, band: 0, met: undefined };
    }
    // First the cursor, which places messages with priorities on its way, or which are due now.
    const met = this.#cursor.peek();
    group.takeDue(nowMs);
    const ready = group.peekReady(nowMs);
    if (ready !== undefined && ready.priority > 0) return this.#takeReady(ready);
    if (met === undefined && this.#cursor.hasMore && group.cursor < (ready?.seq ?? Infinity)) {
      return 'fetch';
    }
    if (ready !== undefined && ready.seq < (met?.seq ?? Infinity)) return this.#takeReady(ready);
    if (met === undefined) return undefined;
    this.#cursor.take();
    return { seq: met.seq, band: 0, met };
  }

  #takeReady({ seq, priority }: { seq: number; priority: number }): Candidate {
    this.#group.popReady(priority);
    return { seq, band: priority, met: undefined };
  }

  /** What the cursor has met in this turn is open, in its place, and read, unless changed since. */
  #known({ seq, met }: Candidate): LeasedMessage | undefined {
    if (met === undefined || this.#host.log.state.updated.has(seq)) return undefined;
    return messageOf(this.#host, met);
  }

  /**
   * A message that was written is hidden for as long as an earlier record waits for its sync, as
   * one was that is not below `nextSeq` of before the read. Any other is done with.
   */
  async #onUnreadable(seq: number, band: number, nextSeq: number): Promise<void> {
    const { channel, state } = this.#host.log;
    if (seq < nextSeq) {
      state.skip(seq);
      return;
    }
    if (seq >= channel.nextSeq) await channel.sync();
    this.#group.putBack(seq, band);
  }

  /** Undefined for a message that has to wait somewhere else, or is not in the log any more. */
  async #read({ seq, band }: Candidate): Promise<LeasedMessage | undefined> {
    const group = this.#group;
    const { nextSeq } = this.#host.log.channel;
    try {
      const message = await readMessage(this.#host, seq);
      if (message === undefined) {
        await this.#onUnreadable(seq, band, nextSeq);
        return undefined;
      }
      const { header } = message;
      const isFirst = group.attempts.get(seq) === undefined;
      if (isFirst && band === 0 && !comesInOrder({ ...header, at: undefined })) {
        // It was put off, and its priority not known until now.
        group.place(seq, { ...header, at: undefined });
        return undefined;
      }
      const isOpen = !group.settled.has(seq) && !this.#host.log.state.gone.has(seq);
      if (!isOpen) return undefined;
      const priority =
        group.attempts.get(seq)?.priority ?? (band === FRONT ? FRONT : message.priority);
      return { ...message, priority };
    } catch (error) {
      group.putBack(seq, band);
      throw error;
    }
  }
}

/** A message as it is now; undefined when it is not in the log. Rejects with CORRUPT, IO. */
export async function readMessage(
  host: Pick<PickerHost, 'log' | 'idOf'>,
  seq: number,
  known?: LogRecord,
): Promise<LeasedMessage | undefined> {
  const { channel, state } = host.log;
  const enqueued = metIn(known ?? (await recordAt(channel, seq)));
  if (enqueued === undefined) return undefined;
  const message = messageOf(host, enqueued);
  const updatedBy = state.updated.get(seq);
  const update = updatedBy === undefined ? undefined : metIn(await recordAt(channel, updatedBy));
  if (update === undefined) return message;
  const { header, payload } = update;
  const { until, headers = NO_HEADERS } = header;
  return {
    ...message,
    header: until === undefined ? message.header : { ...message.header, until },
    payload: bodyIn(payload),
    headers,
  };
}

function metIn(record: LogRecord | undefined): MetMessage | undefined {
  if (record === undefined) return undefined;
  const { seq, payload, timestamp } = record;
  const header = headerIn(payload);
  return header === undefined ? undefined : { seq, header, payload, timestamp };
}

/** A message as it was enqueued. */
function messageOf(
  host: Pick<PickerHost, 'idOf'>,
  { seq, header, payload, timestamp }: MetMessage,
): LeasedMessage {
  const body = bodyIn(payload);
  return {
    seq,
    id: host.idOf(seq, header),
    header,
    payload: body,
    size: body.length,
    headers: header.headers ?? NO_HEADERS,
    priority: header.priority ?? 0,
    enqueuedAt: header.origin?.enqueuedAt ?? timestamp,
    decoded: undefined,
  };
}

async function recordAt(channel: Channel, seq: number): Promise<LogRecord | undefined> {
  return seq < channel.firstSeq ? undefined : channel.get(seq);
}
