/**
 * One tail: knows the seq that comes next and gets its records where they are, in the hub's window,
 * by the hub when it waits at the end, or by a cursor of its own. Every batch begins exactly where
 * the last one ended, in seqs, so that no way of getting there loses or doubles a record.
 */
import { bigintFromNanos, type Nanos } from '../core/nanos.js';
import type { LogRecord } from '../core/record.js';
import { ChunkReader, newBuffer } from '../segment/chunk.js';
import { bytesFrom, type BatchCursor } from './batch-cursor.js';
import { outOfRange } from './out-of-range.js';
import { nanosOfTime } from './read-options.js';
import type { TailHub, WaitingTail } from './tail-hub.js';
import type { TailOptions } from './tail-options.js';
import type { TailBatch } from './tail-window.js';

/** Who asked for a batch; told exactly once. */
export interface TailConsumer {
  /** Never empty. The array may be shared with other tails. */
  onBatch(records: readonly LogRecord[]): void;
  /** There is no record up to the feed's `nextSeq`. Told while a batch is waited for. */
  onSkipped?(): void;
  onEnd(): void;
  onError(error: unknown): void;
}

export class TailFeed implements WaitingTail {
  readonly #hub: TailHub;
  readonly #copy: boolean;
  readonly #signal: AbortSignal | undefined;
  readonly #from: number | 'start' | 'end';
  /** Settles when what was there at the call is known. */
  readonly #looked: Promise<void> | undefined;
  #next: number;
  /** No record before it is delivered. */
  #notBefore: Nanos | undefined;
  #isSought = true;
  #cursor: BatchCursor | undefined;
  #epoch: number;
  #consumer: TailConsumer | undefined;
  #isStarted = false;
  #isEnded = false;
  /** The error that nobody has been told yet. */
  #failure: { readonly error: unknown } | undefined;

  /** Throws RangeError or TypeError for a time that is none. */
  constructor(hub: TailHub, options: TailOptions) {
    const { from = 'start', fromTime, copy, signal } = options;
    this.#hub = hub;
    this.#copy = copy === true;
    this.#signal = signal;
    this.#from = from;
    this.#next = this.#startSeq();
    this.#looked = hub.source.look?.().then(() => {
      // Others may look before the first record is asked for.
      this.#next = this.#startSeq();
    });
    if (this.#looked !== undefined) this.#isSought = false;
    // Told when the first record is asked for.
    this.#looked?.catch(() => undefined);
    if (fromTime !== undefined) {
      this.#notBefore = nanosOfTime(fromTime);
      this.#isSought = false;
    }
    this.#epoch = hub.placesEpoch;
    const { health } = hub.reader;
    if (health.isClosed) this.#end({ error: health.closedError() });
  }

  #startSeq(): number {
    const { firstSeq, visibleSeq } = this.#hub.source;
    if (this.#from === 'start') return firstSeq;
    return this.#from === 'end' ? visibleSeq : this.#from;
  }

  get nextSeq(): number {
    return this.#next;
  }

  /** What was delivered last may be used only as far as `isVisible` says, or not at all. */
  get isInterrupted(): boolean {
    return this.#isEnded || this.#hub.reader.health.isPoisoned;
  }

  isVisible(seq: number): boolean {
    return !this.#isEnded && seq < this.#hub.source.visibleSeq;
  }

  /**
   * Whether a record that was delivered, and not used yet, is below the first one by now. Then the
   * tail is over: the next batch that is asked for is the error.
   */
  isOvertaken(seq: number): boolean {
    const { firstSeq, visibleSeq } = this.#hub.source;
    if (seq >= firstSeq) return false;
    if (!this.#isEnded) this.#end({ error: outOfRange(seq, firstSeq, visibleSeq) });
    return true;
  }

  /** Asks for the next batch. Only after the last one was delivered. */
  take(consumer: TailConsumer): void {
    this.#consumer = consumer;
    if (!this.#isEnded && !this.#isStarted) this.#start();
    if (this.#isEnded) this.#tellEnd();
    else this.wake();
  }

  #start(): void {
    this.#isStarted = true;
    this.#hub.addTail();
    // What was let go since it was made is not missed.
    if (this.#from === 'start' && this.#looked === undefined) this.#next = this.#startSeq();
    if (this.#signal === undefined) return;
    if (this.#signal.aborted) this.#onAbort();
    else this.#signal.addEventListener('abort', this.#onAbort);
  }

  readonly #onAbort = (): void => this.#end({ error: this.#signal?.reason as unknown });

  /** The consumer is done with it, whatever it has asked for: it will be told the end. */
  end(): void {
    if (!this.#isEnded) this.#end(undefined);
  }

  #end(failure: { readonly error: unknown } | undefined): void {
    this.#isEnded = true;
    this.#failure = failure;
    this.#dropCursor();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    if (this.#isStarted) this.#hub.removeTail(this);
    this.#tellEnd();
  }

  #tellEnd(): void {
    const consumer = this.#consumer;
    if (consumer === undefined) return;
    const failure = this.#failure;
    this.#consumer = undefined;
    this.#failure = undefined;
    if (failure === undefined) consumer.onEnd();
    else consumer.onError(failure.error);
  }

  /** Gets the next batch from wherever it is. */
  wake(): void {
    if (this.#isEnded) return;
    if (this.#epoch !== this.#hub.placesEpoch) {
      this.#epoch = this.#hub.placesEpoch;
      this.#dropCursor();
    }
    if (!this.#isSought) {
      void this.#seek();
      return;
    }
    for (;;) {
      const batch = this.#hub.take(this.#next);
      if (batch === undefined) break;
      this.#dropCursor();
      this.#next = batch.to;
      if (this.#deliver(batch.records, true)) return;
    }
    this.#getMore();
  }

  #getMore(): void {
    this.#consumer?.onSkipped?.();
    const { reader, source } = this.#hub;
    const { health } = reader;
    const { firstSeq, visibleSeq } = source;
    const isAtEnd = this.#next >= visibleSeq;
    if (isAtEnd && health.isPoisoned) {
      this.#end({ error: health.poisonedError() });
    } else if (health.isClosed) {
      this.#end(undefined);
    } else if (this.#next < firstSeq) {
      this.#end({ error: outOfRange(this.#next, firstSeq, visibleSeq) });
    } else if (isAtEnd && source.failure !== undefined) {
      this.#end({ error: source.failure });
    } else if (isAtEnd && health.damage !== undefined) {
      this.#end({ error: health.writeError() });
    } else if (!health.isPoisoned && this.#hub.serves(this.#next, this.#lagBytes)) {
      this.#dropCursor();
      this.#hub.wait(this);
    } else {
      void this.#readBehind(visibleSeq);
    }
  }

  readonly #lagBytes = (limit: number): number => {
    if (this.#cursor !== undefined) return this.#cursor.lagBytes(limit);
    const { chain } = this.#hub.reader;
    return bytesFrom(chain, chain.indexOf(this.#next), limit);
  };

  readAlone(): void {
    const { visibleSeq } = this.#hub.source;
    if (this.#next < visibleSeq) void this.#readBehind(visibleSeq);
    else this.wake();
  }

  offer(batch: TailBatch): boolean {
    if (batch.to <= this.#next) return false;
    if (batch.from > this.#next) {
      this.readAlone();
      return true;
    }
    const from = this.#next;
    this.#next = batch.to;
    const isWhole = batch.from === from;
    const records = isWhole ? batch.records : batch.records.filter(({ seq }) => seq >= from);
    const isDelivered = this.#deliver(records, true);
    if (!isDelivered) this.#consumer?.onSkipped?.();
    return isDelivered;
  }

  async #seek(): Promise<void> {
    try {
      await this.#looked;
      const time = this.#notBefore;
      const seq = time === undefined ? 0 : await this.#hub.reader.seqAt(time);
      this.#isSought = true;
      this.#next = Math.max(this.#next, seq);
      this.wake();
    } catch (error) {
      this.#onReadError(error);
    }
  }

  async #readBehind(to: number): Promise<void> {
    const { reader } = this.#hub;
    const cursor = this.#cursor ?? this.#openCursor();
    const epoch = this.#epoch;
    try {
      const records = await reader.step(cursor, Infinity, to);
      if (this.#isEnded) return;
      if (epoch === this.#hub.placesEpoch) {
        this.#next = cursor.nextSeq;
        if (records !== undefined && this.#deliver(records, false)) return;
      }
      this.wake();
    } catch (error) {
      this.#onReadError(error);
    }
  }

  #openCursor(): BatchCursor {
    const { reader, chunkBytes: largest } = this.#hub;
    this.#hub.countCursor(1);
    const chunks = (): ChunkReader => new ChunkReader({ ownBytes: this.#copy, largest });
    this.#cursor = reader.openCursor(this.#next, chunks);
    return this.#cursor;
  }

  #dropCursor(): void {
    if (this.#cursor === undefined) return;
    this.#cursor = undefined;
    this.#hub.countCursor(-1);
  }

  /** A close that comes in between is the end and no error. */
  #onReadError(error: unknown): void {
    if (this.#isEnded) return;
    this.#end(this.#hub.reader.health.isClosed ? undefined : { error });
  }

  /** Hands over what of these records is wanted; false when that is nothing. */
  #deliver(records: readonly LogRecord[], isShared: boolean): boolean {
    const wanted = this.#wanted(records);
    const consumer = this.#consumer;
    if (wanted.length === 0 || consumer === undefined) return false;
    this.#consumer = undefined;
    consumer.onBatch(isShared && this.#copy ? copyOf(wanted) : wanted);
    return true;
  }

  #wanted(records: readonly LogRecord[]): readonly LogRecord[] {
    let wanted = records;
    const { visibleSeq } = this.#hub.source;
    // A sync may have failed while they were read.
    if ((wanted.at(-1)?.seq ?? 0) >= visibleSeq) wanted = wanted.filter((r) => r.seq < visibleSeq);
    if (this.#notBefore === undefined || wanted.length === 0) return wanted;
    const time = bigintFromNanos(this.#notBefore.hi, this.#notBefore.lo);
    const first = wanted.findIndex(({ timestampNs }) => timestampNs >= time);
    if (first < 0) return [];
    // Times never decrease.
    this.#notBefore = undefined;
    return first === 0 ? wanted : wanted.slice(first);
  }
}

/** The same records over bytes that no other tail has. */
function copyOf(records: readonly LogRecord[]): LogRecord[] {
  const only = records.length === 1 ? records[0] : undefined;
  if (only !== undefined) return [only.copy()];
  const bytes = newBuffer(records.reduce((sum, record) => sum + record.byteLength, 0));
  let at = 0;
  return records.map((record) => {
    const end = at + record.byteLength;
    const copy = record.copyTo(bytes.subarray(at, end));
    at = end;
    return copy;
  });
}
