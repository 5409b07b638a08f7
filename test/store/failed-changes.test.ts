/**
 * Goal: what changes a store or a channel stops with the reason when any file operation of it
 * fails, once or for good: before it has happened nothing has changed, appends go on, nothing is
 * left open, and nothing is left behind once the store was opened again, by a kill or a power cut;
 * what was told to be done stays done. A failed sync poisons instead (RULES S3, G5, N1).
 * Method: a fault at each operation in turn, the change once more without it, and the machine after
 * a kill and after power cuts.
 */
import { describe, expect, test } from 'vitest';
import type { SyncPolicy } from '../../src/channel/options.js';
import type { Fold } from '../../src/channel/fold.js';
import { payloadId } from '../support/channel-kit.js';
import {
  failInTurn,
  HOUR,
  type Change,
  type LoopOptions,
  type World,
} from '../support/fault-loop.js';
import { SEEN, type Seen } from '../support/fold-kit.js';

const folds = new WeakMap<object, Fold<Seen>>();

const later = ({ store }: World): void => {
  store.lab.runtime.setNow(store.lab.runtime.now() + 2 * HOUR);
};

let copies = 0;

const CHANGES: Readonly<Record<string, Change>> = {
  'trim in a segment': { run: ({ channel }) => channel.trim({ beforeSeq: 7 }) },
  'trim of all': { run: ({ channel }) => channel.trim({ beforeSeq: 15 }) },
  'a trim and unsynced records': {
    prepare: async ({ channel }) => {
      await channel.sync();
    },
    run: ({ channel }) => channel.trim({ beforeSeq: 11 }),
  },
  retention: {
    prepare: async (world) => later(world),
    run: ({ channel }) => channel.applyRetention(),
  },
  'retention of the store': {
    isInSteps: true,
    prepare: async (world) => later(world),
    run: ({ redex }) => redex.applyRetention(),
  },
  'a compaction that rewrites': {
    run: ({ channel }) =>
      channel.compact({ keep: ({ payload }) => (payloadId(payload) ?? 0) % 3 !== 1 }),
  },
  'a compaction that links': {
    run: ({ channel }) => channel.compact({ key: ({ seq }) => String(Math.max(seq, 2)) }),
  },
  configure: { run: ({ channel }) => channel.configure({ segmentBytes: 8192 }) },
  'a checkpoint': {
    prepare: async ({ redex, channel }) => {
      const fold = await channel.fold(SEEN);
      await fold.caughtUp();
      folds.set(redex, fold);
    },
    run: async ({ redex }) => folds.get(redex)?.checkpoint(),
  },
  verify: { run: ({ channel }) => channel.verify() },
  'a backup': { run: ({ redex }) => redex.backup(`/copies/${(copies += 1)}`) },
  'a rename': { run: ({ redex }) => redex.renameChannel('c', 'd') },
  'a deletion': { run: ({ redex }) => redex.deleteChannel('c') },
  'a creation': { isInSteps: true, run: ({ redex }) => redex.channel('e') },
};

/** Set to something for all of it. */
const isLong = Number(process.env['REDEX_CRASH_IMAGES'] ?? 0) > 0;
/** These have hundreds of operations. */
const MANY = new Set([
  'a backup',
  'verify',
  'a compaction that rewrites',
  'a compaction that links',
]);

function loopOf(name: string, sync: SyncPolicy): LoopOptions {
  if (isLong) return { codes: 4, cuts: 4, stride: 1, sync };
  return { codes: 1, cuts: 1, stride: MANY.has(name) ? 3 : 1, sync };
}

// With the second, a record of the channel is in the journal, and not in its dat file.
describe.each<SyncPolicy>(['never', 'always'])('a fault at each operation in turn, %s', (sync) => {
  test.each(Object.entries(CHANGES))('%s', { timeout: 600_000 }, async (name, change) => {
    const { runs, refused, poisoned, images } = await failInTurn(change, loopOf(name, sync));
    const counts = `${runs} runs, ${refused} refused, ${poisoned} poisoned, ${images} images`;
    expect(refused, counts).toBeGreaterThan(2);
    // Whatever syncs can be poisoned; a verification syncs nothing.
    if (name === 'verify') expect(poisoned, counts).toBe(0);
    else expect(poisoned + refused, counts).toBeGreaterThan(8);
  });
});
