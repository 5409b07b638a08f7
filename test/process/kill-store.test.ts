/**
 * Goal: a whole store under load, channels of all kinds with rolls, batches, trims, retention,
 * compactions, folds, creations, deletions and renames, is killed with SIGKILL at any moment, while
 * it opens and recovers too: every record that was acknowledged is there, unless something that was
 * asked for has let it go; nothing else is there; batches are whole; names are those that were
 * acknowledged; what is gone stays gone.
 * Method: the program tells on a pipe what it is about to do and what was acknowledged. It is
 * killed at random milliseconds, and by strace at system calls. The next one tells what it finds
 * before it changes anything. REDEX_KILL_CYCLES and REDEX_KILL_SEED make another run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KillLedger } from '../support/process-kill-ledger.js';
import type { FoundChannel, KillMessage } from '../support/process-kill-records.js';
import { killRun, type KillStats } from '../support/process-kill-run.js';
import { TracedKills } from '../support/process-kill-trace.js';
import { buildProcessPackage, type ProcessPackage } from '../support/process-package.js';
import { commandExists, requires } from '../support/requirements.js';

const CYCLES =
  process.env['REDEX_KILL_CYCLES'] === undefined
    ? undefined
    : Number(process.env['REDEX_KILL_CYCLES']);
const SEED = Number(process.env['REDEX_KILL_SEED'] ?? '4100');
const HOURS = 12 * 3_600_000;
const TIMEOUT_MS = CYCLES !== undefined ? HOURS : 120_000;

let built: ProcessPackage;
let scratch: string;
let program: string;
let traced: TracedKills | undefined;

beforeAll(async () => {
  built = await buildProcessPackage();
  scratch = mkdtempSync(join(tmpdir(), 'redex-kill-store-'));
  program = built.path('test/support/process-kill-load.ts');
  if (commandExists('strace')) traced = await TracedKills.probe(program, scratch);
});

afterAll(() => {
  built.remove();
  rmSync(scratch, { recursive: true, force: true });
});

const progress = (stats: KillStats): void => {
  if (CYCLES !== undefined && stats.kills % 50 === 0) process.stdout.write(`${summaryOf(stats)}\n`);
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
  const lines = [...events, ...calls].map(([name, count]) => `${name} ${count}`).toSorted();
  return `${summaryOf({ events, calls, ...stats })}\n${lines.join(', ')}`;
}

const FOUND: FoundChannel = {
  name: 'log/never',
  firstSeq: 1_000_000,
  nextSeq: 1_000_300,
  durableSeq: 1_000_000,
  runs: [[1_000_000, 1_000_300, 0]],
  wrong: [],
};
/** A channel of the kind `never`, with records from 1,000,000 up to 300 acknowledged, 320 begun. */
const SAID: readonly KillMessage[] = [
  ['name', { kind: 'create', name: FOUND.name, token: 1 }],
  ['named'],
  ['submit', 1, 1_000_320],
  ['ack', 1, 1_000_300, 1_000_200],
];

describe('the judge', () => {
  const verdict = (found: readonly FoundChannel[], ...more: readonly KillMessage[]): string => {
    const ledger = new KillLedger('kill');
    for (const message of [...SAID, ...more]) ledger.take(message);
    try {
      ledger.check(found);
    } catch (error) {
      return String(error);
    }
    return 'right';
  };
  const from = (firstSeq: number, runs: FoundChannel['runs']): FoundChannel[] => [
    { ...FOUND, firstSeq, runs, nextSeq: runs.at(-1)?.[1] ?? firstSeq },
  ];
  const [whole, some] = [1_000_300, 1_000_100];

  test('says yes to everything that may be left', () => {
    expect(verdict([FOUND])).toBe('right');
    expect(verdict(from(1_000_000, [[1_000_000, 1_000_320, 0]]))).toBe('right');
    expect(verdict(from(some, [[some, whole, 0]]), ['trim', 1, some])).toBe('right');
    expect(verdict([], ['name', { kind: 'delete', name: FOUND.name }])).toBe('right');
    expect(verdict([FOUND], ['name', { kind: 'delete', name: FOUND.name }])).toBe('right');
    expect(verdict([FOUND], ['compact', 1, some])).toBe('right');
  });

  test.each<[string, readonly FoundChannel[], ...KillMessage[]]>([
    ['a channel that is gone', []],
    ['the end that is gone', from(1_000_000, [[1_000_000, 1_000_299, 0]])],
    ['records that nobody appended', from(1_000_000, [[1_000_000, 1_000_321, 0]])],
    [
      'a hole',
      from(1_000_000, [
        [1_000_000, some, 0],
        [some + 1, whole, 0],
      ]),
    ],
    ['records of another life', from(1_000_000, [[1_000_000, whole, 1]])],
    ['a beginning that is gone', from(some, [[some, whole, 0]])],
    ['a trim that came back', [FOUND], ['trim', 1, some], ['trimmed', 1, some]],
    ['a compaction that came back', [FOUND], ['compact', 1, some], ['compacted', 1, some]],
    ['wrong bytes', [{ ...FOUND, wrong: ['the bytes of 7'] }]],
    ['a name that came back', [FOUND], ['name', { kind: 'delete', name: FOUND.name }], ['named']],
  ])('says no to %s', (_, found, ...more) => {
    expect(verdict(found, ...more)).toMatch(/^Error: /);
  });

  test('knows what was gone after the kill before', () => {
    const ledger = new KillLedger('kill');
    for (const message of [...SAID, ['compact', 1, some] as const]) ledger.take(message);
    const [hole] = from(1_000_000, [
      [1_000_000, 1_000_001, 0],
      [1_000_002, whole, 0],
    ]);
    if (hole !== undefined) ledger.check([hole]);
    expect(() => ledger.check([FOUND])).toThrow('was gone and is back');
  });
});

/** By random moments, or by system calls. */
async function kill(cycles: number, seed: number, calls?: TracedKills): Promise<KillStats> {
  const run = { program, scratch, cycles, seed, traced: calls, onProgress: progress };
  const stats = await killRun(run);
  process.stdout.write(`seed ${seed}: ${told(stats)}\n`);
  expect(stats.kills).toBeGreaterThanOrEqual(cycles);
  expect(stats.killsInOpen).toBeGreaterThanOrEqual(stats.kills / 10);
  expect(stats.recoveredLives).toBeGreaterThanOrEqual(stats.kills / 4);
  expect(Math.min(...stats.acknowledgedBefore)).toBeGreaterThanOrEqual(1000);
  return stats;
}

describe('nothing acknowledged is lost by kills', { timeout: TIMEOUT_MS }, () => {
  test('at random moments', async () => {
    const { events } = await kill(CYCLES ?? 60, SEED);
    const wanted = ['create', 'roll', 'reopen', 'sync', 'trimmed', 'compacted'];
    for (const event of wanted) expect(events.get(event), event).toBeGreaterThan(0);
  });

  test('at system calls', async (context) => {
    requires(context, traced !== undefined, 'needs strace, and the right to trace');
    const { kills, killsAtCalls } = await kill(CYCLES ?? 40, SEED + 1_000_000, traced);
    expect(killsAtCalls).toBeGreaterThanOrEqual(kills / 4);
  });
});
