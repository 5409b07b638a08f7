/**
 * Messages that go from one queue to another: to the dead letters, and back from there. Each is in
 * exactly one of them after any crash, because both write it in one commit. What cannot be moved
 * stays where it is.
 */
import type { Logger } from '../core/runtime.js';
import type { Redex } from '../store/redex.js';
import { MAX_ERROR_LENGTH, MAX_ERRORS, type Attempt } from './attempt.js';
import type { GroupState } from './group-state.js';
import { waitAgain } from './held-messages.js';
import type { LeasedMessage } from './lease.js';
import { readMessage } from './message-picker.js';
import { openMessages } from './open-messages.js';
import { commitParts } from './queue-commit.js';
import type { Doomed, QueueContext } from './queue-context.js';
import type { NewMessage } from './queue-log.js';
import {
  runsOf,
  type FailedDelivery,
  type Held,
  type MessageHeader,
  type OperationContent,
} from './queue-records.js';
import { reportQueue } from './queue-report.js';
import { groupField, WORK_GROUP } from './queue-state.js';

/** Messages, and bytes of them, that one commit moves. */
const CHUNK_MESSAGES = 100;
const CHUNK_BYTES = 512 * 1024;
/** Until it is tried again to move a message that could not be moved. */
const RETRY_MS = 60_000;

export interface MovesHost {
  readonly redex: Redex;
  readonly logger: Logger;
  /** An open queue for dead letters, made if there is none. */
  openForDeadLetters(name: string): Promise<QueueContext>;
  /** An open queue. Rejects with NOT_FOUND. */
  openQueue(name: string): Promise<QueueContext>;
}

export interface Redrive {
  readonly filter: (message: LeasedMessage) => boolean;
  readonly limit: number;
  /** Messages at once. */
  readonly most: number;
  /** Where all go; undefined: each to where it came from. */
  readonly target: QueueContext | undefined;
  /** Waits after so many, before the next ones. */
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
  async bury(core: QueueContext, group: string, given: readonly Doomed[]): Promise<void> {
    const { deadLetter, onExpired } = core.options;
    const isDropped = ({ cause }: Doomed): boolean =>
      deadLetter === false || (onExpired === 'drop' && cause === 'expired');
    await this.#each(core, group, given.filter(isDropped), (chunk) =>
      this.#discard(core, group, chunk),
    );
    if (deadLetter === false) return;
    const moved = given.filter((each) => !isDropped(each));
    await this.#each(core, group, moved, (chunk) => this.#move(core, group, chunk, deadLetter));
  }

  /** Does it with as many at once as one commit takes. What fails waits again. */
  async #each(
    core: QueueContext,
    group: string,
    doomed: readonly Doomed[],
    work: (chunk: readonly Doomed[]) => Promise<void>,
  ): Promise<void> {
    for (const chunk of chunksOf(doomed, ({ message }) => message.payload.length)) {
      try {
        await work(chunk);
      } catch (error) {
        await this.#keep(core, group, chunk, error);
      }
    }
  }

  async #move(
    core: QueueContext,
    group: string,
    doomed: readonly Doomed[],
    name: string,
  ): Promise<void> {
    const target = await this.#host.openForDeadLetters(name);
    let left: readonly Doomed[] = [];
    await commitParts(this.#host.redex, [core, target], async () => {
      left = stillDoomed(core, group, doomed);
      const messages: NewMessage[] = [];
      for (const each of left)
        messages.push(deadLetterOf(core, group, await asWritten(core, each)));
      return [
        {
          core,
          operations: doneWith(group, left, 'dead', heldBy(core, group, left)),
          messages: [],
        },
        { core: target, operations: [], messages },
      ];
    });
    core.counters.deadLettered += left.length;
    reportQueue(core.name, 'dead-lettered', left.length);
    await core.onGone(left.map(({ message }) => message));
    target.wake();
  }

  /** Without dead letters: what its consumer has refused, or nobody may get any more, goes. */
  async #discard(core: QueueContext, group: string, doomed: readonly Doomed[]): Promise<void> {
    const isRefused = ({ cause }: Doomed): boolean =>
      cause === 'rejected' || cause === 'expired' || cause === 'overflow';
    const refused = doomed.filter(isRefused);
    const kept = doomed.filter((each) => !isRefused(each));
    if (refused.length > 0) {
      await core.log.run(async () => {
        const [operation] = doneWith(group, stillDoomed(core, group, refused), 'discarded');
        if (operation !== undefined) await core.log.operate(operation);
      });
      await core.onGone(refused.map(({ message }) => message));
    }
    const error = new Error('it cannot be delivered, and the queue has no dead letters');
    if (kept.length > 0) await this.#keep(core, group, kept, error);
  }

  async #keep(
    core: QueueContext,
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
    const dueMs = core.log.clock.now() + RETRY_MS;
    await core.log.run(async () => {
      const seqs = stillDoomed(core, group, doomed).map(({ message }) => message.seq);
      if (seqs.length > 0) await core.giveBack(group, seqs, { dueMs, error: text });
    });
  }

  /** Moves messages that nobody has out of a queue; resolves to how many. */
  async redrive(source: QueueContext, redrive: Redrive): Promise<number> {
    const { filter, limit, target, pace } = redrive;
    const most = Math.min(CHUNK_MESSAGES, redrive.most);
    const group = source.group(undefined);
    let chunk: LeasedMessage[] = [];
    let moved = 0;
    let before = 0;
    const flush = async (): Promise<void> => {
      const messages = chunk;
      chunk = [];
      if (messages.length === 0) return;
      if (before > 0) await pace(before);
      before = await this.#redriveChunk(source, group, messages, target);
      moved += before;
    };
    let bytes = 0;
    for await (const message of openMessages(source, group, group.settled.floor)) {
      if (moved + chunk.length >= limit) break;
      if (!group.isFree(message.seq) || !filter(message)) continue;
      if (chunk.length >= most || bytes + message.payload.length > CHUNK_BYTES) {
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
    source: QueueContext,
    group: GroupState,
    messages: readonly LeasedMessage[],
    only: QueueContext | undefined,
  ): Promise<number> {
    const byTarget = new Map<QueueContext, LeasedMessage[]>();
    for (const message of messages) {
      const target = only ?? (await this.#host.openQueue(message.header.origin?.queue ?? ''));
      const list = byTarget.get(target);
      if (list === undefined) byTarget.set(target, [message]);
      else list.push(message);
    }
    let free: readonly LeasedMessage[] = [];
    try {
      await commitParts(this.#host.redex, [source, ...byTarget.keys()], async () => {
        free = messages.filter(({ seq }) => group.isFree(seq));
        for (const { seq } of free) group.taken.add(seq);
        const moved = await newestOf(source, free);
        const done = free.map((message) => ({ message }));
        return [
          { core: source, operations: doneWith(WORK_GROUP, done, 'redriven'), messages: [] },
          ...[...byTarget].map(([core, list]) => ({
            core,
            operations: [],
            messages: list
              .flatMap((message) => moved.get(message) ?? [])
              .map((each) => revived(each, core.name)),
          })),
        ];
      });
    } catch (error) {
      for (const message of free) waitAgain(source, group, message);
      throw error;
    }
    // Those that went to where they came from have let their keys go on with that.
    const toOthers = free.filter(({ header }) => only !== undefined && !isFrom(header, only.name));
    await source.onGone(toOthers);
    for (const target of byTarget.keys()) target.wake();
    source.wake();
    return free.length;
  }
}

/** They may have been purged, or their group sought, since they were reserved or leased. */
function stillDoomed(
  core: QueueContext,
  group: string,
  doomed: readonly Doomed[],
): readonly Doomed[] {
  const state = core.state.groups.get(group);
  return doomed.filter(({ message: { seq }, lease }) => {
    if (state === undefined || state.settled.has(seq)) return false;
    if (lease !== undefined) return core.leases.holds(lease);
    return state.attempts.get(seq)?.isLeased === true && core.leases.get(group, seq) === undefined;
  });
}

/** Who had the message may have changed the bytes that were handed out. */
async function asWritten(core: QueueContext, doomed: Doomed): Promise<Doomed> {
  const { message, lease } = doomed;
  if (lease === undefined) return doomed;
  return { ...doomed, message: (await readMessage(core, message.seq)) ?? message };
}

/** They may have been changed since they were read. */
async function newestOf(
  core: QueueContext,
  messages: readonly LeasedMessage[],
): Promise<ReadonlyMap<LeasedMessage, LeasedMessage>> {
  const newest = new Map<LeasedMessage, LeasedMessage>();
  for (const message of messages) {
    const { seq } = message;
    const isChanged = core.state.updated.has(seq);
    newest.set(message, (isChanged ? await readMessage(core, seq) : undefined) ?? message);
  }
  return newest;
}

function doneWith(
  group: string,
  messages: readonly { readonly message: LeasedMessage }[],
  why: 'dead' | 'discarded' | 'redriven',
  held: { readonly h?: readonly Held[]; readonly to?: string } = {},
): OperationContent[] {
  if (messages.length === 0) return [];
  const s = runsOf(messages.map(({ message }) => message.seq));
  const z = messages.map(({ message }) => message.size);
  const dues = messages.map(({ message }) => message.header.at ?? 0);
  const at = dues.some((due) => due > 0) ? dues : undefined;
  return [{ o: 'done', g: groupField(group), s, why, z, at, ...held }];
}

/** The keys that wait for these dead letters, where they do. */
function heldBy(
  { options }: QueueContext,
  group: string,
  doomed: readonly Doomed[],
): { h?: readonly Held[]; to?: string } {
  const { onDead, deadLetter } = options;
  if (onDead !== 'block' || deadLetter === false) return {};
  const h = doomed.flatMap(({ message: { seq, header } }): Held[] =>
    header.key === undefined ? [] : [[seq, header.key, placeOf(seq, header, group)]],
  );
  return h.length === 0 ? {} : { h, to: deadLetter };
}

/** Where a message is in the order of its key. */
function placeOf(seq: number, { fills }: MessageHeader, group: string): number {
  return fills !== undefined && (fills.g ?? WORK_GROUP) === group ? fills.place : seq;
}

function isFrom({ origin }: MessageHeader, queue: string): boolean {
  return origin?.queue === queue;
}

function deadLetterOf(
  core: QueueContext,
  group: string,
  { message, cause, reason: given }: Doomed,
): NewMessage {
  const reason = given?.slice(0, MAX_ERROR_LENGTH);
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
    maxDeliveries: header.max,
    enqueuedAt,
    deadAt: core.log.clock.now(),
    errors: historyOf(attempt, reason, core.log.clock.now()),
  };
  const isHeld = core.options.onDead === 'block' && header.key !== undefined;
  const holds = isHeld ? placeOf(seq, header, group) : undefined;
  const kept: MessageHeader = { id, origin, key: header.key, holds };
  return {
    header: Object.keys(headers).length === 0 ? kept : { ...kept, headers },
    payload,
  };
}

/** The deliveries that failed, with the one that was the last. */
function historyOf(
  attempt: Attempt | undefined,
  reason: string | undefined,
  at: number,
): readonly FailedDelivery[] {
  const errors = attempt?.errors ?? [];
  if (attempt === undefined || reason === undefined) return errors;
  const { count: deliveryCount } = attempt;
  return [...errors, { deliveryCount, at, error: reason }].slice(-MAX_ERRORS);
}

/** The message as it was enqueued, at the end of its queue; first of its key, if that waits. */
function revived({ id, header, headers, payload }: LeasedMessage, target: string): NewMessage {
  const { key, origin, holds } = header;
  const isBack = holds !== undefined && origin?.queue === target;
  const priority = origin?.priority;
  const hasHeaders = Object.keys(headers).length > 0;
  return {
    header: {
      id,
      key,
      priority,
      max: origin?.maxDeliveries,
      headers: hasHeaders ? headers : undefined,
      fills: isBack ? { g: origin.group, place: holds } : undefined,
    },
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
