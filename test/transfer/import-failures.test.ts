/**
 * Goal: a channel that is imported is there whole or not at all, whatever ends the import: a full
 * disk, a failing one, an abort, a kill, a power cut. What it leaves, the next import removes.
 * Method: a fault, an abort and an image at every operation of an import.
 */
import { describe, expect, test } from 'vitest';
import { RedexError } from '../../src/core/errors.js';
import { Redex } from '../../src/store/redex.js';
import { benign, choicesFromSeed, worst } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import { exportStore } from '../../src/transfer/export-store.js';
import { importStore, type ImportOptions } from '../../src/transfer/import-store.js';
import { transferFileBytes, writeTransferFile } from '../../src/transfer/transfer-file.js';
import { payload, rejection } from '../support/channel-kit.js';
import { DATA, StoreLab } from '../support/store-kit.js';
import { bytesFrom, contentOf, fillStore, openStore, piecesOf, SAMPLE } from './transfer-kit.js';

/** One with a gap at its end, and one that goes directly to its file. */
const FEW = [SAMPLE[0], SAMPLE[2]].filter((each) => each !== undefined);

interface Whole {
  readonly bytes: Uint8Array;
  /** By channel, as `contentOf` has it. */
  readonly channels: readonly { readonly name: string }[];
}

async function whole(): Promise<Whole> {
  const source = await openStore();
  await fillStore(source, FEW);
  const channels = (await contentOf(source)) as { name: string }[];
  const bytes = await bytesFrom(exportStore(source, { format: 'archive' }));
  await source.close();
  return { bytes, channels };
}

/** Nothing but whole channels of the import, beside the channel that was there before. */
async function expectWholeOnly(redex: Redex, { channels }: Whole, what: string): Promise<number> {
  const found = (await contentOf(redex)) as { name: string; records: unknown[] }[];
  const old = found.find(({ name }) => name === 'old');
  expect(old?.records, what).toHaveLength(1);
  const others = found.filter(({ name }) => name !== 'old' && !name.startsWith('.redex-import/'));
  for (const each of others) {
    expect(each, what).toEqual(channels.find(({ name }) => name === each.name));
  }
  return others.length;
}

/** An import goes through after all, and no stage is left. */
async function expectRepair(redex: Redex, given: Whole, what: string): Promise<void> {
  for (const { name } of given.channels) await redex.deleteChannel(name);
  await importStore(redex, piecesOf(given.bytes));
  const names = ((await contentOf(redex)) as { name: string }[]).map(({ name }) => name);
  const wanted = [...given.channels.map(({ name }) => name), 'old'];
  expect(names.toSorted(), what).toEqual(wanted.toSorted());
}

async function storeWithOld(store: StoreLab = new StoreLab()): Promise<Redex> {
  const redex = await store.open();
  await (await redex.channel('old')).append(payload(1));
  return redex;
}

describe('a disk', () => {
  test.each(['ENOSPC', 'EIO'])('with %s at any operation', { timeout: 60_000 }, async (code) => {
    const given = await whole();
    let failed = 0;
    // A fifth of the operations each: there are many of a kind.
    for (let nth = code === 'EIO' ? 1 : 2; ; nth += 5) {
      const store = new StoreLab();
      const redex = await storeWithOld(store);
      const fault = store.lab.faults.inject({ operation: 'any', nth, effect: { error: code } });
      const error: unknown = await importStore(redex, piecesOf(given.bytes)).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      fault.remove();
      if (fault.fired === 0) break;
      const what = `operation ${nth}`;
      if (error !== undefined) {
        failed += 1;
        expect(RedexError.is(error, 'IO') || RedexError.is(error, 'POISONED'), what).toBe(true);
      }
      await redex.close().catch(() => undefined);
      const next = await store.kill().open();
      const count = await expectWholeOnly(next, given, what);
      if (error === undefined) expect(count, what).toBe(given.channels.length);
      await expectRepair(next, given, what);
      await next.close();
    }
    expect(failed).toBeGreaterThan(15);
  });

  test('that is full from some operation on', { timeout: 60_000 }, async () => {
    const given = await whole();
    for (let nth = 1; ; nth += 7) {
      const store = new StoreLab();
      const redex = await storeWithOld(store);
      const effect = { error: 'ENOSPC' };
      // The journal writes to space that it has already.
      const path = (each: string): boolean => !each.endsWith('.journal');
      const rule = { operation: 'anyWrite', path, nth, times: Infinity, effect } as const;
      const fault = store.lab.faults.inject(rule);
      const importing = importStore(redex, piecesOf(given.bytes));
      if (
        fault.fired === 0 &&
        (await importing.then(
          () => true,
          () => false,
        ))
      )
        break;
      const error = await rejection(importing, 'IO');
      expect(error.systemCode).toBe('ENOSPC');
      fault.remove();
      // The same process goes on when there is room again.
      expect(await expectWholeOnly(redex, given, `write ${nth}`)).toBe(0);
      await expectRepair(redex, given, `write ${nth}`);
      await redex.close();
    }
  });
});

test('an abort at any step leaves nothing', async () => {
  const given = await whole();
  const redex = await storeWithOld();
  let steps = 0;
  for (let nth = 1; ; nth += 1) {
    const controller = new AbortController();
    const reason = new Error(`step ${nth}`);
    let seen = 0;
    const step = (): void => {
      seen += 1;
      if (seen === nth) controller.abort(reason);
    };
    async function* pieces(): AsyncGenerator<Uint8Array, undefined> {
      for await (const piece of piecesOf(given.bytes, 60)) {
        step();
        yield piece;
      }
    }
    const options: ImportOptions = { signal: controller.signal, onProgress: step };
    const importing = importStore(redex, pieces(), options);
    if (
      nth > 1 &&
      seen < nth &&
      (await importing.then(
        () => true,
        () => false,
      ))
    )
      break;
    await expect(importing).rejects.toBe(reason);
    expect(await expectWholeOnly(redex, given, `step ${nth}`)).toBe(0);
    expect(await redex.hasChannel('.redex-import/0')).toBe(false);
    steps = nth;
  }
  expect(steps).toBeGreaterThan(10);
  await redex.close();
});

test.each([[new Uint8Array()], [Uint8Array.of(0x1f, 0x8b, 8)]])(
  'an abort does not wait for bytes that never come',
  async (start) => {
    const redex = await storeWithOld();
    const controller = new AbortController();
    async function* stalled(): AsyncGenerator<Uint8Array, undefined> {
      yield start;
      controller.abort(new Error('enough'));
      await new Promise(() => undefined);
    }
    const importing = importStore(redex, stalled(), { signal: controller.signal });
    await expect(importing).rejects.toThrow('enough');
    const late = new AbortController();
    const waiting = importStore(redex, stalled(), { signal: late.signal });
    late.abort(new Error('now'));
    await expect(waiting).rejects.toThrow('now');
    await redex.close();
  },
);

test('what the callbacks throw ends an import, and leaves nothing', async () => {
  const given = await whole();
  const redex = await storeWithOld();
  const thrown = new Error('enough');
  const onProgress = (): void => {
    throw thrown;
  };
  await expect(importStore(redex, piecesOf(given.bytes), { onProgress })).rejects.toBe(thrown);
  expect(await expectWholeOnly(redex, given, 'a callback')).toBe(0);
  await redex.close();
});

test('a kill or a power cut at any operation', { timeout: 120_000 }, async () => {
  const given = await whole();
  const store = new StoreLab();
  const redex = await storeWithOld(store);
  const { disk } = store.lab;
  const images: { readonly fs: CrashFs; readonly before: string }[] = [];
  disk.onOperation = ({ operation, path }) => {
    const before = `${images.length} ${operation} ${path}`;
    // Each kind at every third operation.
    const way = images.length % 3;
    if (way === 0) images.push({ fs: disk.kill(), before });
    else
      images.push({ fs: disk.crash(way === 1 ? worst : choicesFromSeed(images.length)), before });
  };
  await importStore(redex, piecesOf(given.bytes));
  disk.onOperation = undefined;
  images.push(
    { fs: disk.crash(worst), before: 'the end' },
    { fs: disk.crash(benign), before: 'the end' },
  );
  let stages = 0;
  for (const [i, { fs, before }] of images.entries()) {
    const { runtime } = new StoreLab().lab;
    const next = await Redex.open(DATA, { fs, runtime });
    for await (const { name } of next.channels()) if (name.startsWith('.redex')) stages += 1;
    const count = await expectWholeOnly(next, given, before);
    if (before === 'the end') expect(count).toBe(given.channels.length);
    if (i % 6 === 0) await expectRepair(next, given, before);
    await next.close();
  }
  expect(images.length).toBeGreaterThan(200);
  expect(stages).toBeGreaterThan(50);
});

describe('an export to a file', () => {
  test.each(['ENOSPC', 'EIO'])('with %s at any operation leaves no file', async (code) => {
    let failed = 0;
    for (let nth = 1; ; nth += 1) {
      const store = new StoreLab();
      const { faults, disk } = store.lab;
      const redex = await store.open();
      await fillStore(redex, SAMPLE);
      const isOut = (path: string): boolean => path.startsWith('/out');
      disk.mkdirSync('/out');
      const rule = { operation: 'any', path: isOut, nth, effect: { error: code } } as const;
      const fault = faults.inject(rule);
      const run = exportStore(redex, { format: 'archive' });
      const error: unknown = await writeTransferFile(faults, '/out/a.rxar', run).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      fault.remove();
      const left = disk.readDirectorySync('/out').map(({ name }) => name);
      await redex.close();
      if (fault.fired === 0) {
        expect([error, left]).toEqual([undefined, ['a.rxar']]);
        break;
      }
      if (error === undefined) continue;
      failed += 1;
      expect(error).toMatchObject({ code: 'IO', systemCode: code });
      // The last step makes the name durable: a failure there says nothing about the file.
      if (left.length > 0) expect(left, `operation ${nth}`).toEqual(['a.rxar']);
      expect(faults.openPaths).toEqual([]);
    }
    expect(failed).toBeGreaterThan(8);
  });

  test('is whole, and is not written over', async () => {
    const given = await whole();
    const { disk: fs } = new StoreLab().lab;
    fs.mkdirSync('/out');
    fs.syncDirectorySync('/');
    const path = '/out/a.rxar';
    expect(await writeTransferFile(fs, path, piecesOf(given.bytes, 77))).toBe(
      given.bytes.byteLength,
    );
    const back = await bytesFrom(transferFileBytes(fs, path));
    expect(Buffer.compare(back, given.bytes)).toBe(0);
    await rejection(writeTransferFile(fs, path, piecesOf(given.bytes)), 'EXISTS');
    await rejection(bytesFrom(transferFileBytes(fs, '/out/none')), 'IO');
    expect(fs.crash(worst).statSync(path)?.size).toBe(given.bytes.byteLength);
  });

  test('that is aborted leaves no file', async () => {
    const { disk: fs } = new StoreLab().lab;
    const redex = await openStore();
    await fillStore(redex, SAMPLE);
    const controller = new AbortController();
    const options = {
      format: 'ndjson',
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('stop')),
    } as const;
    fs.mkdirSync('/out');
    const writing = writeTransferFile(fs, '/out/a', exportStore(redex, options));
    await expect(writing).rejects.toThrow('stop');
    expect(fs.readDirectorySync('/out')).toEqual([]);
    await redex.close();
  });
});
