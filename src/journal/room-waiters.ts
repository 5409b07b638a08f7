/** Who waits for room in the journal, and what they are told. */
import { redexError, type RedexError } from '../core/errors.js';

/** With the reason why there will be no room, or nothing when it is to be tried again. */
export type Proceed = (error: RedexError | undefined) => void;

export class RoomWaiters {
  #waiters: { readonly bytes: number; readonly proceed: Proceed }[] = [];

  get isEmpty(): boolean {
    return this.#waiters.length === 0;
  }

  add(bytes: number, proceed: Proceed): void {
    this.#waiters.push({ bytes, proceed });
  }

  /** There may be room: all try again. */
  wake(): void {
    for (const { proceed } of this.#take()) proceed(undefined);
  }

  /** Nothing can be freed. */
  refuse(limit: number): void {
    const message = 'the journal is full of what could not be written to its channels';
    for (const { bytes, proceed } of this.#take()) {
      proceed(redexError('LIMIT', message, { what: 'journalBytes', limit, actual: bytes }));
    }
  }

  /** The journal in `path` could not be made, or grow. */
  fail(path: string, cause: unknown): void {
    const systemCode = String((cause as { readonly code?: unknown }).code);
    const fields = { operation: 'allocate', path, systemCode, outcome: 'absent' } as const;
    const message = `the journal could not grow: ${systemCode}`;
    for (const { proceed } of this.#take()) proceed(redexError('IO', message, fields, cause));
  }

  /** Who waits again while they are told is told the next time. */
  #take(): { readonly bytes: number; readonly proceed: Proceed }[] {
    const waiters = this.#waiters;
    this.#waiters = [];
    return waiters;
  }
}
