/**
 * Goal: a manifest, config or redex.json that is missing, torn at any length, of zeros, of another
 * channel or store, of a newer version, or that names a generation which is not there, is the same
 * typed error on every way in; it says what comes next, and nothing is changed or swept.
 * Method: each damage to a file of a store that has something to sweep; every way in, one after the
 * other on the same disk; all names and bytes are compared. With records in
 * the journal, and with records in the dat files.
 */
import { describe, expect, test } from 'vitest';
import type { SyncPolicy } from '../../src/channel/options.js';
import { RedexError, type ErrorCode } from '../../src/core/errors.js';
import { FORMAT_VERSION } from '../../src/format/envelope.js';
import { decodeManifest, encodeManifest } from '../../src/format/manifest.js';
import type { Redex } from '../../src/store/redex.js';
import { worst } from '../../src/testing/choices.js';
import { readFile } from '../support/channel-kit.js';
import { valueOf } from '../support/format-arbitraries.js';
import { replaceFile } from '../support/seed-damage.js';
import { channelPath, DATA, fill, idsOfName, listed, StoreLab } from '../support/store-kit.js';

const MANIFEST = `${channelPath('a')}/manifest`;
const CONFIG = `${channelPath('a')}/config`;
const STORE = `${DATA}/redex.json`;
const LEFT = [`${channelPath('a')}/v0000000007`, `${channelPath('a')}/v0000000001`];

/** With the first all records of a store that was killed are in its journal, and in no dat. */
const POLICIES: readonly SyncPolicy[] = ['always', 'never'];

/**
 * A store that was killed, with channels `a` and `b`; a leftover generation in `a`. An earlier
 * process has created the channels: the journal has nothing of their creation any more.
 */
async function madeStore(sync: SyncPolicy = 'always'): Promise<StoreLab> {
  const store = new StoreLab();
  const first = await store.open({ sync });
  for (const name of ['a', 'b']) await first.channel(name);
  await first.close();
  const redex = await store.open({ sync });
  await fill(await redex.channel('a'), 1, 2);
  await fill(await redex.channel('b'), 3);
  store.lab.disk.mkdirSync(LEFT[0] ?? '');
  return store.kill();
}

type Damage = readonly [what: string, code: ErrorCode, bytes: Uint8Array | undefined];

/** What may become of a file: absence is undefined. */
function damagesOf(good: Uint8Array, foreign: Uint8Array): Damage[] {
  const torn = Array.from({ length: good.byteLength }, (_, length): Damage => {
    return [`torn at ${length}`, 'CORRUPT', good.subarray(0, length)];
  });
  return [
    ['missing', 'CORRUPT', undefined],
    ['zeros', 'CORRUPT', new Uint8Array(good.byteLength)],
    ['foreign', 'CORRUPT', foreign],
    ...torn,
  ];
}

function newer(good: Uint8Array): Uint8Array {
  const bytes = good.slice();
  new DataView(bytes.buffer).setUint16(4, FORMAT_VERSION + 1, true);
  return bytes;
}

function damage(store: StoreLab, path: string, bytes: Uint8Array | undefined): void {
  if (bytes === undefined) store.lab.disk.unlinkSync(path);
  else replaceFile(store.lab.disk, path, bytes);
}

interface Wanted {
  readonly code: ErrorCode;
  /** The file that the error names. */
  readonly path: string;
  /** What it says of a repair. */
  readonly repair: string;
}

function expectTold(error: unknown, wanted: Wanted, where: string): void {
  expect(error, where).toMatchObject({ code: wanted.code, path: wanted.path });
  if (!RedexError.is(error)) return;
  expect(error.message, where).toContain(wanted.path);
  if (RedexError.is(error, 'CORRUPT')) {
    expect(error.message, where).toContain(`at byte ${error.position} (${error.check})`);
    expect(error.message, where).toContain(`; \`redex repair\` ${wanted.repair}`);
  } else expect(error.message, where).toContain(': a newer redexlog is needed');
}

const reasonOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );

/** Every way into channel `a`, of a store that is written and of one that is looked at. */
async function expectRefused(store: StoreLab, wanted: Wanted, where: string): Promise<void> {
  const { lab } = store;
  const before = store.tree;
  for (const readOnly of [false, true]) {
    const redex = await store.open({ readOnly });
    const at = `${where}, readOnly ${readOnly}`;
    const asked = await reasonOf(redex.channel('a', readOnly ? {} : { createIfMissing: true }));
    expectTold(asked, wanted, `${at}, channel`);
    const infos = await listed(redex);
    expect(infos.map(({ name }) => name)).toEqual(['a', 'b']);
    expectTold(infos[0]?.error, wanted, `${at}, list`);
    expect(infos[1]?.error).toBeUndefined();
    if (!readOnly) await expectRefusedWork(redex, store, wanted, at);
    expect(await idsOfName(redex, 'b'), at).toEqual([3]);
    await redex.close();
    await lab.drain();
    expect(picked(store), at).toEqual(pickedFrom(before));
  }
}

/** What a store does to its channels by name. */
async function expectRefusedWork(
  redex: Redex,
  store: StoreLab,
  wanted: Wanted,
  at: string,
): Promise<void> {
  expectTold(await reasonOf(redex.applyRetention()), wanted, `${at}, retention`);
  const copy = `/copies/${String(copies++)}`;
  const { damaged, channels } = await redex.backup(copy);
  expect([damaged.length, channels], at).toEqual([1, 2]);
  expectTold(damaged[0]?.error, wanted, `${at}, backup`);
  for (const name of ['config', 'manifest']) {
    const [from, to] = [`${channelPath('a')}/${name}`, `${copy}/channels/a/${name}`];
    const isThere = store.lab.disk.statSync(from) !== undefined;
    expect(store.lab.disk.statSync(to) !== undefined, `${at}, copy of ${name}`).toBe(isThere);
    if (isThere) expect(readFile(store.lab.disk, to)).toEqual(readFile(store.lab.disk, from));
  }
}

let copies = 0;

/** The files of channel `a`, and the names of the store; `b` was opened meanwhile. */
function pickedFrom(tree: Record<string, string>): [string, string][] {
  return Object.entries(tree).filter(([path]) => !path.startsWith(channelPath('b')));
}
const picked = (store: StoreLab): [string, string][] => pickedFrom(store.tree);

const REPAIR_MANIFEST = 'writes another one, for the newest generation that is complete';
const REPAIR_CONFIG = 'writes another one, from what the other files of the channel say';

describe.each([
  ['manifest', MANIFEST, REPAIR_MANIFEST],
  ['config', CONFIG, REPAIR_CONFIG],
])('a %s', (name, path, repair) => {
  test.each(POLICIES)('that is damaged is told on every way in, %s', async (sync) => {
    const store = await madeStore(sync);
    const good = readFile(store.lab.disk, path);
    const foreign = readFile(store.lab.disk, `${channelPath('b')}/${name}`);
    const all: Damage[] = [
      ...damagesOf(good, foreign),
      ['newer', 'FORMAT_VERSION', newer(good)],
      ['newer, torn', 'FORMAT_VERSION', newer(good).subarray(0, 9)],
    ];
    for (const [what, code, bytes] of all) {
      damage(store, path, bytes);
      await expectRefused(store, { code, path, repair }, what);
    }
    replaceFile(store.lab.disk, path, good);
    const redex = await store.open();
    expect(await idsOfName(redex, 'a')).toEqual([1, 2]);
    await store.lab.drain();
    expect(store.lab.disk.statSync(LEFT[0] ?? '')).toBeUndefined();
  });
});

test.each(POLICIES)('a manifest that names a missing generation is told, %s', async (sync) => {
  const store = await madeStore(sync);
  const manifest = valueOf(decodeManifest(readFile(store.lab.disk, MANIFEST)));
  for (const generation of [2, 6, 999]) {
    replaceFile(store.lab.disk, MANIFEST, encodeManifest({ ...manifest, generation }));
    const path = `${channelPath('a')}/v${String(generation).padStart(10, '0')}`;
    const repair = 'takes another generation with records';
    const wanted: Wanted = { code: 'CORRUPT', path, repair };
    await expectRefused(store, wanted, `generation ${generation}`);
  }
});

/** A power cut may do this to what no checkpoint has synced; the journal has it (RULES J4). */
describe.each([
  ['manifest', MANIFEST],
  ['config', CONFIG],
])('the %s of a channel that was just created', (name, path) => {
  async function freshStore(): Promise<StoreLab> {
    const store = new StoreLab();
    const redex = await store.open();
    await fill(await redex.channel('a'), 1, 2);
    await fill(await redex.channel('b'), 3);
    return store.kill();
  }

  test('is made again when it is damaged', async () => {
    const image = await freshStore();
    const good = readFile(image.lab.disk, path);
    const foreign = readFile(image.lab.disk, `${channelPath('b')}/${name}`);
    // The config of another one says that the directory is not this channel's.
    const isOther = (what: string): boolean => what === 'foreign' && name === 'config';
    const all = damagesOf(good, foreign).filter(([what]) => !isOther(what));
    for (const [what, , bytes] of all) {
      const store = image.kill();
      damage(store, path, bytes);
      const redex = await store.open();
      expect(readFile(store.lab.disk, path), what).toEqual(good);
      expect(await idsOfName(redex, 'a'), what).toEqual([1, 2]);
      await redex.close();
      // It is synced, or the journal still has it.
      expect(await idsOfName(await new StoreLab(store.lab.cut(worst)).open(), 'a')).toEqual([1, 2]);
    }
  });

  test('is told when it is newer, or names another channel, and the others work', async () => {
    const image = await freshStore();
    const good = readFile(image.lab.disk, path);
    const foreign = readFile(image.lab.disk, `${channelPath('b')}/${name}`);
    const all: [code: ErrorCode, bytes: Uint8Array][] = [['FORMAT_VERSION', newer(good)]];
    if (name === 'config') all.push(['CORRUPT', foreign]);
    for (const [code, bytes] of all) {
      const store = image.kill();
      damage(store, path, bytes);
      for (let opens = 0; opens < 2; opens++) {
        const redex = await store.open();
        expect(await reasonOf(redex.channel('a')), code).toMatchObject({ code });
        expect(await idsOfName(redex, 'b'), code).toEqual([3]);
        expect(readFile(store.lab.disk, path), code).toEqual(bytes);
        await redex.close();
      }
      // Nothing of it is lost.
      replaceFile(store.lab.disk, path, good);
      expect(await idsOfName(await store.open(), 'a'), code).toEqual([1, 2]);
    }
  });
});

describe('a channel whose metadata is damaged', () => {
  test('can be renamed and deleted as long as its config is good', async () => {
    const store = await madeStore();
    damage(store, MANIFEST, undefined);
    const redex = await store.open();
    const before = Object.keys(store.tree).filter((path) => path.startsWith(channelPath('a')));
    await redex.renameChannel('a', 'c');
    const moved = before.map((path) => path.replace('channels/a', 'channels/c'));
    expect(Object.keys(store.tree)).toEqual(expect.arrayContaining(moved));
    expect(await reasonOf(redex.channel('c'))).toMatchObject({ code: 'CORRUPT', check: 'missing' });
    expect(await redex.deleteChannel('c')).toBe(true);
    expect((await listed(redex)).map(({ name }) => name)).toEqual(['b']);
    await redex.close();
  });

  test('is neither renamed nor deleted under a config that is not good', async () => {
    const store = await madeStore();
    const good = readFile(store.lab.disk, CONFIG);
    const foreign = readFile(store.lab.disk, `${channelPath('b')}/config`);
    const redex = await store.open();
    const all: Damage[] = [...damagesOf(good, foreign), ['newer', 'FORMAT_VERSION', newer(good)]];
    for (const [what, code, bytes] of all) {
      damage(store, CONFIG, bytes);
      const before = store.tree;
      // Of another channel's config the name is what is wrong with the directory.
      const path = what === 'foreign' ? channelPath('a') : CONFIG;
      const wanted: Wanted = { code, path, repair: REPAIR_CONFIG };
      expectTold(await reasonOf(redex.deleteChannel('a')), wanted, `${what}, delete`);
      expectTold(await reasonOf(redex.renameChannel('a', 'd')), wanted, `${what}, rename`);
      await store.lab.drain();
      expect(store.tree, what).toEqual(before);
    }
    await redex.close();
  });
});

describe('redex.json', () => {
  const repair = 'writes another one for the channels that are there';

  test('that is damaged is told on every way in, and changes nothing', async () => {
    const store = await madeStore();
    const good = readFile(store.lab.disk, STORE);
    const text = new TextDecoder().decode(good);
    const newerText = text.replace('"formatVersion": 1', '"formatVersion": 2');
    expect(newerText).not.toBe(text);
    const all: Damage[] = [
      ...damagesOf(good, new TextEncoder().encode(text.replace('"redex"', '"xeder"'))),
      ['newer', 'FORMAT_VERSION', new TextEncoder().encode(newerText)],
    ];
    for (const [what, code, bytes] of all) {
      damage(store, STORE, bytes);
      const before = store.tree;
      for (const readOnly of [false, true]) {
        const where = `${what}, readOnly ${readOnly}`;
        const error = await reasonOf(store.open({ readOnly }));
        expectTold(error, { code, path: STORE, repair }, where);
        await store.lab.drain();
        expect(store.tree, where).toEqual(before);
      }
    }
    replaceFile(store.lab.disk, STORE, good);
    expect(await idsOfName(await store.open(), 'a')).toEqual([1, 2]);
  });

  test('without channels/ beside it says so', async () => {
    const store = await madeStore();
    store.lab.disk.renameSync(`${DATA}/channels`, `${DATA}/elsewhere`);
    const path = `${DATA}/channels`;
    const wanted: Wanted = {
      code: 'CORRUPT',
      path,
      repair: 'can do nothing: the channels are to be taken from a backup',
    };
    for (const readOnly of [false, true]) {
      expectTold(await reasonOf(store.open({ readOnly })), wanted, `readOnly ${readOnly}`);
    }
  });
});
