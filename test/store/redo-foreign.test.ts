/**
 * Goal: a redo writes nothing into a dat file that is another segment's by its header: what is good
 * in it would be written over (RULES J4).
 * Method: two channels with bytes in their files and more in the journal; after a kill the files
 * are under each other's name.
 */
import { expect, test } from 'vitest';
import { payload, readFile, requireCode } from '../support/channel-kit.js';
import { replaceFile } from '../support/seed-damage.js';
import { channelPath, StoreLab } from '../support/store-kit.js';

const datOf = (name: string): string => `${channelPath(name)}/v0000000001/00000000000000000000.dat`;

test('J4: dat files under each other’s name are kept, and told', async () => {
  const store = new StoreLab();
  const redex = await store.open({ sync: 'always' });
  for (const id of [0, 1]) {
    for (const name of ['a', 'b']) await (await redex.channel(name)).append(payload(id, 100));
    // The first ones are in the files by then, the others in the journal alone.
    if (id === 0) await store.lab.runtime.elapse(5000);
  }
  const next = store.kill();
  const { disk } = next.lab;
  const [ofA, ofB] = [readFile(disk, datOf('a')), readFile(disk, datOf('b'))];
  expect(ofA.byteLength).toBeGreaterThan(100);
  replaceFile(disk, datOf('a'), ofB);
  replaceFile(disk, datOf('b'), ofA);
  const again = await next.open({ sync: 'always' });
  for (const name of ['a', 'b']) {
    const error = await again
      .channel(name)
      .then((channel) => channel.append('more'))
      .then(
        () => undefined,
        (reason: unknown) => reason,
      );
    expect(requireCode(error, 'CORRUPT')).toMatchObject({ path: datOf(name), check: 'identity' });
  }
  await again.close();
  expect(readFile(disk, datOf('a'))).toEqual(ofB);
  expect(readFile(disk, datOf('b'))).toEqual(ofA);
});
