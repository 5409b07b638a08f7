/**
 * What the program that is to be killed, and those who judge it, agree on: kinds of channels,
 * records that say themselves what they have to be, and the messages on the pipe.
 *
 * A channel is known by its token: its first record has the seq `token * TOKEN_SEQS`, so that an
 * empty one is known too, and its kind is drawn from the token. Everything of a record follows
 * from its seq and from the life of the program that appended it.
 */
import { Buffer } from 'node:buffer';
import type { ChannelOptions } from '../../src/index.js';

export const TOKEN_SEQS = 1_000_000;
export const FOLD_NAME = 'sum';

export interface Kind {
  readonly name: string;
  readonly options: ChannelOptions;
  readonly compaction?: 'keep' | 'key';
  readonly trims?: boolean;
  /** It has a fold, and nothing goes that the fold has not seen. */
  readonly folds?: boolean;
}

export const KINDS: readonly Kind[] = [
  { name: 'always', options: { sync: 'always', segmentBytes: 4096 }, folds: true },
  {
    name: 'never',
    options: { sync: 'never', segmentBytes: 16_384 },
    compaction: 'keep',
    trims: true,
  },
  {
    name: 'arms',
    options: { sync: { everyN: 64, intervalMs: 20 }, segmentBytes: 8192 },
    compaction: 'key',
  },
  {
    name: 'bytes',
    options: {
      sync: { maxBytes: 30_000 },
      segmentBytes: 32_768,
      retention: { maxRecords: 400, waitFor: [FOLD_NAME] },
    },
    folds: true,
  },
  {
    name: 'kept',
    options: { sync: 'always', segmentBytes: 4096, retention: { maxRecords: 300 } },
    trims: true,
  },
];

export function kindOf(token: number): Kind {
  const kind = KINDS[token % KINDS.length];
  if (kind === undefined) throw new Error(`no kind for ${token}`);
  return kind;
}

/** Names of channels that stay; the token of each is its place. */
export const LASTING_NAMES: readonly string[] = KINDS.map(({ name }) => `log/${name}`);
/** Names of channels that come and go. */
export const PASSING_NAMES: readonly string[] = [
  'passing/ä',
  'passing/b',
  'passing/%',
  'passing/d',
];
/** The first token of a passing channel that a life may make; it has as many as there are kinds. */
export const TOKENS_OF_LIFE = 200;

const KEYS = 7;

/** Whether a compaction up to `bound` may drop the record, and when it is done, has dropped it. */
export function isCondemned({ compaction }: Kind, seq: number, bound: number): boolean {
  if (compaction === 'keep') return seq < bound && seq % 4 !== 0;
  // The last record of each key is one of the last KEYS.
  return compaction === 'key' && seq + KEYS < bound;
}

export function typeAt(seq: number): number {
  return 1 + (seq % KEYS);
}

function mixed(seq: number): number {
  const half = Math.imul(seq ^ (seq >>> 15), 0x2c1b3c6d);
  return (half ^ (half >>> 13)) >>> 0;
}

/** How many records are appended together from this seq on; 1 for a plain append. */
export function batchSizeAt(seq: number): number {
  return mixed(seq) % 11 === 0 ? 2 + (seq % 5) : 1;
}

/** Most are small, some need a frame of their own, few are written off the calling thread. */
function fillBytes(seq: number): number {
  const draw = mixed(seq + 1);
  if (draw % 4001 === 0) return 700_000;
  return draw % 397 === 0 ? 20_000 : draw % 250;
}

export function recordPayload(seq: number, first: number, size: number, life: number): Buffer {
  const head = Buffer.from(`${seq} ${first} ${size} ${life} `);
  return Buffer.concat([head, Buffer.alloc(fillBytes(seq), mixed(seq + 2) & 255)]);
}

export interface RecordClaim {
  readonly life: number;
  /** The seq after its batch. */
  readonly batchEnd: number;
}

/** What a record says of itself; undefined for wrong bytes. */
export function claimOf(seq: number, type: number, payload: Uint8Array): RecordClaim | undefined {
  const text = Buffer.from(payload.subarray(0, 64)).toString('latin1');
  const [, own, first, size, life] = /^(\d+) (\d+) (\d+) (\d+) /.exec(text)?.map(Number) ?? [];
  if (own !== seq || first === undefined || size === undefined || life === undefined) {
    return undefined;
  }
  if (seq < first || seq >= first + size || size !== batchSizeAt(first)) return undefined;
  const isRight = type === typeAt(seq) && recordPayload(seq, first, size, life).equals(payload);
  return isRight ? { life, batchEnd: first + size } : undefined;
}

/** The state of the fold: how many records it has seen, and a sum that no other records have. */
export interface FoldState {
  count: number;
  sum: number;
}

export function applyRecord(state: FoldState, { seq }: { readonly seq: number }): FoldState {
  state.count++;
  state.sum = (Math.imul(state.sum, 31) + mixed(seq)) >>> 0;
  return state;
}

/** Records that follow each other, appended by the same life: [from, to). */
export type Run = readonly [from: number, to: number, life: number];

/** A channel as an open has found it. */
export interface FoundChannel {
  readonly name: string;
  readonly firstSeq: number;
  readonly nextSeq: number;
  readonly durableSeq: number;
  readonly runs: readonly Run[];
  readonly fold?: { readonly seq: number } & FoldState;
  /** What no channel may be. */
  readonly wrong: readonly string[];
}

export interface NameChange {
  readonly kind: 'create' | 'delete' | 'rename';
  readonly name: string;
  /** Of a creation. */
  readonly token?: number;
  /** Of a rename. */
  readonly to?: string;
}

type CountedEvent = 'create' | 'delete' | 'rename' | 'roll' | 'reopen' | 'sync';

/**
 * - `start`: the program opens the store from now on. `open`: it has opened all channels.
 * - `found`, and at the end `verified`: what is there. Nothing was changed by the program so far.
 * - `name`: a change of names begins. `named`: it is done. There is one at a time.
 * - `submit`: records below this seq will be appended. `ack`: those below the first are, and those
 *   below the second are synced.
 * - `trim`, `trimmed`, `compact`, `compacted`: begun, and done.
 * - `failed`: something was refused; the program ends.
 */
export type KillMessage =
  | readonly ['start', pid: number]
  | readonly ['open', recoveries: number]
  | readonly ['found', FoundChannel]
  | readonly ['verified']
  | readonly ['name', NameChange]
  | readonly ['named']
  | readonly ['submit' | 'trim' | 'trimmed' | 'compact' | 'compacted', token: number, seq: number]
  | readonly ['ack', token: number, seq: number, durableSeq: number]
  | readonly ['event', CountedEvent]
  | readonly ['failed', code: string];
