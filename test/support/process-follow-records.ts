/**
 * Records that prove where they belong: the incarnation of their channel (a token, drawn when the
 * channel was created), their seq, their type and every byte; and the names of the channels, and
 * the lines of the ledger, that the writer and its readers agree on.
 */
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';

/** Lanes run at the same time; the names of a lane are given to its channels by turns. */
export const LANES = 3;
const NAMES_OF_LANE = 3;
export const FOLLOWED_NAMES: readonly string[] = Array.from(
  { length: LANES * NAMES_OF_LANE },
  (_, i) => `lane ${i % LANES}/é${Math.floor(i / LANES)}`,
);

const TOKEN_LENGTH = 16;
const HEAD_BYTES = 2 * TOKEN_LENGTH;
const FIRST_SEQS = [0, 0, 1, 1000, 2 ** 33];
const LARGEST_BYTES = 700_000;

export interface FollowRecord {
  readonly type: number;
  readonly payload: Buffer;
}

/** A token for the incarnation of a channel that begins with this seq. */
export function tokenFrom(uint32: () => number, firstSeq: number): string {
  for (;;) {
    const token = [uint32(), uint32()].map((half) => half.toString(16).padStart(8, '0')).join('');
    if (firstSeqOf(token) === firstSeq) return token;
  }
}

export function drawFirstSeq(below: (bound: number) => number): number {
  return FIRST_SEQS[below(FIRST_SEQS.length)] ?? 0;
}

/** The first seq of a channel is part of what its token says. */
export function firstSeqOf(token: string): number {
  const different = [...new Set(FIRST_SEQS)];
  return different[Number.parseInt(token.slice(0, 4), 16) % different.length] ?? 0;
}

/** Most are small, some need more than a chunk, few are written off the calling thread. */
function fillBytesOf(digest: Buffer): number {
  const size = digest.readUInt32LE(0);
  const kind = digest.readUInt16LE(4);
  if (kind % 300 === 0) return 530_000 + (size % (LARGEST_BYTES - 530_000));
  if (kind % 20 === 0) return size % 30_000;
  return size % 300;
}

export function followRecord(token: string, seq: number): FollowRecord {
  const head = token + seq.toString(16).padStart(TOKEN_LENGTH, '0');
  const digest = createHash('sha256').update(head).digest();
  const payload = Buffer.alloc(HEAD_BYTES + fillBytesOf(digest), digest);
  payload.write(head, 'latin1');
  return { type: digest.readUInt16LE(6), payload };
}

/** The token that a payload carries. */
export function tokenIn(payload: Uint8Array): string {
  return Buffer.from(payload.subarray(0, TOKEN_LENGTH)).toString('latin1');
}

/**
 * What the writer says of a channel, in a file that survives it. Each is written before or after
 * what it speaks of:
 * - `change`: from now on nobody can say what has this name.
 * - `none`: there is no channel of this name.
 * - `state`: a channel of this token has it, and ends with this seq.
 * - `submit`: records below this seq will be appended next. `ack`: they are.
 * - `event`: something to be counted has happened.
 */
export type LedgerEntry =
  | readonly ['change', name: string]
  | readonly ['none', name: string]
  | StateEntry
  | readonly ['submit', name: string, nextSeq: number]
  | readonly ['ack', name: string, nextSeq: number]
  | readonly ['event', kind: LedgerEvent];

export type StateEntry = readonly ['state', name: string, token: string, nextSeq: number];

export type LedgerEvent = 'start' | 'open' | 'stop' | 'roll' | 'delete' | 'rename' | 'close';

export function ledgerLine(entry: LedgerEntry): string {
  return `${JSON.stringify(entry)}\n`;
}
