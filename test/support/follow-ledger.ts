/**
 * What a followed writer has said, as a reader in another process knows it. The writer says what it
 * is about to do before it does it, so a reader that finds nothing said since a mark knows what was
 * there all the time from then on.
 */
import { Buffer } from 'node:buffer';
import { closeSync, openSync, readSync } from 'node:fs';
import type { LedgerEntry, LedgerEvent, StateEntry } from './process-follow-records.js';

/** What has a name, if that can be said. */
export type NameState =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'none' }
  | {
      readonly kind: 'there';
      readonly token: string;
      /** Every record below it is appended. */
      readonly acked: number;
      /** No record from it on has been begun. */
      readonly submitted: number;
    };

/** A moment: what had been said by then. */
export interface Mark {
  readonly line: number;
  readonly states: ReadonlyMap<string, NameState>;
}

const UNKNOWN: NameState = { kind: 'unknown' };

export class FollowLedger {
  readonly #file: number;
  #position = 0;
  #line = 0;
  readonly #decoder = new TextDecoder();
  #rest = '';
  #states: Map<string, NameState> = new Map();
  /** The line since which a name has what it has. */
  readonly #since: Map<string, number> = new Map();
  readonly #history: string[] = [];
  readonly events: Map<LedgerEvent, number> = new Map();
  /** What the ledger contradicts itself in. */
  readonly contradictions: string[] = [];

  constructor(path: string) {
    this.#file = openSync(path, 'a+');
  }

  /** Reads what has been said until now. */
  mark(): Mark {
    const bytes = Buffer.alloc(64 * 1024);
    for (;;) {
      const count = readSync(this.#file, bytes, 0, bytes.length, this.#position);
      if (count === 0) break;
      this.#position += count;
      this.#take(this.#decoder.decode(bytes.subarray(0, count), { stream: true }));
    }
    return { line: this.#line, states: new Map(this.#states) };
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      this.#line++;
      this.#history.push(`${this.#line} ${line}`);
      if (this.#history.length > 500) this.#history.splice(0, 250);
      this.#apply(JSON.parse(line) as LedgerEntry);
    }
  }

  #apply(entry: LedgerEntry): void {
    const [what, name] = entry;
    if (what === 'event') {
      this.events.set(entry[1], (this.events.get(entry[1]) ?? 0) + 1);
      return;
    }
    const before = this.#states.get(name) ?? UNKNOWN;
    const after = this.#after(before, entry);
    const isSame =
      before.kind === after.kind && (before.kind !== 'there' || tokenOf(after) === before.token);
    if (!isSame || before.kind === 'unknown') this.#since.set(name, this.#line);
    this.#states.set(name, after);
  }

  #after(before: NameState, entry: LedgerEntry): NameState {
    if (entry[0] === 'none') return { kind: 'none' };
    if (entry[0] === 'change') return UNKNOWN;
    if (entry[0] === 'state') {
      const [, , token, next] = entry;
      if (before.kind === 'there') this.#checkKept(before, entry);
      return { kind: 'there', token, acked: next, submitted: next };
    }
    if (before.kind !== 'there' || entry[0] === 'event') return before;
    const [what, , next] = entry;
    return what === 'ack' ? { ...before, acked: next } : { ...before, submitted: next };
  }

  /** The page cache survives a kill: a writer finds what the one before it had acknowledged. */
  #checkKept(
    before: Extract<NameState, { kind: 'there' }>,
    [, name, token, next]: StateEntry,
  ): void {
    const isKept = before.acked <= next && next <= before.submitted;
    // A channel without records says nothing of its token.
    const isOwn = token === before.token || before.acked === next;
    if (isKept && isOwn) return;
    const was = JSON.stringify(before);
    this.contradictions.push(`line ${this.#line}: ${name} was ${was}, is ${token} ${next}`);
  }

  stateOf(name: string): NameState {
    return this.#states.get(name) ?? UNKNOWN;
  }

  /** What had a name all the time since a mark; unknown when that has changed. */
  constantSince(name: string, { line }: Mark): NameState {
    this.mark();
    return (this.#since.get(name) ?? Infinity) > line ? UNKNOWN : this.stateOf(name);
  }

  /** The last lines about a name, for messages. */
  linesOf(name: string): string {
    return this.#history
      .filter((line) => line.includes(JSON.stringify(name)) || line.includes('["event"'))
      .slice(-25)
      .join('\n');
  }

  close(): void {
    closeSync(this.#file);
  }
}

export function tokenOf(state: NameState | undefined): string | undefined {
  return state?.kind === 'there' ? state.token : undefined;
}
