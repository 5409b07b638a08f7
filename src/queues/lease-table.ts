/** The leases of one queue in this process, by group, and the one timer that ends them. */
import type { Cancel, Runtime } from '../core/runtime.js';
import type { Lease } from './lease.js';
import { LeaseClock } from './queue-clock.js';
import type { LeaseLoss } from './queue-errors.js';

/** How often it is looked whether this process was blocked, while there are leases. */
const LONGEST_TICK_MS = 1000;
const SHORTEST_TICK_MS = 20;

export class LeaseTable {
  readonly clock: LeaseClock;
  readonly #runtime: Runtime;
  readonly #onExpired: (leases: readonly Lease[]) => void;
  readonly #groups = new Map<string, Map<number, Lease>>();
  /** The suspect of each group that is in flight: there is one at a time. */
  readonly #suspects = new Map<string, Lease>();
  #lastNumber = 0;
  #cancel: Cancel | undefined;
  #count = 0;

  /** `onExpired` is told of leases whose time is over; it ends them. */
  constructor(runtime: Runtime, onExpired: (leases: readonly Lease[]) => void) {
    this.clock = new LeaseClock(runtime);
    this.#runtime = runtime;
    this.#onExpired = onExpired;
  }

  /** The lease of a message that has not ended. */
  get(group: string, seq: number): Lease | undefined {
    return this.#groups.get(group)?.get(seq);
  }

  /** It is the lease of its message, whether it is being ended or not. */
  holds(lease: Lease): boolean {
    return this.get(lease.group, lease.message.seq) === lease;
  }

  /** A message that may have ended a process is in flight. */
  hasSuspect(group: string): boolean {
    return this.#suspects.has(group);
  }

  of(group: string): IterableIterator<Lease> {
    return (this.#groups.get(group) ?? new Map<number, Lease>()).values();
  }

  *all(): IterableIterator<Lease> {
    for (const leases of this.#groups.values()) yield* leases.values();
  }

  /** Those of a group, or all. */
  some(group: string | undefined): Lease[] {
    return [...(group === undefined ? this.all() : this.of(group))];
  }

  /** Those of a message, in a group or in all. */
  ofMessage(group: string | undefined, seq: number): Lease[] {
    const groups = group === undefined ? [...this.#groups.keys()] : [group];
    return groups.map((name) => this.get(name, seq)).filter((lease) => lease !== undefined);
  }

  /** The number of the lease that is made next: see `Lease.number`. */
  nextNumber(): number {
    this.#lastNumber += 1;
    return this.#lastNumber;
  }

  add(lease: Lease): void {
    const { group, message } = lease;
    let leases = this.#groups.get(group);
    if (leases === undefined) {
      leases = new Map();
      this.#groups.set(group, leases);
    }
    leases.set(message.seq, lease);
    if (lease.isSuspect) this.#suspects.set(group, lease);
    this.#count++;
    if (this.#cancel === undefined) this.#schedule();
  }

  /** The lease has ended, if it is still that of its message. */
  end(lease: Lease, loss: LeaseLoss): void {
    const { group, message } = lease;
    lease.end(loss);
    const leases = this.#groups.get(group);
    if (leases?.get(message.seq) !== lease) return;
    leases.delete(message.seq);
    if (this.#suspects.get(group) === lease) this.#suspects.delete(group);
    this.#count--;
    if (this.#count === 0) this.#stop();
  }

  endAll(group: string | undefined, loss: LeaseLoss): void {
    const leases = group === undefined ? this.all() : this.of(group);
    for (const lease of Array.from(leases)) this.end(lease, loss);
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #schedule(): void {
    let first = Infinity;
    for (const { deadline } of this.all()) first = Math.min(first, deadline);
    const left = Math.ceil(first - this.clock.now());
    const delayMs = Math.min(LONGEST_TICK_MS, Math.max(SHORTEST_TICK_MS, left));
    this.clock.expect(delayMs);
    this.#cancel = this.#runtime.schedule(() => this.#onTick(), delayMs);
  }

  #onTick(): void {
    this.clock.onTurn();
    if (this.#expired().length === 0) {
      this.#schedule();
      return;
    }
    // What has come in for them meanwhile is handled first.
    this.#cancel = this.#runtime.schedule(() => {
      this.#cancel = undefined;
      const expired = this.#expired();
      if (this.#count > 0) this.#schedule();
      if (expired.length > 0) this.#onExpired(expired);
    }, 0);
  }

  #expired(): Lease[] {
    const now = this.clock.now();
    return [...this.all()].filter((lease) => lease.deadline <= now && !lease.isSettling);
  }

  close(): void {
    this.#stop();
    this.endAll(undefined, 'queue closed');
  }
}
