/**
 * Goal: consumers of a queue are killed by SIGKILL at any moment, also while they open it: no
 * message that was acknowledged as enqueued is lost, none that was acknowledged by its consumer,
 * written or synced, is delivered again, every delivery counts, none is delivered more often than
 * the queue allows, a dead letter is there once and says where it is from, and an id is never that
 * of two messages.
 * Method: a program enqueues, receives and settles, and tells on a pipe what it begins and what was
 * acknowledged. The next one tells what it finds. scripts/queue-kills.mjs makes a longer run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { QueueLedger } from '../support/process-queue-ledger.js';
import type { FoundLetter, FoundMessage, FoundQueues } from '../support/process-queue-records.js';
import type { QueueKillMessage } from '../support/process-queue-load.js';
import { queueKillRun, type QueueKillStats } from '../support/process-queue-run.js';
import { buildProcessPackage, type ProcessPackage } from '../support/process-package.js';

const ASKED = process.env['REDEX_QUEUE_KILLS'];
const KILLS = Number(ASKED ?? '25');
const SEED = Number(process.env['REDEX_QUEUE_SEED'] ?? '5300');
const HOURS = 12 * 3_600_000;

let built: ProcessPackage;
let scratch: string;

beforeAll(async () => {
  built = await buildProcessPackage();
  scratch = mkdtempSync(join(tmpdir(), 'redex-queue-kills-'));
});

afterAll(() => {
  built.remove();
  rmSync(scratch, { recursive: true, force: true });
});

function told({ kills, killsInOpen, stores, counts }: QueueKillStats): string {
  const lines = [...counts].map(([what, count]) => `${count} ${what}`);
  return `${kills} kills of ${stores} stores, ${killsInOpen} while opening: ${lines.join(', ')}`;
}

const ONE: FoundMessage = { number: 1, id: 'q-5', seq: 5, count: 0 };
const LETTER: FoundLetter = { ...ONE, seq: 2, originSeq: 5, originCount: 1, cause: 'rejected' };
const ENQUEUED: readonly QueueKillMessage[] = [
  ['enqueue', [1]],
  ['enqueued', [ONE]],
];
const DELIVERED: readonly QueueKillMessage[] = [
  ...ENQUEUED,
  ['receive', 1, 1],
  ['received', 1, [{ ...ONE, count: 1 }]],
];
const REJECTED: readonly QueueKillMessage[] = [
  ...DELIVERED,
  ['settle', 1, 1, 'reject'],
  ['settled', 1, 1],
];

const RELEASED: readonly QueueKillMessage[] = [
  ...DELIVERED,
  ['settle', 1, 1, 'release'],
  ['receive', 2, 1],
  ['received', 2, [{ ...ONE, count: 1 }]],
  ['settled', 1, 1],
];

function found(work: readonly FoundMessage[], dead: readonly FoundLetter[] = []): FoundQueues {
  return { work, dead, counted: work.length };
}

describe('the judge', () => {
  const verdict = (messages: readonly QueueKillMessage[], there: FoundQueues): string => {
    const ledger = new QueueLedger();
    try {
      for (const message of messages) ledger.take(message);
      ledger.check(there);
    } catch (error) {
      return String(error);
    }
    return 'right';
  };

  test.each<[string, readonly QueueKillMessage[], FoundQueues]>([
    ['what was enqueued', ENQUEUED, found([ONE])],
    ['what was begun, or not', [['enqueue', [1]]], found([])],
    ['a delivery', DELIVERED, found([{ ...ONE, count: 1 }])],
    ['one that nobody got', [...ENQUEUED, ['receive', 1, 1]], found([{ ...ONE, count: 1 }])],
    ['an ack that was begun', [...DELIVERED, ['settle', 1, 1, 'ack written']], found([])],
    ['a dead letter', REJECTED, found([], [LETTER])],
    ['what came back before its consumer knew', RELEASED, found([{ ...ONE, count: 1 }])],
  ])('says yes to %s', (_, messages, there) => {
    expect(verdict(messages, there)).toBe('right');
  });

  test.each<[string, readonly QueueKillMessage[], FoundQueues]>([
    ['is lost', ENQUEUED, found([])],
    ['nobody has enqueued', [], found([ONE])],
    ['had 1 deliveries', DELIVERED, found([ONE])],
    ['that nobody got', ENQUEUED, found([{ ...ONE, count: 1 }])],
    [
      'is back',
      [...DELIVERED, ['settle', 1, 1, 'ack written'], ['settled', 1, 1]],
      found([{ ...ONE, count: 1 }]),
    ],
    ['is lost', REJECTED, found([])],
    ['dead, and is not', REJECTED, found([ONE], [LETTER])],
    ['dead letter twice', REJECTED, found([], [LETTER, LETTER])],
    ['was q-5, and is q-5, seq 6', REJECTED, found([], [{ ...LETTER, originSeq: 6 }])],
    ['not 1', REJECTED, found([], [{ ...LETTER, originCount: 2 }])],
    ['is dead by attempts', DELIVERED, found([], [{ ...LETTER, cause: 'attempts' }])],
    ['there twice', ENQUEUED, found([ONE, ONE])],
    ['are counted', ENQUEUED, { ...found([ONE]), counted: 2 }],
    ['both gone', [...DELIVERED, ['move', 1, 1, 2]], found([])],
    ['both there', [...DELIVERED, ['move', 1, 1, 2]], found([ONE, { ...ONE, number: 2 }])],
    [
      'is that of 1',
      [...ENQUEUED, ['enqueue', [2]], ['enqueued', [{ ...ONE, number: 2 }]]],
      found([]),
    ],
    ['delivery 1', [...DELIVERED, ['received', 2, [{ ...ONE, count: 1 }]]], found([])],
  ])('says no: %s', (what, messages, there) => {
    expect(verdict(messages, there)).toContain(what);
  });
});

test('no message is lost or done twice', { timeout: ASKED ? HOURS : 120_000 }, async () => {
  const stats = await queueKillRun({
    program: built.path('test/support/process-queue-load.ts'),
    scratch,
    kills: KILLS,
    seed: SEED,
    onProgress: (now) => {
      if (ASKED !== undefined && now.kills % 50 === 0) process.stdout.write(`${now.kills} kills\n`);
    },
  });
  process.stdout.write(`seed ${SEED}: ${told(stats)}\n`);
  expect(stats.kills).toBeGreaterThanOrEqual(KILLS);
  expect(stats.killsInOpen).toBeGreaterThanOrEqual(KILLS / 10);
  const endings = ['ack written', 'ack synced', 'nack', 'release', 'reject', 'move'];
  for (const ending of endings) expect(stats.counts.get(ending), ending).toBeGreaterThan(0);
});
