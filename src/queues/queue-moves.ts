/**
 * Messages that go from one queue to another: to the dead letters, and back from there. Each is in
 * exactly one of them after any crash, because both write it in one commit. What cannot be moved
 * stays where it is.
 */
import type { Logger } from '../core/runtime.js';
import type { Redex } from '../store/redex.js';
import type { GroupState } from './group-state.js';
import type { LeasedMessage } from './lease.js';
import { readMessage } from './message-picker.js';
import { openMessages } from './open-messages.js';
import { commitParts } from './queue-commit.js';
import type { QueueCore } from './queue-core.js';
import type { NewMessage } from './queue-log.js';
import { runsOf, type MessageHeader } from './queue-records.js';
import { groupField, WORK_GROUP } from './queue-state.js';
import type { Doomed } from './settlement.js';

/** Messages, and bytes of them, that one commit moves. */
const CHUNK_MESSAGES = 100;
const CHUNK_BYTES = 512 * 1024;
/** Until it is tried again to move a message that could not be moved. */
const RETRY_MS = 60_000;

export interface MovesHost {
  readonly redex: Redex;
  readonly logger: Logger;
  /** An open queue for dead letters, made if there is none. */
  openForDeadLetters(name: string): Promise<QueueCore>;
  /** An open queue. Rejects with NOT_FOUND. */
  openQueue(name: string): Promise<QueueCore>;
}

export interface Redrive {
  readonly filter: (message: LeasedMessage) => boolean;
  readonly limit: number;
  /** Where all go; undefined: each to where it came from. */
  readonly target: QueueCore | undefined;
  /** Waits after a chunk, before the next one. */
  readonly pace: (moved: number) => Promise<void>;
}

export class QueueMoves {
  readonly #host: MovesHost;

  constructor(host: MovesHost) {
    this.#host = host;
  }

  /**
   * Makes dead letters of messages that are leased or reserved. Never rejects: what cannot become
   * one waits again.
   */
  async bury(core: QueueCore, group: string, doomed: readonly Doomed[]): Promise<void> {
    const { deadLetter } = core.options;
    for (const chunk of chunksOf(doomed, ({ message }) => message.payload.length)) {
      try {
        if (deadLetter === false) await this.#discard(core, group, chunk);
        else await this.#move(core, group, chunk, deadLetter);
      } catch (error) {
        await this.#keep(core, group, chunk, error);
      }
    }
  }

  async #move(
    core: QueueCore,
    group: string,
    doomed: readonly Doomed[],
    name: string,
  ): Promise<void> {
    const target = await this.#host.openForDeadLetters(name);
    const moved = await commitParts(this.#host.redex, [core, target], async () => {
      const current = await Promise.all(doomed.map((each) => asUpdated(core, each)));
      const left = stillOpen(core, group, current);
      const messages = left.map((each) => deadLetterOf(core, group, each));
      return [
        { core, operations: doneWith(group, left, 'dead'), messages: [] },
        { core: target, operations: [], messages },
      ];
    });
    core.counters.deadLettered += moved.size > 0 ? doomed.length : 0;
    target.wake();
  }

  /** Without dead letters: what its consumer has refused, or nobody may get any more, goes. */
  async #discard(core: QueueCore, group: string, doomed: readonly Doomed[]): Promise<void> {
    const isRefused = ({ cause }: Doomed): boolean =>
      cause === 'rejected' || cause === 'expired' || cause === 'overflow';
    const refused = doomed.filter(isRefused);
    const kept = doomed.filter((each) => !isRefused(each));
    if (refused.length > 0) {
      await core.log.run(async () => {
        const [operation] = doneWith(group, stillOpen(core, group, refused), 'discarded');
        if (operation !== undefined) await core.log.operate(operation);
      });
    }
    const error = new Error('it cannot be delivered, and the queue has no dead letters');
    if (kept.length > 0) await this.#keep(core, group, kept, error);
  }

  async #keep(
    core: QueueCore,
    group: string,
    doomed: readonly Doomed[],
    error: unknown,
  ): Promise<void> {
    const text = error instanceof Error ? error.message : String(error);
    this.#host.logger.error('messages could not become dead letters, and stay', {
      queue: core.name,
      messages: doomed.map(({ message }) => message.id).slice(0, 10),
      error,
    });
    const seqs = doomed.map(({ message }) => message.seq);
    const dueMs = core.log.clock.now() + RETRY_MS;
    await core.log.run(() => core.giveBack(group, seqs, { dueMs, error: text }));
  }

  /** Moves messages that nobody has out of a queue; resolves to how many. */
  async redrive(source: QueueCore, { filter, limit, target, pace }: Redrive): Promise<number> {
    const group = source.group(undefined);
    let chunk: LeasedMessage[] = [];
    let moved = 0;
    const flush = async (): Promise<void> => {
      const messages = chunk;
      chunk = [];
      if (messages.length === 0) return;
      const count = await this.#redriveChunk(source, group, messages, target);
      moved += count;
      await pace(count);
    };
    let bytes = 0;
    for await (const message of openMessages(source, group, group.settled.floor)) {
      if (moved + chunk.length >= limit) break;
      if (!group.isFree(message.seq) || !filter(message)) continue;
      if (chunk.length >= CHUNK_MESSAGES || bytes + message.payload.length > CHUNK_BYTES) {
        await flush();
        bytes = 0;
      }
      chunk.push(message);
      bytes += message.payload.length;
    }
    await flush();
    return moved;
  }

  async #redriveChunk(
    source: QueueCore,
    group: GroupState,
    messages: readonly LeasedMessage[],
    only: QueueCore | undefined,
  ): Promise<number> {
    const byTarget = new Map<QueueCore, LeasedMessage[]>();
    for (const message of messages) {
      const target = only ?? (await this.#host.openQueue(message.header.origin?.queue ?? ''));
      const list = byTarget.get(target);
      if (list === undefined) byTarget.set(target, [message]);
      else list.push(message);
    }
    let moved = 0;
    await commitParts(this.#host.redex, [source, ...byTarget.keys()], () => {
      const isFree = ({ seq }: LeasedMessage): boolean => group.isFree(seq);
      const free = messages.filter((message) => isFree(message));
      moved = free.length;
      const done = free.map((message) => ({ message }));
      return [
        { core: source, operations: doneWith(WORK_GROUP, done, 'redriven'), messages: [] },
        ...[...byTarget].map(([core, list]) => ({
          core,
          operations: [],
          messages: list.filter((message) => isFree(message)).map((each) => revived(each)),
        })),
      ];
    });
    for (const target of byTarget.keys()) target.wake();
    source.wake();
    return moved;
  }
}

/** A message may have been changed since it was handed out. */
async function asUpdated(core: QueueCore, doomed: Doomed): Promise<Doomed> {
  const { seq } = doomed.message;
  const message = core.state.updated.has(seq) ? await readMessage(core, seq) : undefined;
  return message === undefined ? doomed : { ...doomed, message };
}

function stillOpen(core: QueueCore, group: string, doomed: readonly Doomed[]): readonly Doomed[] {
  const settled = core.state.groups.get(group)?.settled;
  return doomed.filter(({ message }) => settled?.has(message.seq) === false);
}

function doneWith(
  group: string,
  messages: readonly { readonly message: LeasedMessage }[],
  why: 'dead' | 'discarded' | 'redriven',
): { o: 'done'; g: string | undefined; s: number[]; why: typeof why; z: number[] }[] {
  if (messages.length === 0) return [];
  const s = runsOf(messages.map(({ message }) => message.seq));
  const z = messages.map(({ message }) => message.countedBytes);
  return [{ o: 'done', g: groupField(group), s, why, z }];
}

function deadLetterOf(
  core: QueueCore,
  group: string,
  { message, cause, reason }: Doomed,
): NewMessage {
  const attempt = core.state.groups.get(group)?.attempts.get(message.seq);
  const { id, seq, enqueuedAt, header, headers, payload } = message;
  const origin = {
    queue: core.name,
    seq,
    group: groupField(group),
    cause,
    reason,
    deliveryCount: attempt?.count ?? 0,
    priority: header.priority,
    enqueuedAt,
    deadAt: core.log.clock.now(),
    errors: attempt?.errors ?? [],
  };
  const kept: MessageHeader = { id, origin, key: header.key };
  return {
    header: Object.keys(headers).length === 0 ? kept : { ...kept, headers },
    payload,
  };
}

/** The message as it was enqueued, at the end of its queue. */
function revived({ id, header, headers, payload }: LeasedMessage): NewMessage {
  const { key, origin } = header;
  const priority = origin?.priority;
  const hasHeaders = Object.keys(headers).length > 0;
  return {
    header: { id, key, priority, headers: hasHeaders ? headers : undefined },
    payload,
  };
}

function chunksOf<T>(items: readonly T[], sizeOf: (item: T) => number): T[][] {
  const chunks: T[][] = [];
  let bytes = Infinity;
  for (const item of items) {
    const chunk = chunks.at(-1);
    const size = sizeOf(item);
    if (chunk === undefined || chunk.length >= CHUNK_MESSAGES || bytes + size > CHUNK_BYTES) {
      chunks.push([item]);
      bytes = size;
    } else {
      chunk.push(item);
      bytes += size;
    }
  }
  return chunks;
}
