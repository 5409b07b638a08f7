/**
 * Goal: what the journal has of a channel from before it was closed and opened again, all of which
 * is in the files, is not redone into files that a compaction or a trim has changed since
 * (RULES J4, J5).
 * Method: channels with several segments are closed, opened again and changed in one process; the
 * journal has not begun anew when that is killed, or its power cut.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { SyncPolicy } from '../../src/channel/options.js';
import { worst } from '../../src/testing/choices.js';
import { payload } from '../support/channel-kit.js';
import { idsIn, StoreLab } from '../support/store-kit.js';

const COUNT = 20;
const IDS = Array.from({ length: COUNT }, (_, id) => id);

/** Changes the files of the channel, and says which records are left. */
const CHANGES: Readonly<Record<string, (channel: Channel) => Promise<number[]>>> = {
  async compaction(channel) {
    await channel.compact({ keep: ({ seq }) => seq % 3 === 0 });
    return IDS.filter((id) => id % 3 === 0);
  },
  async trim(channel) {
    await channel.trim({ beforeSeq: 12 });
    return IDS.slice(12);
  },
};

const CASES = Object.keys(CHANGES).flatMap((change) =>
  (['always', 'never'] as const).flatMap((sync) =>
    (['killed', 'cut'] as const).map((end) => [change, sync, end] as const),
  ),
);

/** Those of the one go through the journal anyway, those of the other by commits. */
async function fill(store: StoreLab, sync: SyncPolicy): Promise<Channel> {
  const redex = await store.open();
  const channel = await redex.channel('a', { sync, segmentBytes: 4096 });
  for (const id of IDS) {
    const record = payload(id, 900);
    if (sync === 'always') await channel.append(record);
    else await redex.commit([{ channel: 'a', records: [record] }]);
  }
  expect((await channel.stats()).segments).toBeGreaterThan(3);
  await channel.close();
  return redex.channel('a');
}

test.each(CASES)('J5: a %s of a channel, %s, that was opened again, %s', async (...given) => {
  const [change, sync, end] = given;
  const store = new StoreLab();
  const channel = await fill(store, sync);
  const left = (await CHANGES[change]?.(channel)) ?? [];
  const next = end === 'killed' ? store.kill() : new StoreLab(store.lab.cut(worst));
  const redex = await next.open();
  const again = await redex.channel('a');
  expect(await idsIn(again)).toEqual(left);
  // It goes on, and what it has now is found again as well.
  await again.append(payload(COUNT, 900), { durability: 'synced' });
  await redex.close();
  const last = await next.open();
  expect(await idsIn(await last.channel('a'))).toEqual([...left, COUNT]);
  expect((await (await last.channel('a')).verify()).ok).toBe(true);
  await last.close();
});
