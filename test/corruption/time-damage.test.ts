/**
 * Goal: a search by time never gives a later record in place of one that cannot be read: it says
 * CORRUPT, unless what is behind the damage proves that nothing in it was asked for.
 * Method: records of rising times, each in a frame of its own; a frame is damaged, and every time
 * is asked for, with idx and ts and without them, by the writer and read-only.
 */
import { describe, expect, test } from 'vitest';
import { SharedResources } from '../../src/channel/channel-context.js';
import { Channel } from '../../src/channel/channel.js';
import { FollowedChannel } from '../../src/channel/followed-channel.js';
import { readChannel } from '../../src/channel/open-channel.js';
import { settingsOf } from '../../src/channel/settings.js';
import { RedexError, type SeqRange } from '../../src/core/errors.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import {
  durableCopy,
  errorOf,
  fileOf,
  flipBit,
  LOG,
  openLog,
  readFile,
  truncateFile,
  unitsOf,
} from '../support/recovery-lab.js';

const START_MS = 1_700_000_000_000;
const COUNT = 8;
/** Base of the second segment. */
const SECOND = 6;

const timeOf = (seq: number): number => START_MS + 100 * seq;

/** Records 0 to 5 in a segment, 6 and 7 in the next. Closed. */
async function rising(): Promise<CrashFs> {
  const fs = new CrashFs();
  const { channel, runtime } = await openLog(fs, { segmentMs: 0, segmentBytes: 4096 });
  for (let seq = 0; seq < COUNT; seq += 1) {
    const payload = seq === SECOND ? 'x'.repeat(3600) : `text ${seq}`;
    await channel.append(payload, { timestamp: timeOf(seq) });
    runtime.advance(1);
  }
  await channel.close();
  return durableCopy(fs);
}

type Answer = number | SeqRange | undefined;

/** What is said to each time: of the records, and between them. */
async function answersOf(channel: Channel): Promise<Map<number, Answer>> {
  const answers = new Map<number, Answer>();
  for (let half = 0; half <= 2 * COUNT; half += 1) {
    const seq = half / 2;
    try {
      answers.set(seq, await channel.seqAt(timeOf(seq)));
    } catch (error) {
      if (!RedexError.is(error, 'CORRUPT')) throw error;
      answers.set(seq, error.seqRange);
    }
  }
  return answers;
}

/** The first record at or after a time between 0 and COUNT, where none is lost. */
const rightFor = (at: number): number => Math.ceil(at);

function withoutDerived(fs: CrashFs): void {
  for (const base of [0, SECOND]) {
    fs.unlinkSync(fileOf(base, 'idx'));
    fs.unlinkSync(fileOf(base, 'ts'));
  }
}

describe.each(['with idx and ts', 'without them'] as const)('%s', (derived) => {
  test('a damaged frame costs the times between the records around it', async () => {
    for (let lost = 0; lost < SECOND; lost += 1) {
      const fs = await rising();
      const frame = unitsOf(readFile(fs, fileOf(0)))[lost];
      flipBit(fs, fileOf(0), 8 * ((frame?.at ?? 0) + 70));
      if (derived === 'without them') withoutDerived(fs);
      const { channel } = await openLog(fs);
      for (const [at, answer] of await answersOf(channel)) {
        // The segment behind it says of its own that nothing before it is newer than record 5.
        const isAsked = at > lost - 1 && (lost === SECOND - 1 ? at <= lost : at <= lost + 1);
        const right = isAsked ? { firstSeq: lost, nextSeq: lost + 1 } : rightFor(at);
        expect(answer, `${at} with ${lost} lost`).toEqual(right);
      }
      await channel.close();
    }
  });
});

test('several damaged frames in a row are one range', async () => {
  const fs = await rising();
  for (const lost of [2, 3]) {
    const frame = unitsOf(readFile(fs, fileOf(0)))[lost];
    flipBit(fs, fileOf(0), 8 * ((frame?.at ?? 0) + 70));
  }
  const { channel } = await openLog(fs);
  const answers = await answersOf(channel);
  expect(answers.get(1)).toBe(1);
  expect(answers.get(2)).toEqual({ firstSeq: 2, nextSeq: 4 });
  expect(answers.get(4)).toEqual({ firstSeq: 2, nextSeq: 4 });
  expect(answers.get(4.5)).toBe(5);
});

test('a damaged frame of which nothing is wanted any more', async () => {
  const fs = await rising();
  const frame = unitsOf(readFile(fs, fileOf(0)))[2];
  flipBit(fs, fileOf(0), 8 * ((frame?.at ?? 0) + 70));
  const { channel } = await openLog(fs);
  await channel.trim({ beforeSeq: 3 });
  expect(await channel.seqAt(timeOf(0))).toBe(3);
  expect(await channel.seqAt(timeOf(3))).toBe(3);
});

test('the first segment is not there', async () => {
  const fs = await rising();
  for (const kind of ['dat', 'idx', 'ts'] as const) fs.unlinkSync(fileOf(0, kind));
  const { channel } = await openLog(fs);
  const answers = await answersOf(channel);
  for (const at of [0, 3, 5]) expect(answers.get(at)).toEqual({ firstSeq: 0, nextSeq: SECOND });
  for (const at of [5.5, 6]) expect(answers.get(at)).toBe(SECOND);
});

test('a segment that ends too early', async () => {
  const fs = await rising();
  const frames = unitsOf(readFile(fs, fileOf(0)));
  truncateFile(fs, fileOf(0), frames[4]?.at ?? 0);
  const { channel } = await openLog(fs);
  const answers = await answersOf(channel);
  expect(answers.get(3)).toBe(3);
  for (const at of [3.5, 4, 5]) expect(answers.get(at)).toEqual({ firstSeq: 4, nextSeq: SECOND });
  for (const at of [5.5, 6]) expect(answers.get(at)).toBe(SECOND);
});

/** The channel of a process that only reads. */
async function openReadOnly(fs: CrashFs): Promise<Channel> {
  const runtime = new ManualRuntime({ seed: 1, ioOrder: 'immediate' });
  const settings = settingsOf({ fs, runtime });
  const place = { directory: LOG, name: undefined, isNameSynced: true };
  const { context } = readChannel(place, settings, new SharedResources(settings), true);
  return new Channel(await FollowedChannel.open(context, () => {}));
}

test.each(['the writer', 'a reader'])('a log that ends below what was synced: %s', async (who) => {
  const fs = await rising();
  const frame = unitsOf(readFile(fs, fileOf(SECOND)))[1];
  truncateFile(fs, fileOf(SECOND), frame?.at ?? 0);
  const channel = who === 'a reader' ? await openReadOnly(fs) : (await openLog(fs)).channel;
  expect(await channel.seqAt(timeOf(6))).toBe(6);
  const error = await errorOf('CORRUPT', () => channel.seqAt(timeOf(7)));
  expect(error.seqRange).toEqual({ firstSeq: 7, nextSeq: 8 });
  await errorOf('CORRUPT', () => channel.seqAt(timeOf(9)));
  await errorOf('CORRUPT', () => channel.read({ fromTime: timeOf(7) }).next());
});
