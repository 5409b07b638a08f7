/**
 * Goal: somebody damages or replaces the manifest or the config of a channel that is open: nothing
 * is made of it, nothing takes its place, nothing is let go or swept because of what this process
 * remembers; appends and reads go on, and what changes the file is a typed error (RULES G2).
 * Method: each damage while the channel is open, then every operation that meets the file; all
 * names and bytes are compared.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { RedexError, type ErrorCode } from '../../src/core/errors.js';
import { decodeConfig, encodeConfig } from '../../src/format/config.js';
import { FORMAT_VERSION } from '../../src/format/envelope.js';
import { decodeManifest, encodeManifest } from '../../src/format/manifest.js';
import type { Redex } from '../../src/store/redex.js';
import { worst } from '../../src/testing/choices.js';
import { payload, readFile } from '../support/channel-kit.js';
import { IDLE_WITNESS_MS } from '../../src/channel/sync-schedule.js';
import { valueOf } from '../support/format-arbitraries.js';
import { replaceFile } from '../support/seed-damage.js';
import { channelPath, fill, idsIn, listed, StoreLab } from '../support/store-kit.js';
import { treeOf } from '../support/tree.js';

const PLACE = channelPath('a');
const MANIFEST = `${PLACE}/manifest`;
const CONFIG = `${PLACE}/config`;
const COUNT = 30;
const IDS = Array.from({ length: COUNT }, (_, i) => i);
const HOUR = 3_600_000;

interface Opened {
  readonly store: StoreLab;
  readonly redex: Redex;
  readonly channel: Channel;
}

/** Channel `a` with several segments, synced; retention would let go of all but the last. */
async function opened(): Promise<Opened> {
  const store = new StoreLab();
  const redex = await store.open({ sync: 'never' });
  await fill(await redex.channel('b'), 1);
  const retention = { maxAgeMs: HOUR };
  const channel = await redex.channel('a', { segmentBytes: 4096, retention });
  for (const id of IDS) await channel.append(payload(id, 400));
  await channel.sync();
  // The checkpoint of its creation is behind it, so that nothing else looks at its metadata.
  await store.lab.runtime.elapse(5 * IDLE_WITNESS_MS);
  await store.lab.drain();
  return { store, redex, channel };
}

interface Replaced {
  readonly code: ErrorCode;
  readonly check?: string;
  readonly position?: number;
  /** Undefined to remove it. */
  readonly bytes: Uint8Array | undefined;
}

function newer(good: Uint8Array): Uint8Array {
  const bytes = good.slice();
  new DataView(bytes.buffer).setUint16(4, FORMAT_VERSION + 1, true);
  return bytes;
}

/** What anything may become. */
function common(good: Uint8Array, foreign: Uint8Array): [string, Replaced][] {
  const torn = Array.from({ length: good.byteLength }, (_, length): [string, Replaced] => {
    return [`torn at ${length}`, { code: 'CORRUPT', position: 0, bytes: good.slice(0, length) }];
  });
  return [
    ['missing', { code: 'CORRUPT', check: 'missing', position: 0, bytes: undefined }],
    ['zeros', { code: 'CORRUPT', check: 'magic', bytes: new Uint8Array(good.byteLength) }],
    ['foreign', { code: 'CORRUPT', check: 'identity', position: 8, bytes: foreign }],
    ['newer', { code: 'FORMAT_VERSION', bytes: newer(good) }],
    ...torn,
  ];
}

function manifestsFor({ lab }: StoreLab): [string, Replaced][] {
  const good = readFile(lab.disk, MANIFEST);
  const manifest = valueOf(decodeManifest(good));
  const other = { ...manifest, generation: 9 };
  const older = { ...manifest, firstSeq: 3 };
  const changed = { code: 'CORRUPT', check: 'fields' } as const;
  return [
    ...common(good, readFile(lab.disk, `${channelPath('b')}/manifest`)),
    ['another generation', { ...changed, position: 24, bytes: encodeManifest(other) }],
    ['another firstSeq', { ...changed, position: 32, bytes: encodeManifest(older) }],
  ];
}

function configsFor({ lab }: StoreLab): [string, Replaced][] {
  const good = readFile(lab.disk, CONFIG);
  const config = valueOf(decodeConfig(good));
  const named = (body: object): Uint8Array =>
    encodeConfig({ ...config, body: { ...config.body, ...body } });
  const options = { ...(config.body['options'] as object), segmentBytes: 5000 };
  const changed = { code: 'CORRUPT', check: 'fields', position: 24 } as const;
  return [
    ...common(good, readFile(lab.disk, `${channelPath('b')}/config`)),
    ['another name', { ...changed, bytes: named({ name: 'c' }) }],
    ['other options', { ...changed, bytes: named({ options }) }],
    ['no options', { ...changed, bytes: named({ options: undefined }) }],
  ];
}

function replace({ lab }: StoreLab, path: string, bytes: Uint8Array | undefined): void {
  if (bytes === undefined) lab.disk.unlinkSync(path);
  else replaceFile(lab.disk, path, bytes);
}

async function expectTold(
  work: Promise<unknown>,
  path: string,
  { code, check, position }: Replaced,
  where: string,
): Promise<void> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  const wanted = { code, path, ...(check === undefined ? {} : { check }) };
  expect(error, where).toMatchObject(position === undefined ? wanted : { ...wanted, position });
  if (!RedexError.is(error)) return;
  if (RedexError.is(error, 'CORRUPT')) {
    const place = `${path} is damaged at byte ${error.position} (${error.check}); `;
    expect(error.message, where).toContain(`${place}\`redex repair\` `);
  } else expect(error.message, where).toContain(`${path} has format version 2`);
}

/** What would change the manifest, and what lets go of files. */
const CHANGES: readonly [string, (opened: Opened) => Promise<unknown>][] = [
  ['trim', ({ channel }) => channel.trim({ beforeSeq: 15 })],
  ['trim to where it is', ({ channel }) => channel.trim({ beforeSeq: 0 })],
  ['retention', ({ channel }) => channel.applyRetention()],
  ['retention of the store', ({ redex }) => redex.applyRetention()],
  ['compact', ({ channel }) => channel.compact({ keep: ({ seq }) => seq % 2 === 0 })],
  ['compact by key', ({ channel }) => channel.compact({ key: ({ seq }) => String(seq % 3) })],
  ['compact to the same', ({ channel }) => channel.compact({ keep: () => true })],
];

describe('a manifest that is replaced while the channel is open', () => {
  test('is not changed by anything, and nothing goes because of another one', async () => {
    const made = await opened();
    const { store, channel, redex } = made;
    store.lab.runtime.setNow(store.lab.runtime.now() + 2 * HOUR);
    const good = readFile(store.lab.disk, MANIFEST);
    let id = COUNT;
    for (const [what, replaced] of manifestsFor(store)) {
      replace(store, MANIFEST, replaced.bytes);
      const before = treeOf(store.lab.disk, PLACE);
      for (const [name, change] of CHANGES) {
        await expectTold(change(made), MANIFEST, replaced, `${what}, ${name}`);
        await store.lab.drain();
        expect(treeOf(store.lab.disk, PLACE), `${what}, ${name}`).toEqual(before);
      }
      const found = (await channel.verify()).problems.map(({ kind }) => kind);
      const isValid = replaced.check === 'fields';
      expect(found, `${what}, verify`).toEqual(isValid ? [] : ['manifest']);
      await channel.append(payload(id, 40), { durability: 'synced' });
      id += 1;
      replace(store, MANIFEST, good);
    }
    expect(await idsIn(channel)).toEqual(Array.from({ length: id }, (_, i) => i));
    // With its own manifest back the channel does all of it.
    await channel.trim({ beforeSeq: 2 });
    expect(await channel.compact({ keep: ({ seq }) => seq !== 4 })).toMatchObject({
      compacted: true,
    });
    await channel.applyRetention();
    expect(channel.firstSeq).toBeGreaterThan(4);
    await redex.close();
  });

  test('stops a compaction that has begun before it is swapped in', async () => {
    const made = await opened();
    const { store, channel } = made;
    const good = readFile(store.lab.disk, MANIFEST);
    let nth = 0;
    for (const [what, replaced] of manifestsFor(store).filter(([name]) => !/torn/.test(name))) {
      const other = await channel.stats();
      let isReplaced = false;
      const keep = ({ seq }: { readonly seq: number }): boolean => {
        if (!isReplaced) replace(store, MANIFEST, replaced.bytes);
        isReplaced = true;
        return seq !== 5;
      };
      await expectTold(channel.compact({ keep }), MANIFEST, replaced, what);
      await store.lab.drain();
      expect(await channel.stats()).toMatchObject({
        generation: other.generation,
        count: COUNT + nth,
      });
      const names = store.lab.disk.readDirectorySync(PLACE).map(({ name }) => name);
      const expected = ['clean', 'config', 'manifest', 'v0000000001'];
      const isGone = replaced.bytes === undefined;
      expect(names.toSorted(), what).toEqual(
        expected.filter((name) => !isGone || name !== 'manifest'),
      );
      await channel.append(payload(COUNT + nth, 40), { durability: 'synced' });
      nth += 1;
      replace(store, MANIFEST, good);
    }
    const cut = new StoreLab(store.lab.cut(worst));
    const redex = await cut.open();
    const ids = Array.from({ length: COUNT + nth }, (_, i) => i);
    expect(await idsIn(await redex.channel('a'))).toEqual(ids);
  });

  test('is told by the next open, and by those who look on; a backup is whole', async () => {
    const { store, redex, channel } = await opened();
    const looking = await store.open({ readOnly: true });
    const seen = await looking.channel('a');
    expect((await idsIn(seen)).length).toBe(COUNT);
    const good = readFile(store.lab.disk, MANIFEST);
    let copies = 0;
    for (const [what, replaced] of manifestsFor(store)) {
      if (replaced.check === 'fields') continue;
      replace(store, MANIFEST, replaced.bytes);
      const before = treeOf(store.lab.disk, PLACE);
      await expectTold(seen.stats(), MANIFEST, replaced, `${what}, look`);
      const infos = await listed(looking);
      expect(
        infos.map(({ error }) => error?.code),
        what,
      ).toEqual([replaced.code, undefined]);
      const fresh = await store.open({ readOnly: true });
      await expectTold(fresh.channel('a'), MANIFEST, replaced, `${what}, readOnly`);
      await fresh.close();
      // What is backed up is the channel as this process knows it.
      const target = `/copies/${copies}`;
      copies += 1;
      expect(await redex.backup(target)).toMatchObject({ channels: 2, damaged: [] });
      expect(readFile(store.lab.disk, `${target}/channels/a/manifest`)).toEqual(good);
      expect((await listed(redex))[0]).toMatchObject({ name: 'a', count: COUNT, isOpen: true });
      expect(treeOf(store.lab.disk, PLACE), what).toEqual(before);
      replace(store, MANIFEST, good);
    }
    expect((await idsIn(seen)).length).toBe(COUNT);
    await looking.close();
    replace(store, MANIFEST, newer(good));
    await channel.close();
    const wanted: Replaced = { code: 'FORMAT_VERSION', bytes: undefined };
    await expectTold(redex.channel('a'), MANIFEST, wanted, 'opened again');
    expect(await redex.deleteChannel('a')).toBe(true);
    await redex.close();
  });

  test('keeps what an open has still to sweep', async () => {
    for (const bytes of [undefined, new Uint8Array(72)]) {
      const made = await opened();
      const left = `${PLACE}/v0000000005`;
      made.store.lab.disk.mkdirSync(left);
      const store = new StoreLab(made.store.lab.kill({ io: 'oldest' }));
      const redex = await store.open();
      const channel = redex.channel('a');
      // The sweep waits for a sync; before that the manifest is read again.
      while (store.lab.disk.operations.every(({ path }) => !path.endsWith('.dat'))) {
        await store.lab.runtime.settle();
        if (!store.lab.runtime.runIo()) break;
      }
      replace(store, MANIFEST, bytes);
      await store.lab.done(channel).catch(() => undefined);
      await store.lab.drain();
      expect(store.lab.disk.statSync(left)?.kind).toBe('directory');
    }
  });
});

describe('a config that is replaced while the channel is open', () => {
  test('is not overwritten by configure, nor led away by a rename', async () => {
    const { store, channel, redex } = await opened();
    const good = readFile(store.lab.disk, CONFIG);
    for (const [what, replaced] of configsFor(store)) {
      replace(store, CONFIG, replaced.bytes);
      const before = treeOf(store.lab.disk, PLACE);
      await expectTold(channel.configure({ segmentBytes: 9000 }), CONFIG, replaced, what);
      const stored = (await listed(redex)).find(({ name }) => name === 'a');
      expect(stored, what).toMatchObject({ options: { segmentBytes: 4096 } });
      expect(treeOf(store.lab.disk, PLACE), what).toEqual(before);
      expect((await channel.verify()).ok, what).toBe(what === 'other options');
      replace(store, CONFIG, good);
    }
    await channel.configure({ segmentBytes: 9000 });
    expect((await channel.verify()).problems).toEqual([]);
    replace(store, CONFIG, newer(good));
    const wanted: Replaced = { code: 'FORMAT_VERSION', bytes: undefined };
    await expectTold(redex.renameChannel('a', 'c'), CONFIG, wanted, 'rename');
    await expectTold(redex.deleteChannel('a'), CONFIG, wanted, 'delete');
    await expectTold(redex.channel('a'), CONFIG, wanted, 'open');
    replace(store, CONFIG, good);
    expect(await idsIn(await redex.channel('a'))).toEqual(IDS);
    await redex.close();
  });
});
