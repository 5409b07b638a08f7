/** Messages of a program that consumes a queue, and what is found in its queues. */
import type { Queue } from '../../src/queues/queue.js';

/** How a consumer ends a delivery. */
export type Ending = 'ack written' | 'ack synced' | 'nack' | 'release' | 'reject';

export interface FoundMessage {
  readonly number: number;
  readonly id: string;
  readonly seq: number;
  readonly count: number;
}

export interface FoundLetter extends FoundMessage {
  readonly originSeq: number;
  /** Deliveries before it became a dead letter. */
  readonly originCount: number;
  readonly cause: string;
}

export interface FoundQueues {
  readonly work: readonly FoundMessage[];
  readonly dead: readonly FoundLetter[];
  /** As the queue counts them. */
  readonly counted: number;
}

export const QUEUE = 'work';
export const MAX_DELIVERIES = 3;
/** Small, so that space is given back often. */
export const SEGMENT_BYTES: number = 16 * 1024;
const MESSAGES_OF_LIFE = 1_000_000;

export function numberIn(life: number, index: number): number {
  return life * MESSAGES_OF_LIFE + index;
}

export function payloadOf(number: number): Uint8Array {
  return Buffer.from(`${number} ${'.'.repeat((number * 37) % 700)}`);
}

/** Throws when it is not what was enqueued. */
export function numberOf(bytes: Uint8Array): number {
  const number = Number.parseInt(Buffer.from(bytes).toString(), 10);
  if (Buffer.compare(bytes, payloadOf(number)) === 0) return number;
  throw new Error(`a payload of ${bytes.length} bytes is not that of ${number}`);
}

/** Everything that the queues hold. */
export async function findQueues(work: Queue): Promise<FoundQueues> {
  const messages: FoundMessage[] = [];
  for await (const { bytes, id, seq, deliveryCount: count } of work.browse()) {
    messages.push({ number: numberOf(bytes), id, seq, count });
  }
  const letters: FoundLetter[] = [];
  const dead = await work.deadLetters();
  for await (const { bytes, id, seq, deliveryCount: count, origin } of dead.browse()) {
    if (origin?.queue !== QUEUE)
      throw new Error(`dead letter ${seq} does not say where it is from`);
    const { seq: originSeq, deliveryCount: originCount, cause } = origin;
    letters.push({ number: numberOf(bytes), id, seq, count, originSeq, originCount, cause });
  }
  const { messages: counted } = await work.stats();
  return { work: messages, dead: letters, counted };
}
