/**
 * Goal: retention runs by itself, after a roll, by age on an idle channel, at an open and when it
 * is configured; what fails is told and tried again. What a process before has left is swept,
 * under a manifest that is sound and durable, and nothing else ever is (RULES G4, G5, S4).
 * Method: channels of segments of three records, a clock moved by hand, images of crashes.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { RetentionPolicy } from '../../src/channel/retention.js';
import { choicesFromSeed, worst } from '../../src/testing/choices.js';
import { GENERATION, Lab, payload, readFile, rejection } from '../support/channel-kit.js';
import { editFile, flipBit, putFile, truncateFile } from '../support/recovery-lab.js';
import { StoreLab, treeOf } from '../support/store-kit.js';
import {
  basesOf,
  finished,
  grow,
  grown,
  Log,
  range,
  SEGMENT_MS,
  seqsOf,
} from '../support/trim-kit.js';

const MANIFEST = '/log/manifest';

test.each<[RetentionPolicy, number]>([
  [{ maxRecords: 5 }, 12],
  [{ maxBytes: 400 }, 12],
  [{ maxRecords: 5, maxBytes: 1e6 }, 12],
])('after a roll, with %j', async (retention, firstSeq) => {
  const lab = new Lab();
  const channel = await grown(lab, 6, { retention });
  await lab.drain();
  expect(channel.firstSeq).toBe(firstSeq);
  expect(basesOf(lab.disk)).toEqual(
    range(0, 6)
      .map((i) => 3 * i)
      .filter((b) => b >= firstSeq),
  );
  expect(seqsOf(await channel.readBatch())).toEqual(range(firstSeq, 18));
});

test('G1: what a power cut takes has pushed nothing out', async () => {
  const lab = new Lab();
  const retention = { maxRecords: 5 };
  const channel = await grown(lab, 3, { retention, sync: 'never' });
  await lab.drain();
  // A compaction, a slow disk: the next sync fails to cover what is appended while it runs.
  const applied = channel.applyRetention();
  await grow(lab, channel, 1, 2);
  await lab.done(applied);
  const next = lab.cut(worst);
  const again = await next.open({ retention, sync: 'never' });
  expect(again.nextSeq - again.firstSeq).toBeGreaterThanOrEqual(5);
});

test('by age, while nothing is appended; and seqs go on', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 3, { retention: { maxAgeMs: 8000 } });
  await lab.runtime.elapse(8000);
  expect(channel.firstSeq).toBe(0);
  await lab.runtime.elapse(2000);
  await lab.drain();
  expect([channel.firstSeq, channel.count, channel.nextSeq]).toEqual([9, 0, 9]);
  expect(basesOf(lab.disk)).toEqual([6]);
  for (const next of [lab.kill(), lab.cut(worst)]) {
    const again = await next.open();
    expect(await next.done(again.append(payload(9, 20)))).toBe(9);
  }
});

test('a channel that was empty when it was opened ages too', async () => {
  const lab = new Lab();
  const channel = await lab.open({ retention: { maxAgeMs: 4000 } });
  await lab.done(channel.append(payload(0)));
  await lab.runtime.elapse(6000);
  expect(channel.firstSeq).toBe(1);
});

test('one timer for all channels, not put off by others that come, and none without', async () => {
  const store = new StoreLab();
  const { runtime } = store.lab;
  await using redex = await store.open({ sync: 'never' });
  const open = (name: string, maxAgeMs?: number): Promise<Channel> =>
    redex.channel(name, maxAgeMs === undefined ? {} : { retention: { maxAgeMs } });
  await open('plain');
  // The journal's timer ends with the checkpoint of what was created.
  await runtime.elapse(1500);
  expect(runtime.pending.length).toBe(0);
  const old = await open('old', 40_000);
  await old.append(payload(0));
  await old.sync();
  for (let i = 0; i < 40; i += 1) {
    await open(`other ${i}`, 100_000 + i);
    await runtime.elapse(1300);
  }
  // Nothing is left of the timers of the creations.
  await runtime.elapse(1500);
  expect(runtime.pending.length).toBe(1);
  expect(old.firstSeq).toBe(1);
  for (let i = 0; i < 40; i += 1) await (await open(`other ${i}`)).close();
  expect(runtime.pending.length).toBe(1);
  await old.configure({ retention: null });
  expect(runtime.pending.length).toBe(0);
  expect((await old.stats()).count).toBe(0);
  expect(old.options.retention).toBeUndefined();
});

test('clock jumps: what seems young stays, what seems old goes, nothing comes back', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 3, { retention: { maxAgeMs: 60_000 } });
  const now = lab.runtime.now();
  lab.runtime.setNow(now - 1e9);
  await lab.done(channel.applyRetention());
  expect(channel.firstSeq).toBe(0);
  lab.runtime.setNow(0);
  await lab.done(channel.applyRetention());
  expect(channel.firstSeq).toBe(0);
  lab.runtime.setNow(now + 1e9);
  await lab.done(channel.applyRetention());
  expect(channel.firstSeq).toBe(9);
  lab.runtime.setNow(now);
  await lab.done(channel.applyRetention());
  expect(channel.firstSeq).toBe(9);
});

test('at an open, and when it is configured; null ends it', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 4);
  await lab.done(channel.configure({ retention: { maxRecords: 6 } }));
  await lab.drain();
  expect(channel.firstSeq).toBe(6);
  await lab.done(channel.configure({ retention: { maxAgeMs: 20_000 } }));
  expect(channel.options.retention).toEqual({ maxAgeMs: 20_000 });
  await lab.done(channel.close());
  expect(lab.runtime.pending.length).toBe(0);
  const next = lab.kill();
  next.runtime.setNow(lab.runtime.now() + 30_000);
  const again = await next.open();
  await next.drain();
  expect(again.firstSeq).toBe(12);
  await next.done(again.configure({ retention: null }));
  await grow(next, again, 3);
  next.runtime.setNow(lab.runtime.now() + 90_000);
  await next.runtime.elapse(100_000);
  await next.done(again.applyRetention());
  expect(again.firstSeq).toBe(12);
});

test('the option is checked, stored and compared', async () => {
  const store = new StoreLab();
  const redex = await store.open();
  for (const retention of [{}, { maxAgeMs: 0 }, { maxBytes: 1.5 }, { maxRecords: -1 }]) {
    await expect(redex.channel('c', { retention })).rejects.toThrow(RangeError);
  }
  for (const retention of [[], 'all', 7, { maxAge: 1 }] as unknown as RetentionPolicy[]) {
    await expect(redex.channel('c', { retention })).rejects.toThrow(TypeError);
  }
  await redex.channel('c', { retention: { maxRecords: 3, maxAgeMs: 5 } });
  await redex.channel('c', { retention: { maxAgeMs: 5, maxRecords: 3 } });
  await redex.channel('c');
  for (const retention of [null, { maxRecords: 3 }, { maxRecords: 3, maxAgeMs: 6 }]) {
    const error = await rejection(redex.channel('c', { retention }), 'OPTIONS_CONFLICT');
    expect(error).toMatchObject({ option: 'retention', given: retention });
  }
  await redex.close();
  const next = await store.open();
  await rejection(next.channel('c', { retention: null }), 'OPTIONS_CONFLICT');
  const channel = await next.channel('c');
  expect(channel.options.retention).toEqual({ maxRecords: 3, maxAgeMs: 5 });
  await next.close();
});

test('what fails is told and tried again', async () => {
  const lab = new Lab();
  const logger = new Log();
  const channel = await grown(lab, 2, { retention: { maxRecords: 3 }, logger });
  lab.fail('renameSync', /manifest/, 'ENOSPC', { times: 2 });
  await grow(lab, channel, 1);
  await lab.drain();
  expect(logger.warnings.map(({ message }) => message)).toContain('retention failed');
  expect(channel.firstSeq).toBeLessThan(6);
  await rejection(channel.applyRetention(), 'IO');
  await grow(lab, channel, 1);
  await lab.drain();
  expect(channel.firstSeq).toBe(9);
});

test('all channels of a store at once, open or not, whatever one of them does', async () => {
  const store = new StoreLab();
  const redex = await store.open();
  for (const name of ['a', 'b', 'c']) {
    const channel = await redex.channel(name, { segmentMs: SEGMENT_MS });
    await grow(store.lab, channel, 4);
  }
  for (const name of ['a', 'b', 'c']) {
    const channel = await redex.channel(name);
    store.lab.fail('renameSync', /manifest/, 'EIO');
    await channel.configure({ retention: { maxRecords: 3 } });
    await store.lab.drain();
    expect(channel.firstSeq).toBe(0);
    if (name !== 'b') await channel.close();
  }
  store.lab.faults.clearFaults();
  store.lab.fail('renameSync', /channels\/a\/manifest/, 'EIO', { times: 5 });
  const applied = finished(store.lab, redex.applyRetention());
  await rejection(applied, 'IO');
  expect((await redex.channel('b')).firstSeq).toBe(9);
  expect((await redex.channel('c')).firstSeq).toBe(9);
  const deleting = redex.deleteChannel('c');
  store.lab.faults.clearFaults();
  await finished(store.lab, Promise.all([redex.applyRetention(), deleting]));
  await finished(store.lab, redex.close());
});

/** A trimmed channel with everything of it still on the disk: the process was killed at once. */
async function untidy(): Promise<Lab> {
  const lab = new Lab({ io: 'oldest' });
  const channel = await grown(lab, 5);
  await lab.done(channel.sync());
  lab.fail('unlink', /./, 'EIO', { times: Infinity });
  await lab.done(channel.trim({ beforeSeq: 10 }));
  return lab;
}

test('files below firstSeq in any subset are swept, and nothing else', async () => {
  for (let seed = 0; seed < 64; seed += 1) {
    const lab = (await untidy()).kill({ io: 'immediate' });
    for (const [i, base] of [0, 3, 6].entries()) {
      for (const [j, kind] of (['dat', 'idx', 'ts'] as const).entries()) {
        const name = `${GENERATION}/${String(base).padStart(20, '0')}.${kind}`;
        if (((seed * 73) >> (3 * i + j)) & 1) lab.disk.unlinkSync(name);
      }
    }
    const foreign = [`${GENERATION}/notes.txt`, '/log/mine', `${GENERATION}/3.dat`];
    for (const path of foreign) putFile(lab.disk, path, payload(1));
    const channel = await lab.open();
    expect(channel.firstSeq).toBe(10);
    expect(seqsOf(await channel.readBatch())).toEqual(range(10, 15));
    await lab.drain();
    for (const kind of ['dat', 'idx', 'ts'] as const) {
      expect(basesOf(lab.disk, kind)).toEqual([9, 12]);
    }
    for (const path of foreign) expect(readFile(lab.disk, path)).toEqual(payload(1));
    expect(await lab.done(channel.append(payload(15, 20)))).toBe(15);
  }
});

test('generations that are not live are swept, but not what somebody else put there', async () => {
  const lab = new Lab();
  await lab.done((await grown(lab, 1)).close());
  for (const name of ['v0000000007', 'v0000000009', 'v7', 'vvv', 'v00000000010']) {
    lab.disk.mkdirSync(`/log/${name}`);
    putFile(lab.disk, `/log/${name}/00000000000000000000.dat`, payload(1));
  }
  putFile(lab.disk, '/log/v0000000009/notes.txt', payload(2));
  const next = lab.kill();
  const logger = new Log();
  await next.open({ logger });
  await next.drain();
  const names = next.disk.readDirectorySync('/log').map(({ name }) => name);
  expect(names).not.toContain('v0000000007');
  expect(names).toEqual(expect.arrayContaining(['v7', 'vvv', 'v0000000001']));
  expect(next.disk.readDirectorySync('/log/v0000000009')).toMatchObject([{ name: 'notes.txt' }]);
  expect(logger.warnings.length).toBe(1);
});

test('derived files of a segment that is made again are not swept under it', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 1, { sync: 'never' });
  await lab.done(channel.sync());
  for (const kind of ['idx', 'ts']) {
    putFile(lab.disk, `${GENERATION}/00000000000000000003.${kind}`, payload(1));
    // Without its dat, and not below firstSeq: a trace of damage, which stays.
    putFile(lab.disk, `${GENERATION}/00000000000000000001.${kind}`, payload(1));
  }
  const next = lab.kill({ io: 'oldest' });
  const again = await next.open();
  next.runtime.advance(SEGMENT_MS);
  again.appendBatchSync(range(3, 6).map((seq) => payload(seq, 20)));
  next.runtime.advance(SEGMENT_MS);
  again.appendSync(payload(6, 20));
  await next.drain();
  await next.done(again.close());
  expect(basesOf(next.disk, 'idx')).toEqual([0, 1, 3, 6]);
  expect(basesOf(next.disk, 'ts')).toEqual([0, 1, 3, 6]);
});

test('S4: nothing is unlinked before the manifest is durable by this process', async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const lab = new Lab({ io: 'oldest' });
    const channel = await grown(lab, 4, { sync: 'never' });
    await lab.done(channel.sync());
    // The rename is in the page cache, and its sync fails or is never made.
    if (seed % 2 === 0) lab.fail('syncDirectory', /^\/log$/, 'EIO');
    const trim = channel.trim({ beforeSeq: 10 }).catch(() => undefined);
    while (!lab.disk.operations.some(({ to }) => to === MANIFEST)) {
      await lab.runtime.settle();
      lab.runtime.runIo();
    }
    const next = lab.kill();
    const again = await next.open();
    expect(again.firstSeq).toBe(10);
    for (let i = 0; i < seed / 2; i += 1) {
      await next.runtime.settle();
      next.runtime.runIo();
    }
    const cut = next.cut(seed % 3 === 0 ? worst : choicesFromSeed(seed));
    const last = await cut.open();
    expect([0, 10]).toContain(last.firstSeq);
    const records = await finished(cut, last.readBatch());
    expect(seqsOf(records)).toEqual(range(last.firstSeq, 12));
    await lab.drain();
    await trim;
  }
});

test('S4: without a durable manifest nothing is swept', async () => {
  const lab = (await untidy()).kill();
  const logger = new Log();
  lab.fail('syncDirectory', /^\/log$/, 'EIO', { times: Infinity });
  await lab.open({ logger }).catch(() => undefined);
  await lab.drain();
  expect(basesOf(lab.disk)).toEqual([0, 3, 6, 9, 12]);
});

const BROKEN: readonly [string, (lab: Lab) => void, string][] = [
  ['missing', (lab) => lab.disk.unlinkSync(MANIFEST), 'CORRUPT'],
  ['torn', (lab) => editFile(lab.disk, MANIFEST, (bytes) => bytes.fill(0, 64)), 'CORRUPT'],
  ['short', (lab) => editFile(lab.disk, MANIFEST, (bytes) => bytes.subarray(0, 40)), 'CORRUPT'],
  ['zeros', (lab) => editFile(lab.disk, MANIFEST, (bytes) => bytes.fill(0)), 'CORRUPT'],
  ['another bit', (lab) => flipBit(lab.disk, MANIFEST, 8 * 33), 'CORRUPT'],
];

test.each(BROKEN)('under a manifest that is %s nothing is changed', async (_name, damage, code) => {
  const lab = (await untidy()).kill({ io: 'immediate' });
  lab.disk.mkdirSync('/log/v0000000004');
  damage(lab);
  const before = treeOf(lab.disk, '/log');
  await expect(lab.open()).rejects.toMatchObject({ code });
  await lab.drain();
  expect(treeOf(lab.disk, '/log')).toEqual(before);
});

test('under a manifest that names a missing generation, or of another channel', async () => {
  const lab = (await untidy()).kill({ io: 'immediate' });
  const other = new Lab({ seed: 99 });
  await grown(other, 1);
  const foreign = readFile(other.disk, MANIFEST);
  const own = readFile(lab.disk, MANIFEST);
  putFile(lab.disk, MANIFEST, foreign);
  let before = treeOf(lab.disk, '/log');
  await expect(lab.open()).rejects.toMatchObject({ code: 'CORRUPT', check: 'identity' });
  expect(treeOf(lab.disk, '/log')).toEqual(before);
  putFile(lab.disk, MANIFEST, own);
  lab.disk.renameSync(GENERATION, '/log/v0000000003');
  before = treeOf(lab.disk, '/log');
  await expect(lab.open()).rejects.toMatchObject({ code: 'CORRUPT', check: 'missing' });
  await lab.drain();
  expect(treeOf(lab.disk, '/log')).toEqual(before);
});

test('beside damage nothing is swept, trimmed or let go', async () => {
  const made = new Lab();
  const first = await grown(made, 5);
  made.fail('unlink', /./, 'EIO', { times: Infinity });
  await made.done(first.trim({ beforeSeq: 10 }));
  await made.done(first.close());
  const lab = made.kill();
  lab.disk.mkdirSync('/log/v0000000004');
  truncateFile(lab.disk, `${GENERATION}/00000000000000000012.dat`, 100);
  const before = treeOf(lab.disk, '/log');
  const channel = await lab.open();
  expect(await channel.stats()).toMatchObject({ firstSeq: 10, nextSeq: 15 });
  expect((await channel.stats()).damage).toMatchObject({ seqRange: { firstSeq: 12 } });
  await rejection(channel.trim({ beforeSeq: 11 }), 'CORRUPT');
  await rejection(channel.applyRetention(), 'CORRUPT');
  await lab.drain();
  await lab.done(channel.close());
  expect(treeOf(lab.disk, '/log')).toEqual(before);
});

test('a poisoned channel says once that nothing can go, and is looked at no more', async () => {
  const lab = new Lab();
  const logger = new Log();
  const channel = await grown(lab, 3, { retention: { maxAgeMs: 8000 }, logger });
  await lab.done(channel.sync());
  lab.fail('datasync', /dat$/, 'EIO');
  await rejection(lab.done(channel.append(payload(9, 20))), 'POISONED');
  logger.warnings.length = 0;
  for (let tick = 0; tick < 20; tick += 1) await lab.runtime.elapse(4000);
  expect(logger.warnings.map(({ message }) => message)).toEqual(['retention failed']);
  expect(lab.runtime.pending).toEqual([]);
});
