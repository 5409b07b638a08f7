/**
 * Reads that are under way, each with the segments that it goes on in. Held weakly, because nobody
 * has to end a read; one that has ended costs nothing any more.
 */
import type { Segment } from '../segment/segment.js';

const FEWEST_LOOKED_THROUGH = 64;

/**
 * The segments of a read that is under way: it goes on in them, whatever the channel lets go
 * meanwhile. They become others only where another process has removed files: see `renew`.
 */
export class ChainSnapshot {
  segments: readonly Segment[];
  /** The read will not come back to what is below. */
  from: number;
  readonly reference: WeakRef<ChainSnapshot> = new WeakRef<ChainSnapshot>(this);

  constructor(segments: readonly Segment[], from: number) {
    this.segments = segments;
    this.from = from;
  }
}

export class ChainSnapshots {
  readonly #references = new Set<WeakRef<ChainSnapshot>>();
  /** With so many the abandoned ones among them are looked for. */
  #lookThroughAt = FEWEST_LOOKED_THROUGH;

  /** Reads that are not known to be over. */
  get size(): number {
    return this.#references.size;
  }

  hold(segments: readonly Segment[], from: number): ChainSnapshot {
    if (this.#references.size >= this.#lookThroughAt) this.#forgetAbandoned();
    const snapshot = new ChainSnapshot(segments, from);
    this.#references.add(snapshot.reference);
    return snapshot;
  }

  #forgetAbandoned(): void {
    for (const reference of this.#references) {
      if (reference.deref() === undefined) this.#references.delete(reference);
    }
    this.#lookThroughAt = Math.max(FEWEST_LOOKED_THROUGH, 2 * this.#references.size);
  }

  letGo(snapshot: ChainSnapshot): void {
    snapshot.from = Infinity;
    this.#references.delete(snapshot.reference);
  }

  /** Whether a read has still to come to this segment. */
  isHeld(segment: Segment): boolean {
    for (const reference of this.#references) {
      const snapshot = reference.deref();
      if (snapshot === undefined) this.#references.delete(reference);
      else if (snapshot.from < segment.nextSeq && snapshot.segments.includes(segment)) return true;
    }
    return false;
  }
}
