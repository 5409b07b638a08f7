/**
 * Goal: a tail ends for the reasons that its documentation names, tells the right one, settles
 * every step that was asked for, and leaves nothing behind.
 * Method: closes, aborts, returns, failed syncs and damage, each with tails that wait, that are
 * behind, and that are being read.
 */
import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { idsOf, Lab, outcomeOf, payload, rejection, requireCode } from '../support/channel-kit.js';
import { flipBit, framesAt } from '../support/seed-damage.js';
import { range, readToEnd, seqsOf, tailOf } from '../support/tail-kit.js';

const DAT = /\.dat$/;

test('close: a tail that waits gets what was appended last, and then ends', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  await lab.done(channel.append(payload(0)));
  const waiting = tailOf(channel);
  const idle = tailOf(channel, { from: 5 });
  waiting.ask(100);
  idle.ask(2);
  await lab.drain();
  for (let i = 1; i < 4; i += 1) outcomeOf(channel.append(payload(i)));
  await lab.done(channel.close());
  await lab.drain();
  expect([seqsOf(waiting), waiting.done, waiting.pending]).toEqual([range(0, 4), true, 0]);
  expect([seqsOf(idle), idle.done, idle.pending, idle.error]).toEqual([[], true, 0, undefined]);
  expect(await waiting.iterator.next()).toEqual({ value: undefined, done: true });
  expect(lab.faults.openPaths).toEqual([]);
});

test('close: a tail that is busy with a record near the end gets the rest of it', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: 'never' });
  const busy = tailOf(channel);
  const other = tailOf(channel);
  busy.ask();
  other.ask(100);
  await lab.runtime.settle();
  await channel.append(payload(0));
  await lab.runtime.settle();
  expect([seqsOf(busy), busy.pending]).toEqual([[0], 0]);
  for (let i = 1; i < 5; i += 1) {
    await channel.append(payload(i));
    await lab.runtime.settle();
  }
  await channel.close();
  busy.ask(100);
  await lab.runtime.settle();
  expect([busy.found, busy.done]).toEqual([range(0, 5).map((i) => ({ seq: i, id: i })), true]);
  expect(seqsOf(other)).toEqual(range(0, 5));
});

test('close: a tail that is behind ends without an error, also amid a read', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never', segmentBytes: 4096 });
  for (let i = 0; i < 40; i += 1) await lab.done(channel.append(payload(i, 900)));
  const reading = tailOf(channel);
  const resting = tailOf(channel);
  resting.ask();
  await lab.drain();
  reading.ask(100);
  await lab.done(channel.close());
  resting.ask(100);
  await lab.drain();
  for (const tail of [reading, resting]) {
    expect([tail.done, tail.pending, tail.error]).toEqual([true, 0, undefined]);
    expect(seqsOf(tail)).toEqual(range(0, tail.found.length));
  }
});

test('CLOSED: a tail of a closed channel', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(0));
  await channel.close();
  const tail = channel.tail();
  await rejection(tail.next(), 'CLOSED');
  expect((await tail.next()).done).toBe(true);
});

test('signal: aborted before, while it waits, while it reads, between two steps', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  for (let i = 0; i < 80; i += 1) await lab.done(channel.append(payload(i, 5000)));
  const reason = new Error('enough');
  const begin = (from: number | 'end'): [AbortController, ReturnType<typeof tailOf>] => {
    const controller = new AbortController();
    return [controller, tailOf(channel, { from, signal: controller.signal })];
  };
  const abort = async (controller: AbortController): Promise<void> => {
    controller.abort(reason);
    await lab.runtime.settle();
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  };
  const [before, early] = begin(0);
  await abort(before);
  early.ask();
  const [atEnd, waiting] = begin('end');
  waiting.ask(3);
  await lab.drain();
  expect(getEventListeners(atEnd.signal, 'abort').length).toBe(1);
  await abort(atEnd);
  const [midRead, reading] = begin(0);
  reading.ask(2);
  await lab.runtime.settle();
  expect(lab.runtime.heldIo).toBeGreaterThan(0);
  await abort(midRead);
  const [between, resting] = begin(0);
  resting.ask();
  await lab.drain();
  await abort(between);
  resting.ask();
  await lab.drain();
  for (const tail of [early, waiting, reading, resting]) {
    expect([tail.error, tail.pending]).toEqual([reason, 0]);
    expect(tail.found.length).toBe(tail === resting ? 1 : 0);
    expect(await tail.iterator.next()).toEqual({ value: undefined, done: true });
  }
});

test('return: pending steps end at once, and nothing comes afterwards', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  for (let i = 0; i < 80; i += 1) await lab.done(channel.append(payload(i, 5000)));
  const controller = new AbortController();
  const { signal } = controller;
  const waiting = tailOf(channel, { from: 'end', signal });
  const reading = tailOf(channel, { signal, copy: true }, true);
  const resting = tailOf(channel, { signal });
  resting.ask();
  await lab.drain();
  for (const tail of [waiting, reading]) tail.ask(3);
  await lab.runtime.settle();
  expect(getEventListeners(signal, 'abort').length).toBe(3);
  for (const { iterator } of [waiting, reading, resting]) {
    expect(await iterator.return?.()).toEqual({ value: undefined, done: true });
  }
  await lab.runtime.settle();
  expect([waiting.pending, reading.pending]).toEqual([0, 0]);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
  outcomeOf(channel.append(payload(80)));
  resting.ask(3);
  await lab.drain();
  expect([waiting, reading, resting].map(({ found, done }) => [found.length, done])).toEqual([
    [0, true],
    [0, true],
    [1, true],
  ]);
});

test('POISONED: what is durable, then the error; records beyond it are taken back', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never', segmentBytes: 60_000 });
  for (let i = 0; i < 60; i += 1) await lab.done(channel.append(payload(i, 2000)));
  await lab.done(channel.sync());
  const history = tailOf(channel);
  const busy = tailOf(channel, { from: 55 });
  const waiting = tailOf(channel, { from: 58 });
  history.ask();
  busy.ask(2);
  waiting.ask(100);
  await lab.drain();
  for (let i = 60; i < 64; i += 1) await lab.done(channel.append(payload(i)));
  await lab.runtime.settle();
  expect(seqsOf(waiting)).toEqual(range(58, 64));
  // Up to here written records were visible. Now they are not any more.
  const ahead = tailOf(channel, { from: 57 });
  ahead.ask(4);
  await lab.drain();
  lab.fail('datasync', DAT, 'EIO');
  const sync = outcomeOf(channel.sync());
  await lab.drain();
  requireCode(sync.error, 'POISONED');
  for (const tail of [history, busy, ahead]) tail.ask(100);
  const late = tailOf(channel, { from: 'end' });
  late.ask();
  const beyond = tailOf(channel, { from: 62 });
  beyond.ask();
  await lab.drain();
  for (const tail of [history, busy, waiting, ahead, late, beyond]) {
    requireCode(tail.error, 'POISONED');
  }
  expect([history, busy, ahead].map(seqsOf)).toEqual([range(0, 60), range(55, 60), range(57, 61)]);
  expect([late, beyond].map(seqsOf)).toEqual([[], []]);
});

test('POISONED: a sync that fails while a tail reads takes back what it read', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  for (let i = 0; i < 100; i += 1) {
    await lab.done(channel.append(payload(i, 10_000)));
    if (i === 59) await lab.done(channel.sync());
  }
  await lab.drain();
  const tail = tailOf(channel, { from: 60 });
  tail.ask();
  await lab.runtime.settle();
  expect(lab.runtime.heldIo).toBe(1);
  lab.fail('datasync', DAT, 'EIO');
  const sync = outcomeOf(channel.sync());
  await lab.runtime.settle();
  lab.runtime.runIo(1);
  await lab.runtime.settle();
  requireCode(sync.error, 'POISONED');
  await lab.drain();
  requireCode(tail.error, 'POISONED');
  expect(tail.found).toEqual([]);
});

test('CORRUPT: damage below what was synced, when a tail gets there', async () => {
  const origin = new Lab();
  const first = await origin.open();
  for (let i = 0; i < 6; i += 1) await first.append(payload(i));
  await first.sync();
  const lab = origin.kill();
  const [path = ''] = lab.datPaths;
  flipBit(lab.disk, path, (framesAt(lab.disk, path)[3]?.position ?? 0) + 70, 2);
  const channel = await lab.open();
  const tail = tailOf(channel);
  await readToEnd(lab, tail);
  expect(seqsOf(tail)).toEqual([0, 1, 2]);
  expect(requireCode(tail.error, 'CORRUPT').seqRange?.firstSeq).toBe(3);
  for (const from of ['end', 4] as const) {
    const other = tailOf(channel, { from });
    other.ask();
    await lab.drain();
    requireCode(other.error, 'CORRUPT');
    expect(other.found).toEqual([]);
  }
});

test('IO: a read that fails is told to who needs it; others go on', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  for (let i = 0; i < 4; i += 1) await lab.done(channel.append(payload(i)));
  const tails = [0, 1, 2].map(() => tailOf(channel, { from: 'end' }));
  for (const tail of tails) tail.ask(10);
  await lab.drain();
  await lab.done(channel.append(payload(4)));
  await lab.drain();
  // The hub's read fails, and the own read of the first tail.
  lab.fail('readSync', DAT, 'EIO', { times: 1 });
  const fault = lab.fail('read', DAT, 'EIO');
  await lab.done(channel.append(payload(5)));
  await lab.drain();
  expect(fault.fired).toBe(1);
  expect(tails.filter(({ error }) => error !== undefined).length).toBe(1);
  const whole = tails.filter(({ error }) => error === undefined);
  for (const tail of whole) expect(seqsOf(tail)).toEqual([4, 5]);
  await lab.done(channel.append(payload(6)));
  await lab.drain();
  for (const tail of whole) expect(seqsOf(tail)).toEqual([4, 5, 6]);
  expect(await idsOf(lab, channel)).toEqual(range(0, 7));
});

test('OUT_OF_RANGE: below the first seq', async () => {
  const lab = new Lab();
  const channel = await lab.open({ firstSeq: 100 });
  for (const appended of [false, true]) {
    if (appended) await channel.append(payload(0));
    const error = await rejection(channel.tail({ from: 99 }).next(), 'OUT_OF_RANGE');
    const nextSeq = appended ? 101 : 100;
    expect(error).toMatchObject({ seq: 99, firstSeq: 100, nextSeq });
  }
});
