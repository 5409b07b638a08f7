/**
 * Goal: a whole store under load, channels of all kinds with rolls, batches, trims, retention,
 * compactions, folds, creations, deletions and renames, is killed with SIGKILL at any moment, while
 * it opens and recovers too: every record that was acknowledged is there, unless something that was
 * asked for has let it go; nothing else is there; batches are whole; names are those that were
 * acknowledged; what is gone stays gone.
 * Method: the program tells on a pipe what it is about to do and what was acknowledged. It is killed
 * at random milliseconds, and by strace at system calls. The next one tells what it finds before it
 * changes anything. REDEX_KILL_CYCLES, REDEX_KILL_SEED and REDEX_KILL_STRACE make another run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { killRun, type KillStats } from '../support/process-kill-run.js';
import { TracedKills } from '../support/process-kill-trace.js';
import { buildProcessPackage, type ProcessPackage } from '../support/process-package.js';
import { commandExists, requires } from '../support/requirements.js';

const CYCLES = Number(process.env['REDEX_KILL_CYCLES'] ?? '80');
const TRACED_CYCLES = Number(process.env['REDEX_KILL_STRACE'] ?? '40');
const SEED = Number(process.env['REDEX_KILL_SEED'] ?? '4100');
const IS_LONG = process.env['REDEX_KILL_CYCLES'] !== undefined;
const HOURS = 12 * 3_600_000;
const TIMEOUT_MS = IS_LONG ? HOURS : 120_000;

let built: ProcessPackage;
let scratch: string;
let program: string;
let traced: TracedKills | undefined;

beforeAll(async () => {
  built = buildProcessPackage();
  scratch = mkdtempSync(join(tmpdir(), 'redex-kill-store-'));
  program = built.path('test/support/process-kill-load.ts');
  if (commandExists('strace')) traced = await TracedKills.probe(program, scratch);
});

afterAll(() => {
  built.remove();
  rmSync(scratch, { recursive: true, force: true });
});

const progress = (stats: KillStats): void => {
  if (IS_LONG && stats.kills % 50 === 0) process.stdout.write(`${summaryOf(stats)}\n`);
};

function summaryOf(stats: KillStats): string {
  const before = stats.acknowledgedBefore.toSorted((a, b) => a - b);
  const [least = 0, median = 0] = [before[0], before[before.length >> 1]];
  return [
    `${stats.kills} kills of ${stats.stores} stores`,
    `${stats.killsInOpen} while opening`,
    `${stats.killsAtCalls} at system calls`,
    `${stats.recoveredLives} recoveries`,
    `${stats.acknowledged} records acknowledged`,
    `before a kill at least ${least}, median ${median}`,
    'lost 0',
  ].join(', ');
}

function told({ events, calls, ...stats }: KillStats): string {
  const lines = [...events, ...calls].toSorted().map(([name, count]) => `${name} ${count}`);
  return `${summaryOf({ events, calls, ...stats })}\n${lines.join(', ')}`;
}

test(`nothing acknowledged is lost by ${CYCLES} kills`, { timeout: TIMEOUT_MS }, async () => {
  const stats = await killRun({
    program,
    scratch,
    cycles: CYCLES,
    seed: SEED,
    onProgress: progress,
  });
  process.stdout.write(`seed ${SEED}: ${told(stats)}\n`);
  expect(stats.kills).toBeGreaterThanOrEqual(CYCLES);
  expect(stats.killsInOpen).toBeGreaterThanOrEqual(stats.kills / 10);
  expect(stats.recoveredLives).toBeGreaterThanOrEqual(stats.kills / 2);
  expect(Math.min(...stats.acknowledgedBefore)).toBeGreaterThanOrEqual(1000);
  const wanted = ['create', 'delete', 'rename', 'roll', 'reopen', 'sync', 'trimmed', 'compacted'];
  for (const event of wanted) expect(stats.events.get(event), event).toBeGreaterThan(0);
});

test(
  `nor by ${TRACED_CYCLES} more, half at system calls`,
  { timeout: TIMEOUT_MS },
  async (context) => {
    requires(context, traced !== undefined, 'needs strace, and the right to trace');
    const seed = SEED + 1_000_000;
    const run = { program, scratch, cycles: TRACED_CYCLES, seed, traced, onProgress: progress };
    const stats = await killRun(run);
    process.stdout.write(`seed ${seed}: ${told(stats)}\n`);
    expect(stats.killsAtCalls).toBeGreaterThanOrEqual(TRACED_CYCLES / 5);
  },
);
