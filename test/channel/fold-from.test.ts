/**
 * Goal: a checkpoint of a fold that began half-way is never taken for one of the whole log.
 * Method: folds of one name with one `from` after the other, on a whole and on a trimmed log.
 */
import { expect, test } from 'vitest';
import { readConfig, readManifest, replaceManifest } from '../../src/channel/channel-files.js';
import type { Channel } from '../../src/channel/channel.js';
import { Lab, rejection } from '../support/channel-kit.js';
import { expectTrue, logOf, openFold, payloads, SEEN } from '../support/fold-kit.js';

/** Opened, brought up to date, and closed with a checkpoint; how much it has seen. */
async function life(lab: Lab, channel: Channel, from: number | 'start'): Promise<number> {
  const fold = await openFold(lab, channel, { from });
  await lab.done(fold.caughtUp());
  await lab.done(fold.close());
  return fold.value.length;
}

async function logOfTen(): Promise<{ lab: Lab; channel: Channel }> {
  const lab = new Lab();
  const channel = await lab.open();
  await lab.done(channel.appendBatch(payloads(1, 10)));
  return { lab, channel };
}

/** The same channel without its first records. */
async function without(lab: Lab, channel: Channel, firstSeq: number): Promise<Channel> {
  await lab.done(channel.close());
  const { channelId } = readConfig(lab.disk, lab.directory);
  const manifest = readManifest(lab.disk, lab.directory, channelId);
  replaceManifest(lab.disk, lab.directory, { ...manifest, firstSeq });
  return lab.open();
}

test('one that began above what is asked for is not used: rebuilt', async () => {
  const { lab, channel } = await logOfTen();
  expect(await life(lab, channel, 5)).toBe(5);
  expect(await life(lab, channel, 7)).toBe(5);
  const { logger, lines } = logOf();
  await lab.done(channel.close());
  const again = await lab.open({ logger });
  const fold = await openFold(lab, again);
  expect(lines.map(({ details }) => details['reason'])).toEqual(['from']);
  await expectTrue(lab, again, fold);
  expect(fold.value.length).toBe(10);
  await lab.done(fold.close());
  // What has seen more than is asked for is as good.
  const next = await openFold(lab, again, { from: 5 });
  expect([next.checkpointSeq, next.value.length]).toEqual([10, 10]);
});

test('with the history gone: refused, and usable for whom it is enough', async () => {
  const { lab, channel } = await logOfTen();
  const trimmed = await without(lab, channel, 4);
  expect(await life(lab, trimmed, 'start')).toBe(6);
  const error = await rejection(lab.done(trimmed.fold(SEEN)), 'OUT_OF_RANGE');
  expect(error).toMatchObject({ seq: 0, firstSeq: 4 });
  await rejection(lab.done(trimmed.fold({ ...SEEN, from: 3 })), 'OUT_OF_RANGE');
  expect(await life(lab, trimmed, 4)).toBe(6);
  expect((await openFold(lab, trimmed, { from: 'start' })).checkpointSeq).toBe(10);
});

test("with 'start', what went missing behind a checkpoint counts as where it began", async () => {
  const { lab, channel } = await logOfTen();
  expect(await life(lab, channel, 0)).toBe(10);
  await lab.done(channel.appendBatch(payloads(11, 10)));
  const trimmed = await without(lab, channel, 15);
  expect(await life(lab, trimmed, 'start')).toBe(15);
  await rejection(lab.done(trimmed.fold(SEEN)), 'OUT_OF_RANGE');
  expect((await openFold(lab, trimmed, { from: 15 })).checkpointSeq).toBe(20);
});
