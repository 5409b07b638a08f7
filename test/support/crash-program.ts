/**
 * Programs for the crash property: lives of a process, each a list of commands and the way it
 * ends. Everything is drawn from integers, and 0 is the plain choice everywhere.
 */
import fc from 'fast-check';
import type { SyncPolicy } from '../../src/channel/options.js';

export const SIZES: readonly number[] = [8, 0, 1, 9, 511, 512, 513, 100, 4095, 4096, 4097, 70_000];
const POLICIES: readonly SyncPolicy[] = [
  'always',
  'never',
  { everyN: 3 },
  { maxBytes: 2000 },
  { intervalMs: 100 },
  { everyN: 5, intervalMs: 40 },
];
const SEGMENT_BYTES: readonly number[] = [4096, 8192, 65_536];

export type Durability = 'default' | 'written' | 'synced';
const DURABILITIES: readonly Durability[] = ['default', 'written', 'synced'];

type FaultKind =
  | 'noSpace'
  | 'shortWrite'
  | 'failWrite'
  | 'failSync'
  | 'failDirectorySync'
  | 'failCreate'
  | 'failTruncate'
  | 'failDerived';
const FAULTS: readonly FaultKind[] = [
  'noSpace',
  'shortWrite',
  'failWrite',
  'failSync',
  'failDirectorySync',
  'failCreate',
  'failTruncate',
  'failDerived',
];

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
const LIFE_ENDS: readonly LifeEnd[] = ['close', 'kill', 'power'];

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

const appendCommand: fc.Arbitrary<Command> = fc.record({
  kind: fc.constantFrom('append' as const, 'append' as const, 'append' as const, 'appendSync'),
  sizes: fc.oneof(
    { weight: 3, arbitrary: fc.tuple(fc.nat(SIZES.length - 1)) },
    { weight: 1, arbitrary: fc.array(fc.nat(SIZES.length - 3), { minLength: 2, maxLength: 6 }) },
  ),
  durability: fc.constantFrom(...DURABILITIES),
  plain: fc.boolean(),
  skip: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(300) }),
});

const faultCommand: fc.Arbitrary<Extract<Command, { kind: 'fault' }>> = fc.record({
  kind: fc.constant('fault' as const),
  fault: fc.constantFrom(...FAULTS),
  nth: fc.integer({ min: 1, max: 4 }),
  short: fc.nat(4500),
});

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 10, arbitrary: appendCommand },
  { weight: 2, arbitrary: fc.constant({ kind: 'sync' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('elapse' as const),
      ms: fc.constantFrom(1, 60, 1000, 1100),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'read' as const }) },
  { weight: 2, arbitrary: faultCommand },
);

const life: fc.Arbitrary<Life> = fc.record({
  steps: fc.array(fc.record({ command, io: fc.nat(5) }), { minLength: 1, maxLength: 12 }),
  end: fc.constantFrom(...LIFE_ENDS),
  openFault: fc.option(faultCommand, { nil: undefined, freq: 5 }),
});

export const program: fc.Arbitrary<Program> = fc.record({
  sync: fc.constantFrom(...POLICIES),
  segmentBytes: fc.constantFrom(...SEGMENT_BYTES),
  seed: fc.nat(65_535),
  shuffled: fc.boolean(),
  stride: fc.integer({ min: 1, max: 6 }),
  lives: fc.array(life, { minLength: 1, maxLength: 3 }),
  // Of one length, so that shrinking one command does not change what later draws mean.
  choices: fc.array(fc.nat(65_535), { minLength: 256, maxLength: 256 }),
});

/** A program as text for a failure's message. */
export function describeProgram(value: Program): string {
  const { choices, ...rest } = value;
  const used = choices.some((choice) => choice !== 0) ? choices : 'all 0';
  return JSON.stringify({ ...rest, choices: used });
}
