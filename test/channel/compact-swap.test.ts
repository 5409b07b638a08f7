/**
 * Goal: all that a new generation holds is synced, bytes and names, before a manifest that names it
 * can be on the disk, and that is synced before anything of the old one goes (RULES G1, G5).
 * Method: before each operation from the swap on the power goes, and of all that no sync covers
 * exactly one thing is lost, the bytes of one file or one change of a name; or all of it, or
 * nothing. In every image all that survives the compaction is there.
 */
import { expect, test } from 'vitest';
import { benign, worst } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import type { Profile } from '../../src/testing/crash-profiles.js';
import { Lab, payload } from '../support/channel-kit.js';
import { filled, finish, holdAt, idsOf, odd, SMALL, upTo } from '../support/compact-lab.js';
import { changesState } from '../support/crash-verify.js';

const COUNT = 24;
const LATER = upTo(4, COUNT + 1);
const ODDS = upTo(COUNT).filter((id) => id % 2 === 1);

/** Exactly one thing is lost; how many there are is counted. */
class OneLost implements Profile {
  readonly name = 'one-lost';
  readonly keepsSynced = true;
  readonly #lost: number;
  count = 0;

  constructor(lost: number) {
    this.#lost = lost;
  }

  draw(): ReturnType<Profile['draw']> {
    return {
      entry: () => this.count++ !== this.#lost,
      file: ({ visible, unsynced }) => {
        const isLost = unsynced !== undefined && this.count++ === this.#lost;
        return isLost ? unsynced.durable.copy() : visible.copy();
      },
    };
  }
}

interface Image {
  readonly fs: CrashFs;
  readonly place: string;
}

function imagesOf(disk: CrashFs, place: string): Image[] {
  const images = [benign, worst].map((choose) => ({ fs: disk.crash(choose), place }));
  for (let lost = 0; ; lost++) {
    const profile = new OneLost(lost);
    const fs = disk.crash(benign, { profile });
    if (profile.count <= lost) return images;
    images.push({ fs, place: `${place}, lost: ${lost} of ${profile.count}` });
  }
}

test('one thing is lost at any moment of a swap', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await filled(lab, COUNT);
  const images: Image[] = [];
  let isSwapping = false;
  lab.disk.onOperation = (operation) => {
    // Before it nothing names the new generation.
    isSwapping ||= operation.path.endsWith('manifest.tmp');
    if (!isSwapping || !changesState(operation)) return;
    images.push(...imagesOf(lab.disk, `before ${operation.operation} ${operation.path}`));
  };
  const compacting = channel.compact(odd);
  await holdAt(lab, /v0000000002/);
  // What comes while it runs is in segments that are linked at the swap.
  const appends = LATER.map((id) => channel.append(payload(id, 1500)));
  await finish(lab, compacting);
  await finish(lab, Promise.all(appends));
  await lab.drain();
  lab.disk.onOperation = undefined;
  images.push(...imagesOf(lab.disk, 'at the end'));
  expect(images.length).toBeGreaterThan(30);
  let generations = 0;
  for (const { fs, place } of images) {
    const next = new Lab({}, (given) => fs.kill(undefined, given));
    const opened = await finish(next, next.open(SMALL));
    const { generation } = await opened.stats();
    const survivors = generation === 1 ? upTo(COUNT) : ODDS;
    expect(await idsOf(next, opened), place).toEqual([...survivors, ...LATER]);
    generations |= generation;
  }
  expect(generations, 'both were live').toBe(3);
});
