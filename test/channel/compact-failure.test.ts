/**
 * Goal: a compaction that fails leaves the channel as it was: rejected with what went wrong, the
 * old generation live, appends going on, nothing of the new one left once it is opened again.
 * Method: functions that misbehave, damage, an error at each file operation in turn, a failed sync
 * of the channel's directory, and an abort at each step.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { CompactOptions } from '../../src/channel/survivors.js';
import { RedexError } from '../../src/core/errors.js';
import { choicesFromSeed, worst } from '../../src/testing/choices.js';
import type { Operation, OperationGroup } from '../../src/testing/operations.js';
import { Lab, payload, payloadId, rejection } from '../support/channel-kit.js';
import { finish, generationsIn } from '../support/compact-lab.js';
import { rowOf, type Row } from '../support/compact-model.js';

const SMALL = { sync: 'never', segmentBytes: 4096 } as const;
const COUNT = 40;

const odd: CompactOptions = { keep: (record) => (payloadId(record.payload) ?? 0) % 2 === 1 };

async function filled(lab: Lab): Promise<Channel> {
  const channel = await finish(lab, lab.open(SMALL));
  for (let id = 1; id <= COUNT; id++) await finish(lab, channel.append(payload(id, 300)));
  await finish(lab, channel.sync());
  return channel;
}

async function idsOf(lab: Lab, channel: Channel): Promise<(number | undefined)[]> {
  return (await finish(lab, channel.readBatch())).map((record) => payloadId(record.payload));
}

const all = Array.from({ length: COUNT }, (_, i) => i + 1);
const odds = all.filter((id) => id % 2 === 1);

/** The channel is as before and goes on. */
async function expectUntouched(lab: Lab, channel: Channel): Promise<void> {
  expect(await idsOf(lab, channel)).toEqual(all);
  expect((await channel.stats()).generation).toBe(1);
  await finish(lab, channel.append(payload(COUNT + 1), { durability: 'synced' }));
  expect(await idsOf(lab, channel)).toEqual([...all, COUNT + 1]);
}

describe('functions that misbehave', () => {
  const broken = new Error('it broke');
  const wrong: [string, unknown, unknown][] = [
    [
      'keep throws',
      {
        keep: () => {
          throw broken;
        },
      },
      broken,
    ],
    ['keep returns no boolean', { keep: () => 1 }, TypeError],
    ['keep is async', { keep: () => Promise.resolve(false) }, TypeError],
    [
      'key throws',
      {
        key: () => {
          throw broken;
        },
      },
      broken,
    ],
    ['key returns no string', { key: () => 7 }, TypeError],
    ['key is async', { key: () => Promise.resolve('a') }, TypeError],
  ];
  test.each(wrong)('%s', async (_name, options, expected) => {
    const lab = new Lab();
    const channel = await filled(lab);
    const run = finish(lab, channel.compact(options as CompactOptions));
    if (expected === broken) await expect(run).rejects.toBe(broken);
    else await expect(run).rejects.toThrow(TypeError);
    expect(generationsIn(lab.disk, lab.directory)).toEqual([1]);
    await expectUntouched(lab, channel);
  });

  test('an error with a code of the system is the error of its function', async () => {
    const lab = new Lab();
    const channel = await filled(lab);
    const error = Object.assign(new Error('a database said so'), { code: 'EIO' });
    const keep = (): boolean => {
      throw error;
    };
    await expect(finish(lab, channel.compact({ keep }))).rejects.toBe(error);
  });
});

test('a block that fails its checksum is CORRUPT at its place, and appends go on', async () => {
  const lab = new Lab();
  const channel = await filled(lab);
  const path = lab.datPaths[1] ?? '';
  const file = lab.disk.openSync(path, 'write');
  const byte = new Uint8Array(1);
  file.readSync(byte, 0, 1, 900);
  byte[0] = (byte[0] ?? 0) ^ 0xff;
  file.writeSync(byte, 0, 1, 900);
  file.closeSync();
  const error = await rejection(finish(lab, channel.compact(odd)), 'CORRUPT');
  expect(error.path).toBe(path);
  expect(error.position).toBeGreaterThan(0);
  expect(error.position).toBeLessThanOrEqual(900);
  expect((await channel.stats()).generation).toBe(1);
  expect(generationsIn(lab.disk, lab.directory)).toEqual([1]);
  await finish(lab, channel.append(payload(99), { durability: 'synced' }));
  expect((await finish(lab, channel.get(COUNT)))?.seq).toBe(COUNT);
});

/** Operations of the whole compaction, as many as a run without failures makes. */
function operationsOf(lab: Lab): number {
  return lab.faults.calls.total;
}

const CODES = ['ENOSPC', 'EIO'] as const;
const GROUPS: readonly (Operation | OperationGroup)[] = ['any'];

describe.each(CODES)('%s at each file operation in turn', (code) => {
  test('the old generation or, once it is durable, the new one is whole', async () => {
    const probe = new Lab();
    const probed = await filled(probe);
    const before = operationsOf(probe);
    await finish(probe, probed.compact(odd));
    const count = operationsOf(probe) - before;
    let rejectedRuns = 0;
    let poisoned = 0;
    for (const operation of GROUPS) {
      for (let nth = 1; nth <= count; nth++) {
        const lab = new Lab({ seed: nth });
        const channel = await filled(lab);
        lab.fail(operation, /./, code, { nth });
        const result = await finish(lab, channel.compact(odd)).then(
          () => undefined,
          (error: unknown) => error,
        );
        lab.faults.clearFaults();
        const where = `${code} at operation ${nth} of ${count}`;
        if (result === undefined) {
          expect(await idsOf(lab, channel), where).toEqual(odds);
        } else if (RedexError.is(result, 'POISONED')) {
          poisoned += 1;
          const gens = generationsIn(lab.disk, lab.directory);
          expect(gens, where).toContain(1);
        } else {
          rejectedRuns += 1;
          expect(result, where).toSatisfy((error) => RedexError.is(error));
          if (RedexError.is(result, 'IO')) expect(result.systemCode, where).toBe(code);
          expect((await channel.stats()).isPoisoned, where).toBe(false);
          await expectUntouched(lab, channel);
          const left = generationsIn(lab.disk, lab.directory);
          // A second one takes a number that is free.
          const more: CompactOptions = { keep: ({ seq }) => seq % 2 === 0 };
          await finish(lab, channel.compact(more));
          const { generation } = await channel.stats();
          expect(left, where).not.toContain(generation);
          expect(await idsOf(lab, channel), where).toEqual([...odds, COUNT + 1]);
        }
        await reopened(lab, where);
      }
    }
    expect(rejectedRuns).toBeGreaterThan(10);
    expect(poisoned).toBeGreaterThan(0);
  });
});

/** After a kill, and after power cuts, one generation is whole and the only one. */
async function reopened(lab: Lab, where: string): Promise<void> {
  const images = [lab.kill(), lab.cut(worst), lab.cut(choicesFromSeed(7))];
  for (const image of images) {
    const channel = await finish(image, image.open(SMALL));
    const ids = (await idsOf(image, channel)).filter((id) => id !== COUNT + 1);
    const whole = JSON.stringify(ids) === JSON.stringify(all);
    const compacted = JSON.stringify(ids) === JSON.stringify(odds);
    expect(whole || compacted, `${where}: ${ids.join()}`).toBe(true);
    const { generation } = await channel.stats();
    for (let round = 0; round < 20; round++) await image.drain();
    expect(generationsIn(image.disk, image.directory), where).toEqual([generation]);
  }
}

describe('S3: a failed sync of the directory that holds the manifest', () => {
  test.each([1, 2])('sync %i', async (nth) => {
    const lab = new Lab();
    const channel = await filled(lab);
    lab.fail('syncDirectory', /^\/log$/, 'EIO', { nth });
    await rejection(finish(lab, channel.compact(odd)), 'POISONED');
    await lab.drain();
    expect((await channel.stats()).isPoisoned).toBe(true);
    expect(generationsIn(lab.disk, lab.directory)).toEqual([1, 2]);
    const old = lab.datPaths.length;
    expect(old).toBeGreaterThan(2);
    await rejection(finish(lab, channel.append(payload(77))), 'POISONED');
    await rejection(finish(lab, channel.compact(odd)), 'POISONED');
    await reopened(lab, `sync ${nth}`);
  });
});

test('S3: no seal is written once a sync has failed', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await filled(lab);
  const compacting = channel.compact(odd);
  // The first turn waits for the append lock; meanwhile a synchronous sync fails.
  lab.fail('datasyncSync', /dat$/, 'EIO');
  try {
    channel.appendSync(payload(41), { durability: 'synced' });
  } catch (error) {
    expect(error).toSatisfy((given) => RedexError.is(given, 'POISONED'));
  }
  const sizes = lab.datPaths.map((path) => lab.disk.statSync(path)?.size);
  await rejection(finish(lab, compacting), 'POISONED');
  expect(lab.datPaths.map((path) => lab.disk.statSync(path)?.size)).toEqual(sizes);
});

test('W2: a seal that cannot be taken back poisons', async () => {
  const lab = new Lab();
  const channel = await filled(lab);
  lab.fail('createSync', /dat$/, 'ENOSPC');
  lab.fail('truncateSync', /dat$/, 'EIO');
  await rejection(finish(lab, channel.compact(odd)), 'POISONED');
  const next = lab.kill();
  expect(await idsOf(next, await next.open(SMALL))).toEqual(all);
});

test('a roll that fails takes its seal back, and appends go on', async () => {
  const lab = new Lab();
  const channel = await filled(lab);
  lab.fail('createSync', /dat$/, 'ENOSPC');
  const error = await rejection(finish(lab, channel.compact(odd)), 'IO');
  expect(error.systemCode).toBe('ENOSPC');
  await expectUntouched(lab, channel);
});

test('an abort at each step rejects with its reason and leaves nothing', async () => {
  const reason = Object.assign(new Error('enough'), { code: 'EIO' });
  let aborted = 0;
  for (let steps = 0; steps < 200; steps++) {
    const lab = new Lab({ io: 'oldest', seed: steps });
    const channel = await filled(lab);
    const controller = new AbortController();
    const compacting = channel.compact({ ...odd, signal: controller.signal });
    const ended = compacting.then(
      () => true,
      () => true,
    );
    let isEnded = false;
    void ended.then(() => {
      isEnded = true;
    });
    for (let i = 0; i < steps; i++) {
      await lab.runtime.settle();
      lab.runtime.runIo();
    }
    await lab.runtime.settle();
    const wasEnded = isEnded;
    controller.abort(reason);
    const error: unknown = await finish(lab, compacting).then(
      () => undefined,
      (given: unknown) => given,
    );
    if (error === undefined) {
      expect(await idsOf(lab, channel)).toEqual(odds);
      if (wasEnded) break;
      continue;
    }
    aborted += 1;
    expect(error).toBe(reason);
    expect(generationsIn(lab.disk, lab.directory), `after ${steps} steps`).toEqual([1]);
    expect(lab.faults.openPaths.filter((path) => path.includes('v0000000002'))).toEqual([]);
    await expectUntouched(lab, channel);
  }
  expect(aborted).toBeGreaterThan(8);
});

test('G4: the number of what could not be removed is not taken', async () => {
  const lab = new Lab();
  const channel = await filled(lab);
  lab.fail('datasync', /v0000000002.*dat$/, 'EIO');
  lab.fail('unlink', /v0000000002/, 'EIO', { times: Infinity });
  await rejection(finish(lab, channel.compact(odd)), 'IO');
  lab.faults.clearFaults();
  expect(generationsIn(lab.disk, lab.directory)).toEqual([1, 2]);
  await finish(lab, channel.compact(odd));
  expect((await channel.stats()).generation).toBe(3);
  expect(await idsOf(lab, channel)).toEqual(odds);
  const next = lab.kill();
  expect(await idsOf(next, await finish(next, next.open(SMALL)))).toEqual(odds);
  await next.drain();
  expect(generationsIn(next.disk, next.directory)).toEqual([3]);
});

test('a signal that is aborted already', async () => {
  const lab = new Lab();
  const channel = await filled(lab);
  const signal = AbortSignal.abort(new Error('before'));
  await expect(channel.compact({ ...odd, signal })).rejects.toThrow('before');
  const rows: Row[] = (await finish(lab, channel.readBatch())).map(rowOf);
  expect(rows.length).toBe(COUNT);
});
