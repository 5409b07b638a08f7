/**
 * Programs for the crash property of a store: lives of a process, each a list of commands over a
 * few channel names and the way it ends. Everything is drawn from integers, 0 is the plain choice.
 */
import type { StoredChannelOptions } from '../../src/channel/options.js';
import type { Durability } from './crash-program.js';

const LONG = 'x'.repeat(520);

/** Plain, escaped, and two whose entries are hashed and that differ only at their end. */
export const NAMES: readonly string[] = ['a', 'b', 'Ü/.c', `${LONG}1`, `${LONG}2`];

export const OPTIONS: readonly StoredChannelOptions[] = [
  { sync: 'always', segmentBytes: 8192, segmentMs: 0, retention: undefined },
  { sync: 'never', segmentBytes: 4096, segmentMs: 0, retention: undefined },
  { sync: { everyN: 2 }, segmentBytes: 8192, segmentMs: 1000, retention: undefined },
];

/**
 * What a fault hits. `names` is a sync of a directory that fails and loses nothing, as journaled
 * file systems do; `lostNames` one that loses what it was to make durable.
 */
type StoreFaultKind = 'mutation' | 'fileSync' | 'names' | 'lostNames';

export interface StoreFault {
  readonly kind: 'fault';
  readonly fault: StoreFaultKind;
  readonly nth: number;
  readonly code: 'ENOSPC' | 'EIO';
}

/** `name` and `to` are places in NAMES, `options` one in OPTIONS. */
export type StoreCommand =
  | { readonly kind: 'create'; readonly name: number; readonly options: number }
  | {
      readonly kind: 'append';
      readonly name: number;
      readonly size: number;
      readonly durability: Durability;
    }
  | { readonly kind: 'sync' | 'close' | 'delete'; readonly name: number }
  | { readonly kind: 'rename'; readonly name: number; readonly to: number }
  | { readonly kind: 'configure'; readonly name: number; readonly options: number }
  | { readonly kind: 'syncAll' }
  | { readonly kind: 'elapse'; readonly ms: number }
  | StoreFault;

export interface StoreStep {
  readonly command: StoreCommand;
  /** Completions that are let through afterwards; 0 for all. */
  readonly io: number;
}

export interface StoreLife {
  readonly steps: readonly StoreStep[];
  readonly end: 'close' | 'kill' | 'power';
  /** A fault during the open, which is then tried again. */
  readonly openFault: StoreFault | undefined;
}

export interface StoreProgram {
  readonly seed: number;
  /** Completions of the file system come in any order, not in that of the calls. */
  readonly shuffled: boolean;
  /** A crash at every n-th place where one is possible. */
  readonly stride: number;
  /** Somebody else has made the empty directory, and has not synced its name. */
  readonly premade: boolean;
  readonly lives: readonly StoreLife[];
  readonly choices: readonly number[];
}

/** A program as text for a failure's message. */
export function describeStoreProgram(value: StoreProgram): string {
  const { choices, ...rest } = value;
  const used = choices.some((choice) => choice !== 0) ? choices : 'all 0';
  return JSON.stringify({ ...rest, choices: used });
}
