/**
 * The open queues of a store: opens each once, makes those that are to be there, and knows which
 * are there for the dead letters of which.
 */
import { decodedValue, type Codec } from '../channel/codec.js';
import { redexError, RedexError } from '../core/errors.js';
import { NamedLocks } from '../store/named-locks.js';
import type { Redex } from '../store/redex.js';
import { BlockedKeys } from './blocked-keys.js';
import { DiskReserve } from './disk-reserve.js';
import type { DecodedPayload } from './lease.js';
import { noQueue } from './queue-errors.js';
import { QueueClock } from './queue-clock.js';
import type { QueueContext } from './queue-context.js';
import { QueueCore } from './queue-core.js';
import { CHECKPOINTS_NAME, loadQueue, STATE_VERSION } from './queue-loading.js';
import { QueueLog } from './queue-log.js';
import { closeQueue, discardQueue, type QueueHost } from './queue-closing.js';
import { QueueMoves } from './queue-moves.js';
import { CHANNEL_PREFIX } from './queue-names.js';
import type { QueueOptions } from './queue-options.js';
import { encodeOperation, OPERATION, type Operation } from './queue-records.js';
import type { QueueSettings } from './queue-settings.js';
import { refuseQueueConflict, storedQueueOptions } from './stored-options.js';

const MAX_CHECKPOINT_BYTES = 1024 ** 3;
/** More than are given before a sync has covered the first of them. */
const UNSURE_SEQS = 2 ** 22;

interface Opened {
  readonly core: Promise<QueueCore>;
  /** The same, once it is there. */
  loaded: QueueCore | undefined;
  codec: Codec<unknown> | undefined;
}

export class OpenQueues implements QueueHost {
  readonly #redex: Redex;
  readonly #settings: QueueSettings;
  readonly #moves: QueueMoves;
  readonly #blockedKeys: BlockedKeys;
  readonly #reserve: DiskReserve;
  readonly #open = new Map<string, Opened>();
  readonly #cores = new WeakSet<QueueContext>();
  /** A queue is opened or deleted: one after the other for each name. */
  readonly #turns = new NamedLocks();
  #isClosed = false;

  constructor(redex: Redex, settings: QueueSettings) {
    this.#redex = redex;
    this.#settings = settings;
    const { logger, runtime, reserveBytes: bytes } = settings;
    const reclaim = (): Promise<void> => this.#reclaimAll();
    this.#reserve = new DiskReserve({ redex, runtime, logger, bytes, reclaim });
    this.#moves = new QueueMoves({
      redex,
      logger,
      openForDeadLetters: (name) => this.openForDeadLetters(name),
      openIfThere: (name) => this.#openIfThere(name),
    });
    this.#blockedKeys = new BlockedKeys({
      logger,
      opened: (name) => this.#opened(name),
      allOpened: () => this.#allOpened(),
      openIfThere: (name) => this.#openIfThere(name),
    });
  }

  owns(core: QueueContext): boolean {
    return this.#cores.has(core);
  }

  openQueue(name: string): Promise<QueueCore> {
    return this.open(name, {}, false, undefined);
  }

  openForDeadLetters(name: string): Promise<QueueCore> {
    return this.#shared(name, undefined, () => this.#load(name, {}, true, true));
  }

  async open<T>(
    name: string,
    options: QueueOptions,
    createIfMissing: boolean,
    codec: Codec<T> | undefined,
  ): Promise<QueueCore> {
    const { deadLetter } = options;
    if (deadLetter !== undefined) await this.refuseCycle(name, deadLetter);
    const load = (): Promise<QueueCore> => this.#load(name, options, createIfMissing, false);
    const core = await this.#shared(name, codec, load);
    refuseQueueConflict(name, core.options, options);
    return core;
  }

  async #shared(
    name: string,
    codec: Codec<unknown> | undefined,
    load: () => Promise<QueueCore>,
  ): Promise<QueueCore> {
    if (this.#isClosed) throw redexError('CLOSED', 'the queues are closed', { resource: 'queues' });
    for (;;) {
      const opened = this.#open.get(name) ?? this.#begin(name, codec, load);
      opened.codec ??= codec;
      const core = await opened.core;
      if (core.closing === undefined) return core;
      await core.closing.catch(() => undefined);
    }
  }

  #begin(name: string, codec: Codec<unknown> | undefined, load: () => Promise<QueueCore>): Opened {
    const begun: Opened = { core: this.#turns.run([name], load), loaded: undefined, codec };
    this.#open.set(name, begun);
    begun.core.then(
      (core) => {
        begun.loaded = core;
      },
      () => {
        if (this.#open.get(name) === begun) this.#open.delete(name);
      },
    );
    return begun;
  }

  async #load(
    name: string,
    options: QueueOptions,
    createIfMissing: boolean,
    isForDeadLetters: boolean,
  ): Promise<QueueCore> {
    const channelName = `${CHANNEL_PREFIX}${name}`;
    const { runtime, logger, segmentBytes } = this.#settings;
    if (!(await this.#redex.hasChannel(channelName))) {
      if (!createIfMissing) throw noQueue(name);
      await this.#create(name, channelName, options, isForDeadLetters);
    }
    const channel = await this.#redex.channel(channelName, { createIfMissing: false });
    try {
      const checkpoints = await channel.checkpoints({
        name: CHECKPOINTS_NAME,
        version: STATE_VERSION,
        maxCheckpointBytes: MAX_CHECKPOINT_BYTES,
      });
      const { state, checkpointSeq } = await loadQueue(channel, checkpoints);
      const clock = new QueueClock(name, runtime, logger, state.seenMs);
      this.#reserve.begin();
      const reserve = this.#reserve;
      const parts = { channel, checkpoints, state, clock, logger, reserve, checkpointSeq };
      const log = new QueueLog(parts);
      await begin(log);
      const decode = (payload: Uint8Array): DecodedPayload | undefined => {
        const codec = this.#open.get(name)?.codec;
        return codec === undefined ? undefined : { codec, value: decodedValue(codec, payload) };
      };
      const moves = this.#moves;
      const blockedKeys = this.#blockedKeys;
      const own = { moves, blockedKeys, segmentBytes, decode };
      const core = new QueueCore({ name, log, runtime, logger, ...own });
      this.#cores.add(core);
      // What a crash has left between the two logs.
      await blockedKeys.review(core);
      return core;
    } catch (error) {
      await channel.close().catch(() => undefined);
      throw error;
    }
  }

  /** The channel and the record that says what queue it is, in one step. */
  async #create(
    name: string,
    channelName: string,
    options: QueueOptions,
    isForDeadLetters: boolean,
  ): Promise<void> {
    const { runtime, segmentBytes } = this.#settings;
    const t = runtime.now();
    const stored = storedQueueOptions(options, name, isForDeadLetters);
    const operation: Operation = {
      t,
      o: 'base',
      tag: drawnTag(runtime.random(new Uint8Array(6))),
      epoch: 0,
      options: stored,
      paused: false,
      groups: stored.mode === 'work' ? [{ name: '', start: 0, active: 0 }] : [],
      sparse: 0,
      goneMs: 0,
    };
    const records = [{ payload: encodeOperation(operation), type: OPERATION, timestamp: t }];
    const create = { sync: 'always', segmentBytes } as const;
    await this.#redex.commit([{ channel: channelName, records, create, expectedSeq: 0 }]);
  }

  async refuseCycle(name: string, deadLetter: string | false): Promise<void> {
    const seen = new Set([name]);
    for (let next = deadLetter; next !== false;) {
      if (seen.has(next)) {
        throw new TypeError(`dead letters of queue ${name} would come back to ${next}`);
      }
      seen.add(next);
      next = (await this.#openIfThere(next))?.options.deadLetter ?? false;
    }
  }

  async #openIfThere(name: string): Promise<QueueCore | undefined> {
    try {
      return await this.openQueue(name);
    } catch (error) {
      if (RedexError.is(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  forget({ name }: QueueCore): void {
    this.#open.delete(name);
  }

  /** False when there is no such queue. */
  async delete(name: string): Promise<boolean> {
    const isDeleted = await this.#turns.run([name], () => this.#remove(name));
    await this.#blockedKeys.reviewOf(name);
    return isDeleted;
  }

  async #remove(name: string): Promise<boolean> {
    let isDeleted: boolean | undefined;
    const remove = async (): Promise<void> => {
      isDeleted = await this.#redex.deleteChannel(`${CHANNEL_PREFIX}${name}`);
    };
    // What is not there yet is opened after this.
    const core = this.#open.get(name)?.loaded;
    if (core !== undefined) await discardQueue(core, this, remove);
    // It was not open, or was being closed already.
    if (isDeleted === undefined) await remove();
    return isDeleted === true;
  }

  #opened(name: string): Promise<QueueCore | undefined> {
    const core: Promise<QueueCore | undefined> =
      this.#open.get(name)?.core ?? Promise.resolve(undefined);
    return core.catch(() => undefined);
  }

  async #allOpened(): Promise<QueueCore[]> {
    const cores = await Promise.all([...this.#open.keys()].map((name) => this.#opened(name)));
    return cores.filter((core) => core !== undefined);
  }

  async #reclaimAll(): Promise<void> {
    for (const core of await this.#allOpened()) if (!core.isClosed) await core.reclaim.run();
  }

  async closeAll(): Promise<void> {
    this.#isClosed = true;
    const errors: unknown[] = [];
    for (const { core } of this.#open.values()) {
      try {
        await closeQueue(await core, this);
      } catch (error) {
        if (!RedexError.is(error, 'NOT_FOUND')) errors.push(error);
      }
    }
    await this.#reserve.close();
    if (errors.length > 0) throw errors[0];
  }
}

/**
 * Nobody has any message now. Synced before anything else is written, as only a queue that ends
 * with its own close gives the next seq again: those of messages that a power cut took are passed
 * over, because somebody may hold their ids. Rejects where it cannot be written.
 */
async function begin(log: QueueLog): Promise<void> {
  const { state, clock, channel } = log;
  const { nextSeq } = channel;
  const jumped = clock.jumpedMs > 0 ? true : undefined;
  const isSure = state.epoch === 0 || state.closedSeq === nextSeq - 1;
  const seq = isSure ? nextSeq : nextSeq + UNSURE_SEQS;
  await log.operate({ o: 'open', epoch: state.epoch + 1, jumped }, 'synced', seq);
  state.skipRange(nextSeq, seq);
}

const LETTERS = '0123456789abcdefghijkmnpqrstvwxyz';

function drawnTag(bytes: Uint8Array): string {
  return [...bytes].map((byte) => LETTERS[byte % LETTERS.length]).join('');
}
