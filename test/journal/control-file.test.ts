/**
 * Goal: the control block is there once there is a journal, whatever a crash does to a write of it
 * leaves the one before or the new one, and each open has an epoch of its own.
 */
import { expect, test } from 'vitest';
import {
  CONTROL_FILE_BYTES,
  CONTROL_SLOT_BYTES,
  decodeControlFile,
  type GroupPlace,
} from '../../src/format/journal-control.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { readWholeFile } from '../../src/fs/whole-file.js';
import { ControlFile } from '../../src/journal/control-file.js';
import { controlPath, readControl } from '../../src/journal/recovered-journal.js';
import { choicesFromSeed, worst } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { JOURNAL, memoryStore, NO_LINK, STORE, STORE_ID } from '../support/journal-kit.js';

const CRASHES = 200;

const placeOf = (number: number): GroupPlace => ({
  segment: 1,
  position: 64 * number,
  number,
  link: NO_LINK,
});
const onDisk = (fs: FileSystem): ReturnType<typeof readControl> =>
  readControl(fs, controlPath(STORE), STORE_ID);

function controlOn(fs: FileSystem): ControlFile {
  const control = onDisk(fs);
  const place = { fs, directory: STORE, storeId: STORE_ID };
  return new ControlFile(place, JOURNAL, control === undefined ? undefined : { control });
}

/** A store whose name is durable. */
function crashStore(runtime?: ManualRuntime): CrashFs {
  const fs = new CrashFs(runtime === undefined ? {} : { defer: runtime.deferIo });
  fs.mkdirSync(STORE);
  fs.syncDirectorySync('/');
  return fs;
}

test('it is durable with the directory and its name before the first group', () => {
  const fs = crashStore();
  const control = controlOn(fs);
  expect([control.current, control.epoch]).toEqual([undefined, 0]);
  control.prepare();
  control.beginEpoch(placeOf(1));
  const left = onDisk(fs.crash(worst));
  expect(left).toEqual(control.current);
  expect(left).toMatchObject({ counter: 1, epoch: 1, redoFrom: placeOf(1), isClosed: false });
});

test('each open has the next epoch, and goes on where the control block says', async () => {
  const fs = crashStore();
  let control = controlOn(fs);
  control.prepare();
  control.beginEpoch(placeOf(1));
  await control.advance(placeOf(5), true);
  control.close();
  for (const epoch of [2, 3]) {
    control = controlOn(fs);
    control.beginEpoch(placeOf(9));
    control.close();
    const left = onDisk(fs.crash(worst));
    expect(left).toMatchObject({ epoch, redoFrom: placeOf(5), isClosed: false });
  }
});

test('nothing is kept: the epoch begins where its first group goes, wherever that is', async () => {
  const fs = crashStore();
  let control = controlOn(fs);
  control.prepare();
  control.beginEpoch(placeOf(1));
  await control.advance(placeOf(5), true);
  control.close();
  control = controlOn(fs);
  // The segment in which the journal ended has been removed since.
  const first: GroupPlace = { ...placeOf(5), segment: 2, position: 64 };
  control.beginEpoch(first);
  control.close();
  expect(onDisk(fs.crash(worst))).toMatchObject({ epoch: 2, redoFrom: first });
});

test('an epoch cannot begin before there is a segment', () => {
  const control = controlOn(memoryStore());
  control.prepare();
  expect(() => {
    control.beginEpoch(undefined);
  }).toThrow('before there is a segment');
});

test('what a stopped process has left of a first one is replaced', () => {
  const fs = memoryStore();
  const control = controlOn(fs);
  control.prepare();
  fs.openSync(`${JOURNAL}/control.tmp`, 'create').closeSync();
  control.beginEpoch(placeOf(1));
  expect(onDisk(fs)?.epoch).toBe(1);
  expect(fs.readDirectorySync(JOURNAL).map(({ name }) => name)).toEqual(['control']);
});

test(`a crash while it is written leaves the older or the newer, ${CRASHES} crashes`, async () => {
  const seen = new Set<number>();
  for (let seed = 0; seed < CRASHES; seed++) {
    const runtime = new ManualRuntime();
    const fs = crashStore(runtime);
    const control = controlOn(fs);
    control.prepare();
    control.beginEpoch(placeOf(1));
    for (const number of [2, 3]) {
      const written = control.advance(placeOf(number));
      if (number === 3) break;
      await runtime.drainIo();
      await written;
    }
    const left = onDisk(fs.crash(choicesFromSeed(seed)));
    seen.add(left?.redoFrom.number ?? 0);
  }
  expect([...seen].toSorted((a, b) => a - b)).toEqual([2, 3]);
});

test('what is advanced to is what holds, only after the sync', async () => {
  const runtime = new ManualRuntime();
  const fs = crashStore(runtime);
  const control = controlOn(fs);
  control.prepare();
  control.beginEpoch(placeOf(1));
  const written = control.advance(placeOf(2), true);
  expect(control.current).toMatchObject({ redoFrom: placeOf(1), isClosed: false });
  expect(onDisk(fs.crash(worst))).toMatchObject({ redoFrom: placeOf(1), isClosed: false });
  await runtime.drainIo();
  await written;
  expect(control.current).toMatchObject({ redoFrom: placeOf(2), isClosed: true });
  expect(onDisk(fs.crash(worst))).toEqual(control.current);
});

test.each(['writeSync', 'datasync'] as const)(
  'after a failed %s the old place holds, and the counter is used up',
  async (operation) => {
    const fs = new FaultFs(memoryStore());
    const control = controlOn(fs);
    control.prepare();
    control.beginEpoch(placeOf(1));
    fs.inject({ operation, nth: 1, effect: { error: 'EIO' } });
    await expect(control.advance(placeOf(2))).rejects.toMatchObject({ code: 'EIO' });
    expect(control.current).toMatchObject({ counter: 2, redoFrom: placeOf(1) });
    await control.advance(placeOf(3));
    expect(onDisk(fs)).toMatchObject({ counter: 3, redoFrom: placeOf(3) });
    control.close();
    expect(fs.openPaths).toEqual([]);
  },
);

test('each write leaves the block before it in the other slot', async () => {
  const fs = memoryStore();
  const control = controlOn(fs);
  control.prepare();
  control.beginEpoch(placeOf(1));
  for (let counter = 2; counter < 6; counter++) {
    await control.advance(placeOf(counter));
    const bytes = readWholeFile(fs, control.path, CONTROL_FILE_BYTES) ?? new Uint8Array(0);
    const slots = [0, CONTROL_SLOT_BYTES].map((at) =>
      decodeControlFile(bytes.slice(at, at + CONTROL_SLOT_BYTES)),
    );
    const counters = slots.map((slot) => (slot.ok ? slot.value.newest.counter : 0));
    expect(counters.toSorted((a, b) => a - b)).toEqual([counter - 1, counter]);
  }
});

test('there is nothing to advance before there is one', async () => {
  await expect(controlOn(memoryStore()).advance(placeOf(1))).rejects.toThrow('no control block');
});
