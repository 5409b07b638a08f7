/**
 * Goal: stores as each version has written them, healthy and damaged, are repaired: what could be
 * read can be read afterwards, everything verifies, and what is healthy is left alone.
 * Method: the directories of `fixtures/`.
 */
import { describe, expect, test } from 'vitest';
import { RedexError } from '../../src/core/errors.js';
import { Redex } from '../../src/store/redex.js';
import { bytesOn, diskOf, fixturesOf, rowOf } from '../support/fixture-kit.js';
import { newRuntime, planOn, repairOn, troubleIn } from '../support/repair-lab.js';
import { DATA } from '../support/store-kit.js';

/** What the next open does as well. */
const HARMLESS = new Set(['tail', 'index']);
/** Nothing but a backup has the segments. */
const HOPELESS = new Set(['v1/generation-missing']);

describe('healthy', () => {
  test.each(fixturesOf('healthy'))('$name', async (fixture) => {
    const fs = diskOf(fixture);
    const before = bytesOn(fs);
    const { steps } = await planOn(fs);
    expect(bytesOn(fs)).toEqual(before);
    expect(steps.filter(({ kind }) => !HARMLESS.has(kind))).toEqual([]);
    await repairOn(fs);
    expect(await troubleIn(fs)).toEqual([]);
  });
});

describe('damaged', () => {
  test.each(fixturesOf('damaged'))('$name', async (fixture) => {
    const fs = diskOf(fixture);
    const before = bytesOn(fs);
    const isNewer = [fixture.refused, ...fixture.channels.map(({ refused }) => refused)].some(
      (refused) => refused?.code === 'FORMAT_VERSION',
    );
    const plan = await planOn(fs).catch((error: unknown) => error);
    expect(bytesOn(fs)).toEqual(before);
    if (RedexError.is(plan)) {
      expect([plan.code, isNewer]).toEqual(['FORMAT_VERSION', true]);
      await expect(repairOn(fs)).rejects.toMatchObject({ code: 'FORMAT_VERSION' });
      expect(bytesOn(fs)).toEqual(before);
      return;
    }
    const report = await repairOn(fs);
    if (HOPELESS.has(fixture.name)) {
      expect(report.losses[0]?.reason).toContain('from a backup');
      return;
    }
    const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
    for (const { name, records = [], nextSeq, verify } of fixture.channels) {
      const channel = await redex.channel(name, { createIfMissing: false });
      const rows = (await channel.readBatch()).map(rowOf);
      for (const row of records) expect(rows, name).toContainEqual(row);
      expect(channel.nextSeq, name).toBeGreaterThanOrEqual(nextSeq);
      const isDamaged = verify?.some(({ severity }) => severity === 'damage') === true;
      if (isDamaged) expect(report.repaired, name).toBe(true);
    }
    await redex.close();
    expect(await troubleIn(fs)).toEqual([]);
    expect((await planOn(fs)).steps).toEqual([]);
  });
});
