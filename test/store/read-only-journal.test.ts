/**
 * Goal: who reads beside a writer with a journal sees whole segments or none of a channel, at every
 * moment: also when segments begin between two things that a look does, and when the journal says
 * that a channel is deleted while its directory is still there.
 * Method: a writer and a reader on one disk in memory; the writer goes on inside of a listing of
 * the reader, and a deletion is stopped behind its group in the journal.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { DirectoryEntry } from '../../src/fs/file-system.js';
import { PassingFs } from '../../src/fs/passing-fs.js';
import { Redex } from '../../src/store/redex.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { payload, rejection } from '../support/channel-kit.js';
import { DATA, pathOf } from '../support/read-only-lab.js';
import { all, range, seqsOf } from '../support/trim-kit.js';

/** Some of them fill a segment. */
const PAYLOAD_BYTES = 1500;

/** Does something before each listing of one directory, as a writer that is faster. */
class OvertakenFs extends PassingFs {
  readonly #path: string;
  /** Undefined while nothing overtakes. */
  onListing: (() => void) | undefined;

  constructor(fs: CrashFs, path: string) {
    super(fs);
    this.#path = path;
  }

  override readDirectorySync(path: string): DirectoryEntry[] {
    if (path === this.#path) this.onListing?.();
    return super.readDirectorySync(path);
  }
}

async function written(fs: CrashFs | FaultFs): Promise<{ redex: Redex; channel: Channel }> {
  const redex = await Redex.open(DATA, { fs, runtime: new ManualRuntime(), sync: 'always' });
  const channel = await redex.channel('a', { segmentBytes: 4096 });
  for (const id of range(0, 10)) await channel.append(payload(id, PAYLOAD_BYTES));
  return { redex, channel };
}

test.each([1, 2, 3, 7])('%i segments that begin while a look lists are whole', async (count) => {
  const disk = new CrashFs();
  const { channel: source } = await written(disk);
  const fs = new OvertakenFs(disk, `${pathOf('a')}/v0000000001`);
  const redex = await Redex.open(DATA, { fs, runtime: new ManualRuntime(), readOnly: true });
  const channel = await redex.channel('a');
  const { segments } = await source.stats();
  fs.onListing = () => {
    fs.onListing = undefined;
    const before = source.nextSeq;
    for (let id = before; id < before + 3 * count; id++) {
      source.appendSync(payload(id, PAYLOAD_BYTES), { durability: 'synced' });
    }
  };
  // So that the look lists.
  await source.append(payload(10, 4096));
  await source.append(payload(11, PAYLOAD_BYTES));
  const seen = await channel.stats();
  expect(fs.onListing).toBeUndefined();
  expect((await source.stats()).segments).toBeGreaterThanOrEqual(segments + count);
  expect(seen.damage).toBeUndefined();
  expect(seen.count).toBe(seen.nextSeq);
  expect(seen.nextSeq).toBe(source.nextSeq);
  expect(seqsOf(await all(channel.read({ copy: true })))).toEqual(range(0, source.nextSeq));
  const last = await channel.stats();
  expect([last.count, last.sizeBytes]).toEqual([source.nextSeq, source.sizeBytes]);
});

test('a channel that the journal says is deleted is gone, whatever is left of it', async () => {
  const disk = new CrashFs();
  const faults = new FaultFs(disk);
  const { redex: writer, channel: source } = await written(faults);
  const redex = await Redex.open(DATA, { fs: disk, runtime: new ManualRuntime(), readOnly: true });
  const channel = await redex.channel('a');
  expect((await channel.stats()).count).toBe(10);
  await source.append(payload(10, PAYLOAD_BYTES));
  const isOfIt = (path: string): boolean => path === pathOf('a');
  const effect = { error: 'EIO' };
  faults.inject({ operation: 'anyMutation', path: isOfIt, nth: 1, times: Infinity, effect });
  await expect(writer.deleteChannel('a')).rejects.toThrow('failed');
  expect(disk.statSync(pathOf('a'))).toBeDefined();
  await rejection(channel.stats(), 'NOT_FOUND');
  await rejection(all(channel.read()), 'NOT_FOUND');
  await rejection(redex.channel('a'), 'NOT_FOUND');
});
