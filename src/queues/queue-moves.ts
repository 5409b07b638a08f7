/**
 * Messages that go from one queue to another: to the dead letters, and back from there. Each is in
 * exactly one of them after any crash, because both write it in one commit. What cannot be moved
 * stays where it is.
 */
import type { Logger } from '../core/runtime.js';
import type { Redex } from '../store/redex.js';
import type { GroupState } from './group-state.js';
import { waitAgain } from './held-messages.js';
import type { LeasedMessage } from './lease.js';
import { deadLetterOf, doneWith, heldBy, isFrom, revived } from './moved-messages.js';
import { readMessage } from './message-picker.js';
import { openMessages } from './open-messages.js';
import { commitParts } from './queue-commit.js';
import type { Doomed, QueueContext } from './queue-context.js';
import type { NewMessage } from './queue-log.js';
import { isTooMuch } from './queue-errors.js';
import { reportQueue } from './queue-report.js';
import { WORK_GROUP } from './queue-state.js';

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
  /** An open queue; undefined when there is none. */
  openIfThere(name: string): Promise<QueueContext | undefined>;
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

interface Target {
  readonly message: LeasedMessage;
  readonly to: QueueContext;
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
      await this.#together(core, group, chunk, work);
    }
  }

  async #together(
    core: QueueContext,
    group: string,
    chunk: readonly Doomed[],
    work: (chunk: readonly Doomed[]) => Promise<void>,
  ): Promise<void> {
    try {
      await work(chunk);
    } catch (error) {
      if (chunk.length < 2 || !isTooMuch(error)) {
        await this.#keep(core, group, chunk, error);
        return;
      }
      for (const half of halvesOf(chunk)) await this.#together(core, group, half, work);
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

  /**
   * Moves messages that nobody has out of a queue; resolves to how many. Those that came from a
   * queue that is not there stay, which the logger is told.
   */
  async redrive(source: QueueContext, redrive: Redrive): Promise<number> {
    const { filter, limit, target: only, pace } = redrive;
    const most = Math.min(CHUNK_MESSAGES, redrive.most);
    const group = source.group(undefined);
    let chunk: Target[] = [];
    let moved = 0;
    let before = 0;
    const flush = async (): Promise<void> => {
      const targets = chunk;
      chunk = [];
      if (targets.length === 0) return;
      if (before > 0) await pace(before);
      before = await this.#redriveChunk(source, group, targets, only);
      moved += before;
    };
    let bytes = 0;
    const staying = new Map<string, number>();
    for await (const message of openMessages(source, group, group.settled.floor)) {
      if (moved + chunk.length >= limit) break;
      if (!group.isFree(message.seq) || !filter(message)) continue;
      const name = message.header.origin?.queue ?? '';
      const to = only ?? (await this.#host.openIfThere(name));
      if (to === undefined) {
        staying.set(name, (staying.get(name) ?? 0) + 1);
        continue;
      }
      if (chunk.length >= most || bytes + message.payload.length > CHUNK_BYTES) {
        await flush();
        bytes = 0;
      }
      chunk.push({ message, to });
      bytes += message.payload.length;
    }
    await flush();
    for (const [name, count] of staying) {
      const details = { queue: source.name, messages: count, gone: name };
      this.#host.logger.warn('dead letters stay, because their queue is gone', details);
    }
    return moved;
  }

  /** Fewer at once, where so many are more than a commit takes. */
  async #redriveChunk(
    source: QueueContext,
    group: GroupState,
    targets: readonly Target[],
    only: QueueContext | undefined,
  ): Promise<number> {
    try {
      return await this.#redriveNow(source, group, targets, only);
    } catch (error) {
      if (targets.length < 2 || !isTooMuch(error)) throw error;
      let moved = 0;
      for (const half of halvesOf(targets)) {
        moved += await this.#redriveChunk(source, group, half, only);
      }
      return moved;
    }
  }

  async #redriveNow(
    source: QueueContext,
    group: GroupState,
    targets: readonly Target[],
    only: QueueContext | undefined,
  ): Promise<number> {
    const queues = [...new Set(targets.map(({ to }) => to))];
    let free: readonly LeasedMessage[] = [];
    try {
      await commitParts(this.#host.redex, [source, ...queues], async () => {
        free = targets.flatMap(({ message }) => (group.isFree(message.seq) ? [message] : []));
        for (const { seq } of free) group.taken.add(seq);
        const moved = await newestOf(source, free);
        const done = free.map((message) => ({ message }));
        return [
          { core: source, operations: doneWith(WORK_GROUP, done, 'redriven'), messages: [] },
          ...queues.map((core) => ({
            core,
            operations: [],
            messages: targets
              .flatMap(({ message, to }) => (to === core ? (moved.get(message) ?? []) : []))
              .map((each) => revived(each, core)),
          })),
        ];
      });
    } catch (error) {
      for (const message of free) waitAgain(source, group, message);
      throw error;
    }
    // Those that went to where they came from have let their keys go on with that.
    const toOthers = free.filter(
      ({ header }) => only !== undefined && !isFrom(header.origin, only),
    );
    await source.onGone(toOthers);
    for (const target of queues) target.wake();
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

function halvesOf<T>(items: readonly T[]): T[][] {
  const middle = Math.ceil(items.length / 2);
  return [items.slice(0, middle), items.slice(middle)];
}
