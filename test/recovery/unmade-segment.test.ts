/**
 * Goal: a segment that could not be made is not there after a power cut either. Its file was
 * created and removed again; a disk that has kept the name and not the removal would let recovery
 * take the records that stand behind its base, in the segment before, for those of a finished one.
 * Method: a full disk stops a roll, appends go on in the old segment and are synced, the next roll
 * succeeds; the power goes at each operation, with many choices of what is left.
 */
import { expect, test } from 'vitest';
import { choicesFromSeed } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import { Lab, readAll, payload } from '../support/channel-kit.js';

const SEEDS = 30;

test('C2: after a roll that failed, what was synced in the old segment is found', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: 'always', segmentBytes: 4096 });
  await channel.append(payload(0));
  lab.fail('anyWrite', /0000000001\.dat$/, 'ENOSPC');
  await expect(channel.append(payload(1, 5000))).rejects.toMatchObject({ code: 'IO' });
  await channel.append(payload(2, 500));
  const images: CrashFs[] = [];
  lab.disk.onOperation = () => {
    for (let seed = 0; seed < SEEDS; seed += 1) images.push(lab.disk.crash(choicesFromSeed(seed)));
  };
  await channel.append(payload(3, 5000));
  lab.disk.onOperation = undefined;
  expect(images.length).toBeGreaterThan(5 * SEEDS);
  const kept = [0, 2];
  for (const [i, image] of images.entries()) {
    const next = new Lab({}, () => image);
    const found = (await readAll(next, await next.open())).map(({ id }) => id);
    expect(found.slice(0, 2), `image ${i}`).toEqual(kept);
  }
});
