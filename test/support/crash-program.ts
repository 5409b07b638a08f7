/**
 * Programs for the enumeration of crashes: lives of a process, each a list of commands and the way
 * it ends.
 */
import type { SyncPolicy } from '../../src/channel/options.js';

export const SIZES: readonly number[] = [8, 0, 1, 9, 511, 512, 513, 100, 4095, 4096, 4097, 70_000];

export type Durability = 'default' | 'written' | 'synced';

type FaultKind =
  | 'noSpace'
  | 'shortWrite'
  | 'failWrite'
  | 'failSync'
  | 'failDirectorySync'
  | 'failCreate'
  | 'failTruncate'
  | 'failDerived';

export type Command =
  | {
      readonly kind: 'append' | 'appendSync';
      readonly sizes: readonly number[];
      readonly durability: Durability;
      /** Without type, time or seq: the fast way through the engine. */
      readonly plain: boolean;
      /** How many seqs the first record skips. */
      readonly skip: number;
    }
  | { readonly kind: 'sync' }
  | { readonly kind: 'elapse'; readonly ms: number }
  | { readonly kind: 'read' }
  | {
      readonly kind: 'fault';
      readonly fault: FaultKind;
      readonly nth: number;
      readonly short: number;
    };

export interface Step {
  readonly command: Command;
  /** Completions that are let through afterwards; 0 for all. */
  readonly io: number;
}

type LifeEnd = 'close' | 'kill' | 'power';

export interface Life {
  readonly steps: readonly Step[];
  readonly end: LifeEnd;
  /** A fault during the next open, which is then tried again. */
  readonly openFault: Extract<Command, { kind: 'fault' }> | undefined;
}

export interface Program {
  readonly sync: SyncPolicy;
  readonly segmentBytes: number;
  readonly seed: number;
  /** Completions of the file system come in any order, not in that of the calls. */
  readonly shuffled: boolean;
  /** A crash at every n-th place where one is possible. */
  readonly stride: number;
  readonly lives: readonly Life[];
  readonly choices: readonly number[];
}

/** A program as text for a failure's message. */
export function describeProgram(value: Program): string {
  const { choices, ...rest } = value;
  const used = choices.some((choice) => choice !== 0) ? choices : 'all 0';
  return JSON.stringify({ ...rest, choices: used });
}
