/**
 * Goal: no bit of a channel's files can be wrong without verify saying so, at the right place and
 * with the right records.
 * Method: a small channel is opened once; then each bit of each of its files is turned over on
 * disk, verified, and turned back. What a problem has to say is read off the healthy files. Large
 * files are sampled: all headers, and one bit in each 37 bytes of the rest.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { VerifyProblem } from '../../src/channel/verify-report.js';
import { FILE_HEADER_BYTES } from '../../src/format/file-header.js';
import { readFile } from '../support/recovery-lab.js';
import {
  CHANNEL,
  costs,
  flip,
  namesOf,
  openOn,
  sampleChannel,
  unitsIn,
  type Sample,
} from '../support/verify-kit.js';

let small: Sample;
let large: Sample;
let smallOpen: Channel;
let largeOpen: Channel;

beforeAll(async () => {
  small = await sampleChannel(0);
  large = await sampleChannel();
  smallOpen = await openOn(small.fs);
  largeOpen = await openOn(large.fs);
});

afterAll(async () => {
  await smallOpen.close();
  await largeOpen.close();
});

/** The only problem in the file after one bit was turned over. */
async function problemAfter(
  { fs }: Sample,
  channel: Channel,
  path: string,
  bit: number,
): Promise<VerifyProblem> {
  flip(fs, path, bit);
  const { problems, ok } = await channel.verify();
  flip(fs, path, bit);
  const [problem] = problems;
  if (problem === undefined) throw new Error(`bit ${bit} of ${path} was not reported`);
  if (problem.path !== path) throw new Error(`bit ${bit} of ${path}: ${problem.message}`);
  if (problems.length > 1) throw new Error(`bit ${bit}: more than one: ${problems[1]?.message}`);
  if (ok === (problem.severity === 'damage')) throw new Error(`bit ${bit}: ok is ${ok}`);
  return problem;
}

/**
 * Where the unit with a bit begins, and the records that are lost with it. Of a finished segment
 * idx and ts say who it is when the file header does not, unless that is of a newer version.
 */
function unitAt(
  bytes: Uint8Array,
  bit: number,
  isFinished: boolean,
): { at: number; lost: readonly number[] } {
  const byte = bit >> 3;
  const units = unitsIn(bytes);
  if (byte < FILE_HEADER_BYTES) {
    const isNewer = byte === 5 || (byte === 4 && bit % 8 !== 0);
    return { at: 0, lost: isFinished && !isNewer ? [] : units.flatMap(({ seqs }) => seqs) };
  }
  const unit = units.find(({ at, end }) => byte >= at && byte < end);
  if (unit === undefined) throw new Error(`no unit at ${byte}`);
  return { at: unit.at, lost: unit.seqs };
}

async function checkDat(
  sample: Sample,
  channel: Channel,
  path: string,
  bits: Iterable<number>,
): Promise<void> {
  const bytes = readFile(sample.fs, path);
  const isFinished = path !== namesOf(sample.fs, 'dat').at(-1);
  for (const bit of bits) {
    const problem = await problemAfter(sample, channel, path, bit);
    const { at, lost } = unitAt(bytes, bit, isFinished);
    const said = sample.seqs.filter((seq) => costs(problem, seq));
    const found = { position: problem.position, said, severity: problem.severity };
    expect(found, `bit ${bit} of ${path}`).toEqual({
      position: at,
      said: lost,
      severity: 'damage',
    });
  }
}

function allBits(byteLength: number): number[] {
  return Array.from({ length: 8 * byteLength }, (_, bit) => bit);
}

describe('every bit of a small channel', () => {
  test.each([0, 1, 2, 3])('of dat file %i', async (index) => {
    const path = namesOf(small.fs, 'dat')[index] ?? '';
    await checkDat(small, smallOpen, path, allBits(readFile(small.fs, path).byteLength));
  });

  test.each(['idx', 'ts'] as const)('of the %s files', async (kind) => {
    for (const path of namesOf(small.fs, kind)) {
      const bits = allBits(readFile(small.fs, path).byteLength);
      for (const bit of bits) {
        const problem = await problemAfter(small, smallOpen, path, bit);
        const entryBytes = kind === 'idx' ? 16 : 8;
        const byte = bit >> 3;
        const position = byte < 64 ? 0 : byte - (byte % entryBytes);
        const found = [problem.severity, problem.kind, problem.position, problem.seqRange];
        expect(found, `bit ${bit} of ${path}`).toEqual(['derived', kind, position, undefined]);
      }
    }
  });

  test.each(['config', 'manifest'])('of the %s', async (name) => {
    const path = `${CHANNEL}/${name}`;
    for (const bit of allBits(readFile(small.fs, path).byteLength)) {
      const problem = await problemAfter(small, smallOpen, path, bit);
      expect([problem.kind, problem.severity], `bit ${bit}`).toEqual([name, 'damage']);
    }
  });

  test('of the clean mark: a note, unless its version keeps the channel shut', async () => {
    const path = `${CHANNEL}/clean`;
    const bytes = readFile(small.fs, path);
    const used = bytes.findIndex((byte) => byte !== 0) & ~511;
    for (const bit of allBits(bytes.byteLength)) {
      const problem = await problemAfter(small, smallOpen, path, bit);
      const inSlot = (bit >> 3) - used;
      const isVersion = (inSlot === 4 && bit % 8 !== 0) || inSlot === 5;
      const severity = isVersion ? 'damage' : 'note';
      expect([problem.kind, problem.severity], `bit ${bit}`).toEqual(['clean-mark', severity]);
    }
  });
});

test('sampled bits of frames of blocks and of a large record', async () => {
  const path = namesOf(large.fs, 'dat')[2] ?? '';
  const bytes = readFile(large.fs, path);
  const bits: number[] = [];
  for (const { at } of unitsIn(bytes)) {
    for (let bit = 8 * at; bit < 8 * (at + 88) && bit < 8 * bytes.byteLength; bit += 3)
      bits.push(bit);
  }
  for (let byte = 0; byte < bytes.byteLength; byte += 37) bits.push(8 * byte + (byte % 8));
  expect(unitsIn(bytes).filter(({ seqs }) => seqs.length > 1).length).toBeGreaterThan(1);
  await checkDat(large, largeOpen, path, bits);
});
