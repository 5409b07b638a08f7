/**
 * Goal: what the seed's own suite asked of generations and of the manifest that names the live one
 * holds here, or its opposite where the seed guessed: nothing but the manifest says which one is
 * live, one open leaves that one alone, and a compaction moves all work into the new files.
 * Method: generations, manifests and files of another layout are put beside a log; all files are
 * compared with what they were.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { generationName } from '../../src/format/file-name.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { worst } from '../../src/testing/choices.js';
import {
  DIRECTORY,
  GENERATION,
  Lab,
  payload,
  readFile,
  rejection,
  thrown,
} from '../support/channel-kit.js';
import { filled, finish, generationsIn, idsOf, odd, odds, SMALL } from '../support/compact-lab.js';
import {
  appendNext,
  CONFIG,
  DAT,
  flipBit,
  MANIFEST,
  picture,
  replaceFile,
  shown,
  upTo,
  writtenLog,
} from '../support/seed-damage.js';

const COUNT = 4;
const NEXT = `${DIRECTORY}/${generationName(2)}`;

/** Copies every file of a generation into another one, which is created. */
function copyGeneration(fs: FileSystem, from: string, to: string): void {
  fs.mkdirSync(to);
  for (const { name } of fs.readDirectorySync(from)) {
    replaceFile(fs, `${to}/${name}`, readFile(fs, `${from}/${name}`));
  }
  fs.syncDirectorySync(DIRECTORY);
}

/** A log that was compacted, whose old generation is there again: two whole ones. */
async function withTwoGenerations(): Promise<Lab> {
  const lab = new Lab();
  const channel = await filled(lab);
  const old = lab.kill();
  await finish(lab, channel.compact(odd));
  await settled(lab);
  await finish(lab, channel.close());
  const next = lab.kill();
  expect(generationsIn(next.disk, DIRECTORY)).toEqual([2]);
  next.disk.mkdirSync(GENERATION);
  for (const { name } of old.disk.readDirectorySync(GENERATION)) {
    replaceFile(next.disk, `${GENERATION}/${name}`, readFile(old.disk, `${GENERATION}/${name}`));
  }
  next.disk.syncDirectorySync(DIRECTORY);
  return next;
}

/** All that an open leaves to the background is done. */
async function settled(lab: Lab): Promise<void> {
  for (let round = 0; round < 5; round += 1) await lab.drain();
}

test('a new channel is one generation and the manifest that names it', async () => {
  for (const next of ['kill', 'cut'] as const) {
    const first = new Lab();
    await first.open();
    expect(generationsIn(first.disk, DIRECTORY)).toEqual([1]);
    const names = first.disk.readDirectorySync(DIRECTORY).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['config', 'manifest']));
    const lab = next === 'kill' ? first.kill() : first.cut(worst);
    const channel = await lab.open({ createIfMissing: false });
    expect([(await channel.stats()).generation, channel.nextSeq]).toEqual([1, 0]);
    expect(await appendNext(channel, 0)).toBe(0);
  }
});

describe('files of another layout', () => {
  const FLAT = ['idx', 'dat', 'ts'] as const;
  /** Which of the files stand in the channel's directory; the others are in a generation. */
  const subsets = upTo(8).map((bits) => FLAT.filter((_, i) => ((bits >> i) & 1) === 1));

  test('are not made a log of, whichever of them are in a generation already', async () => {
    for (const flat of subsets) {
      const { disk } = new Lab();
      disk.mkdirSync(DIRECTORY);
      disk.mkdirSync(GENERATION);
      for (const name of FLAT) {
        const directory = flat.includes(name) ? DIRECTORY : GENERATION;
        replaceFile(disk, `${directory}/${name}`, payload(7, 40));
      }
      disk.syncDirectorySync('/');
      const lab = new Lab({}, (options) => disk.kill(() => 0, options));
      const before = picture(lab.disk);
      expect(await rejection(lab.open(), 'CORRUPT')).toMatchObject({ path: CONFIG });
      expect(picture(lab.disk), flat.join()).toEqual(before);
    }
  });

  test('beside a log stay where they are, and the log what it is', async () => {
    for (const flat of subsets) {
      let lab = await writtenLog({ count: COUNT, ending: 'close' });
      for (const name of flat) replaceFile(lab.disk, `${DIRECTORY}/${name}`, payload(7, 40));
      // Opened twice: what is done once more at each open would show.
      for (const count of [COUNT, COUNT + 1]) {
        const channel = await lab.open();
        expect(await shown(channel)).toEqual(upTo(count));
        expect(await appendNext(channel, count)).toBe(count);
        await channel.close();
        await settled(lab);
        lab = lab.kill();
      }
      for (const name of flat) {
        expect(readFile(lab.disk, `${DIRECTORY}/${name}`)).toEqual(payload(7, 40));
      }
    }
  });
});

test('without its manifest a log is CORRUPT, whatever generations there are', async () => {
  const damages: ((fs: Lab['disk']) => void)[] = [
    (fs) => fs.unlinkSync(MANIFEST),
    ...upTo(128).map((at) => (fs: Lab['disk']) => flipBit(fs, MANIFEST, at, at % 8)),
  ];
  const origin = await withTwoGenerations();
  const whole = readFile(origin.disk, MANIFEST);
  for (const [index, damage] of damages.entries()) {
    const lab = origin.kill();
    damage(lab.disk);
    const before = picture(lab.disk);
    // The two bytes of the version may also say that it is a newer one.
    const isVersion = index === 1 + 4 || index === 1 + 5;
    await rejection(lab.open(), isVersion ? 'FORMAT_VERSION' : 'CORRUPT');
    await settled(lab);
    expect(picture(lab.disk), `damage ${index}`).toEqual(before);
    replaceFile(lab.disk, MANIFEST, whole);
    const channel = await lab.open();
    expect(await idsOf(lab, channel), `damage ${index}`).toEqual(odds);
  }
});

describe('one open leaves the generation of the manifest', () => {
  test('an older one, which a compaction could not remove any more, goes', async () => {
    const lab = await withTwoGenerations();
    const channel = await lab.open();
    await settled(lab);
    expect(generationsIn(lab.disk, DIRECTORY)).toEqual([2]);
    expect((await channel.stats()).generation).toBe(2);
    expect(await idsOf(lab, channel)).toEqual(odds);
  });

  test('newer ones, half made or whole, go, and what is not ours stays', async () => {
    const lab = await writtenLog({ count: COUNT, ending: 'close' });
    const { disk } = lab;
    copyGeneration(disk, GENERATION, NEXT);
    const partial = `${DIRECTORY}/${generationName(5)}`;
    disk.mkdirSync(partial);
    replaceFile(disk, `${partial}/${DAT.slice(GENERATION.length + 1)}`, payload(9, 20));
    disk.mkdirSync(`${DIRECTORY}/${generationName(7)}`);
    const foreign = ['v00000001', 'v0000000000', 'vXXXXXXXXXX', 'not-a-generation'];
    for (const name of foreign) disk.mkdirSync(`${DIRECTORY}/${name}`);
    replaceFile(disk, `${DIRECTORY}/v0000000001.txt`, payload(3));
    const channel = await lab.open();
    await settled(lab);
    const names = disk.readDirectorySync(DIRECTORY).map(({ name }) => name);
    expect(generationsIn(disk, DIRECTORY)).toEqual([1]);
    expect(names).toEqual(expect.arrayContaining([...foreign, 'v0000000001.txt']));
    expect(await shown(channel)).toEqual(upTo(COUNT));
  });

  test('a manifest that was half written beside it is not read, nor in the way', async () => {
    for (const left of [new Uint8Array(0), payload(1, 60), payload(1, 500)]) {
      const lab = new Lab();
      const channel = await filled(lab);
      replaceFile(lab.disk, `${MANIFEST}.tmp`, left);
      await finish(lab, channel.compact(odd));
      expect(lab.disk.statSync(`${MANIFEST}.tmp`)).toBeUndefined();
      replaceFile(lab.disk, `${MANIFEST}.tmp`, left);
      const next = lab.cut(worst);
      const again = await next.open();
      expect(await idsOf(next, again)).toEqual(odds);
      await finish(next, again.trim({ beforeSeq: 10 }));
      expect(next.disk.statSync(`${MANIFEST}.tmp`)).toBeUndefined();
      expect(again.firstSeq).toBe(10);
    }
  });
});

describe('a compaction', () => {
  test('raises the generation by one, and leaves the new one alone', async () => {
    const lab = new Lab();
    let channel = await filled(lab);
    const keeps = [2, 3, 4];
    for (const [index, divisor] of keeps.entries()) {
      await finish(lab, channel.compact({ keep: ({ seq }) => seq % divisor === 0 }));
      await settled(lab);
      const live = index + 2;
      expect((await channel.stats()).generation).toBe(live);
      expect(generationsIn(lab.disk, DIRECTORY)).toEqual([live]);
    }
    await finish(lab, channel.close());
    const next = lab.cut(worst);
    channel = await next.open();
    expect((await channel.stats()).generation).toBe(1 + keeps.length);
    expect((await channel.readBatch()).map(({ seq }) => seq)).toEqual([0, 12, 24, 36]);
  });

  test('is followed by appends and syncs of the new files', async () => {
    const syncs: ((channel: Channel, lab: Lab) => Promise<unknown>)[] = [
      (channel, lab) => finish(lab, channel.append(payload(43), { durability: 'synced' })),
      (channel) => Promise.resolve(channel.appendSync(payload(43), { durability: 'synced' })),
      async (channel, lab) => {
        await finish(lab, channel.append(payload(43)));
        await finish(lab, channel.sync());
      },
      async (channel, lab) => {
        await finish(lab, channel.append(payload(43)));
        await finish(lab, channel.close());
      },
    ];
    for (const [index, sync] of syncs.entries()) {
      const lab = new Lab();
      const channel = await filled(lab);
      await finish(lab, channel.compact(odd));
      // The first new segments of the generation.
      for (const id of [41, 42]) await finish(lab, channel.append(payload(id, 3000)));
      await sync(channel, lab);
      const next = lab.cut(worst);
      expect(await idsOf(next, await next.open(SMALL)), `sync ${index}`).toEqual([
        ...odds,
        41,
        42,
        43,
      ]);
    }
  });

  test('is followed by syncs in the background of the new files', async () => {
    const lab = new Lab();
    const channel = await filled(lab);
    await finish(lab, channel.configure({ sync: { everyN: 2 } }));
    await finish(lab, channel.compact(odd));
    for (const id of [41, 42]) await finish(lab, channel.append(payload(id)));
    await settled(lab);
    expect(channel.durableSeq).toBe(42);
    const next = lab.cut(worst);
    expect(await idsOf(next, await next.open())).toEqual([...odds, 41, 42]);
  });
});

describe('poison', () => {
  /** What poisons: where the failure is put, and what it is told of. */
  const poisons: Record<string, (lab: Lab, channel: Channel) => Promise<RegExp>> = {
    'a sync of dat that fails': async (lab, channel) => {
      lab.fail('datasync', /\.dat$/, 'EIO');
      const append = channel.append(payload(41), { durability: 'synced' });
      await rejection(finish(lab, append), 'POISONED');
      return /\.dat$/;
    },
    'a directory that cannot be synced behind a rename': async (lab, channel) => {
      lab.fail('syncDirectory', /^\/log$/, 'EIO');
      await rejection(finish(lab, channel.compact(odd)), 'POISONED');
      return /^\/log$/;
    },
    'bytes of a failed write that cannot be cut off': async (lab, channel) => {
      lab.cutShort(/\.dat$/, 50);
      lab.fail('truncateSync', /\.dat$/, 'EIO');
      await rejection(finish(lab, channel.append(payload(41, 200))), 'POISONED');
      return /^\/log\//;
    },
  };

  test.each(Object.keys(poisons))('%s: every way of writing is refused with it', async (name) => {
    const lab = new Lab();
    const channel = await filled(lab);
    const path = await poisons[name]?.(lab, channel);
    lab.faults.clearFaults();
    const before = picture(lab.disk);
    const refusals = [
      await rejection(channel.append('x'), 'POISONED'),
      await rejection(channel.append('x', { durability: 'written' }), 'POISONED'),
      await rejection(channel.appendBatch(['x', 'y']), 'POISONED'),
      thrown(() => channel.appendSync('x'), 'POISONED'),
      thrown(() => channel.appendBatchSync(['x']), 'POISONED'),
      await rejection(channel.sync(), 'POISONED'),
      await rejection(channel.trim({ beforeSeq: 20 }), 'POISONED'),
      await rejection(channel.compact({ keep: () => false }), 'POISONED'),
    ];
    for (const error of refusals) {
      expect(error.path).toMatch(path ?? /^$/);
      expect(error).toMatchObject({ outcome: 'unknown', cause: { code: 'EIO' } });
    }
    await settled(lab);
    expect(picture(lab.disk)).toEqual(before);
    await rejection(channel.close(), 'POISONED');
    const next = lab.kill();
    const again = await next.open();
    expect((await again.stats()).isPoisoned).toBe(false);
    expect(await finish(next, again.append(payload(50)))).toBeGreaterThanOrEqual(40);
  });
});
