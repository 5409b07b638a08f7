/**
 * Goal: on a disk that is full messages are refused, and those that are there can be delivered and
 * settled all the same, until the queue has drained and there is space again.
 * Method: the files of channels cannot be written, and the journal is full of what is for them; the
 * last test fills a real file system in memory.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import type { Queue } from '../../src/queues/queue.js';
import { QueueStore } from '../../src/queues/queue-store.js';
import { Redex } from '../../src/store/redex.js';
import { rejectionCodeOf } from '../../src/testing/contract-support.js';
import { drained, received, textQueue } from '../../src/testing/queue-contract-support.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { QueueLab } from '../support/queue-kit.js';
import { commandExists, requires } from '../support/requirements.js';

const KIB = 1024;
const PAYLOAD = 'x'.repeat(8 * KIB);
const SMALL = { redex: { journalBytes: 256 * KIB }, reserveBytes: 0 };

/** Nothing but what the journal has already is written any more, and that is full. */
async function fill(lab: QueueLab): Promise<void> {
  const other = await lab.redex.channel('other');
  const effect = { error: 'ENOSPC' };
  const path = /\.dat$/;
  lab.faults.inject({ operation: 'anyWrite', path, nth: 1, times: Infinity, effect });
  for (const bytes of [8 * KIB, 8]) {
    for (;;) {
      try {
        await other.append(new Uint8Array(bytes));
      } catch (error) {
        expect(error).toMatchObject({ code: 'LIMIT', what: 'journalBytes' });
        break;
      }
    }
  }
}

test('what cannot be written is kept, and is written when there is space', async () => {
  const lab = await QueueLab.open(SMALL);
  const queue = await textQueue(lab.queues, { visibilityTimeoutMs: 1000 });
  await queue.enqueueMany(['a', 'b'].map((payload) => ({ payload })));
  const a = await received(queue);
  const b = await received(queue);
  await fill(lab);
  let isAcked = false;
  const acked = a.ack().then(() => {
    isAcked = true;
  });
  await lab.runtime.elapse(5000);
  expect(isAcked).toBe(false);
  // Whoever could not be told waits again, at no cost to who is kept.
  expect(b.signal.aborted).toBe(true);
  expect(await rejectionCodeOf(queue.enqueue('c'))).toBe('IO');
  expect(await rejectionCodeOf(lab.queues.commit([queue.enqueuing('d')]))).toBe('IO');
  lab.faults.clearFaults();
  await lab.runtime.elapse(3000);
  await acked;
  await queue.enqueue('e');
  expect(await drained(queue)).toEqual(['b', 'e']);
  const next = await lab.killed();
  expect((await (await textQueue(next.queues)).stats()).messages).toBe(0);
  await next.close();
});

test('a close does not wait for space', async () => {
  const lab = await QueueLab.open(SMALL);
  const queue = await textQueue(lab.queues);
  await queue.enqueue('a');
  const a = await received(queue);
  await fill(lab);
  const acked = a.ack().then(
    () => 'acknowledged',
    (error: unknown) => (error as { code?: string }).code,
  );
  await lab.runtime.elapse(10);
  await lab.queues.close().catch(() => undefined);
  expect(['CLOSED', 'LEASE_LOST', 'IO']).toContain(await acked);
  lab.faults.clearFaults();
  const next = await lab.killed();
  expect(await drained(await textQueue(next.queues))).toEqual(['a']);
  await next.close();
});

test('a queue can be deleted, with what could not be written of it', async () => {
  const lab = await QueueLab.open(SMALL);
  const queue = await textQueue(lab.queues);
  await queue.enqueue('a');
  const waiting = queue
    .receive({ waitMs: 60_000, max: 1 })
    .then(() => queue.receive({ waitMs: 60_000 }));
  await fill(lab);
  const ended = rejectionCodeOf(waiting);
  expect(await lab.queues.delete('q')).toBe(true);
  expect(await ended).toBe('CLOSED');
  expect(await lab.queues.delete('q')).toBe(false);
  lab.faults.clearFaults();
  const next = await lab.killed();
  expect(await (await textQueue(next.queues)).stats()).toMatchObject({ messages: 0 });
  await next.close();
});

function command(name: string, ...args: readonly string[]): void {
  execFileSync(name, args, { stdio: 'pipe' });
}

function mounted(disk: string): boolean {
  try {
    command('mount', '-t', 'tmpfs', '-o', 'size=12m', 'none', disk);
    return true;
  } catch {
    return false;
  }
}

/** Enqueues until it is refused, and returns how many were not. */
async function enqueuedUntilFull(queue: Queue<string>): Promise<number> {
  for (let count = 0; count < 5000; count++) {
    try {
      await queue.enqueue(PAYLOAD);
    } catch (error) {
      expect(['IO', 'LIMIT']).toContain((error as { code?: string }).code);
      return count;
    }
  }
  throw new Error('the disk was never full');
}

test('on a real one the queue drains, and takes messages again', async (context) => {
  const isRoot = process.platform === 'linux' && process.getuid?.() === 0;
  requires(context, isRoot && commandExists('mount'), 'needs root on Linux, to mount');
  const scratch = mkdtempSync(join(tmpdir(), 'redex-full-'));
  const disk = join(scratch, 'disk');
  mkdirSync(disk);
  const isMounted = mounted(disk);
  if (!isMounted) rmSync(scratch, { recursive: true });
  requires(context, isMounted, 'needs the right to mount');
  try {
    await fillAndDrain(join(disk, 'data'));
  } finally {
    command('umount', '--lazy', disk);
    rmSync(scratch, { recursive: true, force: true });
  }
});

/** What waits for space is tried again as time goes on. */
async function inTime<T>(runtime: ManualRuntime, promise: Promise<T>): Promise<T> {
  let isDone = false;
  const end = (): void => {
    isDone = true;
  };
  promise.then(end, end);
  await expect
    .poll(async () => runtime.elapse(100).then(() => isDone), { timeout: 10_000 })
    .toBe(true);
  return promise;
}

async function fillAndDrain(directory: string): Promise<void> {
  const runtime = new ManualRuntime();
  const redex = await Redex.open(directory, { runtime, journalBytes: 1024 * KIB });
  const queues = await QueueStore.open(redex, { runtime, segmentBytes: 1024 * KIB });
  const queue = await textQueue(queues, { visibilityTimeoutMs: 3_600_000 });
  for (let round = 0; round < 2; round++) {
    const count = await enqueuedUntilFull(queue);
    // Whole segments come back, so there is less room than at first.
    expect(count).toBeGreaterThan(round === 0 ? 500 : 0);
    let settled = 0;
    for (;;) {
      const deliveries = await inTime(runtime, queue.receive({ max: 20 }));
      if (deliveries.length === 0) break;
      const results = await inTime(runtime, queue.ackMany(deliveries));
      settled += results.filter(({ ok }) => ok).length;
    }
    expect(settled).toBe(count);
    await expect
      .poll(
        async () => {
          await runtime.elapse(1000);
          return rejectionCodeOf(queue.enqueue('there is space', { dedupKey: 'once' }));
        },
        { timeout: 20_000 },
      )
      .toBe('no error');
    expect(await drained(queue)).toContain('there is space');
    await queue.configure({ dedupWindowMs: 0 });
  }
  // A close would write what the journal still has, for which there may be no room.
  expect(await queues.delete('q')).toBe(true);
  await queues.close();
  await redex.close();
}
