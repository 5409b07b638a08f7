/**
 * Goal: no history of up to two commands and a crash breaks an invariant (I1 to I6, I11, I12).
 * Method: every sequence of commands from a small alphabet, under several sync policies, followed
 * by a kill and another command; at every change of the file system that is made, images in which
 * nothing and some of what is not synced is kept, and one of a kill. With
 * REDEX_CRASH_IMAGES the sequences get three commands until there are so many images.
 */
import { expect, test } from 'vitest';
import { choicesFromSeed } from '../../src/testing/choices.js';
import type { SyncPolicy } from '../../src/channel/options.js';
import type { Command, Durability, Program } from '../support/crash-program.js';
import { describeProgram } from '../support/crash-program.js';
import { runProgram } from '../support/crash-runner.js';
import { describeStats, emptyStats } from '../support/crash-stats.js';

const wanted = Number(process.env['REDEX_CRASH_IMAGES'] ?? 0);
const seed = Number(process.env['REDEX_CRASH_SEED'] ?? 1);

function append(
  sizes: readonly number[],
  durability: Durability = 'default',
  kind: 'append' | 'appendSync' = 'append',
): Command {
  return { kind, sizes, durability, plain: false, skip: 0 };
}

/** Sizes are places in the list of the random programs: 100, 4095 and 511 bytes. */
const ALPHABET: readonly Command[] = [
  append([7]),
  append([8]),
  append([7, 4]),
  append([7], 'synced'),
  append([7], 'synced', 'appendSync'),
  { kind: 'sync' },
  { kind: 'elapse', ms: 1100 },
  { kind: 'fault', fault: 'shortWrite', nth: 1, short: 70 },
  { kind: 'fault', fault: 'failSync', nth: 2, short: 0 },
];
const POLICIES: readonly SyncPolicy[] = ['always', 'never', { everyN: 2 }];
/** Of these many commands all policies are tried, beyond only the first two. */
const ALL_POLICIES_UP_TO = 1;

function* sequences(length: number): Generator<readonly Command[]> {
  if (length === 0) {
    yield [];
    return;
  }
  for (const rest of sequences(length - 1)) {
    for (const command of ALPHABET) yield [...rest, command];
  }
}

function programOf(sync: SyncPolicy, commands: readonly Command[], io: number): Program {
  const choose = choicesFromSeed(seed);
  const steps = commands.map((command) => ({ command, io }));
  return {
    sync,
    segmentBytes: 4096,
    seed,
    shuffled: false,
    stride: 1,
    lives: [
      { steps, end: 'kill', openFault: undefined },
      { steps: [{ command: append([8], 'synced'), io: 0 }], end: 'close', openFault: undefined },
    ],
    choices: Array.from({ length: 256 }, () => choose(65_536)),
  };
}

test('I1 to I6: every history of one or two commands', { timeout: 600_000 }, async () => {
  const stats = emptyStats();
  for (const length of [1, 2, 3]) {
    if (length === 3 && stats.images >= wanted) break;
    for (const commands of sequences(length)) {
      const policies = length > ALL_POLICIES_UP_TO ? POLICIES.slice(0, 2) : POLICIES;
      for (const [index, sync] of policies.entries()) {
        const program = programOf(sync, commands, (commands.length + index) % 2);
        try {
          await runProgram(program, stats, true);
        } catch (error) {
          throw new Error(describeProgram({ ...program, choices: [] }), { cause: error });
        }
      }
      if (length === 3 && stats.images >= wanted) break;
    }
  }
  console.log(`exhaustive crash images: ${describeStats(stats)}`);
  expect(stats.images).toBeGreaterThan(5000);
  expect(stats.imagesWithRoll).toBeGreaterThan(1000);
  expect(stats.inheritedRewritten).toBeGreaterThan(1000);
  expect(stats.noSpace).toBeGreaterThan(5);
});
