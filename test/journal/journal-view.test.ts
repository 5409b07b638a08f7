/**
 * Goal: who only reads sees, beside the writer and at any moment, what was synced, and never a byte
 * that was not written there: while segments are filled, used again and allocated, and checkpoints
 * are half done.
 * Method: a writer with the real checkpoints runs against a model, its input and output completes
 * one by one, and readers that look often, or seldom, compare every byte of the dat files.
 */
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/core/runtime.js';
import { segmentFileName } from '../../src/format/file-name.js';
import { CONTROL_SLOT_BYTES } from '../../src/format/journal-control.js';
import type { DirectoryEntry, FileSystem } from '../../src/fs/file-system.js';
import type { MemoryFs } from '../../src/fs/memory-fs.js';
import { PassingFs } from '../../src/fs/passing-fs.js';
import { JournalView } from '../../src/journal/journal-view.js';
import { OverlaidFs } from '../../src/journal/journaled-fs.js';
import { StoreJournal } from '../../src/journal/store-journal.js';
import { Random } from '../../src/testing/choices.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import {
  addSynced,
  channelId,
  JOURNAL,
  JOURNAL_BYTES,
  memoryStore,
  openLab,
  STORE,
  STORE_ID,
  textEntry,
  writeEntry,
} from '../support/journal-kit.js';

const RUNS = 8;
const STEPS = 500;
const CHANNELS = [1, 2, 3];

interface ModelFile {
  readonly path: string;
  readonly baseSeq: number;
  bytes: Uint8Array;
  /** So much of it is synced. */
  synced: number;
}

const directoryOf = (channel: number): string => `${STORE}/v${channel}`;

/** A writer of a few channels, and what it has written. */
class WriterLab {
  readonly random: Random;
  readonly runtime: ManualRuntime;
  readonly disk: MemoryFs = memoryStore();
  readonly fs: FaultFs;
  readonly store: StoreJournal;
  readonly files = new Map<number, ModelFile[]>(CHANNELS.map((channel) => [channel, []]));
  #count = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.runtime = new ManualRuntime({ seed });
    this.fs = new FaultFs(this.disk, { defer: this.runtime.deferIo });
    const parts = {
      fs: this.fs,
      directory: STORE,
      storeId: STORE_ID,
      journalBytes: JOURNAL_BYTES,
      runtime: this.runtime,
      logger: silentLogger,
      onFailed: (path: string): void => {
        throw new Error(`${path} has failed`);
      },
      syncCreated: async (): Promise<void> => {},
      syncNames: async (): Promise<void> => {},
    };
    this.store = new StoreJournal(parts, undefined);
    for (const channel of CHANNELS) {
      this.disk.mkdirSync(directoryOf(channel));
      this.roll(channel);
    }
  }

  roll(channel: number): void {
    const baseSeq = this.#count++;
    const path = `${directoryOf(channel)}/${segmentFileName(baseSeq, 'dat')}`;
    this.disk.openSync(path, 'create').closeSync();
    this.files.get(channel)?.push({ path, baseSeq, bytes: new Uint8Array(0), synced: 0 });
  }

  async append(channel: number): Promise<void> {
    const file = this.files.get(channel)?.at(-1);
    if (file === undefined) throw new Error('there is no file');
    const journal = this.store.channel(channelId(channel), `c${channel}`, true);
    const data = this.runtime.random(new Uint8Array(8 * (1 + this.random.below(900))));
    const bytes = journal.roomFor(data.byteLength);
    for (let turn = 0; !this.store.journal.ensureRoom(bytes); turn++) {
      if (turn > 20) throw new Error('there is no room');
      await this.runtime.drainIo();
    }
    const { path, baseSeq } = file;
    const start = { path, baseSeq, start: file.bytes.byteLength, isNew: false };
    journal.add(start, data, 0, data.byteLength);
    file.bytes = new Uint8Array(Buffer.concat([file.bytes, data]));
  }

  sync(): void {
    const lengths = [...this.files.values()].flat().map((file) => [file, file.bytes.byteLength]);
    this.store.journal.sync((error) => {
      if (error !== undefined) throw new Error('a sync has failed');
      for (const [file, length] of lengths as [ModelFile, number][]) {
        file.synced = Math.max(file.synced, length);
      }
    });
  }

  async step(): Promise<void> {
    const choice = this.random.below(10);
    const channel = CHANNELS[this.random.below(CHANNELS.length)] ?? 1;
    if (choice < 5) await this.append(channel);
    else if (choice === 5) this.sync();
    else if (choice === 6 && this.random.below(4) === 0) this.roll(channel);
    else if (choice === 7 && this.random.below(4) === 0) await this.runtime.elapse(1100);
    else this.runtime.runIo();
    await this.runtime.settle();
  }
}

/** What a reader finds in a file, and in what is shown of it. */
function readFile(fs: FileSystem, path: string): Uint8Array {
  const file = fs.openSync(path, 'read');
  try {
    const bytes = new Uint8Array(file.sizeSync());
    return bytes.subarray(0, file.readSync(bytes, 0, bytes.byteLength, 0));
  } finally {
    file.closeSync();
  }
}

class Reader {
  readonly view: JournalView;
  readonly #lab: WriterLab;

  constructor(lab: WriterLab) {
    this.#lab = lab;
    this.view = new JournalView(lab.disk, STORE, STORE_ID);
  }

  /** Compares all files; with `isNew` after a look, which must show all that is synced. */
  compare(isNew: boolean): void {
    if (isNew) this.view.look();
    for (const [channel, files] of this.#lab.files) {
      const waiting = this.view.channel(channelId(channel));
      waiting.goBy({ directory: directoryOf(channel), redoSegment: 0, redoPosition: 0 });
      const fs = new OverlaidFs(this.#lab.disk, waiting);
      for (const { path, bytes, synced } of files) {
        const found = readFile(fs, path);
        const isPrefix = Buffer.compare(found, bytes.subarray(0, found.byteLength)) === 0;
        expect([path, isPrefix, found.byteLength <= bytes.byteLength]).toEqual([path, true, true]);
        if (isNew) expect(found.byteLength).toBeGreaterThanOrEqual(synced);
      }
    }
  }
}

test(`a reader sees what is synced, and never a wrong byte, ${RUNS} runs`, async () => {
  let [uses, checkpoints, overlaid] = [0, 0, 0];
  for (let seed = 1; seed <= RUNS; seed++) {
    const lab = new WriterLab(seed);
    const [often, seldom] = [new Reader(lab), new Reader(lab)];
    for (let i = 0; i < STEPS; i++) {
      await lab.step();
      often.compare(true);
      seldom.compare(i % 60 === 0);
      overlaid += CHANNELS.filter((n) => often.view.channel(channelId(n)).isWaiting).length;
    }
    new Reader(lab).compare(true);
    const { journal } = lab.store;
    uses += journal.segmentUse;
    checkpoints += journal.control.current?.counter ?? 0;
    const closed = lab.store.close();
    await lab.runtime.drainIo();
    await closed;
    often.compare(true);
  }
  // Segments were used again, and what was read was in the journal as well as in the files.
  expect(uses).toBeGreaterThan(8 * RUNS);
  expect(checkpoints).toBeGreaterThan(5 * RUNS);
  expect(overlaid).toBeGreaterThan(RUNS * STEPS);
}, 30_000);

test('what a checkpoint has written is let go of by the next look', async () => {
  const fs = memoryStore();
  const lab = openLab(fs);
  const view = new JournalView(fs, STORE, STORE_ID);
  const channel = view.channel(channelId(1));
  channel.goBy({ directory: directoryOf(1), redoSegment: 0, redoPosition: 0 });
  await addSynced(lab, writeEntry(1, 0, 8));
  view.look();
  const end = lab.journal.syncedEnd;
  if (end === undefined) throw new Error('nothing is synced');
  await addSynced(lab, writeEntry(1, 8, 8));
  view.look();
  expect(channel.files.map(({ start, end: to }) => [start, to])).toEqual([[0, 16]]);
  await lab.journal.control.advance(end);
  expect(channel.isWaiting).toBe(true);
  view.look();
  expect(channel.files.map(({ start, end: to }) => [start, to])).toEqual([[8, 16]]);
  const last = lab.journal.syncedEnd;
  if (last === undefined) throw new Error('nothing is synced');
  await lab.journal.control.advance(last, true);
  view.look();
  expect([channel.isWaiting, channel.files]).toEqual([false, []]);
});

test('what is before the redo place of the manifest is not shown', async () => {
  const fs = memoryStore();
  const lab = openLab(fs);
  await addSynced(lab, writeEntry(1, 0, 8), writeEntry(1, 8, 8), writeEntry(1, 16, 8));
  const view = new JournalView(fs, STORE, STORE_ID);
  view.look();
  const channel = view.channel(channelId(1));
  const shown = (redoPosition: number, directory: string): unknown => {
    channel.goBy({ directory, redoSegment: 0, redoPosition });
    return channel.files.map(({ path, start, end }) => [path, start, end]);
  };
  const name = segmentFileName(0, 'dat');
  expect(shown(0, '/v1')).toEqual([[`/v1/${name}`, 0, 24]]);
  expect(shown(8, '/v1')).toEqual([[`/v1/${name}`, 8, 24]]);
  // After a compaction another generation is the live one.
  expect(shown(16, '/v2')).toEqual([[`/v2/${name}`, 16, 24]]);
  expect(shown(24, '/v2')).toEqual([]);
});

test('a deleted channel is known, and nothing of it is shown', async () => {
  const fs = memoryStore();
  const lab = openLab(fs);
  await addSynced(lab, writeEntry(1, 0, 8), textEntry('delete', 1, ''));
  const view = new JournalView(fs, STORE, STORE_ID);
  view.look();
  const channel = view.channel(channelId(1));
  expect([channel.isDeleted, channel.isWaiting]).toEqual([true, false]);
  expect(view.channel(channelId(2)).isDeleted).toBe(false);
});

test('a group that is not whole yet is not looked at, and is seen when it is', async () => {
  const fs = memoryStore();
  const lab = openLab(fs);
  await addSynced(lab, writeEntry(1, 0, 8));
  await addSynced(lab, writeEntry(1, 8, 8));
  const path = `${JOURNAL}/0000000001.journal`;
  const file = fs.openSync(path, 'write');
  const groupBytes = 72 + 48;
  const last = new Uint8Array(8);
  const at = 64 + 2 * groupBytes - 8;
  file.readSync(last, 0, 8, at);
  file.writeSync(new Uint8Array(8), 0, 8, at);
  const view = new JournalView(fs, STORE, STORE_ID);
  const channel = view.channel(channelId(1));
  channel.goBy({ directory: '/v1', redoSegment: 0, redoPosition: 0 });
  view.look();
  expect(channel.files.map(({ end }) => end)).toEqual([8]);
  file.writeSync(last, 0, 8, at);
  view.look();
  expect(channel.files.map(({ end }) => end)).toEqual([16]);
});

test('a segment that goes between a listing and the look at it is no error', async () => {
  const fs = memoryStore();
  const lab = openLab(fs);
  await addSynced(lab, writeEntry(1, 0, 8));
  const unfinished = `${JOURNAL}/0000000099.journal`;
  let listings = 0;
  class ShrinkingFs extends PassingFs {
    override readDirectorySync(path: string): DirectoryEntry[] {
      if (path !== JOURNAL || listings++ > 0) return super.readDirectorySync(path);
      fs.openSync(unfinished, 'create').closeSync();
      const entries = super.readDirectorySync(path);
      fs.unlinkSync(unfinished);
      return entries;
    }
  }
  const view = new JournalView(new ShrinkingFs(fs), STORE, STORE_ID);
  view.look();
  expect(listings).toBeGreaterThan(1);
  expect(view.channel(channelId(1)).isWaiting).toBe(true);
});

test('no journal is nothing, another one is an error, and no descriptor stays open', async () => {
  const disk = memoryStore();
  const fs = new FaultFs(disk);
  const view = new JournalView(fs, STORE, STORE_ID);
  view.look();
  const lab = openLab(disk);
  await addSynced(lab, writeEntry(1, 0, 8));
  view.look();
  expect(view.channel(channelId(1)).isWaiting).toBe(true);
  const before = fs.calls.in('anyMutation') + fs.calls.in('anySync');
  view.look();
  expect(fs.calls.in('anyMutation') + fs.calls.in('anySync')).toBe(before);
  expect(fs.openPaths).toEqual([]);
  expect(() => {
    new JournalView(fs, STORE, channelId(9)).look();
  }).toThrow('damaged');
  const control = disk.openSync(`${JOURNAL}/control`, 'write');
  control.writeSync(new Uint8Array([9]), 0, 1, CONTROL_SLOT_BYTES + 4);
  expect(() => {
    view.look();
  }).toThrow('version');
  expect(fs.openPaths).toEqual([]);
});
