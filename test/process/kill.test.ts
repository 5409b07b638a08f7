/**
 * Goal: what a process was told is in the log, the process being killed with SIGKILL at any moment,
 * while it opens and recovers too. A kill leaves the page cache as it is, so this holds whatever
 * the sync policy: with `never`, an append that has resolved is written.
 * Method: a child appends with many appends in flight and tells what is acknowledged. It is killed
 * when that passes a random number (from a seed; no clock). A copy of the store is then opened and
 * every record checked; the next child takes the lock and recovers the log itself, and goes on.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Redex, type RecoveryReport, type SyncPolicy } from '../../src/index.js';
import { Random } from '../../src/testing/choices.js';
import type { LoadReport } from '../support/process-load.js';
import { batchEndOf, LOAD_CHANNEL, loadPayload } from '../support/process-load-records.js';
import { buildProcessPackage, type ProcessPackage } from '../support/process-package.js';

let built: ProcessPackage;
let scratch: string;

beforeAll(async () => {
  built = await buildProcessPackage();
  scratch = mkdtempSync(join(tmpdir(), 'redex-kill-'));
});

afterAll(() => {
  built.remove();
  rmSync(scratch, { recursive: true, force: true });
});

/**
 * Kills a child as soon as it starts (`after` is -1), or when it has had `after` acknowledgements.
 * Returns the seq below which all was acknowledged, 0 when nothing was.
 */
function runAndKill(directory: string, policy: SyncPolicy, after: number): Promise<number> {
  const program = built.path('test/support/process-load.ts');
  const child = spawn(process.execPath, [program, directory, JSON.stringify(policy)], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  });
  let acknowledged = 0;
  let opened: number | undefined;
  createInterface({ input: child.stdio[3] as Readable }).on('line', (line) => {
    const [what, seq] = line.split(' ') as [LoadReport, string];
    if (what === 'open') opened = Number(seq);
    if (what !== 'start') acknowledged = Number(seq);
    const due = opened === undefined ? after < 0 : acknowledged >= opened + after;
    if (due && !child.killed) child.kill('SIGKILL');
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (signal === 'SIGKILL') resolve(acknowledged);
      else reject(new Error(`the child ended by itself with ${code ?? signal}`));
    });
  });
}

/** Opens a log, checks every record, and returns how many there are. */
async function checkLog(directory: string, reports: RecoveryReport[]): Promise<number> {
  const redex = await Redex.open(directory, {
    createIfMissing: false,
    onRecovery: (report) => reports.push(report),
  });
  const channel = await redex.channel(LOAD_CHANNEL, { createIfMissing: false });
  let next = 0;
  let batchEnd = 0;
  for await (const { seq, payload } of channel.read()) {
    const end = seq === next ? batchEndOf(seq, payload) : undefined;
    if (end === undefined) throw new Error(`record ${seq} is wrong where ${next} is expected`);
    next = seq + 1;
    batchEnd = end;
  }
  // Batches are there whole or not at all: the last one ends where the log does.
  expect(batchEnd).toBe(next);
  expect(channel.nextSeq).toBe(next);
  await redex.close();
  return next;
}

test('the check of a record says no to wrong bytes', () => {
  expect(batchEndOf(11, loadPayload(11, 11, 3))).toBe(14);
  expect(batchEndOf(12, loadPayload(12, 11, 3))).toBe(14);
  expect(batchEndOf(13, loadPayload(12, 11, 3))).toBeUndefined();
  expect(batchEndOf(14, loadPayload(14, 11, 3))).toBeUndefined();
  expect(batchEndOf(12, loadPayload(12, 12, 3))).toBeUndefined();
  expect(batchEndOf(12, loadPayload(12, 11, 3).fill(7, 20))).toBeUndefined();
  expect(batchEndOf(12, new Uint8Array(0))).toBeUndefined();
});

describe('after SIGKILL at 20 random moments', () => {
  test.each<[string, SyncPolicy, number]>([
    ['always', 'always', 8],
    ['never', 'never', 8],
    ['arms', { everyN: 64, intervalMs: 20 }, 4],
  ])('nothing acknowledged is lost: %s', async (name, policy, kills) => {
    const seed = 20_250 + kills;
    const random = new Random(seed);
    const directory = join(scratch, name);
    let acknowledged = 0;
    let recovered = 0;
    let recoveries = 0;
    for (let kill = 0; kill < kills; kill++) {
      // The first child creates the log; of the later ones some are killed while they open it.
      const after = kill > 0 && kill % 4 === 3 ? -1 : random.below(2500);
      const killed = await runAndKill(directory, policy, after);
      const moment = `seed ${seed}, kill ${kill} after ${after}`;
      acknowledged = Math.max(acknowledged, killed);
      const copy = join(scratch, `${name}-${kill}`);
      cpSync(directory, copy, { recursive: true });
      const reports: RecoveryReport[] = [];
      const found = await checkLog(copy, reports);
      recoveries += reports.length;
      expect(reports[0]?.damage, moment).toBeUndefined();
      // What was found once stays: later children only add.
      expect(found, moment).toBeGreaterThanOrEqual(Math.max(acknowledged, recovered));
      recovered = found;
      // A clean close: the second open has nothing to recover.
      const again: RecoveryReport[] = [];
      expect(await checkLog(copy, again), moment).toBe(found);
      expect(again, moment).toEqual([]);
      rmSync(copy, { recursive: true });
    }
    expect(acknowledged).toBeGreaterThan(1000);
    // A child that is killed between its own recovery and its first append leaves a clean log.
    expect(recoveries).toBeGreaterThanOrEqual(kills / 2);
  });
});
