/**
 * Goal: a channel is created whole or not at all, and its names are as durable as its records
 * (RULES S4, N1): also when the process that made them was killed before it had synced them.
 * Method: creation in missing directories is stopped at each operation; the next process opens the
 * channel, appends, and loses the power too.
 */
import { expect, test } from 'vitest';
import { choicesFromSeed, worst } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { changesState } from '../support/crash-verify.js';
import { openLog, textsOf } from '../support/recovery-lab.js';

/** What is left when the process that creates a channel is killed, at each of its operations. */
async function killedBirths(): Promise<CrashFs[]> {
  const fs = new CrashFs();
  const images: CrashFs[] = [];
  fs.onOperation = (operation) => {
    if (changesState(operation)) images.push(fs.kill());
  };
  const { channel } = await openLog(fs, { sync: 'never' });
  await channel.append('written');
  images.push(fs.kill());
  return images;
}

test('S4: create; kill; open; s; cut: what was synced is there', async () => {
  const images = await killedBirths();
  expect(images.length).toBeGreaterThan(15);
  for (const [place, fs] of images.entries()) {
    const { channel, report } = await openLog(fs, { sync: 'never' });
    expect(report?.damage, `${place}`).toBeUndefined();
    const seq = await channel.append('synced', { durability: 'synced' });
    const again = await openLog(fs.crash(worst), { sync: 'never', createIfMissing: false });
    expect((await textsOf(again.channel)).at(seq), `${place}`).toBe('synced');
  }
});

test('N1: create; kill; open; w; cut: whatever name was lost, it opens', async () => {
  for (const [place, fs] of (await killedBirths()).entries()) {
    const { channel } = await openLog(fs, { sync: 'never' });
    await channel.append('not synced');
    for (let seed = 0; seed < 40; seed += 1) {
      const image = fs.crash(choicesFromSeed(seed));
      const opened = await openLog(image, { sync: 'never' });
      expect(opened.report?.damage, `${place}, seed ${seed}`).toBeUndefined();
      const { nextSeq } = opened.channel;
      expect(await opened.channel.append('goes on', { durability: 'synced' })).toBe(nextSeq);
      const again = await openLog(image.crash(worst), { sync: 'never' });
      expect((await textsOf(again.channel)).at(-1), `${place}, seed ${seed}`).toBe('goes on');
    }
  }
});

test('N1: a power cut at any operation of a creation leaves none, or a whole one', async () => {
  const fs = new CrashFs();
  const images: CrashFs[] = [];
  fs.onOperation = (operation) => {
    if (!changesState(operation)) return;
    for (let seed = 0; seed < 10; seed += 1) images.push(fs.crash(choicesFromSeed(seed)));
  };
  await openLog(fs);
  for (const image of images) {
    const { channel, report } = await openLog(image);
    expect(report?.damage).toBeUndefined();
    expect(await channel.append('first')).toBe(0);
  }
});
