/** What a program that moves amounts between ledgers writes and tells, and how it is read again. */
import type { Appendable } from '../../src/channel/record-input.js';

export const LEDGERS = 100;
/** More than a life of a program can make. */
const TRANSFERS_OF_LIFE = 1_000_000;

/** One record of a ledger: its part of a transfer. */
export interface Entry {
  /** Life and number in it. */
  readonly id: number;
  readonly amount: number;
  /** How many ledgers have a part of it; 0 for those that come and go, which are not counted. */
  readonly parties: number;
}

export interface FoundBank {
  readonly sum: number;
  /** Ids with too few or too many parts. */
  readonly half: readonly number[];
  /** Half open ranges of the ids that are there whole. */
  readonly whole: readonly (readonly [number, number])[];
}

export function idOf(life: number, number: number): number {
  return life * TRANSFERS_OF_LIFE + number;
}

export function ledgerName(index: number): string {
  return `ledger/${index}`;
}

const ENTRY_BYTES = 20;

export function entryRecord({ id, amount, parties }: Entry): Appendable {
  const bytes = new Uint8Array(ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, id);
  view.setFloat64(8, amount);
  view.setUint32(16, parties);
  return bytes;
}

export function decodeEntry(bytes: Uint8Array): Entry {
  if (bytes.byteLength !== ENTRY_BYTES) throw new Error(`an entry of ${bytes.byteLength} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, ENTRY_BYTES);
  return { id: view.getFloat64(0), amount: view.getFloat64(8), parties: view.getUint32(16) };
}

/** Adds up what is in all ledgers. */
export class Audit {
  #sum = 0;
  readonly #parts = new Map<number, { count: number; parties: number }>();

  add({ id, amount, parties }: Entry): void {
    this.#sum += amount;
    if (parties === 0) return;
    const part = this.#parts.get(id) ?? { count: 0, parties };
    part.count++;
    this.#parts.set(id, part);
  }

  get found(): FoundBank {
    const half: number[] = [];
    const whole: [number, number][] = [];
    for (const [id, { count, parties }] of [...this.#parts].toSorted(([a], [b]) => a - b)) {
      const last = whole.at(-1);
      if (count !== parties) half.push(id);
      else if (last?.[1] === id) last[1]++;
      else whole.push([id, id + 1]);
    }
    return { sum: this.#sum, half, whole };
  }
}
