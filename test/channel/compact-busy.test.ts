/**
 * Goal: a compaction, a sync, a trim and a change of options get their turn, and come to their end,
 * however busy the channel is: appends that never pause cannot put them off.
 * Method: writers each of which appends again as soon as its last append has settled, while file
 * operations complete one by one; what is asked for may take a bounded number of them.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { Durability } from '../../src/channel/record-input.js';
import { Lab, LARGE, outcomeOf, payload, payloadId } from '../support/channel-kit.js';
import { finish, odd, odds, upTo } from '../support/compact-lab.js';

interface Load {
  readonly byteLength: number;
  readonly durability: Durability;
}

const large: Load = { byteLength: LARGE, durability: 'written' };
const largeSynced: Load = { byteLength: LARGE, durability: 'synced' };
const small: Load = { byteLength: 1000, durability: 'synced' };
const LOADS: readonly [string, readonly Load[]][] = [
  ['large', [large, large]],
  ['large and synced', [largeSynced, largeSynced]],
  ['small and synced', [small, small, small]],
  ['of every kind', [large, largeSynced, { ...small, byteLength: 3000 }]],
];

/** Appends one after the other until it is told to stop. */
function keepAppending(channel: Channel, load: Load): () => Promise<void> {
  const state = { isStopped: false };
  const { byteLength, durability } = load;
  const bytes = new Uint8Array(byteLength);
  const run = async (): Promise<void> => {
    while (!state.isStopped) await channel.append(bytes, { durability });
  };
  const running = run();
  return () => {
    state.isStopped = true;
    return running;
  };
}

/** What `work` comes to within so many operations, while appends never pause. */
async function beside<T>(
  loads: readonly Load[],
  segmentBytes: number,
  work: (channel: Channel) => Promise<T>,
): Promise<(number | undefined)[]> {
  const lab = new Lab({ io: 'oldest' });
  const channel = await finish(lab, lab.open({ sync: 'never', segmentBytes }));
  for (const id of upTo(40)) await finish(lab, channel.append(payload(id, 300)));
  const stops = loads.map((load) => keepAppending(channel, load));
  const step = async (): Promise<void> => {
    await lab.runtime.settle();
    lab.runtime.runIo();
  };
  for (let i = 0; i < 10; i++) await step();
  const working = outcomeOf(work(channel));
  for (let i = 0; i < 400 && working.state === 'pending'; i++) await step();
  expect([working.state, working.error], `segments of ${segmentBytes}`).toEqual([
    'resolved',
    undefined,
  ]);
  await finish(lab, Promise.all(stops.map((stop) => stop())));
  expect(lab.watch.violations).toEqual([]);
  const records = await finish(lab, channel.readBatch({ limit: 20 }));
  return records.map((record) => payloadId(record.payload));
}

describe.each(LOADS)('beside appends that never pause, %s,', (_name, loads) => {
  // Several segments for each append, some appends in a segment, one segment.
  test.each([4096, 1 << 20, 1 << 26])('in segments of %i bytes', async (segmentBytes) => {
    const left = await beside(loads, segmentBytes, (channel) => channel.compact(odd));
    expect(left).toEqual(odds);
    await beside(loads, segmentBytes, (channel) => channel.sync());
    await beside(loads, segmentBytes, (channel) => channel.trim({ beforeSeq: channel.nextSeq }));
    await beside(loads, segmentBytes, (channel) => channel.configure({ sync: 'never' }));
  });
});
