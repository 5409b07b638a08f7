/**
 * Messages with a key come one after the other: the lane of a key has an owner, which is in flight
 * or will be delivered next, and those that were met behind it. A lane ends with its last message.
 */
import { SeqHeap } from './seq-heap.js';
import type { StateReader, StateWriter } from './state-bytes.js';

interface Lane {
  owner: number;
  /** Seqs with their priorities, see `packed`. */
  readonly waiting: SeqHeap;
}

/** More than there are priorities. */
const PRIORITIES = 32;

export class KeyLanes {
  readonly #lanes = new Map<string, Lane>();
  /** The keys of lanes by their owners. */
  readonly #keys = new Map<number, string>();

  /** The key of the lane that the message owns. */
  keyOf(seq: number): string | undefined {
    return this.#keys.get(seq);
  }

  #give(key: string, lane: Lane, owner: number): void {
    this.#keys.delete(lane.owner);
    lane.owner = owner;
    this.#keys.set(owner, key);
  }

  /** Makes the message the owner of its lane if that is free; whether it owns it. */
  claim(key: string, seq: number): boolean {
    const lane = this.#lanes.get(key);
    if (lane !== undefined) return lane.owner === seq;
    this.#lanes.set(key, { owner: seq, waiting: new SeqHeap() });
    this.#keys.set(seq, key);
    return true;
  }

  /** The message waits until its lane is free. */
  wait(key: string, seq: number, priority: number): void {
    this.#lanes.get(key)?.waiting.push(seq * PRIORITIES + priority);
  }

  /**
   * The owner is done with: the next one for which `isOpen` owns the lane and is returned, or the
   * lane ends. Undefined also for a message that does not own its lane.
   */
  leave(
    key: string,
    seq: number,
    isOpen: (seq: number) => boolean,
  ): { readonly seq: number; readonly priority: number } | undefined {
    const lane = this.#lanes.get(key);
    if (lane?.owner !== seq) return undefined;
    for (;;) {
      const next = lane.waiting.pop();
      if (next === undefined) break;
      const priority = next % PRIORITIES;
      const nextSeq = (next - priority) / PRIORITIES;
      if (nextSeq === seq || !isOpen(nextSeq)) continue;
      this.#give(key, lane, nextSeq);
      return { seq: nextSeq, priority };
    }
    this.#lanes.delete(key);
    this.#keys.delete(seq);
    return undefined;
  }

  clear(): void {
    this.#lanes.clear();
    this.#keys.clear();
  }

  encodeTo(writer: StateWriter): void {
    writer.u32(this.#lanes.size);
    for (const [key, { owner, waiting }] of this.#lanes) {
      writer.string(key);
      writer.f64(owner);
      waiting.encodeTo(writer);
    }
  }

  static decode(reader: StateReader): KeyLanes {
    const lanes = new KeyLanes();
    for (let left = reader.u32(); left > 0; left--) {
      const key = reader.string();
      const owner = reader.f64();
      lanes.#lanes.set(key, { owner, waiting: SeqHeap.decode(reader) });
      lanes.#keys.set(owner, key);
    }
    return lanes;
  }
}
