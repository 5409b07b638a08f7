/**
 * A state that follows its channel: restored from the newest good checkpoint, brought up to date
 * from the log, and kept so by the tail.
 *
 * Invariants: the state has seen exactly the records below `seq`, each once and in order; while
 * `apply` runs it may be half-way to the next, so nothing is saved before that has returned. A
 * checkpoint holds the state as it was at one seq. A fold that has failed never writes another.
 */
import { RedexError, redexError } from '../core/errors.js';
import type { LogRecord } from '../core/record.js';
import { CheckpointStore } from './checkpoint-store.js';
import { decodedValue, encodedBytes } from './codec.js';
import type { FoldHost } from './fold-host.js';
import type { FoldPlan } from './fold-options.js';
import { Follower } from './fold-follower.js';
import { synchronous } from '../core/late-rejection.js';
import { TailFeed } from './tail-feed.js';

/** What a record costs in the log beside its payload, about. */
const RECORD_COST = 32;

interface Waiter {
  readonly target: number;
  resolve(): void;
  reject(error: unknown): void;
}

export class Fold<S> {
  readonly #host: FoldHost;
  readonly #plan: FoldPlan<S>;
  readonly #store: CheckpointStore;
  readonly #onClosed: () => void;
  #state: S;
  #seq = 0;
  /** The state has seen every record from here to `seq`. */
  #fromSeq = 0;
  #feed: TailFeed | undefined;
  /** Of the tails when the state was loaded: when it changes, records may have been others. */
  #epoch = 0;
  #failure: { readonly error: unknown } | undefined;
  #closing: Promise<void> | undefined;
  #waiters: Waiter[] = [];
  /** What has been applied since the last checkpoint was begun. */
  #recordsSince = 0;
  #bytesSince = 0;
  #savedSeq = -1;
  #savedBytes = 0;
  #loadedSeq = 0;
  /** Counts the times that it began, because a read-only channel may make it begin again. */
  #starts = 0;
  #saving: Promise<void> | undefined;
  /** `apply` or the codec is running: what it asks of this fold waits until it has returned. */
  #isCalling = false;
  #checkpointError: unknown;

  private constructor(host: FoldHost, plan: FoldPlan<S>, onClosed: () => void) {
    this.#host = host;
    this.#plan = plan;
    this.#onClosed = onClosed;
    const { name, kind, version, maxCheckpointBytes: maxBytes } = plan;
    const from = plan.from === 'start' ? Infinity : plan.from;
    this.#store = new CheckpointStore(host, { name, kind, version, maxBytes, from });
    this.#state = plan.makeInitial();
  }

  /** Rejects with OUT_OF_RANGE, IO, CLOSED, and what `initial` throws. */
  static async open<S>(host: FoldHost, plan: FoldPlan<S>, onClosed: () => void): Promise<Fold<S>> {
    const fold = new Fold(host, plan, onClosed);
    try {
      await fold.#start();
    } catch (error) {
      fold.#store.giveUp();
      throw error;
    }
    return fold;
  }

  get name(): string {
    return this.#plan.name;
  }

  /** `close()` was called, here or by the close of the channel. */
  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** The state. Not a copy: who changes it changes what the next record is applied to. */
  get value(): S {
    return this.#state;
  }

  /** The next seq to apply: the state has seen every record below it, and no other. */
  get seq(): number {
    return this.#seq;
  }

  /** What stopped the fold: what `apply` threw, or why the channel could not be read on. */
  get error(): unknown {
    return this.#failure?.error;
  }

  /** Why the last checkpoint was not written; undefined when it was. The fold goes on. */
  get checkpointError(): unknown {
    return this.#checkpointError;
  }

  /** The seq of the newest checkpoint that was read or written; undefined before the first. */
  get checkpointSeq(): number | undefined {
    return this.#savedSeq < 0 ? undefined : this.#savedSeq;
  }

  /**
   * Resolves when everything that was visible at the call is applied. Rejects with what stopped
   * the fold, with CLOSED, and where the channel is read-only with IO or CORRUPT of the look.
   */
  async caughtUp(): Promise<void> {
    this.#requireFollowing();
    await this.#host.look();
    this.#requireFollowing();
    if (this.#isOutdated) this.#restart();
    const target = this.#host.visibleSeq;
    if (this.#feed !== undefined && this.#seq >= target) return;
    await new Promise<void>((resolve, reject) => {
      this.#waiters.push({ target, resolve, reject });
    });
  }

  /**
   * Writes a checkpoint of the state as it is now, and syncs the channel if the state has seen what
   * is not synced. Rejects with LIMIT, IO, POISONED, CORRUPT, READ_ONLY, CLOSED, with what stopped
   * the fold, or with what the codec throws; the fold goes on.
   */
  async checkpoint(): Promise<void> {
    this.#requireFollowing();
    const { refusal } = this.#store;
    if (refusal !== undefined) throw refusal;
    await this.#save();
  }

  /** Writes a last checkpoint if it can, and stops. `value` stays as it is. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #requireFollowing(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.isClosed) throw this.#closedError();
  }

  #closedError(): RedexError {
    const resource = `fold ${this.#plan.name}`;
    return redexError('CLOSED', `${resource} is closed`, { resource });
  }

  async #start(): Promise<void> {
    const { codec, makeInitial, from } = this.#plan;
    const start = ++this.#starts;
    await this.#host.look();
    const loaded = await this.#store.load((bytes) => decodedValue(codec, bytes));
    if (this.isClosed || start !== this.#starts) return;
    const { health, manifest, visibleSeq, tails } = this.#host;
    if (health.isClosed) throw health.closedError();
    const { firstSeq } = manifest;
    let seq = loaded?.seq ?? (from === 'start' ? firstSeq : from);
    let fromSeq = loaded?.fromSeq ?? seq;
    if (seq < firstSeq) {
      if (from !== 'start') throw this.#historyError(seq, firstSeq, visibleSeq);
      seq = firstSeq;
      fromSeq = firstSeq;
    }
    this.#state = loaded === undefined ? makeInitial() : loaded.state;
    this.#savedSeq = loaded?.seq ?? -1;
    this.#savedBytes = loaded?.stateLength ?? 0;
    this.#seq = seq;
    this.#fromSeq = fromSeq;
    this.#loadedSeq = seq;
    this.#epoch = tails.epoch;
    this.#follow(seq);
  }

  #historyError(seq: number, firstSeq: number, nextSeq: number): RedexError {
    const message =
      `fold ${this.#plan.name} needs the records from ${seq} on: ` +
      `the channel begins at ${firstSeq}`;
    return redexError('OUT_OF_RANGE', message, { seq, firstSeq, nextSeq });
  }

  #follow(from: number): void {
    const feed = new TailFeed(this.#host.tails, { from });
    this.#feed = feed;
    new Follower(feed, {
      onBatch: (records) => this.#feed === feed && this.#onBatch(feed, records),
      onSkipped: () => {
        if (this.#feed === feed && !this.#isOutdated) this.#advance(feed.nextSeq);
      },
      onEnd: () => {
        if (this.#feed === feed) void this.close();
      },
      onError: (error) => {
        if (this.#feed === feed) this.#onReadError(error);
      },
    }).run();
  }

  /** Records that this process did not write may have been taken back by the one that did. */
  get #isOutdated(): boolean {
    return this.#host.sync === undefined && this.#epoch !== this.#host.tails.epoch;
  }

  /** Applies records; false when the feed is not to be asked for more. */
  #onBatch(feed: TailFeed, records: readonly LogRecord[]): boolean {
    if (this.#isOutdated) {
      this.#restart();
      return false;
    }
    if (!this.#applyAll(records)) return false;
    this.#advance(feed.nextSeq);
    this.#checkpointIfDue();
    return this.#feed === feed;
  }

  #applyAll(records: readonly LogRecord[]): boolean {
    const { apply } = this.#plan;
    this.#isCalling = true;
    try {
      for (const record of records) {
        this.#seq = record.seq;
        this.#state = synchronous('apply', apply(this.#state, record));
        this.#seq = record.seq + 1;
        this.#recordsSince++;
        this.#bytesSince += record.byteLength + RECORD_COST;
        if (this.#closing !== undefined) return false;
      }
    } catch (error) {
      this.#fail(error);
      return false;
    } finally {
      this.#isCalling = false;
    }
    return true;
  }

  #advance(seq: number): void {
    if (seq > this.#seq) this.#seq = seq;
    if (this.#waiters.length === 0) return;
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting) {
      if (waiter.target <= this.#seq) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }

  #onReadError(error: unknown): void {
    if (this.#plan.from === 'start' && RedexError.is(error, 'OUT_OF_RANGE')) {
      // What was dropped before it was applied is not missed: what is there counts.
      const { firstSeq } = this.#host.manifest;
      if (firstSeq > this.#seq) {
        this.#seq = firstSeq;
        this.#fromSeq = firstSeq;
      }
      this.#follow(this.#seq);
    } else this.#fail(error);
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    const { settings, name } = this.#host.context;
    settings.logger.error('a fold has stopped', {
      channel: name,
      fold: this.name,
      seq: this.#seq,
      error,
    });
    this.#stopFeed();
    this.#rejectWaiters(error);
  }

  #stopFeed(): void {
    const feed = this.#feed;
    this.#feed = undefined;
    feed?.end();
  }

  #rejectWaiters(error: unknown): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  /** Begins again from the newest checkpoint: what is there may not be what was applied. */
  #restart(): void {
    this.#stopFeed();
    this.#epoch = this.#host.tails.epoch;
    this.#start().catch((error: unknown) => this.#fail(error));
  }

  #checkpointIfDue(): void {
    const { checkpointEvery } = this.#plan;
    if (this.#recordsSince < checkpointEvery || this.#bytesSince < this.#savedBytes) return;
    if (this.#saving !== undefined || this.#store.refusal !== undefined) return;
    // Told by the logger and by checkpointError, and tried again after as many records.
    this.#save().catch(() => undefined);
  }

  /** One at a time; what is saved is the state when its turn has come. */
  async #save(): Promise<void> {
    while (this.#isCalling || this.#saving !== undefined) {
      await this.#saving?.catch(() => undefined);
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    // A fold that begins above the end has seen nothing yet, and nothing there is synced.
    if (this.#savedSeq === this.#seq || this.#seq > this.#host.visibleSeq) return;
    this.#saving = this.#saveNow();
    try {
      await this.#saving;
    } finally {
      this.#saving = undefined;
    }
  }

  async #saveNow(): Promise<void> {
    const seq = this.#seq;
    const fromSeq = this.#fromSeq;
    this.#recordsSince = 0;
    this.#bytesSince = 0;
    try {
      const bytes = this.#encoded();
      this.#savedBytes = bytes.byteLength;
      await this.#store.write(seq, fromSeq, bytes);
      this.#savedSeq = seq;
      this.#checkpointError = undefined;
    } catch (error) {
      this.#checkpointError = error;
      const { settings, name } = this.#host.context;
      const details = { channel: name, fold: this.name, seq, error };
      settings.logger.warn('a checkpoint was not written', details);
      throw error;
    }
  }

  #encoded(): Uint8Array {
    this.#isCalling = true;
    try {
      return encodedBytes(this.#plan.codec, this.#state);
    } finally {
      this.#isCalling = false;
    }
  }

  async #close(): Promise<void> {
    const isWhole = this.#feed !== undefined;
    this.#stopFeed();
    this.#rejectWaiters(this.#closedError());
    // The record that is being applied counts when its `apply` has returned.
    if (this.#isCalling) await Promise.resolve();
    const isNew = isWhole && this.#seq !== this.#loadedSeq;
    try {
      if (isNew && this.#store.refusal === undefined) await this.#save();
      else await this.#saving;
    } catch {
      // It was reported. The next open replays what came after the checkpoint before.
    }
    this.#onClosed();
  }
}
