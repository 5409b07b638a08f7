/**
 * Goal: a group is what was written or nothing, whichever bit of it changes, and no length in it is
 * believed before it was compared with the bytes that are there.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import { checksumOf, writeChecksum } from '../../src/format/checksum.js';
import {
  decodeGroup,
  ENTRY_HEADER_BYTES,
  ENTRY_KINDS,
  entryBytes,
  GROUP_HEADER_BYTES,
  GROUP_MAGIC,
  groupLength,
  type EntryKind,
  type JournalEntry,
} from '../../src/format/journal-group.js';
import {
  acceptedFlip,
  channelIds,
  halves,
  safeIntegers,
  valueOf,
} from '../support/format-arbitraries.js';
import { groupBytes, NO_LINK, STORE_ID, writeEntry } from '../support/journal-kit.js';

const SEED = 53;
const kinds = fc.constantFrom(...(Object.keys(ENTRY_KINDS) as EntryKind[]));
const entries: fc.Arbitrary<JournalEntry[]> = fc.array(
  fc.record({
    kind: kinds,
    channelId: channelIds,
    baseSeq: safeIntegers,
    position: safeIntegers,
    data: fc.uint8Array({ maxLength: 40 }),
  }),
  { maxLength: 5 },
);
const fields = fc.record({
  storeId: channelIds,
  epoch: safeIntegers,
  number: safeIntegers,
  syncedNumber: safeIntegers,
  link: halves,
});

const plain = (entry: JournalEntry): object => ({
  ...entry,
  channelId: [...entry.channelId],
  data: [...entry.data],
});

const FIRST_ENTRY = GROUP_HEADER_BYTES;
const FIELDS = { storeId: STORE_ID, epoch: 3, number: 7, syncedNumber: 5, link: NO_LINK };
/** Two entries: of 5 bytes, and of 8. */
const example = groupBytes(FIELDS, [writeEntry(1, 64, 5), writeEntry(2, 0, 8)]).bytes;

/** The group after a change that its checksum covers again. */
function changed(change: (view: DataView) => void): Uint8Array {
  const bytes = example.slice();
  change(viewOf(bytes));
  writeChecksum(viewOf(bytes), 8, checksumOf(bytes, 16, bytes.byteLength - 16));
  return bytes;
}

const checkOf = (bytes: Uint8Array): unknown => {
  const group = decodeGroup(bytes);
  return group.ok ? 'ok' : group.check;
};

describe(`a group, seed ${SEED}`, () => {
  test('is decoded as it was encoded', () => {
    fc.assert(
      fc.property(fields, entries, (given, list) => {
        const { bytes, checksum } = groupBytes(given, list);
        const { header, entries: found } = valueOf(decodeGroup(bytes));
        const byteLength = bytes.byteLength;
        const entryCount = list.length;
        expect({ ...header, storeId: [...header.storeId] }).toEqual({
          ...given,
          storeId: [...given.storeId],
          checksum,
          byteLength,
          entryCount,
        });
        expect(found.map(plain)).toEqual(list.map(plain));
        expect(groupLength(bytes.subarray(0, GROUP_HEADER_BYTES))).toBe(byteLength);
        expect(byteLength % 8).toBe(0);
      }),
      { seed: SEED },
    );
  });

  test('with any bit flipped is none', () => {
    fc.assert(
      fc.property(fields, entries, (given, list) => {
        const { bytes } = groupBytes(given, list);
        expect(acceptedFlip(bytes, (flipped) => decodeGroup(flipped).ok)).toBeUndefined();
      }),
      { seed: SEED, numRuns: 10 },
    );
  });

  test('that is cut anywhere is none, nor is one with bytes behind it', () => {
    for (let length = 0; length < example.byteLength; length++) {
      expect([length, decodeGroup(example.subarray(0, length)).ok]).toEqual([length, false]);
    }
    const longer = new Uint8Array(example.byteLength + 8);
    longer.set(example);
    expect(checkOf(longer)).toBe('length');
    expect(checkOf(example)).toBe('ok');
  });

  test('another epoch, number, or link is another checksum', () => {
    const { checksum } = groupBytes(FIELDS, [writeEntry(1, 64, 5)]);
    const others = [{ epoch: 4 }, { number: 8 }, { syncedNumber: 6 }, { link: { hi: 0, lo: 1 } }];
    for (const other of others) {
      const { checksum: found } = groupBytes({ ...FIELDS, ...other }, [writeEntry(1, 64, 5)]);
      expect([other, found]).not.toEqual([other, checksum]);
    }
  });
});

describe('the header of a group', () => {
  const headOf = (change: (view: DataView) => void): Uint8Array => {
    const head = example.slice(0, GROUP_HEADER_BYTES);
    change(viewOf(head));
    return head;
  };

  test.each([0, 8, 64, 71, 73, 79, 0xffffffff])('has no length of %i', (length) => {
    const head = headOf((view) => view.setUint32(4, length, true));
    expect(groupLength(head)).toBeUndefined();
  });

  test('states lengths that a file may not have', () => {
    expect(groupLength(headOf((view) => view.setUint32(4, 0xfffffff8, true)))).toBe(0xfffffff8);
    const long = example.slice();
    viewOf(long).setUint32(4, 0xfffffff8, true);
    expect(checkOf(long)).toBe('length');
  });

  test('is none when it is short, or has another magic', () => {
    expect(groupLength(example.subarray(0, GROUP_HEADER_BYTES - 1))).toBeUndefined();
    expect(groupLength(headOf((view) => view.setUint32(0, GROUP_MAGIC + 1, true)))).toBeUndefined();
    expect(groupLength(new Uint8Array(GROUP_HEADER_BYTES))).toBeUndefined();
  });

  test.each([32, 40, 48])('an unsafe integer at %i is refused', (at) => {
    expect(checkOf(changed((view) => view.setBigUint64(at, 2n ** 53n, true)))).toBe('fields');
    const largest = BigInt(Number.MAX_SAFE_INTEGER);
    expect(checkOf(changed((view) => view.setBigUint64(at, largest, true)))).toBe('ok');
  });

  test.each([0, 1, 3, 0xffffffff])('%i entries are refused where there are two', (count) => {
    expect(checkOf(changed((view) => view.setUint32(64, count, true)))).toBe('fields');
  });
});

describe('an entry', () => {
  test('takes a multiple of 8', () => {
    expect([0, 1, 8, 9].map(entryBytes)).toEqual([40, 48, 48, 56]);
    expect(entryBytes(0)).toBe(ENTRY_HEADER_BYTES);
  });

  test.each([0, 5, 255, 256 + 1, 2 ** 24 + 1])('of kind %i is refused', (kind) => {
    expect(checkOf(changed((view) => view.setUint32(FIRST_ENTRY, kind, true)))).toBe('fields');
  });

  test.each([0, 9, 16, 0x7fffffff, 0xfffffff8, 0xffffffff])(
    'with a length of %i where 5 is right is refused',
    (length) => {
      const bytes = changed((view) => view.setUint32(FIRST_ENTRY + 4, length, true));
      expect(checkOf(bytes)).toBe('fields');
    },
  );

  test.each([24, 32])('with an unsafe integer at %i is refused', (at) => {
    const bytes = changed((view) => view.setBigUint64(FIRST_ENTRY + at, 2n ** 53n, true));
    expect(checkOf(bytes)).toBe('fields');
  });
});
