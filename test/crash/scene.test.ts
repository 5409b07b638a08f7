/**
 * Goal: what a failure of the crash test has left can be looked at: the image as it was found after
 * the cut, the files that the last open has found, and how the image differs from what was there.
 * Method: the adversary breaks promises that no engine keeps; and a planted bug, for the script as
 * its user calls it, whose files are then opened on the real disk.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { plant, readBugs, unplant } from '../../scripts/lib/planted.mjs';
import { crashScene, crashTest, type CrashFailure } from '../../src/crash-test/crash-test.js';
import {
  differencesOf,
  filesBelow,
  SceneKeeper,
  writeScene,
  type CrashScene,
} from '../../src/crash-test/scene.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { nodeFs } from '../../src/fs/node-fs.js';
import { Redex } from '../../src/store/redex.js';
import { adversary } from '../../src/testing/crash-adversary.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { runNode } from '../support/process-run.js';

const SCRIPT = fileURLToPath(new URL('../../scripts/crash-run.mjs', import.meta.url));

async function brokenByAdversary(): Promise<CrashFailure> {
  const { failure } = await crashTest({ images: 5000, profiles: [adversary] });
  return failure ?? expect.fail('the adversary has broken nothing');
}

async function sceneOf(failure: CrashFailure): Promise<CrashScene> {
  return (await crashScene(failure, adversary)) ?? expect.fail('the second run does not fail');
}

/** Not by toEqual, which looks at each byte of a journal for itself. */
function expectSame(files: CrashScene['image'], expected: CrashScene['image']): void {
  expect(files.size).toBeGreaterThan(3);
  expect(differencesOf(expected, files)).toEqual([]);
}

describe('the scene of a failure', () => {
  let failure: CrashFailure;
  let scene: CrashScene;

  beforeAll(async () => {
    failure = await brokenByAdversary();
    scene = await sceneOf(failure);
  });

  test('is the same each time, and differs from what the process saw', async () => {
    const { image, last, ...told } = await sceneOf(failure);
    expectSame(image, scene.image);
    expectSame(last, scene.last);
    expect(scene).toMatchObject(told);
    expect(failure.error.message).toContain(scene.place);
    expect(scene.place).toContain(`operation ${scene.operation}`);
    expect(scene.differences).not.toEqual([]);
    // The log of the message ends where the crash came.
    const indexes = [...failure.error.message.matchAll(/^ {2}(\d+) /gm)].map(([, index]) => index);
    expect(indexes.length).toBeGreaterThan(0);
    expect(Number(indexes.at(-1))).toBeLessThanOrEqual(scene.operation);
    expect(scene.image.has('/channels')).toBe(true);
  });

  test('is written as files, beside what is told of it', () => {
    const fs = new MemoryFs();
    writeScene(fs, '/kept/here', scene, { seed: failure.seed });
    expectSame(filesBelow(fs, '/kept/here/image'), scene.image);
    expectSame(filesBelow(fs, '/kept/here/last'), scene.last);
    const json = filesBelow(fs, '/kept/here').get('/failure.json');
    const { place, operation, differences } = scene;
    expect(JSON.parse(Buffer.from(json ?? []).toString())).toEqual({
      seed: failure.seed,
      place,
      operation,
      differences,
    });
    expect(() => writeScene(fs, '/kept/here', scene, {})).toThrow(/EEXIST|exists/);
  });

  test('is undefined of a workload that does not fail', async () => {
    const workload = { seed: 1, shuffled: false, stride: 1, lives: [] };
    expect(await crashScene({ workload }, adversary)).toBeUndefined();
  });
});

test('what is opened after it was kept changes nothing of it', () => {
  const fs = new CrashFs();
  fs.mkdirSync('/store');
  const seen = fs.kill();
  seen.mkdirSync('/store/lost');
  const keeper = new SceneKeeper('/store');
  keeper.onImage({ fs, seen, place: 'here', operation: 7 });
  fs.mkdirSync('/store/recovered');
  keeper.onLook(fs);
  fs.mkdirSync('/store/later');
  const names = (scene: CrashScene): string[][] => [
    [...scene.image.keys()],
    [...scene.last.keys()],
  ];
  const scene = keeper.scene(new CrashFs());
  expect(names(scene)).toEqual([[], ['/recovered']]);
  expect(scene).toMatchObject({ place: 'here', operation: 7, differences: ['/lost is missing'] });
  // A failure of the run itself is told of its own disk.
  keeper.onRun();
  expect(names(keeper.scene(seen))).toEqual([['/lost'], ['/lost']]);
});

test('differences are told file by file', () => {
  const bytes = (text: string): Uint8Array => Buffer.from(text);
  const seen = new Map<string, Uint8Array | undefined>([
    ['/d', undefined],
    ['/gone', bytes('abc')],
    ['/same', bytes('abc')],
    ['/cut', bytes('abcdef')],
    ['/other', bytes('abcdef')],
    ['/both', bytes('abcdef')],
  ]);
  const image = new Map<string, Uint8Array | undefined>([
    ['/back', bytes('x')],
    ['/same', bytes('abc')],
    ['/cut', bytes('abc')],
    ['/other', bytes('aXcYef')],
    ['/both', bytes('Xbcd')],
  ]);
  expect(differencesOf(seen, image)).toEqual([
    '/back is there again (1 bytes)',
    '/both has 4 bytes of 6, and has other bytes between 0 and 1',
    '/cut has 3 bytes of 6',
    '/d is missing',
    '/gone is missing (3 bytes)',
    '/other has other bytes between 1 and 4',
  ]);
});

test('the script leaves what a planted bug has broken', { timeout: 300_000 }, async () => {
  const bug = readBugs().find(({ name }) => name === 'group-judged-by-its-first-seq');
  const { seed } = bug?.found ?? expect.fail('no such planted bug');
  const directory = plant(bug);
  const keep = mkdtempSync(join(tmpdir(), 'redex-kept-'));
  try {
    const run = ['--images', '2', '--seed', String(seed), '--profiles', 'strict', '--jobs', '1'];
    const args = [SCRIPT, ...run, '--package', directory, '--keep', keep];
    const { code, stdout } = await runNode(args);
    expect(code, stdout).toBe(1);
    expect(readdirSync(keep)).toEqual([`seed-${seed}-strict`]);
    const kept = join(keep, `seed-${seed}-strict`);
    expect(stdout).toContain(`what the crash has left is in ${kept}`);
    const told = JSON.parse(readFileSync(join(kept, 'failure.json'), 'utf8')) as Told;
    expect(told).toMatchObject({ seed, profile: 'strict', workload: { seed } });
    expect(told.error).toMatch(/^I\d+: /);
    expect(told.operation).toBeGreaterThan(10);
    for (const line of told.differences) expect(stdout).toContain(`  ${line}\n`);
    expect(told.differences.length).toBeGreaterThan(0);
    // A store like any other.
    for (const part of ['image', 'last']) {
      const redex = await Redex.open(join(kept, part), { fs: nodeFs });
      expect((await redex.stats()).channels).toBeGreaterThan(0);
      await redex.close();
    }
  } finally {
    unplant(directory);
    rmSync(keep, { recursive: true, force: true });
  }
});

interface Told {
  readonly error: string;
  readonly operation: number;
  readonly differences: readonly string[];
}
