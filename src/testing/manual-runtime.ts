/**
 * A Runtime that a test drives by hand: time moves, timers run and input/output completes only when
 * told to, and all randomness comes from one seed, so that a run can be repeated.
 */
import { systemRuntime, type Cancel, type Runtime } from '../core/runtime.js';
import { Random } from './choices.js';

export interface ManualRuntimeOptions {
  readonly seed?: number;
  /** The first value of `now`, in milliseconds since the unix epoch. */
  readonly startMs?: number;
  /**
   * What `runIo` takes when it is not told: the oldest, or any by the seed. `immediate` holds
   * nothing: completions run as microtasks.
   */
  readonly ioOrder?: 'oldest' | 'random' | 'immediate';
}

/** A timer that has not run. */
export interface PendingTimer {
  /** On the clock of `monotonic`. */
  readonly dueMs: number;
  readonly task: () => void;
}

/** More microtask turns than any chain of awaits between two steps takes. */
const SETTLE_TURNS = 200;

const IO_ORDERS: ReadonlySet<unknown> = new Set(['oldest', 'random', 'immediate']);

export class ManualRuntime implements Runtime {
  readonly seed: number;
  readonly #random: Random;
  readonly #ioOrder: 'oldest' | 'random' | 'immediate';
  #nowMs: number;
  #monotonicMs = 0;
  /** By due time, then by the order in which they were scheduled. */
  #timers: PendingTimer[] = [];
  #heldIo: (() => void)[] = [];
  #deferred = 0;

  constructor(options: ManualRuntimeOptions = {}) {
    this.seed = options.seed ?? 1;
    this.#random = new Random(this.seed);
    this.#nowMs = options.startMs ?? 1_700_000_000_000;
    this.#ioOrder = options.ioOrder ?? 'oldest';
    if (!IO_ORDERS.has(this.#ioOrder)) {
      throw new TypeError(`no ioOrder is called ${String(options.ioOrder)}`);
    }
  }

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#monotonicMs;
  }

  random(bytes: Uint8Array): Uint8Array {
    return this.#random.fill(bytes);
  }

  defer(task: () => void): void {
    this.#deferred += 1;
    systemRuntime.defer(task);
  }

  schedule(task: () => void, delayMs: number): Cancel {
    const timer: PendingTimer = { dueMs: this.#monotonicMs + Math.max(0, delayMs), task };
    const later = this.#timers.findIndex((other) => other.dueMs > timer.dueMs);
    this.#timers.splice(later < 0 ? this.#timers.length : later, 0, timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** How many tasks were deferred so far. */
  get deferred(): number {
    return this.#deferred;
  }

  /** The timers that have not run, next first. */
  get pending(): readonly PendingTimer[] {
    return this.#timers;
  }

  /** Sets the wall clock, which may jump either way; timers do not notice. */
  setNow(nowMs: number): void {
    this.#nowMs = nowMs;
  }

  /** Moves both clocks to the next timer and runs it; false if there is none. */
  runNext(): boolean {
    const timer = this.#timers.shift();
    if (timer === undefined) return false;
    this.#moveTo(Math.max(timer.dueMs, this.#monotonicMs));
    timer.task();
    return true;
  }

  /** Moves both clocks and runs what comes due, each at its time. RangeError to go back. */
  advance(ms: number): void {
    const end = this.#after(ms);
    while ((this.#timers[0]?.dueMs ?? Infinity) <= end) this.runNext();
    this.#moveTo(end);
  }

  /** Like `advance`, and lets microtasks drain after each timer. */
  async elapse(ms: number): Promise<void> {
    const end = this.#after(ms);
    await this.settle();
    while ((this.#timers[0]?.dueMs ?? Infinity) <= end) {
      this.runNext();
      await this.settle();
    }
    this.#moveTo(end);
  }

  /** To be given to a CrashFs (and a FaultFs) as `defer`: holds the completion until `runIo`. */
  readonly deferIo: (complete: () => void) => void = (complete) => {
    if (this.#ioOrder === 'immediate') systemRuntime.defer(complete);
    else this.#heldIo.push(complete);
  };

  /** How many completions are held. */
  get heldIo(): number {
    return this.#heldIo.length;
  }

  /** Completes one held operation: the one at `index`, or one by the order; false if none. */
  runIo(index?: number): boolean {
    const { length } = this.#heldIo;
    if (index !== undefined && !(Number.isInteger(index) && index >= 0)) {
      throw new RangeError(`the index of a completion is an integer from 0, not ${index}`);
    }
    if (length === 0) return false;
    const chosen = index ?? (this.#ioOrder === 'random' ? this.#random.below(length) : 0);
    const [complete] = this.#heldIo.splice(chosen, 1);
    if (complete === undefined) throw new RangeError(`no completion ${chosen} of ${length}`);
    complete();
    return true;
  }

  /** Completes what is held; what the completions lead to is held anew. */
  runAllIo(): number {
    let count = 0;
    for (let left = this.#heldIo.length; left > 0; left -= 1) {
      this.runIo();
      count += 1;
    }
    return count;
  }

  /** Completes what is held and what that leads to, until nothing is. */
  async drainIo(): Promise<void> {
    await this.settle();
    while (this.runIo()) await this.settle();
  }

  /** Lets microtasks drain. Nothing else runs: no timer, no input or output. */
  async settle(): Promise<void> {
    // Where nothing is held, whole chains of input and output are nothing but turns.
    const turns = this.#ioOrder === 'immediate' ? 10 * SETTLE_TURNS : SETTLE_TURNS;
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
  }

  #after(ms: number): number {
    if (ms >= 0 && Number.isFinite(ms)) return this.#monotonicMs + ms;
    throw new RangeError(`time goes on by milliseconds from 0, not by ${ms}`);
  }

  #moveTo(monotonicMs: number): void {
    this.#nowMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }
}
