/**
 * Goal: tails of a store that was opened with readOnly look soon after the file system tells of a
 * change, do not look for every change that is not theirs, and miss nothing when nobody tells.
 * Method: a file system of the reader that tells when the test says so; the clock of the reader is
 * moved by hand.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { SyncPolicy } from '../../src/channel/options.js';
import type { LogRecord } from '../../src/core/record.js';
import { PassingFs } from '../../src/fs/passing-fs.js';
import { Redex } from '../../src/store/redex.js';
import { outcomeOf, payload, type Outcome } from '../support/channel-kit.js';
import { DATA, pathOf, ReadOnlyLab, seqOf } from '../support/read-only-lab.js';

/** Tells of changes when it is told to. */
class TellingFs extends PassingFs {
  readonly watched = new Map<string, () => void>();
  /** As if there were too many watches. */
  isFull = false;

  override watch(path: string, onChange: () => void): () => void {
    if (this.isFull) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    expect(this.watched.has(path)).toBe(false);
    this.watched.set(path, onChange);
    return () => this.watched.delete(path);
  }

  get paths(): string[] {
    return [...this.watched.keys()].toSorted();
  }
}

interface Scene {
  readonly lab: ReadOnlyLab;
  readonly fs: TellingFs;
  readonly written: Channel;
  readonly redex: Redex;
  readonly channel: Channel;
  readonly next: Outcome<IteratorResult<LogRecord>>;
}

/** A tail that has waited until it looks as seldom as it can. */
async function waiting(sync: SyncPolicy = 'never', isFull = false): Promise<Scene> {
  const lab = new ReadOnlyLab();
  const fs = new TellingFs(lab.reads);
  fs.isFull = isFull;
  const written = await (await lab.write({ sync })).channel('a');
  await written.append(payload(0));
  const redex = await Redex.open(DATA, { fs, runtime: lab.runtime, readOnly: true });
  const channel = await redex.channel('a');
  const next = outcomeOf(channel.tail({ from: 1 }).next());
  await lab.runtime.elapse(1000);
  expect(next.state).toBe('pending');
  expect(lab.delays[0]).toBeGreaterThan(100);
  return { lab, fs, written, redex, channel, next };
}

test.each<SyncPolicy>(['never', 'always'])('what is told of is seen at once, %s', async (sync) => {
  const { lab, fs, written, next } = await waiting(sync);
  const journal = sync === 'always' ? [`${DATA}/journal`] : [];
  const all = [pathOf('a'), `${pathOf('a')}/v0000000001`, `${DATA}/journal`];
  expect(all).toEqual(expect.arrayContaining(fs.paths));
  expect(fs.paths).toEqual(expect.arrayContaining(journal));
  await written.append(payload(1));
  const path = journal[0] ?? `${pathOf('a')}/v0000000001`;
  fs.watched.get(path)?.();
  expect(lab.delays).toEqual([0]);
  await lab.runtime.elapse(0);
  expect(seqOf(next.value)).toBe(1);
});

test('a change that comes during a look leads to another one', async () => {
  const { lab, fs, written, next } = await waiting();
  const tell = fs.watched.get(pathOf('a'));
  // The look that begins has passed by what is written now.
  lab.runtime.advance(lab.delays[0] ?? 0);
  tell?.();
  await lab.runtime.elapse(0);
  expect(next.state).toBe('pending');
  await written.append(payload(1));
  await lab.runtime.elapse(40);
  expect(seqOf(next.value)).toBe(1);
});

test('changes of others lead to a look in forty milliseconds at most', async () => {
  const { lab, fs } = await waiting();
  const { total } = lab.reads.calls;
  await lab.runtime.elapse(lab.delays[0] ?? 0);
  const ofOne = lab.reads.calls.total - total;
  const before = lab.reads.calls.total;
  for (let i = 0; i < 1000; i++) {
    for (const tell of fs.watched.values()) tell();
    await lab.runtime.elapse(1);
  }
  const looks = (lab.reads.calls.total - before) / ofOne;
  expect(looks).toBeGreaterThan(10);
  expect(looks).toBeLessThanOrEqual(30);
});

test('a generation that takes the place of another one is watched', async () => {
  const { lab, fs, written, next } = await waiting();
  await written.compact({ keep: () => false });
  await lab.runtime.elapse(200);
  expect(fs.paths).toContain(`${pathOf('a')}/v0000000002`);
  expect(fs.paths).not.toContain(`${pathOf('a')}/v0000000001`);
  await written.append(payload(1));
  fs.watched.get(`${pathOf('a')}/v0000000002`)?.();
  await lab.runtime.elapse(0);
  expect(seqOf(next.value)).toBe(1);
});

test('nothing is watched when nobody waits, and when the channel is closed', async () => {
  const { lab, fs, written, channel, next } = await waiting();
  await written.append(payload(1));
  await lab.runtime.elapse(200);
  expect(seqOf(next.value)).toBe(1);
  await lab.runtime.elapse(200);
  expect([fs.paths, lab.delays]).toEqual([[], []]);
  const another = outcomeOf(channel.tail({ from: 'end' }).next());
  await lab.runtime.elapse(20);
  expect(fs.paths.length).toBeGreaterThan(1);
  await channel.close();
  await lab.runtime.settle();
  expect(another.value?.done).toBe(true);
  expect([fs.paths, lab.delays]).toEqual([[], []]);
});

test('where nothing can be watched everything is still seen', async () => {
  const { lab, fs, written, next } = await waiting('always', true);
  await written.append(payload(1));
  await lab.runtime.elapse(200);
  expect([fs.paths, seqOf(next.value)]).toEqual([[], 1]);
});
