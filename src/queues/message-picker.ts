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
import { MessageCursor } from './message-cursor.js';
import type { QueueLog } from './queue-log.js';
import { bodyOf, headerOf, type DeadCause, type MessageHeader } from './queue-records.js';

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
  readonly record: LogRecord | undefined;
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
    let bytes = 0;
    let mayBeSuspect = allowsSuspect;
    // A heap may hold a message twice, and nothing is leased before the end.
    const taken = new Set<number>();
    try {
      while (picks.picked.length < max) {
        const candidate = await this.#next(mayBeSuspect);
        if (candidate === undefined) break;
        if (candidate.record === undefined && taken.has(candidate.seq)) continue;
        const message = await this.#read(candidate);
        // It may have been popped, or moved, while it was read.
        if (message === undefined || !this.#group.isFree(message.seq)) continue;
        const attempt = this.#group.attempts.get(message.seq);
        const isSuspect = attempt?.isSuspect === true;
        const { payload, header, seq } = message;
        const cause = this.#host.unfitness(message, attempt?.count ?? 0, isSuspect);
        if (cause !== undefined) {
          this.#group.taken.add(seq);
          if (candidate.record === undefined) taken.add(seq);
          picks.unfit.push({ message, cause });
          continue;
        }
        if (header.key !== undefined && !this.#group.lanes.claim(header.key, seq)) {
          this.#group.lanes.wait(header.key, seq, message.priority);
          continue;
        }
        if (picks.picked.length > 0 && bytes + payload.length > maxBytes) {
          this.#group.putBack(seq, candidate.band);
          break;
        }
        bytes += payload.length;
        if (candidate.record === undefined) taken.add(seq);
        if (isSuspect) mayBeSuspect = false;
        this.#group.taken.add(seq);
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

  /** The next message, taken out of where it waits. */
  async #next(mayBeSuspect: boolean): Promise<Candidate | undefined> {
    const group = this.#group;
    const nowMs = this.#host.log.clock.now();
    group.takeDue(nowMs);
    if (mayBeSuspect && group.hasSuspects) {
      const seq = group.popSuspect(nowMs);
      if (seq !== undefined) return { seq, band: 0, record: undefined };
    }
    for (;;) {
      // First the cursor, which places messages with priorities on its way.
      const met = this.#cursor.peek();
      const ready = group.peekReady(nowMs);
      if (ready !== undefined && ready.priority > 0) return this.#takeReady(ready);
      if (met === undefined && this.#cursor.hasMore && group.cursor < (ready?.seq ?? Infinity)) {
        await this.#cursor.fetch();
        continue;
      }
      if (ready !== undefined && ready.seq < (met?.record.seq ?? Infinity)) {
        return this.#takeReady(ready);
      }
      if (met === undefined) return undefined;
      this.#cursor.take();
      return { seq: met.record.seq, band: 0, record: met.record };
    }
  }

  #takeReady({ seq, priority }: { seq: number; priority: number }): Candidate {
    this.#group.popReady(priority);
    return { seq, band: priority, record: undefined };
  }

  /** Undefined for a message that has to wait somewhere else, or is not in the log any more. */
  async #read({ seq, band, record }: Candidate): Promise<LeasedMessage | undefined> {
    const group = this.#group;
    try {
      const message = await readMessage(this.#host, seq, record);
      if (message === undefined) {
        this.#host.log.state.skip(seq);
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
  const record = known ?? (await recordAt(channel, seq));
  const header = record === undefined ? undefined : headerOf(record);
  if (record === undefined || header === undefined) return undefined;
  const updatedBy = state.updated.get(seq);
  const update = updatedBy === undefined ? undefined : await recordAt(channel, updatedBy);
  const newest = update ?? record;
  const until = update === undefined ? undefined : headerOf(update)?.until;
  return {
    seq,
    id: host.idOf(seq, header),
    header: until === undefined ? header : { ...header, until },
    payload: bodyOf(newest),
    size: bodyOf(record).length,
    headers: headerOf(newest)?.headers ?? NO_HEADERS,
    priority: header.priority ?? 0,
    enqueuedAt: header.origin?.enqueuedAt ?? record.timestamp,
  };
}

async function recordAt(channel: Channel, seq: number): Promise<LogRecord | undefined> {
  return seq < channel.firstSeq ? undefined : channel.get(seq);
}
