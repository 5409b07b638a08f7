/** Goal: a name is recognised exactly when we would have written it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CHECKPOINTS_NAME,
  checkpointFileName,
  CLEAN_MARK_NAME,
  CONFIG_NAME,
  cutFileName,
  CONTROL_NAME,
  generationName,
  journalSegmentName,
  MANIFEST_NAME,
  MANIFEST_TEMPORARY_NAME,
  NEW_CONTROL_NAME,
  newCheckpointFileName,
  parseCheckpointFileName,
  parseGenerationName,
  parseJournalSegmentName,
  parseSegmentFileName,
  rebuiltFileName,
  segmentFileName,
  type SegmentFileKind,
} from '../../src/format/file-name.js';
import { safeIntegers } from '../support/format-arbitraries.js';

const kinds = fc.constantFrom<SegmentFileKind>('dat', 'idx', 'ts');
const digits = (min: number, max: number): fc.Arbitrary<string> =>
  fc.array(fc.nat(9), { minLength: min, maxLength: max }).map((list) => list.join(''));

describe('segment files', () => {
  test('names are parsed back, and sort as their seqs do', () => {
    fc.assert(
      fc.property(safeIntegers, safeIntegers, kinds, (a, b, kind) => {
        expect(parseSegmentFileName(segmentFileName(a, kind))).toEqual({ baseSeq: a, kind });
        expect(segmentFileName(a, kind) < segmentFileName(b, kind)).toBe(a < b);
      }),
    );
  });

  test('only what is written back the same is recognised', () => {
    const names = fc.tuple(digits(18, 22), fc.constantFrom('dat', 'idx', 'ts', 'DAT', 'da', ''));
    fc.assert(
      fc.property(names, ([number, kind]) => {
        const name = `${number}.${kind}`;
        const parsed = parseSegmentFileName(name);
        if (parsed === undefined) return;
        expect(segmentFileName(parsed.baseSeq, parsed.kind)).toBe(name);
        expect(Number.isSafeInteger(parsed.baseSeq)).toBe(true);
      }),
    );
  });

  test.each([
    '0000000000000000000.dat',
    '000000000000000000000.dat',
    '00000000000000000000.DAT',
    '00000000000000000000.dat.tmp',
    '00000000000000000000.dat\n',
    ' 00000000000000000000.dat',
    '-0000000000000000001.dat',
    '+0000000000000000001.dat',
    '0000000000000000000x.dat',
    '0000000000000000001e.dat',
    '00000000000000000000dat',
    '00000000000000000000.',
    '00009007199254740992.dat',
    '99999999999999999999.dat',
    '٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠.dat',
    cutFileName(0, 64, '0'.repeat(16)),
    '',
  ])('%j is not one', (name) => {
    expect(parseSegmentFileName(name)).toBeUndefined();
  });

  test('the largest seq still has a name', () => {
    const name = '00009007199254740991.ts';
    expect(segmentFileName(Number.MAX_SAFE_INTEGER, 'ts')).toBe(name);
    expect(parseSegmentFileName(name)?.baseSeq).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('generations', () => {
  test('names are parsed back', () => {
    expect(generationName(1)).toBe('v0000000001');
    fc.assert(
      fc.property(fc.oneof(safeIntegers, fc.nat(2 ** 31 - 1)), (generation) => {
        const expected = generation === 0 ? undefined : generation;
        expect(parseGenerationName(generationName(generation))).toBe(expected);
      }),
    );
  });

  test('only what is written back the same is recognised', () => {
    fc.assert(
      fc.property(digits(8, 18), (number) => {
        const parsed = parseGenerationName(`v${number}`);
        if (parsed === undefined) return;
        expect(generationName(parsed)).toBe(`v${number}`);
        expect(Number.isSafeInteger(parsed)).toBe(true);
      }),
    );
  });

  test.each([
    'v000000001',
    'v00000000001',
    'V0000000001',
    'v0000000001.tmp',
    'v0000000001\n',
    ' v0000000001',
    '0000000001',
    'v-000000001',
    'v000000000x',
    'v9007199254740992',
    'v9007199254740993',
    'v9999999999999998',
    'v90071992547409910',
    'v',
    '',
  ])('%j is not one', (name) => {
    expect(parseGenerationName(name)).toBeUndefined();
  });
});

describe('segments of the journal', () => {
  test('names are parsed back', () => {
    expect(journalSegmentName(1)).toBe('0000000001.journal');
    fc.assert(
      fc.property(fc.oneof(safeIntegers, fc.nat(2 ** 31 - 1)), (number) => {
        const expected = number === 0 ? undefined : number;
        expect(parseJournalSegmentName(journalSegmentName(number))).toBe(expected);
      }),
    );
  });

  test('only what is written back the same is recognised', () => {
    fc.assert(
      fc.property(digits(8, 18), (number) => {
        const parsed = parseJournalSegmentName(`${number}.journal`);
        if (parsed === undefined) return;
        expect(journalSegmentName(parsed)).toBe(`${number}.journal`);
        expect(Number.isSafeInteger(parsed)).toBe(true);
      }),
    );
  });

  test.each([
    '0000000000.journal',
    '000000001.journal',
    '00000000001.journal',
    '9007199254740992.journal',
    '0000000001.journal.tmp',
    '0000000001.journal\n',
    ' 0000000001.journal',
    '-000000001.journal',
    '000000000x.journal',
    '0000000001.JOURNAL',
    '0000000001journal',
    '00000000000000000001.dat',
    CONTROL_NAME,
    NEW_CONTROL_NAME,
    '',
  ])('%j is not one', (name) => {
    expect(parseJournalSegmentName(name)).toBeUndefined();
  });
});

test('no name of one kind passes for another', () => {
  const manifests = [MANIFEST_NAME, MANIFEST_TEMPORARY_NAME];
  const fixed = [CONFIG_NAME, ...manifests, CLEAN_MARK_NAME, CHECKPOINTS_NAME];
  const derived = [rebuiltFileName(segmentFileName(1, 'idx')), cutFileName(1, 64, 'ab')];
  expect(new Set([...fixed, ...derived]).size).toBe(7);
  for (const name of [...fixed, ...derived]) {
    expect(parseSegmentFileName(name)).toBeUndefined();
    expect(parseGenerationName(name)).toBeUndefined();
  }
  expect(derived).toEqual(['00000000000000000001.idx.tmp', 'cut-00000000000000000001-64-ab']);
});

test('the name of a checkpoint is recognised when it is written back the same', () => {
  const name = checkpointFileName('a%2fb', 12);
  expect(name).toBe('a%2fb@0000000012');
  expect(parseCheckpointFileName(name)).toEqual({ entry: 'a%2fb', number: 12, isNew: false });
  const unfinished = parseCheckpointFileName(newCheckpointFileName('a', 3));
  expect(unfinished).toEqual({ entry: 'a', number: 3, isNew: true });
  const none = ['a', 'a@12', '@0000000001', 'a@00000000012', 'a@0000000001+old', 'a@b@0000000001'];
  for (const other of none)
    expect([other, parseCheckpointFileName(other)]).toEqual([other, undefined]);
});
