/**
 * Goal: a crash in the middle of a repair is as recoverable as before it: another repair ends with
 * the same records, and every damaged byte is still kept.
 * Method: stores on a disk that crashes, with several damages each. Before operations of a repair
 * that change something an image is taken, of a kill or of a power cut; each is repaired
 * again, and compared with the repair that nothing has interrupted; so is what a power cut right
 * behind that leaves.
 */
import { expect, test } from 'vitest';
import type { FileSystem } from '../../src/fs/file-system.js';
import { Redex } from '../../src/store/redex.js';
import { benign, choicesFromSeed, worst } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { strict } from '../../src/testing/crash-profiles.js';
import { profiles } from '../../src/testing/profile-list.js';
import { filesUnder } from '../support/corruption-fs.js';
import { changesState } from '../support/crash-verify.js';
import {
  contentsOf,
  dat,
  newRuntime,
  repairOn,
  sample,
  swap,
  troubleIn,
  truncate,
  zero,
  type Contents,
} from '../support/repair-lab.js';
import { channelPath, DATA } from '../support/store-kit.js';
import { flip } from '../support/verify-kit.js';

/** Of so many operations one is the last; REDEX_REPAIR_STRIDE=1 takes each. */
const STRIDE = Number(process.env['REDEX_REPAIR_STRIDE'] ?? 5);
const LOG = channelPath('log');
const OTHER = channelPath('other');

interface Scene {
  readonly what: string;
  readonly damage: (fs: FileSystem) => void;
  /** Has records in the journal alone. */
  readonly isKilled?: boolean;
}

const SCENES: readonly Scene[] = [
  {
    what: 'segments',
    damage: (fs) => {
      flip(fs, dat(0), 8 * 140);
      fs.unlinkSync(dat(8));
      zero(fs, dat(24), 0, 64);
    },
  },
  {
    what: 'metadata',
    damage: (fs) => {
      fs.unlinkSync(`${DATA}/redex.json`);
      fs.unlinkSync(`${LOG}/config`);
      flip(fs, `${OTHER}/config`, 8 * 50);
      truncate(fs, `${OTHER}/manifest`, 40);
      flip(fs, dat(8), 8 * 200);
    },
  },
  {
    what: 'files in the wrong place',
    damage: (fs) => {
      for (const name of ['config', 'manifest']) swap(fs, `${LOG}/${name}`, `${OTHER}/${name}`);
      swap(fs, dat(0), dat(16));
    },
  },
  {
    what: 'generations',
    damage: (fs) => {
      fs.mkdirSync(`${LOG}/v0000000002`);
      fs.linkSync(dat(0), `${LOG}/v0000000002/${dat(0).slice(-24)}`);
      zero(fs, `${LOG}/manifest`, 0, 128);
      flip(fs, dat(16), 8 * 90);
    },
  },
  {
    what: 'a damaged journal',
    isKilled: true,
    damage: (fs) => {
      zero(fs, `${DATA}/journal/control`, 0, 1024);
      flip(fs, `${channelPath('steady')}/v0000000001/${'0'.repeat(20)}.dat`, 8 * 130);
    },
  },
  {
    what: 'a journal that has to wait',
    isKilled: true,
    damage: (fs) => {
      fs.unlinkSync(`${channelPath('steady')}/manifest`);
      flip(fs, dat(8), 8 * 100);
    },
  },
];

/** A store with the damage, all of it durable. */
async function damagedDisk({ damage, isKilled = false }: Scene): Promise<CrashFs> {
  const { fs } = await sample();
  const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
  const steady = await redex.channel('steady');
  for (let i = 0; i < 3; i++) await steady.append(`steady ${i}`);
  if (isKilled) {
    await steady.close();
    const again = await redex.channel('steady');
    for (let i = 0; i < 4; i++) await again.append(`journaled ${i}`);
  } else await redex.close();
  const disk = new CrashFs();
  for (const [path, bytes] of filesUnder(fs, DATA)) {
    if (bytes === undefined) disk.mkdirSync(path);
    else {
      const file = disk.openSync(path, 'create');
      file.writeSync(bytes, 0, bytes.byteLength, 0);
      file.closeSync();
    }
  }
  const killed = disk.kill();
  damage(killed);
  return killed.crash(benign);
}

/** Everything in the directory of kept bytes, without the dates. */
function keptIn(fs: FileSystem): Set<string> {
  const damaged = `${DATA}/damaged`;
  if (fs.statSync(damaged) === undefined) return new Set();
  const kept = new Set<string>();
  for (const [path, bytes] of filesUnder(fs, damaged)) {
    if (bytes === undefined) continue;
    const original = path.split('/').slice(4).join('/');
    kept.add(`${original} ${Buffer.from(bytes).toString('hex')}`);
  }
  return kept;
}

interface Taken {
  readonly fs: CrashFs;
  readonly place: string;
}

/** A repair, with images of crashes before each of its steps. */
async function repairWithImages(disk: CrashFs, seed: number, stride: number): Promise<Taken[]> {
  const images: Taken[] = [];
  let count = 0;
  disk.onOperation = (operation) => {
    if (!changesState(operation)) return;
    count += 1;
    const place = `${count}: before ${operation.operation} ${operation.path}`;
    const isTurn = count % stride === seed % stride;
    // What is done and not synced yet, the next repair takes for done.
    const isSync = operation.operation.startsWith('syncDirectory');
    if (isTurn || isSync) images.push({ fs: disk.kill(), place: `kill ${place}` });
    if (!isTurn) return;
    const choose = count % 3 === 0 ? worst : choicesFromSeed(seed * 1000 + count);
    const profile = profiles[(count + seed) % profiles.length];
    if (profile === undefined) throw new Error('no profile');
    images.push({ fs: disk.crash(choose, { profile }), place: `${profile.name} ${place}` });
  };
  await repairOn(disk);
  disk.onOperation = undefined;
  return images;
}

async function judge(
  fs: CrashFs,
  expected: Contents,
  kept: ReadonlySet<string>,
  place: string,
): Promise<void> {
  await repairOn(fs);
  // The power goes when the repair has said that it is done, and all that no sync covers with it.
  const cut = fs.crash(worst, { profile: strict });
  await repairOn(cut);
  for (const [disk, when] of [
    [fs, place],
    [cut, `${place}, and a power cut behind the second repair`],
  ] as const) {
    expect(await contentsOf(disk), when).toEqual(expected);
    const keptNow = keptIn(disk);
    for (const entry of kept) {
      expect(keptNow.has(entry), `${when}: ${entry.slice(0, 80)} is kept`).toBe(true);
    }
  }
}

test.each(SCENES)(
  '$what',
  async (scene) => {
    const disk = await damagedDisk(scene);
    const whole = disk.kill();
    const again = disk.crash(benign);
    const report = await repairOn(whole);
    expect(report.repaired).toBe(true);
    const kept = keptIn(whole);
    expect(kept.size).toBeGreaterThan(0);
    const expected = await contentsOf(whole);
    const images = await repairWithImages(disk, 3, STRIDE);
    expect(images.length).toBeGreaterThan(20);
    for (const { fs, place } of images) await judge(fs, expected, kept, `${scene.what}, ${place}`);
    expect(await troubleIn(whole)).toEqual([]);
    // Twice interrupted.
    const first = await repairWithImages(again, 1, 7);
    for (const { fs, place } of first.slice(0, 4)) {
      for (const nested of await repairWithImages(fs, 2, 9)) {
        await judge(nested.fs, expected, kept, `${place}, ${nested.place}`);
      }
    }
  },
  STRIDE < 5 ? 1_200_000 : 120_000,
);
