/**
 * Goal: idx and ts never decide about an append (rule W3); a batch is in one frame (rule W4); a
 * frame is bound to its place in the chain of its segment (rule W5); the appends of a tick share
 * writes and a sync.
 * Method: faults on the derived files, and the frames of dat files as they stand on the disk.
 */
import { expect, test } from 'vitest';
import { sameChecksum } from '../../src/format/checksum.js';
import type { Channel } from '../../src/channel/channel.js';
import { choicesFromSeed } from '../../src/testing/choices.js';
import {
  framesOf,
  idsOf,
  Lab,
  LARGE,
  parseDat,
  payload,
  readFile,
  rejection,
} from '../support/channel-kit.js';

const DERIVED = /\.(idx|ts)$/;

async function filled(lab: Lab, count: number): Promise<Channel> {
  const channel = await lab.open({ segmentBytes: 4096 });
  for (let id = 1; id <= count; id += 1) await channel.append(payload(id, 200));
  return channel;
}

/** All files of the channel, by name. */
function files(lab: Lab): Map<string, string> {
  const directory = `${lab.directory}/v0000000001`;
  const names = lab.disk.readDirectorySync(directory).map(({ name }) => name);
  return new Map(
    names
      .filter((name) => !name.endsWith('.tmp'))
      .toSorted()
      .map((name) => {
        const bytes = readFile(lab.disk, `${directory}/${name}`);
        return [name, Buffer.from(bytes).toString('hex')];
      }),
  );
}

test.each([
  ['anyWrite', 'ENOSPC'],
  ['anyWrite', 'EIO'],
  ['createSync', 'EMFILE'],
  ['unlinkSync', 'EIO'],
] as const)(
  'W3: %s of idx and ts that fails with %s rejects no append',
  async (operation, code) => {
    const whole = new Lab();
    await (await filled(whole, 40)).close();
    const lab = new Lab();
    lab.fail(operation, DERIVED, code, { times: Infinity });
    const channel = await filled(lab, 40);
    expect((await channel.get(3))?.payload).toEqual(payload(4, 200));
    expect((await channel.get(39))?.payload).toEqual(payload(40, 200));
    expect(await channel.seqAt(0)).toBe(0);
    await channel.close();

    const next = lab.kill();
    const again = await next.open();
    for (const seq of [0, 13, 39]) {
      expect((await again.get(seq))?.payload).toEqual(payload(seq + 1, 200));
    }
    for (const { seq } of await again.readBatch()) await again.get(seq);
    await again.close();
    // Rebuilt: all derived files that there are have the bytes they would have had.
    const expected = files(whole);
    const present = [...files(next)].filter(([name]) => DERIVED.test(name));
    expect(present.length).toBeGreaterThan(2);
    for (const [name, bytes] of present) expect(bytes, name).toBe(expected.get(name));
  },
);

test('W3: a short write of idx or ts is not believed by the next open', async () => {
  const lab = new Lab();
  lab.cutShort(DERIVED, 10);
  lab.cutShort(/\.ts$/, 33, 'EIO', 2);
  const channel = await filled(lab, 30);
  await channel.close();
  const next = lab.kill();
  const again = await next.open();
  for (let seq = 0; seq < 30; seq += 1) {
    expect((await again.get(seq))?.payload).toEqual(payload(seq + 1, 200));
  }
  expect(await again.seqAt(lab.runtime.now())).toBe(0);
});

test('W3: what is refused as absent is not there after any crash', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(1));
  lab.fail('anyWrite', /\.dat$/, 'ENOSPC');
  const error = await rejection(channel.append(payload(2, 3000)), 'IO');
  expect(error.outcome).toBe('absent');
  for (let seed = 0; seed < 10; seed += 1) {
    const next = lab.cut(choicesFromSeed(seed));
    expect(await idsOf(next, await next.open())).toEqual([1]);
  }
});

test('W4: batches that fit share a frame, and none is split between two', async () => {
  const lab = new Lab();
  const channel = await lab.open({ maxFrameBytes: 4096 });
  const ends: number[] = [];
  const batch = (...ids: number[]): Promise<unknown> => {
    ends.push((ends.at(-1) ?? 0) + ids.length);
    return channel.appendBatch(ids.map((id) => payload(id, 500)));
  };
  await Promise.all([
    batch(1),
    batch(2, 3, 4),
    batch(5, 6, 7),
    batch(8, 9, 10),
    batch(11),
    batch(12, 13, 14, 15, 16, 17),
  ]);
  const starts = framesOf(lab).map(({ baseSeq }) => baseSeq);
  for (const start of starts.slice(1)) expect(ends).toContain(start);
  expect(starts).toEqual([0, 1, 7, 11]);
  expect(await idsOf(lab, channel)).toHaveLength(17);
});

test('W4: a batch beyond maxFrameBytes gets one frame of its own', async () => {
  const lab = new Lab();
  const channel = await lab.open({ maxFrameBytes: 4096 });
  const ids = Array.from({ length: 40 }, (_, i) => 10 + i);
  await Promise.all([
    channel.append(payload(1)),
    channel.append(payload(2)),
    channel.appendBatch(ids.map((id) => payload(id, 500))),
    channel.append(payload(3)),
  ]);
  const frames = framesOf(lab).map(({ baseSeq, recordCount }) => [baseSeq, recordCount]);
  expect(frames).toEqual([
    [0, 1],
    [1, 1],
    [2, 40],
    [42, 1],
  ]);
});

test('W4: a batch larger than a segment is still one frame, and appendBatchSync too', async () => {
  const lab = new Lab();
  const channel = await lab.open({ segmentBytes: 4096, maxFrameBytes: 4096 });
  const ids = Array.from({ length: 20 }, (_, i) => 1 + i);
  await channel.appendBatch(ids.map((id) => payload(id, 700)));
  channel.appendBatchSync(ids.map((id) => payload(100 + id, 700)));
  expect(framesOf(lab).map(({ recordCount }) => recordCount)).toEqual([20, 20]);
});

test('W4: after a cut a large batch is there whole or not at all', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: 'never', maxFrameBytes: 4096 });
  await channel.append(payload(1), { durability: 'synced' });
  const ids = Array.from({ length: 30 }, (_, i) => 2 + i);
  await channel.appendBatch(ids.map((id) => payload(id, 600)));
  const seen = new Set<number>();
  for (let seed = 0; seed < 40; seed += 1) {
    const next = lab.cut(choicesFromSeed(seed));
    seen.add((await idsOf(next, await next.open())).length);
  }
  expect([...seen].toSorted((a, b) => a - b)).toEqual([1, 31]);
});

test('W5: in each segment the chain starts from the checksum of the file header', async () => {
  const lab = new Lab();
  const channel = await filled(lab, 50);
  await lab.runtime.elapse(3000);
  expect(lab.datPaths.length).toBeGreaterThan(2);
  const headers = lab.datPaths.map((path) => {
    const { header, units } = parseDat(readFile(lab.disk, path));
    let link = header.checksum;
    for (const unit of units) {
      expect(sameChecksum(unit.link, link), `${path} at ${unit.position}`).toBe(true);
      link = unit.checksum;
    }
    return header;
  });
  const nonces = headers.map(({ nonce }) => `${nonce.hi}:${nonce.lo}`);
  expect(new Set(nonces).size).toBe(nonces.length);
  const bases = headers.map(({ baseSeq }) => baseSeq);
  expect(bases).toEqual(bases.toSorted((a, b) => a - b));
  for (const { channelId } of headers) expect(channelId).toEqual(headers[0]?.channelId);
  await channel.close();
});

/** Puts bytes over the end of the last dat file and says what the next open shows. */
async function withTail(lab: Lab, at: number, tail: Uint8Array): Promise<unknown[]> {
  const next = lab.kill();
  const file = next.disk.openSync(next.datPaths[0] ?? '', 'write');
  file.truncateSync(at);
  file.writeSync(tail, 0, tail.byteLength, at);
  file.closeSync();
  return idsOf(next, await next.open());
}

test('W5: a whole frame at another place, or from another channel, is not taken', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: 'never' });
  for (const id of [1, 2, 3, 4]) await channel.append(payload(id, 40));
  const bytes = readFile(lab.disk, lab.datPaths[0] ?? '');
  const [, second, third, fourth] = parseDat(bytes).units;
  const at = (unit: { position: number } | undefined): number => unit?.position ?? 0;
  const frame = (from: number, to: number): Uint8Array => bytes.slice(from, to);
  const last = frame(at(fourth), bytes.byteLength);
  expect(await withTail(lab, at(fourth), last)).toEqual([1, 2, 3, 4]);
  expect(await withTail(lab, at(third), last)).toEqual([1, 2]);
  expect(await withTail(lab, at(fourth), frame(at(second), at(third)))).toEqual([1, 2, 3]);
  const other = new Lab({ seed: 99 });
  const foreign = await other.open({ sync: 'never' });
  for (const id of [1, 2, 3, 4]) await foreign.append(payload(id, 40));
  const theirs = readFile(other.disk, other.datPaths[0] ?? '');
  expect(await withTail(lab, at(fourth), theirs.slice(at(fourth)))).toEqual([1, 2, 3]);
});

test('W5: a whole frame at another place behind a torn tail is no witness', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  for (const id of [1, 2, 3, 4]) await channel.append(payload(id, 40));
  const bytes = readFile(lab.disk, lab.datPaths[0] ?? '');
  const [, , third, fourth] = parseDat(bytes).units;
  expect(fourth?.durableSeq).toBe(3);
  // The fourth frame says that three records are synced; where it stands it says nothing.
  const tail = new Uint8Array(16 + bytes.byteLength - (fourth?.position ?? 0));
  tail.set(bytes.subarray(fourth?.position), 16);
  expect(await withTail(lab, third?.position ?? 0, tail)).toEqual([1, 2]);
});

test('group commit: 1,000 appends of a tick share a few writes and one sync', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(0));
  const { length } = lab.watch.calls;
  const appends = Array.from({ length: 1000 }, (_, i) => channel.append(payload(1 + i)));
  const seqs = await Promise.all(appends);
  expect(seqs).toEqual(Array.from({ length: 1000 }, (_, i) => 1 + i));
  const calls = lab.watch.datCalls(length).map(({ call }) => call);
  expect(calls.filter((call) => call === 'write').length).toBeLessThanOrEqual(2);
  expect(calls.filter((call) => call === 'sync')).toHaveLength(1);
  expect(await idsOf(lab, channel)).toHaveLength(1001);
});

test('group commit: all who append while a sync runs share the next one', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(0)));
  const { length } = lab.watch.calls;
  const waiting: Promise<number>[] = [];
  for (let id = 1; id <= 50; id += 1) {
    waiting.push(channel.append(payload(id)));
    await lab.runtime.settle();
  }
  await lab.done(Promise.all(waiting));
  const syncs = lab.watch.datCalls(length).filter(({ call }) => call === 'sync');
  expect(syncs).toHaveLength(2);
});

test('group commit: frames are split at maxFrameBytes, large ones leave the thread', async () => {
  const lab = new Lab();
  const channel = await lab.open({ maxFrameBytes: 1024 * 1024 });
  await channel.append(payload(0));
  const { length } = lab.watch.calls;
  const appends = [1, 2, 3].map((id) => channel.append(payload(id, LARGE)));
  await Promise.all(appends);
  const writes = lab.watch.datCalls(length).filter(({ call }) => call === 'write');
  expect(writes.map(({ isAsync }) => isAsync)).toEqual([true, true, true]);
});
