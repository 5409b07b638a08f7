/**
 * Programs for the crash property of a store: lives of a process, each a list of commands over a
 * few channel names and the way it ends. Everything is drawn from integers, 0 is the plain choice.
 */
import fc from 'fast-check';
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

const name: fc.Arbitrary<number> = fc.oneof(
  { weight: 4, arbitrary: fc.nat(1) },
  { weight: 1, arbitrary: fc.nat(NAMES.length - 1) },
);
const options: fc.Arbitrary<number> = fc.nat(OPTIONS.length - 1);

const fault: fc.Arbitrary<StoreFault> = fc.record({
  kind: fc.constant('fault' as const),
  fault: fc.constantFrom('mutation' as const, 'fileSync', 'names', 'lostNames'),
  nth: fc.integer({ min: 1, max: 8 }),
  code: fc.constantFrom('ENOSPC' as const, 'EIO' as const),
});

const append: fc.Arbitrary<StoreCommand> = fc.record({
  kind: fc.constant('append' as const),
  name,
  size: fc.constantFrom(9, 0, 100, 600, 5000),
  durability: fc.constantFrom('default' as const, 'written' as const, 'synced' as const),
});

const command: fc.Arbitrary<StoreCommand> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('create' as const), name, options }) },
  { weight: 5, arbitrary: append },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete' as const), name }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('rename' as const), name, to: name }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('configure' as const), name, options }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('sync' as const, 'close'), name }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'syncAll' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('elapse' as const), ms: fc.constantFrom(60, 1100) }),
  },
  { weight: 3, arbitrary: fault },
);

const life: fc.Arbitrary<StoreLife> = fc.record({
  // Half of the steps leave the command under way when the next one is given.
  steps: fc.array(fc.record({ command, io: fc.constantFrom(0, 0, 1, 1, 2, 3) }), {
    minLength: 1,
    maxLength: 10,
  }),
  end: fc.constantFrom('close' as const, 'kill' as const, 'power' as const),
  openFault: fc.option(fault, { nil: undefined, freq: 5 }),
});

export const storeProgram: fc.Arbitrary<StoreProgram> = fc.record({
  seed: fc.nat(65_535),
  shuffled: fc.boolean(),
  stride: fc.integer({ min: 1, max: 6 }),
  premade: fc.boolean(),
  lives: fc.array(life, { minLength: 1, maxLength: 3 }),
  // Of one length, so that shrinking one command does not change what later draws mean.
  choices: fc.array(fc.nat(65_535), { minLength: 256, maxLength: 256 }),
});

/** A program as text for a failure's message. */
export function describeStoreProgram(value: StoreProgram): string {
  const { choices, ...rest } = value;
  const used = choices.some((choice) => choice !== 0) ? choices : 'all 0';
  return JSON.stringify({ ...rest, choices: used });
}
