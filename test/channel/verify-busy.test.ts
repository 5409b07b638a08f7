/**
 * Goal: a verification may take long, and the log goes on meanwhile: what is trimmed, compacted or
 * let go by retention is never called damaged, and the caller is never told that it went back.
 * Method: before each of its reads in turn something is done to the log and waited for, by the same
 * process or by another one.
 */
import { describe, expect, test } from 'vitest';
import { SharedResources } from '../../src/channel/channel-context.js';
import { Channel } from '../../src/channel/channel.js';
import { FollowedChannel } from '../../src/channel/followed-channel.js';
import { readChannel } from '../../src/channel/open-channel.js';
import { settingsOf } from '../../src/channel/settings.js';
import type { VerifyProgress, VerifyReport } from '../../src/channel/verify-report.js';
import type { FileHandle, OpenMode } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { payload, payloadId, rejection } from '../support/channel-kit.js';
import { openChannelIn } from '../support/open-channel.js';

const DIRECTORY = '/data/log';
const RECORDS = 24;
const BYTES = 60_000;
const PLACE = { directory: DIRECTORY, name: undefined, isNameSynced: true };

/** Something is done, and waited for, before a read of a dat file. */
class SlowFs extends FaultFs {
  reads = 0;
  #isActing = false;
  beforeRead: ((nth: number) => Promise<unknown>) | undefined;

  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = super.openSync(path, mode);
    const read = handle.read.bind(handle);
    handle.read = async (buffer, offset, length, position): Promise<number> => {
      // What is done reads as well, and so does what reads ahead.
      if (this.beforeRead !== undefined && !this.#isActing) {
        this.#isActing = true;
        await this.beforeRead(this.reads++);
        this.#isActing = false;
      }
      return read(buffer, offset, length, position);
    };
    return handle;
  }
}

/** A writer and a channel that is verified: the same one, or a reader's beside it. */
interface Pair {
  readonly disk: MemoryFs;
  readonly runtime: ManualRuntime;
  readonly slow: SlowFs;
  readonly writer: Channel;
  readonly verified: Channel;
}

const WHERE = ['the same process', 'another process'] as const;

async function pairIn(where: (typeof WHERE)[number]): Promise<Pair> {
  const disk = new MemoryFs();
  const runtime = new ManualRuntime({ seed: 1, ioOrder: 'immediate' });
  const options = { runtime, segmentBytes: 256 * 1024, sync: 'never' } as const;
  const slow = new SlowFs(disk);
  const fs = where === 'the same process' ? slow : disk;
  const writer = await openChannelIn(DIRECTORY, { ...options, fs });
  for (let id = 0; id < RECORDS; id += 1) writer.appendSync(payload(id, BYTES));
  await writer.sync();
  if (where === 'the same process') return { disk, runtime, slow, writer, verified: writer };
  const settings = settingsOf({ fs: slow, runtime });
  const { context } = readChannel(PLACE, settings, new SharedResources(settings), true);
  const verified = new Channel(await FollowedChannel.open(context, () => {}));
  return { disk, runtime, slow, writer, verified };
}

interface Watched {
  readonly report: VerifyReport;
  readonly told: readonly VerifyProgress[];
}

async function watched(
  { slow, verified }: Pair,
  act: Pair['slow']['beforeRead'],
): Promise<Watched> {
  const told: VerifyProgress[] = [];
  slow.reads = 0;
  slow.beforeRead = act;
  try {
    const report = await verified.verify({ onProgress: (progress) => told.push(progress) });
    return { report, told };
  } finally {
    slow.beforeRead = undefined;
  }
}

function expectFine({ report, told }: Watched, hint: string): void {
  const wrong = report.problems.filter(({ severity }) => severity !== 'note');
  expect([report.ok, wrong], hint).toEqual([true, []]);
  const shares = told.map(({ bytesDone, bytesTotal }) => bytesDone / bytesTotal);
  expect(shares, hint).toEqual(shares.toSorted((a, b) => a - b));
  expect(shares.at(-1), hint).toBe(1);
}

/** The number of files of the log, once nothing is being removed any more. */
async function filesLeft({ disk, writer, runtime }: Pair): Promise<number> {
  for (let i = 0; i < 20; i += 1) await runtime.settle();
  await writer.close();
  const generations = disk.readDirectorySync(DIRECTORY).filter(({ kind }) => kind === 'directory');
  return generations.reduce((sum, { name }) => {
    return sum + disk.readDirectorySync(`${DIRECTORY}/${name}`).length;
  }, 0);
}

const everySecond = (channel: Channel): Promise<unknown> =>
  channel.compact({ keep: ({ payload: bytes }) => (payloadId(bytes) ?? 0) % 2 === 1 });

const ACTS: readonly [string, (channel: Channel) => Promise<unknown>][] = [
  ['a trim', (channel) => channel.trim({ beforeSeq: 12 })],
  ['a trim of everything', (channel) => channel.trim({ beforeSeq: channel.nextSeq })],
  ['retention', (channel) => channel.configure({ retention: { maxRecords: 6 } })],
  ['a compaction', everySecond],
  [
    'a compaction, a trim and appends',
    async (channel) => {
      for (let id = 0; id < 10; id += 1) channel.appendSync(payload(id, BYTES));
      await everySecond(channel);
      channel.appendSync(payload(1, BYTES));
      await channel.trim({ beforeSeq: 15 });
    },
  ],
];

describe.each(WHERE)('in %s', (where) => {
  test.each(ACTS)('%s before any of its reads', async (_name, act) => {
    const undisturbed = await pairIn(where);
    expectFine(await watched(undisturbed, () => NOTHING), 'nothing');
    const { reads } = undisturbed.slow;
    expect(reads).toBeGreaterThan(5);
    await act(undisturbed.writer);
    const expected = await filesLeft(undisturbed);
    for (let at = 0; at < reads; at += 1) {
      const pair = await pairIn(where);
      const result = await watched(pair, (nth) => (nth === at ? act(pair.writer) : NOTHING));
      expectFine(result, `before read ${at} of ${reads}`);
      // What was kept for it is not kept any longer.
      expect(await filesLeft(pair), `before read ${at} of ${reads}`).toBe(expected);
    }
  });

  test('appends at every read, and trims', async () => {
    const pair = await pairIn(where);
    const { writer } = pair;
    const result = await watched(pair, async (nth) => {
      writer.appendSync(payload(nth, BYTES));
      // A look of another process needs more than one read to see all.
      if (nth % 4 === 3) await writer.trim({ beforeSeq: Math.min(writer.nextSeq, 4 * nth) });
    });
    expectFine(result, 'trims');
    expect(writer.firstSeq).toBeGreaterThan(5);
  });

  test('compactions now and then', async () => {
    const pair = await pairIn(where);
    const { writer } = pair;
    const result = await watched(pair, async (nth) => {
      writer.appendSync(payload(nth, BYTES));
      if (nth === 4 || nth === 9) await everySecond(writer);
    });
    expectFine(result, 'compactions');
  });
});

const NOTHING = Promise.resolve();

test('one that is compacted all the time is an error of the call', async () => {
  const pair = await pairIn('another process');
  const { writer } = pair;
  const verifying = watched(pair, async (nth) => {
    writer.appendSync(payload(0, BYTES));
    // Often enough that no start comes to its end, and seldom enough for it to begin.
    if (nth % 6 === 5) await everySecond(writer);
  });
  const error = await rejection(verifying, 'IO');
  expect(error).toMatchObject({ operation: 'verify', systemCode: 'EAGAIN', path: DIRECTORY });
});

test('who begins again with another generation is not told less than before', async () => {
  const pair = await pairIn('another process');
  const { writer } = pair;
  for (let id = 0; id < 80; id += 1) writer.appendSync(payload(id + RECORDS, BYTES));
  let at = 0;
  const undisturbed = await watched(pair, (nth) => {
    at = nth;
    return NOTHING;
  });
  const result = await watched(pair, async (nth) => {
    if (nth === at - 12) await writer.compact({ keep: ({ seq }) => seq > 0 });
  });
  expectFine(result, `before read ${at - 12}`);
  const totals = new Set(result.told.map(({ bytesTotal }) => bytesTotal));
  expect([undisturbed.told.length > 4, totals.size]).toEqual([true, 2]);
});
