/**
 * A stream whose channel is open. It has two views of itself: the draft, which every append that
 * was begun is part of, and by which the next one is decided; and the view of readers, which an
 * append is part of when it is as durable as it asked for.
 *
 * Invariants: the draft is changed in the same turn in which its records are handed to the channel,
 * with the seq that they have to get, so that records never follow others than those that they were
 * made for. When an append fails, the draft is dropped, what was begun after it fails too, and the
 * state is read from the channel again.
 */
import type { Channel } from '../channel/channel.js';
import type { Durability } from '../channel/record-input.js';
import { RedexError } from '../core/errors.js';
import { MessageReader } from './message-reader.js';
import { nextBatch } from './stream-batch.js';
import { loadStream, type LoadedStream, type StateChain } from './stream-loading.js';
import type { StreamPosition } from './stream-position.js';
import type { StreamChange, StreamState } from './stream-state.js';

/** What readers see of a stream. */
export interface StreamView {
  readonly tail: StreamPosition;
  readonly floor: StreamPosition;
  readonly closed: boolean;
  /** Unix milliseconds; undefined before the first append or close. */
  readonly updatedAtMs: number | undefined;
  /** Seq of the channel behind the last record that is visible. */
  readonly nextSeq: number;
}

interface Draft {
  readonly state: StreamState;
  chain: StateChain;
  nextSeq: number;
}

/** Writes under way that were begun between two waits: who waits does so for no later ones. */
class Flight {
  count = 0;
  #waiters: (() => void)[] = [];

  /** Resolves when none of them is under way any more. */
  ended(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  land(): void {
    this.count--;
    if (this.count === 0) for (const wake of this.#waiters.splice(0)) wake();
  }
}

/** An append lost to one that failed before it: its decision has to be made again. */
export class StaleAppend extends Error {}

export class StreamLog {
  readonly channel: Channel;
  readonly reader: MessageReader;
  #draft: Draft | undefined;
  #view: StreamView;
  #inFlight = 0;
  /** What is begun now belongs to it. */
  #flight = new Flight();
  /** Those that somebody waits for. */
  readonly #earlier = new Set<Flight>();
  #reloading: Promise<void> | undefined;
  /** Bytes of the whole state, which did not fit: it is tried again after as many of changes. */
  #tooLargeBytes: number | undefined;
  /** Reads and waits under way: it is not idle meanwhile. */
  #uses = 0;

  constructor(channel: Channel, { state, chain, nextSeq }: LoadedStream) {
    this.channel = channel;
    this.reader = new MessageReader(channel);
    this.#draft = { state, chain, nextSeq };
    this.#view = viewOf(state, nextSeq);
  }

  get view(): StreamView {
    return this.#view;
  }

  /** The state by which the next append is decided; undefined until `ready` has resolved. */
  get state(): StreamState | undefined {
    return this.#draft?.state;
  }

  /** Nothing is under way: what the draft says is what readers see. */
  get isSettled(): boolean {
    return this.#inFlight === 0;
  }

  get isIdle(): boolean {
    return this.isSettled && this.#uses === 0 && this.#reloading === undefined;
  }

  /** Runs a read, during which the stream is not idle. */
  async use<T>(work: () => Promise<T>): Promise<T> {
    this.#uses++;
    try {
      return await work();
    } finally {
      this.#uses--;
    }
  }

  /** Resolves when there is a draft. Rejects with CORRUPT, IO, POISONED, CLOSED. */
  async ready(): Promise<void> {
    while (this.#draft === undefined) {
      this.#reloading ??= this.#reload();
      await this.#reloading;
    }
  }

  async #reload(): Promise<void> {
    try {
      // Without a draft nothing new is begun.
      await this.settled();
      const { state, chain, nextSeq } = await loadStream(this.channel);
      const snapshotBytes = this.#tooLargeBytes;
      const isPutOff = snapshotBytes !== undefined;
      const since = isPutOff ? { ...chain, changes: 0, changeBytes: 0, snapshotBytes } : chain;
      this.#tooLargeBytes = undefined;
      this.#draft = { state, chain: since, nextSeq };
      this.#view = viewOf(state, nextSeq);
    } finally {
      this.#reloading = undefined;
    }
  }

  /** Resolves when everything that was begun before the call is visible or has failed. */
  async settled(): Promise<void> {
    if (this.#flight.count > 0) {
      this.#earlier.add(this.#flight);
      this.#flight = new Flight();
    }
    await Promise.all([...this.#earlier].map((flight) => flight.ended()));
  }

  /**
   * Writes messages and a change in one batch; resolves to what readers see of the stream by it. In
   * the turn of the call there has to be a draft, by which they were decided. Rejects with what the
   * channel says, and with StaleAppend.
   */
  async write(
    batch: { messages: readonly Uint8Array[]; change: StreamChange; wantsSnapshot?: boolean },
    durability: Durability,
    nowMs: number,
  ): Promise<StreamView> {
    const draft = this.#draft;
    if (draft === undefined) throw new StaleAppend();
    const { state, nextSeq: expectedSeq } = draft;
    const flight = this.#flight;
    flight.count++;
    this.#inFlight++;
    let snapshotBytes: number | undefined;
    try {
      const { records, chain } = nextBatch(state, draft.chain, expectedSeq, batch, nowMs);
      const isSnapshot = chain !== draft.chain && chain.changes === 0;
      if (isSnapshot && batch.wantsSnapshot !== true) ({ snapshotBytes } = chain);
      draft.chain = chain;
      draft.nextSeq += records.length;
      const view = viewOf(state, draft.nextSeq);
      await this.channel.appendBatch(records, { expectedSeq, durability });
      if (view.nextSeq > this.#view.nextSeq) this.#view = view;
      return view;
    } catch (error) {
      if (this.#draft === draft) this.#draft = undefined;
      if (snapshotBytes !== undefined && RedexError.is(error, 'LIMIT')) {
        // Nobody has asked for it: the change alone may fit.
        this.#tooLargeBytes = snapshotBytes;
        throw new StaleAppend(undefined, { cause: error });
      }
      if (RedexError.is(error, 'SEQ_CONFLICT')) throw new StaleAppend(undefined, { cause: error });
      throw error;
    } finally {
      this.#inFlight--;
      if (flight.count === 1) this.#earlier.delete(flight);
      flight.land();
    }
  }
}

function viewOf(state: StreamState, nextSeq: number): StreamView {
  const { tail, floor, closed, updatedAtMs } = state;
  return { tail, floor, closed, updatedAtMs, nextSeq };
}
