/**
 * Queues in a data directory: each is a channel of its own, with messages and operations on them in
 * one log. This class opens them and does what concerns several of them.
 */
import type { Codec } from '../channel/codec.js';
import { checkCodec } from '../channel/codec.js';
import { redexError } from '../core/errors.js';
import { MemoryFs } from '../fs/memory-fs.js';
import { Redex } from '../store/redex.js';
import { OpenQueues } from './open-queues.js';
import { Queue } from './queue.js';
import { CHANNEL_PREFIX, checkQueueName } from './queue-names.js';
import { queueSettings, type QueueSettings, type QueueStoreOptions } from './queue-settings.js';
import { checkQueueOptions, type QueueOptions } from './queue-options.js';
import { commitSteps, type QueueCommitResult, type QueueCommitStep } from './queue-store-commit.js';

export interface OpenQueueOptions<T> extends QueueOptions {
  /** Between payloads and their bytes. Default: payloads are bytes; a string becomes its UTF-8. */
  readonly codec?: Codec<T> | undefined;
  /** False: a queue that is not there is NOT_FOUND. Default: true. */
  readonly createIfMissing?: boolean | undefined;
}

/** Two that write the same queues would contradict each other. */
const taken = new WeakSet<Redex>();

export class QueueStore {
  readonly #redex: Redex;
  readonly #queues: OpenQueues;
  readonly #owned: Redex | undefined;
  #closing: Promise<void> | undefined;

  private constructor(redex: Redex, queues: OpenQueues, owned: Redex | undefined) {
    this.#redex = redex;
    this.#queues = queues;
    this.#owned = owned;
  }

  /**
   * The queues of a data directory, created when there are none. A path is opened, and closed again
   * by `close()`; a Redex stays its owner's, and has at most one QueueStore. Rejects as
   * `Redex.open` does, and with BUSY.
   */
  static async open(
    redexOrPath: Redex | string,
    options: QueueStoreOptions = {},
  ): Promise<QueueStore> {
    const settings = queueSettings(options);
    if (redexOrPath instanceof Redex) return QueueStore.#on(redexOrPath, settings, undefined);
    const { runtime, logger } = settings;
    const redex = await Redex.open(redexOrPath, { runtime, logger });
    return QueueStore.#on(redex, settings, redex);
  }

  /** Queues that are gone when they are closed, with the same semantics. */
  static async memory(options: QueueStoreOptions = {}): Promise<QueueStore> {
    const settings = queueSettings(options);
    const { runtime, logger } = settings;
    const redex = await Redex.open('/queues', { fs: new MemoryFs(), runtime, logger });
    return QueueStore.#on(redex, settings, redex);
  }

  static #on(redex: Redex, settings: QueueSettings, owned: Redex | undefined): QueueStore {
    if (taken.has(redex)) {
      throw redexError('BUSY', 'this Redex has a QueueStore already', { reason: 'queues' });
    }
    taken.add(redex);
    return new QueueStore(redex, new OpenQueues(redex, settings), owned);
  }

  /**
   * A queue, made when there is none. While it is open, there is one state of it behind all views.
   * Options are stored with it; given ones that differ are OPTIONS_CONFLICT. Messages that were
   * under way when a process ended are delivered again, one at a time. Rejects with NOT_FOUND,
   * OPTIONS_CONFLICT, CORRUPT, IO, POISONED, CLOSED.
   */
  async queue<T = Uint8Array>(name: string, options: OpenQueueOptions<T> = {}): Promise<Queue<T>> {
    this.#requireOpen();
    checkQueueName(name);
    const { codec, createIfMissing = true, ...rest } = options;
    if (typeof createIfMissing !== 'boolean') {
      throw new TypeError('createIfMissing must be a boolean');
    }
    checkQueueOptions(rest, name);
    if (codec !== undefined) checkCodec(codec);
    const core = await this.#queues.open(name, rest, createIfMissing, codec);
    return new Queue(core, this.#queues, codec);
  }

  /** The names of all queues, sorted. */
  async list({ prefix = '' }: { readonly prefix?: string } = {}): Promise<string[]> {
    this.#requireOpen();
    if (typeof prefix !== 'string') throw new TypeError('prefix must be a string');
    const names: string[] = [];
    for await (const { name } of this.#redex.channels({ prefix: `${CHANNEL_PREFIX}${prefix}` })) {
      names.push(name.slice(CHANNEL_PREFIX.length));
    }
    return names;
  }

  async has(name: string): Promise<boolean> {
    this.#requireOpen();
    checkQueueName(name);
    return this.#redex.hasChannel(`${CHANNEL_PREFIX}${name}`);
  }

  /** Deletes a queue with its messages, durably. False: there was none. */
  async delete(name: string): Promise<boolean> {
    this.#requireOpen();
    checkQueueName(name);
    return this.#queues.delete(name);
  }

  /**
   * One atomic step: acknowledges deliveries, enqueues messages, appends to channels. All of it is
   * there after any crash, or nothing. Durable when it resolves. Rejects with LEASE_LOST, LIMIT,
   * NOT_FOUND, SEQ_CONFLICT, IO, POISONED, CLOSED: nothing has changed then.
   */
  async commit(steps: readonly QueueCommitStep[]): Promise<QueueCommitResult> {
    this.#requireOpen();
    return commitSteps(this.#redex, this.#queues, steps);
  }

  #requireOpen(): void {
    if (this.#closing === undefined) return;
    throw redexError('CLOSED', 'the queues are closed', { resource: 'queues' });
  }

  /**
   * Closes all queues, see `Queue.close`, and the Redex if it was opened here. Later calls return
   * the same promise; every other use rejects with CLOSED.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.#queues.closeAll();
    } finally {
      taken.delete(this.#redex);
      await this.#owned?.close();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
