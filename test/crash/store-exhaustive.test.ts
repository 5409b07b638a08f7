/**
 * Goal: no history of up to three commands on the channels of a store, no failure of one operation
 * and no crash breaks a rule (RULES N1, N2, N3, S3, S4, S6).
 * Method: every sequence of commands from a small alphabet on a store with one channel; at every
 * change that the last command makes, every image of a power cut as far as they can be counted,
 * drawn ones where there are more, and one of a kill. The creation of the data directory the same
 * way, and each command with each of its operations failing. Images that were seen are not opened
 * again. With REDEX_CRASH_IMAGES there are more images of each place.
 */
import { expect, test } from 'vitest';
import { choicesFromSeed } from '../../src/testing/choices.js';
import {
  describeStoreProgram,
  type StoreCommand,
  type StoreLife,
  type StoreProgram,
  type StoreStep,
} from '../support/store-program.js';
import { runStoreProgram, type ExhaustiveOptions } from '../support/store-runner.js';
import { describeStoreStats, emptyStoreStats, type StoreStats } from '../support/store-stats.js';

const wanted = Number(process.env['REDEX_CRASH_IMAGES'] ?? 0);
const isLong = wanted > 0;
/** Of histories of three commands one in so many is run. */
const STRIDE = isLong ? 1 : 16;
const seed = Number(process.env['REDEX_CRASH_SEED'] ?? 1);
const TIMEOUT = { timeout: 900_000 };

/** On the channels `a`, which is there, and `b`, which is not. */
const CHANGES: readonly StoreCommand[] = [
  { kind: 'create', name: 0, options: 0 },
  { kind: 'create', name: 1, options: 1 },
  { kind: 'delete', name: 0 },
  { kind: 'rename', name: 0, to: 1 },
  { kind: 'rename', name: 1, to: 0 },
  { kind: 'configure', name: 0, options: 2 },
];
const ALPHABET: readonly StoreCommand[] = [
  ...CHANGES,
  { kind: 'append', name: 0, size: 100, durability: 'synced' },
  { kind: 'append', name: 1, size: 100, durability: 'written' },
  { kind: 'delete', name: 1 },
  { kind: 'close', name: 0 },
];
const FAULTS = ['mutation', 'fileSync', 'names', 'lostNames'] as const;

const PREPARED: StoreLife = {
  steps: [
    { command: { kind: 'create', name: 0, options: 0 }, io: 0 },
    { command: { kind: 'append', name: 0, size: 9, durability: 'synced' }, io: 0 },
  ],
  end: 'close',
  openFault: undefined,
};

function* sequences(
  length: number,
  alphabet: readonly StoreCommand[],
): Generator<readonly StoreCommand[]> {
  if (length === 0) {
    yield [];
    return;
  }
  for (const rest of sequences(length - 1, alphabet)) {
    for (const command of alphabet) yield [...rest, command];
  }
}

function programOf(steps: readonly StoreStep[], prepared = true, number = 0): StoreProgram {
  const choose = choicesFromSeed(seed + number);
  const last: StoreLife = { steps, end: 'power', openFault: undefined };
  return {
    seed: (seed * 31 + number) % 65_536,
    shuffled: false,
    stride: 1,
    premade: false,
    lives: prepared ? [PREPARED, last] : [last],
    choices: Array.from({ length: 256 }, () => choose(65_536)),
  };
}

/** `io` is that of all commands but the last. */
function stepsOf(commands: readonly StoreCommand[], io = 0): readonly StoreStep[] {
  return commands.map((command, index) => ({
    command,
    io: index === commands.length - 1 ? 0 : io,
  }));
}

function followers(command: StoreCommand): readonly StoreCommand[] {
  return isLong ? [command, ...CHANGES] : [command];
}

async function run(
  program: StoreProgram,
  stats: StoreStats,
  options: ExhaustiveOptions,
): Promise<number> {
  try {
    return await runStoreProgram(program, stats, options);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const told = describeStoreProgram({ ...program, choices: [] });
    throw new Error(`seed ${seed}, images ${stats.images}: ${reason}\n${told}`, { cause: error });
  }
}

function tell(what: string, stats: StoreStats, { seen }: ExhaustiveOptions): void {
  console.log(`seed ${seed}, ${what}: distinct ${seen.size}, ${describeStoreStats(stats)}`);
}

test('N3: a data directory is created whole or not at all', TIMEOUT, async () => {
  const stats = emptyStoreStats();
  const options = { imagesAPlace: isLong ? 4096 : 96, seen: new Set<string>() };
  for (const premade of [false, true]) {
    await run({ ...programOf([], false), premade }, stats, options);
  }
  tell('images of the creation of a store', stats, options);
  expect(stats.notCreated).toBeGreaterThan(40);
  expect(stats.nested).toBeGreaterThan(20);
});

test('N1, S4: every history of one, two or three commands', TIMEOUT, async () => {
  const stats = emptyStoreStats();
  const options = { imagesAPlace: isLong ? 24 : 2, seen: new Set<string>() };
  const histories = [
    ...[...sequences(1, ALPHABET), ...sequences(2, ALPHABET)].map((given) => stepsOf(given)),
    // The first one is under way when the second one is given.
    ...[...sequences(2, CHANGES)].map((given) => stepsOf(given, 1)),
    ...[...sequences(3, wanted < 1_000_000 ? CHANGES : ALPHABET)]
      .filter((_given, index) => (index + seed) % STRIDE === 0)
      .map((given) => stepsOf(given)),
  ];
  for (const [number, steps] of histories.entries()) {
    await run(programOf(steps, true, number), stats, options);
  }
  tell('images of histories', stats, options);
  expect(stats.images).toBeGreaterThan(1500);
  expect(stats.leftInNew).toBeGreaterThan(100);
  expect(stats.leftInTrash).toBeGreaterThan(100);
  expect(stats.leftInRename).toBeGreaterThan(100);
});

test('S3: two commands at once, and a sync of names that fails', TIMEOUT, async () => {
  const stats = emptyStoreStats();
  const options = { imagesAPlace: isLong ? 12 : 2, seen: new Set<string>() };
  let number = 0;
  for (const [first, second] of sequences(2, isLong ? CHANGES : CHANGES.slice(0, 5))) {
    if (first === undefined || second === undefined || (first === second && !isLong)) continue;
    for (let nth = 1, met = 1; met > 0; nth += 1) {
      const failing: StoreCommand = { kind: 'fault', fault: 'lostNames', nth, code: 'EIO' };
      const steps = stepsOf([failing, first, second], 1);
      // Completions in the order of the calls, and in others. A deletion has two syncs, between
      // which the other command's may fail.
      const others = isLong || first.kind === 'delete' ? 10 : 1;
      for (let variant = 0; variant <= others; variant += 1) {
        const shuffled = variant > 0;
        number += 1;
        const program = { ...programOf(steps, true, number), shuffled };
        const fired = await run(program, stats, options);
        if (!shuffled) met = fired;
      }
    }
  }
  tell('images of failures of two commands', stats, options);
  expect(stats.storePoisonings).toBeGreaterThan(20);
});

test('S3: every command with any one of its operations failing', TIMEOUT, async () => {
  const stats = emptyStoreStats();
  const options = { imagesAPlace: isLong ? 24 : 2, seen: new Set<string>() };
  let number = 0;
  for (const command of ALPHABET) {
    for (const fault of FAULTS) {
      // Until the command has no operation left that could fail.
      for (let nth = 1, met = 1; met > 0; nth += 1) {
        const failing: StoreCommand = { kind: 'fault', fault, nth, code: 'EIO' };
        // Once as the last command, and once with another one behind it.
        const programs = [
          [failing, command],
          ...followers(command).map((then) => [failing, command, then]),
        ];
        met = 0;
        for (const commands of programs) {
          number += 1;
          met += await run(programOf(stepsOf(commands), true, number), stats, options);
          if (met === 0) break;
        }
      }
    }
  }
  tell('images of failures', stats, options);
  expect(stats.storePoisonings).toBeGreaterThan(20);
  expect(stats.refusals).toBeGreaterThan(50);
});
