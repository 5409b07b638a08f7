/**
 * Goal: damage inside finished segments is found by reads, fails exactly there, poisons nothing,
 * and no wrong byte is ever returned (RULES C9, target R3).
 * Method: a small, cleanly closed directory with several segments; every bit of every file is
 * flipped, every file is cut at every length, every block is zeroed.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { RedexError } from '../../src/core/errors.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import {
  durableCopy,
  fileOf,
  fillFile,
  flipBit,
  LOG,
  openLog,
  readFile,
  textOf,
  tree,
  truncateFile,
  unitsOf,
} from '../support/recovery-lab.js';

/** Six short records, two to a segment, one frame each. */
const TEXTS = Array.from({ length: 6 }, (_, i) => `text ${i} ${'y'.repeat(3 * i)}`);

async function closedLog(): Promise<CrashFs> {
  const fs = new CrashFs();
  const { channel, runtime } = await openLog(fs, { segmentMs: 10 });
  for (const [index, text] of TEXTS.entries()) {
    if (index % 2 === 0) runtime.advance(10);
    await channel.append(text, { type: index + 1 });
  }
  await channel.close();
  return durableCopy(fs);
}

interface Outcome {
  /** The error of an open that was refused. */
  readonly refused: string | undefined;
  readonly readable: readonly number[];
  readonly writable: boolean;
}

function corrupt(error: unknown, what: string): RedexError & { code: 'CORRUPT' } {
  if (RedexError.is(error, 'CORRUPT')) return error;
  throw new Error(`${what}: ${String(error)}`, { cause: error });
}

/** The same as `expect(...).toBe(...)`, which takes most of the time where all is well. */
function same(actual: unknown, expected: unknown, what: string): void {
  if (!Object.is(actual, expected)) expect(actual, what).toBe(expected);
}

/** Reads onwards behind each error, as its seqRange says. */
async function scanOn(channel: Channel, what: string): Promise<Set<number>> {
  const seen = new Set<number>();
  for (let from = 0; from < channel.nextSeq;) {
    try {
      for await (const record of channel.read({ from })) {
        same(textOf(record), TEXTS[record.seq], what);
        same(record.type, record.seq + 1, what);
        seen.add(record.seq);
        from = record.seq + 1;
      }
      break;
    } catch (error) {
      const { seqRange } = corrupt(error, what) as RedexError & {
        seqRange?: { firstSeq: number; nextSeq: number };
      };
      same(seqRange?.firstSeq, from, what);
      expect(seqRange?.nextSeq, what).toBeGreaterThan(from);
      from = seqRange?.nextSeq ?? Infinity;
    }
  }
  return seen;
}

async function outcomeOf(fs: CrashFs, what: string): Promise<Outcome> {
  const before = fs.mutations.total;
  let channel: Channel;
  try {
    ({ channel } = await openLog(fs));
  } catch (error) {
    const known = RedexError.is(error, 'CORRUPT') || RedexError.is(error, 'FORMAT_VERSION');
    if (!known) throw new Error(what, { cause: error });
    same(fs.mutations.total, before, what);
    return { refused: error.code, readable: [], writable: false };
  }
  const readable: number[] = [];
  for (const [seq, text] of TEXTS.entries()) {
    try {
      const record = await channel.get(seq);
      if (record === undefined) throw new Error(`${what}: record ${seq} is silently gone`);
      same(textOf(record), text, what);
      same(record.type, seq + 1, what);
      readable.push(seq);
    } catch (error) {
      corrupt(error, `${what}, get ${seq}`);
    }
  }
  const scanned = await scanOn(channel, what);
  same([...scanned].join(), readable.join(), `${what}: what get finds a scan finds`);
  let writable = true;
  try {
    same(await channel.append('next'), TEXTS.length, what);
    same((await channel.get(TEXTS.length))?.seq, TEXTS.length, what);
  } catch (error) {
    corrupt(error, `${what}, append`);
    writable = false;
  }
  return { refused: undefined, readable, writable };
}

function filesOf(fs: CrashFs): string[] {
  return Object.entries(tree(fs)).flatMap(([path, hex]) => (hex === 'directory' ? [] : [path]));
}

describe('R3: every single-bit flip of a small, cleanly closed directory', () => {
  test('C9: dat files: exactly the record that was hit is lost, and appends go on', async () => {
    // The file header is no record, and of a finished segment idx and ts say the same.
    const whole = await closedLog();
    const wrong: string[] = [];
    for (const base of [0, 2, 4]) {
      const path = fileOf(base);
      const bytes = readFile(whole, path);
      const frames = unitsOf(bytes).filter(({ magic }) => magic === 'RXFR');
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        const fs = durableCopy(whole);
        flipBit(fs, path, bit);
        const at = bit >> 3;
        const { refused, readable, writable } = await outcomeOf(fs, `bit ${bit} of ${path}`);
        const hit = frames.findIndex((frame) => at >= frame.at && at < frame.at + frame.byteLength);
        const isHeader = at < 64;
        if (refused !== undefined) {
          if (refused !== 'FORMAT_VERSION' || at < 4 || at > 5) wrong.push(`${refused}: ${bit}`);
          continue;
        }
        const isLast = base === 4;
        const lost = isHeader && isLast ? [base, base + 1] : hit < 0 ? [] : [base + hit];
        const expected = TEXTS.map((_t, i) => i).filter((i) => !lost.includes(i));
        if (readable.join() !== expected.join()) wrong.push(`${path} ${bit}: ${readable.join()}`);
        if (!writable && !(isLast && isHeader)) wrong.push(`${path} ${bit}: refuses appends`);
      }
    }
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test('C9: all other files: refused with nothing changed, or nothing is lost', async () => {
    const whole = await closedLog();
    for (const path of filesOf(whole).filter((name) => !name.endsWith('.dat'))) {
      const isDerived = /\.(idx|ts)$/.test(path);
      const bits = readFile(whole, path).length * 8;
      // Only the marks themselves: the rest of the two sectors is not looked at.
      for (let bit = 0; bit < bits; bit += 1) {
        if (path.endsWith('clean') && (bit >> 3) % 512 >= 130) continue;
        const fs = durableCopy(whole);
        flipBit(fs, path, bit);
        const { refused, readable, writable } = await outcomeOf(fs, `bit ${bit} of ${path}`);
        if (refused !== undefined && !isDerived) continue;
        same(readable.length, TEXTS.length, `bit ${bit} of ${path}`);
        same(writable, true, `bit ${bit} of ${path}`);
      }
    }
  });
});

describe('C9: larger losses', () => {
  test('C9: every file at every length: a typed error or the very bytes', async () => {
    const whole = await closedLog();
    for (const path of filesOf(whole)) {
      const size = readFile(whole, path).length;
      const step = size > 500 ? 13 : 1;
      for (let length = 0; length < size; length += step) {
        const fs = durableCopy(whole);
        truncateFile(fs, path, length);
        const { refused, readable } = await outcomeOf(fs, `${path} at ${length}`);
        if (refused !== undefined) expect(/config$|manifest$/.test(path), path).toBe(true);
        else if (!path.endsWith('.dat')) expect(readable).toHaveLength(TEXTS.length);
        else expect(readable.length).toBeGreaterThanOrEqual(TEXTS.length - 2);
      }
    }
  });

  test('C9: every file missing', async () => {
    const whole = await closedLog();
    for (const path of filesOf(whole)) {
      const fs = durableCopy(whole);
      fs.unlinkSync(path);
      const { refused, readable } = await outcomeOf(fs, `${path} missing`);
      const stops = path === `${LOG}/config` || path === `${LOG}/manifest`;
      expect(refused !== undefined, path).toBe(stops);
      if (!stops) expect(readable.length).toBeGreaterThanOrEqual(4);
    }
  });

  test('C9: every zeroed block of 512 bytes of a larger log', async () => {
    const fs = new CrashFs();
    const opened = await openLog(fs, { segmentBytes: 8192 });
    const texts: string[] = [];
    for (let i = 0; i < 30; i += 1) {
      texts.push(`${i} `.padEnd(700, String(i % 10)));
      await opened.channel.append(texts[i] ?? '');
    }
    // A frame of blocks in a segment of its own, and another one behind it.
    const batch = Array.from({ length: 9 }, (_, i) => `block ${i} `.padEnd(2000, 'z'));
    await opened.channel.appendBatch(batch);
    texts.push(...batch, 'last');
    await opened.channel.append('last');
    await opened.channel.close();
    const whole = durableCopy(fs);
    const { length } = filesOf(whole).filter((path) => path.endsWith('.dat'));
    expect(length).toBeGreaterThan(3);
    for (const path of filesOf(whole).filter((name) => name.endsWith('.dat'))) {
      const size = readFile(whole, path).length;
      for (let at = 0; at < size; at += 512) {
        const broken = durableCopy(whole);
        fillFile(broken, path, at, Math.min(size, at + 512), 0);
        const { channel } = await openLog(broken);
        const good: number[] = [];
        for (const [seq, text] of texts.entries()) {
          try {
            const record = await channel.get(seq);
            expect(record && textOf(record), `${path} ${at}, ${seq}`).toBe(text);
            good.push(seq);
          } catch (error) {
            corrupt(error, `${path} ${at}, ${seq}`);
          }
        }
        // 512 bytes touch at most two units, of one record or, in a frame of blocks, of four. Of
        // the last segment nothing can be read without its header.
        const isLast = path === filesOf(whole).findLast((name) => name.endsWith('.dat'));
        const fewest = at === 0 && isLast ? texts.length - 11 : texts.length - 8;
        expect(good.length, `${path} ${at}`).toBeGreaterThanOrEqual(fewest);
      }
    }
  });
});
