/**
 * Goal: after a repair of any single damage every record outside of the damaged unit is there, none
 * has a wrong byte, everything verifies, and appends go on above all seqs that were given.
 * Method: bits, truncations, zeroed sectors and missing files of three images of a store with
 * everything that it can hold; some places of each file, in an order that a prime number draws.
 */
import { expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import {
  bitsOf,
  CorruptFs,
  damaged,
  describeDamage,
  missingFile,
  swapsOf,
  truncationsOf,
  zeroedBlocksOf,
  type Damage,
  type Files,
} from '../support/corruption-fs.js';
import { makeImages, NAMES, type Image, type Name } from '../support/corruption-store.js';
import { newRuntime, planOn, repairOn, troubleIn } from '../support/repair-lab.js';
import { channelPath, DATA } from '../support/store-kit.js';
import { unitsIn } from '../support/verify-kit.js';

const BITS_PER_FILE = 3;
const images = await makeImages();

interface Stats {
  repaired: number;
  healthy: number;
  salvaged: number;
  tails: number;
  lostRecords: number;
}

/** Seqs in the units that the damage touches. */
function seqsAt(files: Files, { path, from, to }: Damage): Set<number> {
  const bytes = files.get(path) ?? new Uint8Array(0);
  try {
    return new Set(
      unitsIn(bytes)
        .filter((unit) => unit.at < to && unit.end > from)
        .flatMap(({ seqs }) => seqs),
    );
  } catch {
    return new Set();
  }
}

function channelOf(path: string): Name | undefined {
  return NAMES.find((name) => path.startsWith(`${channelPath(name)}/`));
}

async function check(image: Image, damage: Damage, stats: Stats): Promise<void> {
  const fs = new CorruptFs(damaged(image.files, damage));
  const what = `${image.name}: ${describeDamage(damage)}`;
  const plan = await planOn(fs);
  expect(fs.changes, `${what}: a plan changes nothing`).toBe(0);
  const report = await repairOn(fs);
  expect(report.repaired, what).toBe(plan.steps.length > 0);
  if (report.repaired) stats.repaired += 1;
  else stats.healthy += 1;
  if (report.steps.some(({ kind }) => kind === 'salvage')) stats.salvaged += 1;
  const cut = new Set(
    report.steps.flatMap(({ kind, channel }) => (kind === 'tail' ? channel : [])),
  );
  stats.tails += cut.size;
  const touched = new Set(
    [damage, { ...damage, path: damage.other ?? damage.path }].flatMap((each) =>
      [...seqsAt(image.files, each)].map((seq) => `${channelOf(each.path)} ${seq}`),
    ),
  );
  const isJournal = damage.path.startsWith(`${DATA}/journal/`);
  const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
  for (const name of NAMES) {
    const truth = image.channels[name];
    const channel = await redex.channel(name, { createIfMissing: false });
    const found = new Map((await channel.readBatch()).map((record) => [record.seq, record]));
    for (const [seq, record] of found) {
      const known = truth.records.get(seq);
      expect(known, `${what}: ${name} has a record ${seq}`).toBeDefined();
      const isSame = Buffer.compare(record.payload, known?.payload ?? new Uint8Array(1)) === 0;
      expect(isSame && record.type === known?.type, `${what}: record ${seq}`).toBe(true);
      expect(record.timestampNs, `${what}: record ${seq}`).toBe(known?.timestampNs);
    }
    for (const seq of truth.records.keys()) {
      if (found.has(seq)) continue;
      stats.lostRecords += 1;
      // A frame alone behind a header that is gone: nothing says whose it is.
      const isUnknown = damage.kind === 'zeros' && damage.from === 0;
      const isAlone = isUnknown && image.name !== 'closed' && channelOf(damage.path) === name;
      const mayGo = touched.has(`${name} ${seq}`) || cut.has(name) || isJournal || isAlone;
      expect(mayGo, `${what}: ${name} has lost ${seq}`).toBe(true);
    }
    // What stood behind the end of a file that is shorter now may be known to nobody.
    const isGone = damage.kind === 'truncation' || damage.kind === 'missing';
    const isShort = isGone && image.name !== 'closed';
    if (!cut.has(name) && !isJournal && !isShort) {
      expect(channel.nextSeq, `${what}: ${name}`).toBeGreaterThanOrEqual(truth.nextSeq);
    }
  }
  await redex.close();
  expect(await troubleIn(fs), what).toEqual([]);
}

/** Every n-th, so that there are about as many as asked for. */
function some<T>(all: readonly T[], count: number, offset: number): T[] {
  const stride = Math.max(1, Math.ceil(all.length / count));
  return all.filter((_each, i) => i % stride === offset % stride);
}

function damagesOf(files: Files, turn: number): Damage[] {
  const paths = [...files].flatMap(([path, bytes]) => (bytes === undefined ? [] : [path]));
  const kept = paths.filter((path) => !path.endsWith('LOCK') && !path.endsWith('LOCK.info'));
  const damages: Damage[] = [];
  for (const [i, path] of kept.entries()) {
    const length = 8 * (files.get(path)?.byteLength ?? 0);
    const isLarge = path.endsWith('.journal');
    damages.push(
      ...some(bitsOf(files, path, isLarge ? 101 : 1), BITS_PER_FILE, 31 * i + 17 * turn + length),
    );
    if (isLarge) continue;
    damages.push(...some(truncationsOf(files, path), 1, 13 * i + turn));
    damages.push(...some(zeroedBlocksOf(files, path), 1, i + turn));
    if (!path.endsWith('/config') && !path.endsWith('/manifest')) {
      damages.push(missingFile(files, path));
    }
  }
  damages.push(...some(swapsOf(files), 12, 7 * turn));
  return damages;
}

test.each(images.map((image, turn) => ({ image, turn, name: image.name })))(
  'single damages of the image $name',
  async ({ image, turn }) => {
    const stats: Stats = { repaired: 0, healthy: 0, salvaged: 0, tails: 0, lostRecords: 0 };
    for (const damage of damagesOf(image.files, turn)) await check(image, damage, stats);
    // Each kind of outcome is there, or the sweep would prove little.
    expect(stats.repaired).toBeGreaterThan(60);
    // What a power cut leaves of idx and ts is built anew in any case.
    if (image.name !== 'power cut') expect(stats.healthy).toBeGreaterThan(3);
    expect(stats.salvaged).toBeGreaterThan(25);
    expect(stats.lostRecords).toBeGreaterThan(20);
  },
  120_000,
);
