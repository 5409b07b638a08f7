/**
 * Goal: what a failed or short write left is cut off before anything else is written, and nothing
 * of it is ever accepted (rule W2); errors say truly what is known (rule W3).
 * Method: faults at each write; the calls on dat and the bytes in it are compared with what was
 * accepted.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { viewOf } from '../../src/format/bytes.js';
import { readChecksum } from '../../src/format/checksum.js';
import { FrameEncoder } from '../../src/format/frame-encoder.js';
import { choicesFromSeed } from '../../src/testing/choices.js';
import {
  framesOf,
  GENERATION,
  idsOf,
  Lab,
  LARGE,
  outcomeOf,
  parseDat,
  payload,
  readFile,
  rejection,
  requireCode,
  thrown,
} from '../support/channel-kit.js';
import type { WatchedCall } from '../support/channel-watch.js';

const DAT = /\.dat$/;

/** A write that stops after so many bytes with an error; 0 for an error at once. */
function breakWrite(lab: Lab, bytes: number, error: string, nth = 1): void {
  if (bytes > 0) lab.cutShort(DAT, bytes, error, nth);
  else lab.fail('anyWrite', DAT, error, { nth });
}

/** The writes and cuts of these calls: what, where, and how many bytes were written. */
function changes(calls: readonly WatchedCall[]): (string | number)[][] {
  return calls
    .filter(({ call }) => call === 'write' || call === 'truncate')
    .map(({ call, position, count }) => [call, position, count]);
}

const failures = [
  [0, 'ENOSPC'],
  [0, 'EIO'],
  [1, 'ENOSPC'],
  [63, 'EIO'],
  [64, 'ENOSPC'],
  [100, 'EDQUOT'],
] as const;

test.each(failures)(
  'W2: a write that ends after %i bytes with %s leaves nothing',
  async (n, code) => {
    const lab = new Lab();
    const channel = await lab.open();
    await channel.append(payload(1));
    const [path = ''] = lab.datPaths;
    const before = readFile(lab.disk, path);
    const { length } = lab.watch.calls;
    breakWrite(lab, n, code);
    const error = await rejection(channel.append(payload(2, 200)), 'IO');
    expect(error).toMatchObject({
      systemCode: code,
      outcome: n === 0 ? 'absent' : 'unknown',
      path,
    });
    expect(readFile(lab.disk, path)).toEqual(before);
    expect(await channel.append(payload(3))).toBe(1);
    // The rest of a short write is tried at once; that reports the error.
    const end = before.byteLength;
    const left = [
      ['write', end, n],
      ['write', end + n, 0],
      ['truncate', end, 0],
    ];
    const again = ['write', end, readFile(lab.disk, path).byteLength - end];
    const expected = n === 0 ? [['write', end, 0], again] : [...left, again];
    expect(changes(lab.watch.datCalls(length))).toEqual(expected);
    expect(await idsOf(lab, channel)).toEqual([1, 3]);
  },
);

test.each([0, 1, 4000, 590_000])(
  'W2: a large write that ends after %i bytes is cut off before anything else is written',
  async (n) => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await lab.open();
    await lab.done(channel.append(payload(1)));
    const [path = ''] = lab.datPaths;
    const { byteLength } = readFile(lab.disk, path);
    breakWrite(lab, n, 'ENOSPC');
    const large = outcomeOf(channel.append(payload(2, LARGE)));
    const behind = outcomeOf(channel.append(payload(3)));
    await lab.drain();
    expect(requireCode(large.error, 'IO').outcome).toBe(n === 0 ? 'absent' : 'unknown');
    requireCode(behind.error, 'IO');
    expect(readFile(lab.disk, path).byteLength).toBe(byteLength);
    expect(await lab.done(channel.append(payload(4)))).toBe(1);
    expect(await idsOf(lab, channel)).toEqual([1, 4]);
    expect(lab.watch.violations).toEqual([]);
  },
);

test.each(failures)(
  'W2: a seal that ends after %i bytes with %s leaves nothing',
  async (n, code) => {
    const lab = new Lab();
    const channel = await lab.open({ segmentBytes: 4096 });
    await channel.append(payload(1, 3000));
    const [path = ''] = lab.datPaths;
    const before = readFile(lab.disk, path);
    breakWrite(lab, Math.min(n, 60), code);
    await rejection(channel.append(payload(2, 3000)), 'IO');
    expect(readFile(lab.disk, path)).toEqual(before);
    expect(lab.datPaths).toHaveLength(1);
    expect(await channel.append(payload(3, 3000))).toBe(1);
    expect(await idsOf(lab, channel)).toEqual([1, 3]);
    const next = lab.kill();
    expect(await idsOf(next, await next.open())).toEqual([1, 3]);
  },
);

test.each(failures)(
  'W2: a file header that ends after %i bytes with %s is no file',
  async (n, code) => {
    const lab = new Lab();
    const channel = await lab.open({ segmentBytes: 4096 });
    await channel.append(payload(1, 3000));
    breakWrite(lab, Math.min(n, 60), code, 2);
    await rejection(channel.append(payload(2, 3000)), 'IO');
    expect(lab.datPaths).toHaveLength(1);
    expect(await channel.append(payload(3, 3000))).toBe(1);
    expect(await idsOf(lab, channel)).toEqual([1, 3]);
    await channel.close();
    const next = lab.kill();
    expect(await idsOf(next, await next.open())).toEqual([1, 3]);
  },
);

test('W2: when what was written cannot be cut off, the channel is poisoned', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(1));
  lab.cutShort(DAT, 50);
  lab.fail('truncateSync', DAT, 'EIO');
  const error = await rejection(channel.append(payload(2, 200)), 'POISONED');
  expect(error).toMatchObject({ outcome: 'unknown', cause: { code: 'EIO' } });
  expect(error.message).toContain(`has left in ${lab.datPaths[0]} could not be cut off: `);
  await rejection(channel.append(payload(3)), 'POISONED');
  thrown(() => channel.appendSync(payload(3)), 'POISONED');
  const next = lab.kill();
  expect(await idsOf(next, await next.open())).toEqual([1]);
});

test('W2: when a half-made segment cannot be removed, the channel is poisoned', async () => {
  const lab = new Lab();
  const channel = await lab.open({ segmentBytes: 4096 });
  await channel.append(payload(1, 3000));
  lab.cutShort(DAT, 30, 'ENOSPC', 2);
  lab.fail('unlinkSync', DAT, 'EIO');
  const error = await rejection(channel.append(payload(2, 3000)), 'POISONED');
  expect(error.message).toContain(`could not be removed from ${GENERATION}: `);
  await rejection(channel.append(payload(3)), 'POISONED');
  const next = lab.kill();
  const again = await next.open();
  expect(await again.append(payload(4))).toBe(1);
  expect(await idsOf(next, again)).toEqual([1, 4]);
});

test('W2: when a seal cannot be taken back, the channel is poisoned, and says why', async () => {
  const lab = new Lab();
  const channel = await lab.open({ segmentBytes: 4096 });
  await channel.append(payload(1, 3000));
  lab.fail('openSync', /0001\.dat$/, 'ENOSPC');
  lab.fail('truncateSync', DAT, 'EIO');
  const error = await rejection(channel.append(payload(2, 3000)), 'POISONED');
  expect(error).toMatchObject({ path: GENERATION, cause: { code: 'EIO' } });
  expect(error.message).toContain(`has left in ${GENERATION} could not be cut off: `);
});

test('W2: all that is queued behind a failed write fails with it', async () => {
  const lab = new Lab();
  const channel = await lab.open({ maxFrameBytes: 4096 });
  await channel.append(payload(1));
  // Written inside the call; the others of the tick follow in a frame each.
  const tick = [2, 3, 4, 5].map((id) => outcomeOf(channel.append(payload(id, 3000))));
  breakWrite(lab, 100, 'ENOSPC', 2);
  await lab.runtime.settle();
  expect(tick.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'rejected', 'rejected']);
  expect(await idsOf(lab, channel)).toEqual([1, 2, 3]);
  expect(await channel.append(payload(6))).toBe(3);
});

test('W2: of a short write of several records none is accepted', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(1));
  const first = outcomeOf(channel.append(payload(2)));
  const rest = [3, 4, 5].map((id) => outcomeOf(channel.append(payload(id, 600))));
  // Enough for two of the three.
  lab.cutShort(DAT, 1500);
  await lab.runtime.settle();
  expect(first.state).toBe('resolved');
  for (const { error } of rest) requireCode(error, 'IO');
  for (let seed = 0; seed < 6; seed += 1) {
    const next = lab.cut(choicesFromSeed(seed));
    expect(await idsOf(next, await next.open())).toEqual([1, 2]);
  }
  expect(await idsOf(lab, channel)).toEqual([1, 2]);
});

test('W2: a full disk rejects, and the channel works again when there is space', async () => {
  const lab = new Lab();
  const channel = await lab.open({ segmentBytes: 4096 });
  await channel.append(payload(1, 2000));
  const full = lab.fail('anyWrite', /./, 'ENOSPC', { times: Infinity });
  for (const size of [10, 3000, 10]) {
    const error = await rejection(channel.append(payload(2, size)), 'IO');
    expect(error).toMatchObject({ systemCode: 'ENOSPC', outcome: 'absent' });
    thrown(() => channel.appendSync(payload(2, size)), 'IO');
  }
  full.remove();
  expect(await channel.append(payload(3, 3000))).toBe(1);
  expect(channel.appendSync(payload(4))).toBe(2);
  expect(await idsOf(lab, channel)).toEqual([1, 3, 4]);
  await channel.close();
});

test('W2: a retry has another attempt number and so other bytes', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(1));
  const attempts: number[] = [];
  for (let i = 0; i < 3; i += 1) {
    const { length } = lab.watch.calls;
    lab.cutShort(DAT, 70);
    await rejection(channel.append(payload(2)), 'IO');
    const write = lab.watch.datCalls(length).find(({ call }) => call === 'write');
    attempts.push(viewOf(write?.bytes ?? new Uint8Array(64)).getUint32(40, true));
  }
  await channel.append(payload(2));
  attempts.push(...framesOf(lab).map(({ attempt }) => attempt));
  expect(new Set(attempts).size).toBe(5);
});

/** One record behind `position`, chained to the frame with this checksum. */
function frameBehind(lab: Lab, link: { hi: number; lo: number }, id: number): Uint8Array {
  const { header, byteLength } = parseDat(readFile(lab.disk, lab.datPaths[0] ?? ''));
  const encoder = new FrameEncoder();
  const payloads = payload(id, 40);
  const content = {
    first: 0,
    recordCount: 1,
    lengths: Uint32Array.of((40 | 0x80000000) >>> 0),
    seqs: undefined,
    types: undefined,
    timestamps: undefined,
    baseSeq: 2,
    timestamp: { hi: 400_000_000, lo: 0 },
    payloads,
    payloadStart: 0,
    payloadBytes: 40,
  };
  const { nonce } = header;
  encoder.encode(content, { position: byteLength, attempt: 7, link, nonce, durableSeq: 0 });
  return encoder.bytes.slice(0, encoder.byteLength);
}

async function staleBehindRetry(chained: 'failed' | 'retried'): Promise<(number | undefined)[]> {
  const lab = new Lab();
  const channel: Channel = await lab.open();
  await channel.append(payload(1));
  const { length } = lab.watch.calls;
  lab.cutShort(DAT, 70);
  await rejection(channel.append(payload(2)), 'IO');
  const failed = lab.watch.datCalls(length).find(({ call }) => call === 'write');
  await channel.append(payload(2));
  const [path = ''] = lab.datPaths;
  const retried = parseDat(readFile(lab.disk, path)).units.at(-1)?.checksum ?? { hi: 0, lo: 0 };
  const first = readChecksum(viewOf(failed?.bytes ?? new Uint8Array(64)), 0);
  const next = lab.kill();
  const stale = frameBehind(next, chained === 'failed' ? first : retried, 3);
  const file = next.disk.openSync(path, 'write');
  file.writeSync(stale, 0, stale.byteLength, file.sizeSync());
  file.closeSync();
  return idsOf(next, await next.open());
}

test('W2: after the retry of A alone, a stale B behind it does not chain', async () => {
  expect(await staleBehindRetry('failed')).toEqual([1, 2]);
  // What would chain to the retry is taken: the frame itself is good.
  expect(await staleBehindRetry('retried')).toEqual([1, 2, 3]);
});
