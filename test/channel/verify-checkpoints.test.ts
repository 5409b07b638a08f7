/**
 * Goal: verify reads every byte of the checkpoints of folds, says which are damaged, of something
 * else or ahead of the log, and raises no alarm beside a fold that writes and removes them.
 * Method: checkpoints that a fold has written are changed byte by byte, or are forged; reads are
 * counted, fail, or have something done before each of them, by the same process or another one.
 */
import { describe, expect, test } from 'vitest';
import { SharedResources } from '../../src/channel/channel-context.js';
import { Channel } from '../../src/channel/channel.js';
import { checkpointDirectory } from '../../src/channel/checkpoint-files.js';
import type { Fold } from '../../src/channel/fold.js';
import { FollowedChannel } from '../../src/channel/followed-channel.js';
import { readChannel } from '../../src/channel/open-channel.js';
import { settingsOf } from '../../src/channel/settings.js';
import type { VerifyProgress, VerifyReport } from '../../src/channel/verify-report.js';
import { decodeCheckpointHeader, encodeCheckpoint } from '../../src/format/checkpoint.js';
import type { FileHandle, FileSystem, OpenMode } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { payload } from '../support/channel-kit.js';
import { payloads, SEEN, type Seen } from '../support/fold-kit.js';
import { valueOf } from '../support/format-arbitraries.js';
import { putFile, readFile, tree } from '../support/recovery-lab.js';
import { CHANNEL, flip, openOn } from '../support/verify-kit.js';

const MIB = 1024 * 1024;
const CHECKPOINTS = checkpointDirectory(CHANNEL);
const FIRST = `${CHECKPOINTS}/seen@0000000001`;
const SECOND = `${CHECKPOINTS}/seen@0000000002`;
/** Of a number that no fold gets to. */
const AHEAD = `${CHECKPOINTS}/seen@0000000009`;
/** Of a fold whose name has four letters. */
const HEADER_BYTES = 72 + 4 + 8;

interface Saved {
  readonly fs: MemoryFs;
  readonly channel: Channel;
  readonly fold: Fold<Seen>;
}

/** Five records, and a checkpoint of each of two states. */
async function saved(fs = new MemoryFs()): Promise<Saved> {
  const channel = await openOn(fs);
  await channel.appendBatch(payloads(1, 3));
  const fold = await channel.fold(SEEN);
  await fold.caughtUp();
  await fold.checkpoint();
  await channel.appendBatch(payloads(4, 2));
  await fold.caughtUp();
  await fold.checkpoint();
  return { fs, channel, fold };
}

/** The same checkpoint with another header. */
function forged(
  bytes: Uint8Array,
  other: Partial<Parameters<typeof encodeCheckpoint>[0]>,
): Uint8Array {
  const { header, byteLength } = valueOf(decodeCheckpointHeader(bytes));
  return encodeCheckpoint({ ...header, ...other }, bytes.subarray(byteLength));
}

async function readerOf(fs: FileSystem): Promise<Channel> {
  const runtime = new ManualRuntime({ seed: 1, ioOrder: 'immediate' });
  const place = { directory: CHANNEL, name: undefined, isNameSynced: true };
  const settings = settingsOf({ fs, runtime });
  const { context } = readChannel(place, settings, new SharedResources(settings), true);
  return new Channel(await FollowedChannel.open(context, () => {}));
}

const CLEAN = { ok: true, problems: [] } as const;

describe('what is wrong with a file', () => {
  test('nothing, where nothing was done', async () => {
    const { fs, channel } = await saved();
    const before = tree(fs);
    expect(await channel.verify()).toMatchObject(CLEAN);
    expect(await (await readerOf(fs)).verify()).toMatchObject(CLEAN);
    expect(tree(fs)).toEqual(before);
    await channel.close();
  });

  test('one bit in any byte', async () => {
    const { fs, channel } = await saved();
    const bytes = readFile(fs, FIRST);
    for (let at = 0; at < bytes.byteLength; at += 1) {
      // A set bit of the version makes it a newer one, not a damaged one.
      const isVersion = at === 4 || at === 5;
      flip(fs, FIRST, 8 * at + (at === 4 ? 0 : 7));
      const isNewer = at === 5;
      const { ok, problems } = await channel.verify();
      const position = at < HEADER_BYTES ? 0 : HEADER_BYTES;
      const severity = isNewer ? 'note' : 'damage';
      const expected = { kind: 'checkpoint', path: FIRST, position, severity };
      expect(problems, `byte ${at}`).toMatchObject([expected]);
      expect(ok, `byte ${at}`).toBe(isNewer);
      if (!isVersion && at >= 8) expect(problems[0]?.check).toBe('checksum');
      putFile(fs, FIRST, bytes);
    }
    await channel.close();
  });

  test('any other length', async () => {
    const { fs, channel } = await saved();
    const bytes = readFile(fs, SECOND);
    const longer = new Uint8Array(bytes.byteLength + 1);
    longer.set(bytes);
    const lengths = Array.from({ length: bytes.byteLength }, (_, length) => bytes.slice(0, length));
    for (const other of [...lengths, longer]) {
      putFile(fs, SECOND, other);
      const position = other.byteLength < HEADER_BYTES ? 0 : HEADER_BYTES;
      const { problems } = await channel.verify();
      const hint = `${other.byteLength} bytes`;
      expect(problems, hint).toMatchObject([{ kind: 'checkpoint', path: SECOND, position }]);
      if (position > 0) expect(problems[0]?.check, hint).toBe('length');
    }
    await channel.close();
  });

  test('one of another channel, or of another fold, is a note', async () => {
    const { fs, channel } = await saved();
    const bytes = readFile(fs, FIRST);
    const note = { severity: 'note', kind: 'checkpoint', check: 'identity', path: FIRST } as const;
    putFile(fs, FIRST, forged(bytes, { channelId: new Uint8Array(16), seq: 99 }));
    const foreign = { ok: true, problems: [{ ...note, position: 8 }] };
    expect(await channel.verify()).toMatchObject(foreign);
    for (const name of ['sean', 'a\0b']) {
      putFile(fs, FIRST, forged(bytes, { name }));
      const renamed = { ok: true, problems: [{ ...note, position: 72 }] };
      expect(await channel.verify(), name).toMatchObject(renamed);
    }
    // The state of one that is not used is read all the same.
    putFile(fs, FIRST, forged(bytes, { channelId: new Uint8Array(16) }));
    flip(fs, FIRST, 8 * (HEADER_BYTES + 1));
    const { problems } = await channel.verify();
    expect(problems.map(({ check }) => check)).toEqual(['identity', 'checksum']);
    await channel.close();
  });

  test('one that has seen more than is synced', async () => {
    const fs = new MemoryFs();
    const channel = await openOn(fs, { sync: 'never' });
    await channel.appendBatch(payloads(1, 3));
    const fold = await channel.fold(SEEN);
    await fold.caughtUp();
    await fold.checkpoint();
    await channel.appendBatch(payloads(4, 4));
    putFile(fs, AHEAD, forged(readFile(fs, FIRST), { seq: 7 }));
    const place = { path: AHEAD, position: 24, check: 'missing' };
    const { ok, problems } = await channel.verify();
    expect(ok).toBe(false);
    const ahead = { ...place, severity: 'damage', kind: 'checkpoint' };
    expect(problems).toMatchObject([{ ...ahead, seqRange: { firstSeq: 3, nextSeq: 7 } }]);
    await channel.sync();
    expect(await channel.verify()).toMatchObject(CLEAN);
    putFile(fs, AHEAD, forged(readFile(fs, FIRST), { seq: 9 }));
    const seqRange = { firstSeq: 7, nextSeq: 9 };
    expect((await channel.verify()).problems).toMatchObject([{ ...ahead, seqRange }]);
    await channel.close();
    // Who opens it now finds the same where the records are missing, and so does a reader.
    for (const again of [await openOn(fs), await readerOf(fs)]) {
      const report = await again.verify();
      expect(report.problems).toMatchObject([{ kind: 'frame', check: 'missing', seqRange }]);
      await again.close();
    }
  });

  test('one that is ahead appears beside a reader', async () => {
    const { fs, channel } = await saved();
    const reader = await readerOf(fs);
    expect(await reader.verify()).toMatchObject(CLEAN);
    putFile(fs, SECOND, forged(readFile(fs, FIRST), { seq: 9 }));
    const { ok, problems } = await reader.verify();
    expect(ok).toBe(false);
    expect(problems.map(({ seqRange }) => seqRange)).toEqual([{ firstSeq: 5, nextSeq: 9 }]);
    await reader.close();
    await channel.close();
  });

  test('EIO', async () => {
    const { fs, channel } = await saved();
    await channel.close();
    const faults = new FaultFs(fs);
    const again = await openOn(faults);
    const severity = 'damage';
    const kind = 'unreadable';
    for (const [operation, position] of [
      ['openSync', 0],
      ['readSync', 0],
      ['read', HEADER_BYTES],
    ] as const) {
      faults.inject({ operation, path: /seen@0*1$/, nth: 1, effect: { error: 'EIO' } });
      const { problems } = await again.verify();
      expect(problems, operation).toMatchObject([{ severity, kind, path: FIRST, position }]);
    }
    const effect = { error: 'EIO' };
    faults.inject({ operation: 'readDirectorySync', path: /checkpoints$/, nth: 2, effect });
    expect((await again.verify()).problems).toMatchObject([{ severity, kind, path: CHECKPOINTS }]);
    expect(faults.openPaths.filter((path) => path.includes('seen'))).toEqual([]);
    await again.close();
  });
});

describe('names', () => {
  test('an unfinished one is left over, unless its fold is open', async () => {
    const { fs, channel, fold } = await saved();
    const unfinished = `${FIRST}+new`;
    putFile(fs, unfinished, new Uint8Array(5));
    const leftover = { severity: 'note', kind: 'leftover', path: unfinished };
    expect(await channel.verify()).toMatchObject(CLEAN);
    expect((await (await readerOf(fs)).verify()).problems).toMatchObject([leftover]);
    await fold.close();
    putFile(fs, unfinished, new Uint8Array(5));
    expect((await channel.verify()).problems).toMatchObject([leftover]);
    await channel.close();
  });

  test('others are left over', async () => {
    const { fs, channel } = await saved();
    putFile(fs, `${CHECKPOINTS}/seen@1`, new Uint8Array(5));
    fs.mkdirSync(`${CHECKPOINTS}/seen@0000000009`);
    const { ok, problems } = await channel.verify();
    expect(ok).toBe(true);
    expect(problems.map(({ kind, path }) => [kind, path])).toEqual([
      ['leftover', `${CHECKPOINTS}/seen@0000000009`],
      ['leftover', `${CHECKPOINTS}/seen@1`],
    ]);
    await channel.close();
  });

  test('a file in the place of the directory', async () => {
    const fs = new MemoryFs();
    const channel = await openOn(fs);
    await channel.append('x');
    putFile(fs, CHECKPOINTS, new Uint8Array(5));
    const problem = { severity: 'damage', kind: 'checkpoint', path: CHECKPOINTS };
    expect((await channel.verify()).problems).toMatchObject([problem]);
    await channel.close();
  });
});

/** Notes what it reads into, and does something before each asynchronous read. */
class WatchedFs extends MemoryFs {
  readonly largest = new Map<string, number>();
  /** Checkpoints that were gone when they were to be opened. */
  missed = 0;
  beforeRead: () => Promise<void> = () => Promise.resolve();
  #isActing = false;

  override openSync(path: string, mode: OpenMode): FileHandle {
    const isGone = mode === 'read' && this.statSync(path) === undefined;
    if (isGone && path.startsWith(CHECKPOINTS)) this.missed += 1;
    const handle = super.openSync(path, mode);
    const read = handle.read.bind(handle);
    handle.read = async (buffer, offset, length, position): Promise<number> => {
      this.largest.set(path, Math.max(this.largest.get(path) ?? 0, buffer.byteLength));
      if (!this.#isActing) {
        this.#isActing = true;
        await this.beforeRead();
        this.#isActing = false;
      }
      return read(buffer, offset, length, position);
    };
    return handle;
  }
}

describe('a large state', () => {
  const STATE_BYTES = 9 * MIB;

  async function large(): Promise<{ fs: WatchedFs; channel: Channel; path: string }> {
    const fs = new WatchedFs();
    const channel = await openOn(fs);
    await channel.append(payload(1));
    const codec = {
      encode: (): Uint8Array => new Uint8Array(STATE_BYTES).fill(3),
      decode: (): number => 0,
    };
    const fold = await channel.fold({ ...SEEN, name: 'large', initial: 0, apply: () => 0, codec });
    await fold.caughtUp();
    await fold.checkpoint();
    return { fs, channel, path: `${CHECKPOINTS}/large@0000000001` };
  }

  test('is read in pieces, and told as they are read', async () => {
    const { fs, channel, path } = await large();
    fs.largest.clear();
    const told: VerifyProgress[] = [];
    const report = await channel.verify({ onProgress: (progress) => told.push(progress) });
    expect(report).toMatchObject(CLEAN);
    expect(fs.largest.get(path)).toBe(4 * MIB);
    const total = channel.sizeBytes + readFile(fs, path).byteLength;
    expect(new Set(told.map(({ bytesTotal }) => bytesTotal))).toEqual(new Set([total]));
    const done = told.map(({ bytesDone }) => bytesDone);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(done.at(-1)).toBe(total);
    expect(told.filter((one) => one.path === path).length).toBeGreaterThanOrEqual(2);
    expect(report.byteCount).toBe(channel.sizeBytes);
    flip(fs, path, 8 * (8 * MIB));
    const { problems } = await channel.verify();
    expect(problems).toMatchObject([{ kind: 'checkpoint', path, check: 'checksum' }]);
    await channel.close();
  });

  test('can be ended within', async () => {
    const { channel, path } = await large();
    const controller = new AbortController();
    const onProgress = (progress: VerifyProgress): void => {
      if (progress.path === path) controller.abort('enough');
    };
    await expect(channel.verify({ signal: controller.signal, onProgress })).rejects.toBe('enough');
    await channel.close();
  });
});

describe('beside a fold that saves', () => {
  test.each(['the same process', 'another process'])('of %s', async (where) => {
    const fs = new WatchedFs();
    const { channel, fold } = await saved(fs);
    const verified = where === 'the same process' ? channel : await readerOf(fs);
    let id = 5;
    // Two are kept: those that were there go with two new ones.
    fs.beforeRead = async () => {
      for (let i = 0; i < 2; i += 1) {
        await channel.append(payload((id += 1)));
        await fold.caughtUp();
        await fold.checkpoint();
      }
    };
    const reports: VerifyReport[] = [];
    fs.missed = 0;
    for (let i = 0; i < 10; i += 1) reports.push(await verified.verify());
    fs.beforeRead = () => Promise.resolve();
    for (const report of reports) expect(report).toMatchObject(CLEAN);
    expect([fs.missed > 0, id > 15]).toEqual([true, true]);
    if (verified !== channel) await verified.close();
    await channel.close();
  });
});
