/**
 * Goal: no two names share a directory entry on any disk, and an entry is nothing but an entry.
 * Method: a list of names that careless mappings merge, properties over random Unicode, and
 * mutated entries. What disks and Windows do to names is modelled here, apart from the code.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkName } from '../../src/channel/options.js';
import {
  decodeChannelEntry,
  encodeChannelName,
  ENTRY_HASH_DIGITS,
  MAX_ENTRY_BYTES,
} from '../../src/format/channel-name.js';
import {
  CHANNELS_NAME,
  LOCK_INFO_NAME,
  LOCK_NAME,
  NEW_NAME,
  NEXT_CONFIG_NAME,
  RENAME_NAME,
  STORE_MANIFEST_NAME,
  STORE_MANIFEST_TEMPORARY_NAME,
  TRASH_NAME,
} from '../../src/format/file-name.js';
import { NASTY_NAMES } from '../support/nasty-names.js';

const SEED = 20240229;
const RUNS = 3000;

/** What disks do to a name before they compare it. */
const foldings: readonly (readonly [string, (entry: string) => string])[] = [
  ['nothing', (entry) => entry],
  ['lower case', (entry) => entry.toLowerCase()],
  ['upper case', (entry) => entry.toUpperCase()],
  ['NFC', (entry) => entry.normalize('NFC')],
  ['NFD', (entry) => entry.normalize('NFD')],
  ['NFKC', (entry) => entry.normalize('NFKC')],
  ['NFKD', (entry) => entry.normalize('NFKD')],
  ['without dots and spaces at the end', (entry) => entry.replace(/[. ]+$/, '')],
  [
    'all of it',
    (entry) =>
      entry
        .normalize('NFKD')
        .toUpperCase()
        .replace(/[. ]+$/, ''),
  ],
];

/** Whether Windows takes the name for a device, in whatever way it is written. */
function isDevice(entry: string): boolean {
  const base = (/^[^.:]*/.exec(entry)?.[0] ?? '').trimEnd().toUpperCase();
  return /^(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|CLOCK\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3])$/.test(base);
}

/** What holds for an entry, whatever its name. */
function expectPlain(entry: string): void {
  expect(entry).toMatch(/^[a-z0-9%_-](?:[a-z0-9%~._-]*[a-z0-9%_-])?$/);
  expect(entry.length).toBeLessThanOrEqual(MAX_ENTRY_BYTES);
  expect([entry, isDevice(entry)]).toEqual([entry, false]);
}

/** The entry stands for the name again: by itself, or by the hash of the name. */
function expectRoundTrip(name: string): void {
  const entry = encodeChannelName(name);
  const decoded = decodeChannelEntry(entry);
  expect(decoded).toEqual(entry.includes('~') ? { kind: 'hashed' } : { kind: 'name', name });
}

const isName = (text: string): boolean => {
  try {
    checkName(text);
    return true;
  } catch {
    return false;
  }
};

const SPECIAL = '. % ~ / - _ a A 2 e con com1 nul \u00e9 e\u0301'.split(' ').concat(' ');

/** All of Unicode, what people see as one character, and what the encoding treats specially. */
const names: fc.Arbitrary<string> = fc
  .oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 300, size: 'max' }),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }),
    fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 300, size: 'max' }),
    fc.string({
      unit: fc.constantFrom(...SPECIAL),
      minLength: 1,
      maxLength: 400,
      size: 'max',
    }),
  )
  .filter(isName);

/** A name and one that looks like it; both may be the same. */
const neighbours: fc.Arbitrary<readonly [string, string]> = fc
  .tuple(
    names,
    names,
    fc.constantFrom<(a: string, b: string) => string>(
      (_a, b) => b,
      (a) => a.toLowerCase(),
      (a) => a.toUpperCase(),
      (a) => a.normalize('NFC'),
      (a) => a.normalize('NFD'),
      (a) => a.normalize('NFKD'),
      (a) => a.trimEnd(),
      (a) => a.slice(0, -1),
      (a) => `${a}.`,
      (a) => `.${a}`,
      (a) => `${a} `,
      (a) => encodeURIComponent(a),
      (a) => encodeChannelName(a),
      (a, b) => `${a}/${b}`,
    ),
  )
  .map(([a, b, change]) => [a, change(a, b)] as const)
  .filter(([, b]) => isName(b));

describe('the nasty names', () => {
  test('are names, many, and each is there once', () => {
    expect(NASTY_NAMES.filter((name) => !isName(name))).toEqual([]);
    expect(new Set(NASTY_NAMES).size).toBe(NASTY_NAMES.length);
    expect(NASTY_NAMES.length).toBeGreaterThan(200);
  });

  test.each(foldings)('have different entries after %s', (_what, fold) => {
    const byEntry = new Map<string, string>();
    for (const name of NASTY_NAMES) {
      const entry = fold(encodeChannelName(name));
      expect([name, byEntry.get(entry)]).toEqual([name, undefined]);
      byEntry.set(entry, name);
    }
  });

  test('include what merges and nests when it is not encoded, so the list can fail', () => {
    for (const [what, fold] of foldings) {
      if (what === 'nothing') continue;
      const folded = new Set(NASTY_NAMES.map(fold));
      expect([what, folded.size < NASTY_NAMES.length]).toEqual([what, true]);
    }
    expect(NASTY_NAMES.filter(isDevice).length).toBeGreaterThan(10);
  });

  test('have plain entries that stand for them again', () => {
    for (const name of NASTY_NAMES) {
      expectPlain(encodeChannelName(name));
      expectRoundTrip(name);
    }
  });
});

describe('an entry', () => {
  test.each([
    ['orders-2024_v1.5', 'orders-2024_v1.5'],
    ['a/b', 'a%2fb'],
    ['Orders', '%4frders'],
    ['.', '%2e'],
    ['..', '%2e%2e'],
    ['.a.b.', '%2ea.b%2e'],
    ['con', '%63on'],
    ['com1.log', '%63om1.log'],
    ['com10', 'com10'],
    ['con.', 'con%2e'],
    ['CON', '%43%4f%4e'],
    ['%41', '%2541'],
    ['a~b', 'a%7eb'],
    ['\u00e9', '%c3%a9'],
    ['e\u0301', 'e%cc%81'],
    ['\u{1f600}', '%f0%9f%98%80'],
    ['\ufeff', '%ef%bb%bf'],
    ['a'.repeat(200), 'a'.repeat(200)],
  ])('of %j is %s', (name, entry) => {
    expect(encodeChannelName(name)).toBe(entry);
    expect(decodeChannelEntry(entry)).toEqual({ kind: 'name', name });
  });

  // The digits are those of sha256sum.
  test.each([
    ['a'.repeat(201), 'a'.repeat(159), 'a92efd82109373e58f9a2056dee01e807e216ce6'],
    ['a'.repeat(1024), 'a'.repeat(159), '2edc986847e209b4016e141a6dc8716d3207350f'],
    ['\u00e9'.repeat(34), `${'%c3%a9'.repeat(26)}%c3`, 'c2061365f25e0f6f32bff7009de1be0094e77e59'],
    [`${'a'.repeat(157)}/${'a'.repeat(60)}`, 'a'.repeat(157), ''],
    [`${'a'.repeat(156)}/${'a'.repeat(60)}`, `${'a'.repeat(156)}%2f`, ''],
    [`${'a'.repeat(150)}${'.'.repeat(60)}b`, 'a'.repeat(150), ''],
    [`con${'.'.repeat(300)}`, '%63on', ''],
  ])('of a long name is cut and hashed: %#', (name, head, digits) => {
    const entry = encodeChannelName(name);
    expect(entry.slice(0, -ENTRY_HASH_DIGITS)).toBe(`${head}~`);
    expect(entry.slice(-ENTRY_HASH_DIGITS)).toMatch(new RegExp(`^${digits}`));
    expect(decodeChannelEntry(entry)).toEqual({ kind: 'hashed' });
  });

  test('leaves room for a suffix', () => {
    expect(MAX_ENTRY_BYTES + '.tmp'.length).toBeLessThan(255);
    const longest = Math.max(...NASTY_NAMES.map((name) => encodeChannelName(name).length));
    expect(longest).toBe(MAX_ENTRY_BYTES);
  });

  test.each(['', '\ud800', 'a\udc00', '\udc00\ud800', 'a\0', '\0'])(
    'is refused to %j, which is no name',
    (text) => {
      expect(() => encodeChannelName(text)).toThrow('broken invariant');
    },
  );
});

describe(`random names, seed ${SEED}`, () => {
  test('have plain entries that stand for them again', () => {
    let hashed = 0;
    fc.assert(
      fc.property(names, (name) => {
        if (encodeChannelName(name).includes('~')) hashed += 1;
        expectPlain(encodeChannelName(name));
        expectRoundTrip(name);
      }),
      { seed: SEED, numRuns: RUNS },
    );
    expect(hashed).toBeGreaterThan(RUNS / 10);
    expect(RUNS - hashed).toBeGreaterThan(RUNS / 10);
  });

  test('have the same entry only when they are the same, also on a disk that folds', () => {
    fc.assert(
      fc.property(neighbours, ([a, b]) => {
        for (const [, fold] of foldings) {
          expect(fold(encodeChannelName(a)) === fold(encodeChannelName(b))).toBe(a === b);
        }
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });
});

const hash = '0123456789abcdef0123456789abcdef01234567';

const CHARACTERS = 'a b 0 9 . _ - % ~ c e f A F / %2e %61 %c3 \u00e9'.split(' ').concat(' ', '\n');

describe('what is no entry', () => {
  test.each(
    [
      ['', '.', '..', '.a', 'a.', '.new', '%', '%4', '%4g', '%G0', 'a%', 'a%2', 'A', 'a/b', 'a b'],
      // Escaped without need, in upper case, or not escaped though it must be.
      [
        '%61',
        '%2d',
        'a%2eb',
        '%2F',
        '%C3%A9',
        'con',
        'nul.x',
        'com1.log',
        '%63onx',
        '\u00e9',
        'a\n',
      ],
      // Not UTF-8: cut off, overlong, a surrogate, too high, a stray byte. NUL.
      ['%c3', '%c0%af', '%ed%a0%80', '%f4%90%80%80', '%80', '%ff', '%00', 'a%00'],
      ['a'.repeat(201), '%2f'.repeat(67), '~', 'a~', 'a~b', 'a~1', `~${hash}`],
      [`a~${hash.slice(1)}`, `a~${hash}0`, `a~${hash.toUpperCase()}`, `a~${hash}\n`, `a~~${hash}`],
      [`a.~${hash}`, `.a~${hash}`, `A~${hash}`, `%61~${hash}`, `con~${hash}`, `con.a~${hash}`],
      [`%c3~${hash}`, `%ff~${hash}`, `%00~${hash}`, `a%~${hash}`, `a%2~${hash}`],
      [`${'a'.repeat(160)}~${hash}`, `${'%2f'.repeat(52)}%ff~${hash}`, `%2e.~${hash}`],
      [`${'a'.repeat(153)}%c3~${hash}`],
    ].flat(),
  )('%j', (entry) => {
    expect(decodeChannelEntry(entry)).toBeUndefined();
  });

  test.each([
    [`a~${hash}`],
    [`${'a'.repeat(159)}~${hash}`],
    [`${'a'.repeat(154)}%c3~${hash}`],
    [`%63on~${hash}`],
  ])('%j is one', (entry) => {
    expect(decodeChannelEntry(entry)).toEqual({ kind: 'hashed' });
  });

  test('the names that the store itself has are none', () => {
    for (const name of [NEW_NAME, TRASH_NAME, RENAME_NAME, LOCK_NAME, LOCK_INFO_NAME]) {
      expect([name, decodeChannelEntry(name)]).toEqual([name, undefined]);
    }
    const inUse = [CHANNELS_NAME, STORE_MANIFEST_NAME, STORE_MANIFEST_TEMPORARY_NAME];
    const all = [...inUse, LOCK_NAME, LOCK_INFO_NAME, NEXT_CONFIG_NAME, NEW_NAME, TRASH_NAME];
    expect(new Set([...all, RENAME_NAME]).size).toBe(9);
  });

  test(`a mutated entry is the entry of another name, or none, seed ${SEED}`, () => {
    const characters = fc.constantFrom(...CHARACTERS);
    const mutations = fc.array(fc.tuple(fc.nat(), fc.nat(3), characters), {
      minLength: 1,
      maxLength: 3,
    });
    let ofNames = 0;
    let hashed = 0;
    fc.assert(
      fc.property(names, mutations, (name, changes) => {
        let entry = encodeChannelName(name);
        for (const [where, kind, character] of changes) {
          const at = where % (entry.length + 1);
          const end = entry.slice(at + (kind === 0 ? 0 : 1));
          entry = entry.slice(0, at) + (kind === 1 ? '' : character) + (kind === 3 ? '' : end);
        }
        const decoded = decodeChannelEntry(entry);
        if (decoded === undefined) return;
        expectPlain(entry);
        if (decoded.kind === 'name') {
          ofNames += 1;
          expect(encodeChannelName(decoded.name)).toBe(entry);
          expect(isName(decoded.name)).toBe(true);
        } else {
          hashed += 1;
          expect(entry).toMatch(/^[^~]{1,159}~[0-9a-f]{40}$/);
        }
      }),
      { seed: SEED, numRuns: RUNS },
    );
    // Both kinds were met, so that the property says something.
    expect([ofNames > 100, hashed > 30]).toEqual([true, true]);
  });
});
