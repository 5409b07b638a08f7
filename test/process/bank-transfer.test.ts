/**
 * Goal: a commit over several channels is there whole or not at all, whenever its process is
 * killed, also while it recovers (RULES J1-J3): amounts that move between ledgers never change
 * their sum, what was acknowledged is there, and nothing is there that was not begun.
 * Method: a program moves amounts by commits, many at once, and tells on a pipe what it begins and
 * what was acknowledged. It is killed by SIGKILL at random moments; the next one tells what it
 * finds. REDEX_BANK_KILLS and REDEX_BANK_SEED make another run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Audit, type FoundBank } from '../support/process-bank-records.js';
import { BankLedger, bankRun, type BankStats } from '../support/process-bank-run.js';
import { buildProcessPackage, type ProcessPackage } from '../support/process-package.js';

const ASKED = process.env['REDEX_BANK_KILLS'];
const KILLS = Number(ASKED ?? '30');
const SEED = Number(process.env['REDEX_BANK_SEED'] ?? '2600');
const HOURS = 12 * 3_600_000;

let built: ProcessPackage;
let scratch: string;

beforeAll(async () => {
  built = await buildProcessPackage();
  scratch = mkdtempSync(join(tmpdir(), 'redex-bank-'));
});

afterAll(() => {
  built.remove();
  rmSync(scratch, { recursive: true, force: true });
});

function told(stats: BankStats): string {
  return [
    `${stats.kills} kills of ${stats.stores} stores`,
    `${stats.acknowledged} transfers acknowledged`,
    `${stats.withRedo} recoveries with something to redo`,
    `${stats.beforeCheckpoint} kills between a sync of the journal and its checkpoint`,
    `${stats.inRecovery} while recovering`,
  ].join(', ');
}

describe('the judge', () => {
  const ledger = (): BankLedger => {
    const made = new BankLedger();
    for (const id of [1, 2, 3]) made.begin(id);
    for (const id of [1, 2]) made.acknowledge(id);
    return made;
  };
  const found = (given: Partial<FoundBank>): FoundBank => {
    return { sum: 0, half: [], whole: [[1, 3]], ...given };
  };

  test('says yes to all that was acknowledged, and to what was begun', () => {
    ledger().check(found({}));
    ledger().check(found({ whole: [[1, 4]] }));
  });

  test.each<[string, Partial<FoundBank>]>([
    ['was acknowledged and is gone', { whole: [[1, 2]] }],
    ['nobody has begun', { whole: [[1, 5]] }],
    ['half of 1', { half: [3] }],
    ['the sum', { sum: 1 }],
  ])('says no: %s', (what, given) => {
    expect(() => ledger().check(found(given))).toThrow(what);
  });

  test('says no to what was there after the kill before', () => {
    const after = ledger();
    after.check(found({ whole: [[1, 4]] }));
    expect(() => after.check(found({}))).toThrow('was there and is gone');
  });

  test('finds the half of a transfer', () => {
    const audit = new Audit();
    audit.add({ id: 1, amount: 5, parties: 2 });
    audit.add({ id: 1, amount: -5, parties: 2 });
    audit.add({ id: 2, amount: 5, parties: 2 });
    audit.add({ id: 3, amount: 0, parties: 1 });
    expect(audit.found).toEqual({
      sum: 5,
      half: [2],
      whole: [
        [1, 2],
        [3, 4],
      ],
    });
  });
});

test('no transfer is lost, and none is half', { timeout: ASKED ? HOURS : 120_000 }, async () => {
  const stats = await bankRun({
    program: built.path('test/support/process-bank-load.ts'),
    scratch,
    kills: KILLS,
    seed: SEED,
    onProgress: (now) => {
      if (ASKED !== undefined && now.kills % 50 === 0) process.stdout.write(`${told(now)}\n`);
    },
  });
  process.stdout.write(`seed ${SEED}: ${told(stats)}\n`);
  expect(stats.kills).toBeGreaterThanOrEqual(KILLS);
  expect(stats.withRedo).toBeGreaterThanOrEqual(KILLS * 0.3);
  expect(stats.beforeCheckpoint).toBeGreaterThanOrEqual(KILLS * 0.3);
});
