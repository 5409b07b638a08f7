/**
 * Goal: what the crash test has found once is not there again. Each test says what happened.
 * Method: the shortest history that went wrong, on its own.
 */
import { expect, test } from 'vitest';
import { Lab, payload, readFile } from '../support/channel-kit.js';
import { filled, finish, idsOf, odd, SMALL, upTo } from '../support/compact-lab.js';
import { putFile } from '../support/recovery-lab.js';

/**
 * A compaction had begun a segment, the idle witness came to stand in it, and a frame that did not
 * fit rolled it: the next segment would have had its base and its name, and every append failed.
 */
test('a segment in which there are only witnesses is not rolled', async () => {
  const lab = new Lab();
  const channel = await filled(lab, 5);
  await finish(lab, channel.compact(odd));
  for (const _ of upTo(3)) {
    await finish(lab, channel.sync());
    await lab.runtime.elapse(2000);
    await lab.drain();
  }
  await finish(lab, channel.append(payload(6, 5000)));
  await finish(lab, channel.append(payload(7, 5000)));
  await finish(lab, channel.compact(odd));
  expect(await idsOf(lab, channel)).toEqual([1, 3, 5, 7]);
  const next = lab.kill();
  expect(await idsOf(next, await finish(next, next.open(SMALL)))).toEqual([1, 3, 5, 7]);
});

/** It had looked at the manifest between its rename and the sync of that, and called it foreign. */
test('a compaction that begins while a trim replaces the manifest', async () => {
  for (let steps = 0; steps < 12; steps += 1) {
    const lab = new Lab();
    const channel = await filled(lab, 20);
    const trimmed = channel.trim({ beforeSeq: 3 });
    for (let i = 0; i < steps; i += 1) {
      await lab.runtime.settle();
      lab.runtime.runIo();
    }
    const report = await finish(lab, channel.compact(odd));
    await finish(lab, trimmed);
    expect(report.compacted).toBe(true);
    expect(await idsOf(lab, channel)).toEqual(upTo(20).filter((id) => id > 3 && id % 2 === 1));
  }
});

/** The index of the head had its length and not its bytes, and was asked how many are hidden. */
test.each([0, 1, 2, 5, 11])('a count beside an index with zeros from entry %i on', async (at) => {
  const lab = new Lab();
  const channel = await filled(lab, 40);
  await finish(lab, channel.compact(odd));
  await finish(lab, channel.trim({ beforeSeq: 7 }));
  const { generation } = await finish(lab, channel.stats());
  await finish(lab, channel.close());
  const next = lab.kill();
  const directory = `${lab.directory}/v${String(generation).padStart(10, '0')}`;
  const [head = ''] = next.disk
    .readDirectorySync(directory)
    .map(({ name }) => `${directory}/${name}`)
    .filter((path) => path.endsWith('.idx'))
    .toSorted();
  const bytes = readFile(next.disk, head);
  putFile(next.disk, head, bytes.fill(0, 64 + 16 * at));
  const again = await finish(next, next.open(SMALL));
  const wanted = upTo(40).filter((id) => id > 7 && id % 2 === 1);
  expect([again.count, await idsOf(next, again)]).toEqual([wanted.length, wanted]);
});
