/**
 * Goal: the manifest of a data directory is read back as it was written, a newer one is known as
 * newer, and nothing else passes for one.
 * Method: every flipped bit, every truncation, and texts that say the same in other words.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksumOf } from '../../src/format/checksum.js';
import {
  decodeStoreManifest,
  encodeStoreManifest,
  MAX_STORE_MANIFEST_BYTES,
  type StoreManifest,
} from '../../src/format/store-manifest.js';
import { acceptedFlip, safeIntegers, valueOf } from '../support/format-arbitraries.js';

const SEED = 20240301;

const manifests: fc.Arbitrary<StoreManifest> = fc.record({
  storeId: fc.stringMatching(/^[0-9a-f]{32}$/),
  created: safeIntegers,
});
const plain: StoreManifest = {
  storeId: '00112233445566778899aabbccddeeff',
  created: 1700000000000,
};
const plainText = textOf(encodeStoreManifest(plain));

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

type Result = ReturnType<typeof decodeStoreManifest>;
const decode = (text: string): Result => decodeStoreManifest(new TextEncoder().encode(text));
const fails = (check: string): unknown => ({ ok: false, check });

/** The text of these fields in this order, under a good checksum. */
function signed(fields: Record<string, unknown>): string {
  const bytes = new TextEncoder().encode(`${JSON.stringify(fields, undefined, 2)}\n`);
  const { hi, lo } = checksumOf(bytes, 0, bytes.byteLength);
  const checksum = ((BigInt(hi) << 32n) | BigInt(lo)).toString(16).padStart(16, '0');
  return `${JSON.stringify({ ...fields, checksum }, undefined, 2)}\n`;
}

const fields = { format: 'redex', formatVersion: 1, ...plain };

describe('a store manifest', () => {
  test('is read back as it was written', () => {
    fc.assert(
      fc.property(manifests, (manifest) => {
        const bytes = encodeStoreManifest(manifest);
        expect(valueOf(decodeStoreManifest(bytes))).toEqual(manifest);
        expect(bytes.byteLength).toBeLessThanOrEqual(512);
        expect(JSON.parse(textOf(bytes))).toMatchObject({
          format: 'redex',
          formatVersion: 1,
          ...manifest,
        });
      }),
      { seed: SEED },
    );
  });

  test('has the checksum of its text without it', () => {
    fc.assert(
      fc.property(manifests, ({ storeId, created }) => {
        const text = signed({ format: 'redex', formatVersion: 1, storeId, created });
        expect(textOf(encodeStoreManifest({ storeId, created }))).toBe(text);
      }),
      { seed: SEED },
    );
    expect(plainText).toBe(signed(fields));
  });

  test('keeps the first and the last time that there is', () => {
    for (const created of [0, 1, Number.MAX_SAFE_INTEGER]) {
      const manifest = { ...plain, created };
      expect(valueOf(decodeStoreManifest(encodeStoreManifest(manifest)))).toEqual(manifest);
    }
  });

  test.each([
    { ...plain, storeId: plain.storeId.toUpperCase() },
    { ...plain, storeId: plain.storeId.slice(1) },
    { ...plain, created: -1 },
    { ...plain, created: 0.5 },
    { ...plain, created: 2 ** 53 },
    { ...plain, created: Number.NaN },
  ])('is not written for %j', (manifest) => {
    expect(() => encodeStoreManifest(manifest)).toThrow('broken invariant');
  });
});

describe('damage', () => {
  test('of a bit is never let through', () => {
    const bytes = encodeStoreManifest(plain);
    const flip = acceptedFlip(bytes, (flipped) => decodeStoreManifest(flipped).ok);
    expect(flip).toBeUndefined();
    expect(decodeStoreManifest(bytes).ok).toBe(true);
  });

  test('of a bit is taken for a newer version in the digit of the version alone', () => {
    const bytes = encodeStoreManifest(plain);
    const newer: number[] = [];
    acceptedFlip(bytes, (flipped, bit) => {
      const result = decodeStoreManifest(flipped);
      if (!result.ok && result.check === 'version') newer.push(bit >> 3);
      return false;
    });
    const digit = plainText.indexOf('1,\n');
    expect(new Set(newer)).toEqual(new Set([digit]));
  });

  test('of the end is never let through', () => {
    const bytes = encodeStoreManifest(plain);
    for (let length = 0; length < bytes.byteLength; length++) {
      const result = decodeStoreManifest(bytes.subarray(0, length));
      expect([length, result.ok]).toEqual([length, false]);
    }
    expect(decodeStoreManifest(new Uint8Array())).toEqual(fails('length'));
    expect(decodeStoreManifest(bytes.subarray(0, 100))).toEqual(fails('length'));
    // Whole but for its last newline.
    expect(decodeStoreManifest(bytes.subarray(0, -1))).toEqual(fails('length'));
  });

  test('of a whole half or sector is never let through', () => {
    const bytes = encodeStoreManifest(plain);
    for (const byte of [0, 0x20, 0xff]) {
      for (const cut of [1, 16, 100, bytes.byteLength - 1]) {
        const tail = bytes.slice().fill(byte, cut);
        const head = bytes.slice().fill(byte, 0, cut);
        expect([byte, cut, decodeStoreManifest(tail).ok]).toEqual([byte, cut, false]);
        expect([byte, cut, decodeStoreManifest(head).ok]).toEqual([byte, cut, false]);
      }
    }
  });

  test('by bytes behind the end is never let through', () => {
    for (const more of ['\n', ' ', '\0', '\0'.repeat(100), 'x', plainText]) {
      expect([more, decode(plainText + more).ok]).toEqual([more, false]);
      expect([more, decode(more + plainText).ok]).toEqual([more, false]);
    }
    expect(decode(`${plainText}\n`)).toEqual(fails('length'));
    expect(decode(`\ufeff${plainText}`)).toEqual(fails('magic'));
  });

  test('is a file of zeros, of any length', () => {
    for (let length = 1; length <= MAX_STORE_MANIFEST_BYTES + 1; length++) {
      const { ok } = decodeStoreManifest(new Uint8Array(length));
      expect([length, ok]).toEqual([length, false]);
    }
    expect(decodeStoreManifest(new Uint8Array(plainText.length))).toEqual(fails('magic'));
  });

  test('is a file that is larger than the limit, whatever it holds', () => {
    const large = plainText.padEnd(MAX_STORE_MANIFEST_BYTES);
    expect(decode(large)).toEqual(fails('length'));
    const newer = '{"format":"redex","formatVersion":2}';
    expect(decode(newer.padEnd(MAX_STORE_MANIFEST_BYTES))).toMatchObject({ check: 'version' });
    expect(decode(newer.padEnd(MAX_STORE_MANIFEST_BYTES + 1))).toEqual(fails('length'));
  });

  test('is any random change that is let through only when it changes nothing', () => {
    const bytes = encodeStoreManifest(plain);
    const changes = fc.array(fc.tuple(fc.nat(bytes.byteLength - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(changes, (list) => {
        const changed = bytes.slice();
        for (const [at, byte] of list) changed[at] = byte;
        expect(decodeStoreManifest(changed).ok).toBe(Buffer.compare(changed, bytes) === 0);
      }),
      { seed: SEED, numRuns: 1000 },
    );
  });
});

describe('a newer version', () => {
  test.each([
    ['{"format":"redex","formatVersion":2}', 2],
    ['{"formatVersion":2,"format":"redex"}', 2],
    [' { "format" : "redex" , "formatVersion" : 2.0 } ', 2],
    ['{"format":"redex","formatVersion":3,"storeId":7,"created":"x","checksum":null}', 3],
    ['{"more":{"a":[1]},"format":"redex","formatVersion":65536}', 65536],
    ['{"format":"redex","formatVersion":9007199254740991}', Number.MAX_SAFE_INTEGER],
    [plainText.replace('"formatVersion": 1', '"formatVersion": 2'), 2],
  ])('is known as newer: %s', (text, found) => {
    expect(decode(text)).toEqual({ ok: false, check: 'version', found });
  });

  test('is known as newer with any other fields', () => {
    const others = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 6 });
    fc.assert(
      fc.property(others, fc.integer({ min: 2, max: 2 ** 40 }), (more, formatVersion) => {
        const text = JSON.stringify({ ...more, format: 'redex', formatVersion });
        fc.pre(text.length <= MAX_STORE_MANIFEST_BYTES);
        expect(decode(text)).toEqual({ ok: false, check: 'version', found: formatVersion });
      }),
      { seed: SEED },
    );
  });

  test.each(['0', '-1', '-2', '1.5', '2.5', '"2"', 'null', 'true', '[2]', '{}', '1e400', '1e300'])(
    'is not %s, under a good checksum or none',
    (version) => {
      const text = plainText.replace('"formatVersion": 1', `"formatVersion": ${version}`);
      expect(decode(text)).toEqual(fails('fields'));
      const formatVersion: unknown = JSON.parse(version);
      expect(decode(signed({ ...fields, formatVersion }))).toEqual(fails('fields'));
    },
  );

  test.each(['Redex', 'redex ', 'redexlog', '', 1, null, ['redex']])(
    'is not that of another format: %j',
    (format) => {
      const text = JSON.stringify({ ...fields, format, formatVersion: 2 });
      expect(decode(text.padEnd(300))).toEqual(fails('magic'));
      expect(decode(text).ok).toBe(false);
    },
  );
});

describe('other content is refused', () => {
  test.each(
    [
      ['null', '1', '"redex"', '[]', '["redex"]', 'true', '{}', '{"format":1}', 'redex', '{', '}'],
      ["{'format':'redex'}", '{"__proto__":{"format":"redex","formatVersion":2}}'],
      ['[{"format":"redex","formatVersion":2}]', '{"format":"redex","formatVersion":2'],
    ].flat(),
  )('%s', (text) => {
    expect(decode(text)).toEqual(fails('length'));
    expect(decode(text.padEnd(300))).toEqual(fails('magic'));
  });

  test('what is not UTF-8', () => {
    const bytes = new TextEncoder().encode(
      `${JSON.stringify({ ...fields, more: '?'.padEnd(100) })}\n`,
    );
    bytes[bytes.indexOf(0x3f)] = 0xff;
    expect(decodeStoreManifest(bytes)).toEqual(fails('magic'));
  });

  test.each([
    ['storeId', 7],
    ['storeId', null],
    ['storeId', plain.storeId.toUpperCase()],
    ['storeId', `${plain.storeId}00`],
    ['storeId', `${plain.storeId.slice(1)}\n`],
    ['storeId', [plain.storeId]],
    ['created', '1700000000000'],
    ['created', -1700000000000],
    ['created', 1700000000000.5],
    ['created', 2 ** 53],
    ['created', 1e300],
    ['created', null],
    ['created', [1700000000000]],
  ])('a %s that is %j, under a good checksum', (field, value) => {
    const text = signed({ ...fields, [field]: value });
    expect(decode(text.padEnd(300))).toEqual(fails('fields'));
    expect(decode(text).ok).toBe(false);
  });

  test.each([
    { checksum: '0'.repeat(16) },
    { checksum: '' },
    { checksum: 7 },
    { checksum: null },
    {},
  ])('a checksum that is not its own: %j', (checksum) => {
    const text = JSON.stringify({ ...fields, ...checksum }, undefined, 2);
    expect(decode(text.padEnd(300))).toEqual(fails('checksum'));
  });

  test('a good manifest with the checksum of another one, or in upper case', () => {
    const other = textOf(encodeStoreManifest({ ...plain, created: plain.created + 1 }));
    const sum = /"checksum": "(\w+)"/;
    const [, mine = ''] = sum.exec(plainText) ?? [];
    expect(decode(plainText.replace(sum, sum.exec(other)?.[0] ?? ''))).toEqual(fails('checksum'));
    expect(decode(plainText.replace(mine, mine.toUpperCase()))).toEqual(fails('checksum'));
  });

  test('the same in other words', () => {
    const json = JSON.parse(plainText) as Record<string, unknown>;
    const reversed = Object.fromEntries(Object.entries(json).toReversed());
    const written = (value: unknown, space: number | string): string =>
      `${JSON.stringify(value, undefined, space)}\n`;
    expect(written(json, 2)).toBe(plainText);
    expect(decode(written(reversed, 2))).toEqual(fails('fields'));
    expect(decode(plainText.replaceAll('  ', '\t '))).toEqual(fails('fields'));
    const others = [
      JSON.stringify(json),
      written(json, 4),
      written({ ...json, more: 1 }, 2),
      plainText.replaceAll('\n', '\r\n'),
      plainText.replace('1700000000000', '1.7e12'),
      plainText.replace('1700000000000', '1700000000000.0'),
      plainText.replace('redex', '\\u0072edex'),
      plainText.replace('"format"', '"format": "other",\n  "format"'),
    ];
    for (const other of others) {
      expect([other, decode(other)]).toEqual([other, fails('length')]);
    }
    const zero = textOf(encodeStoreManifest({ ...plain, created: 0 }));
    expect(decode(zero.replace(' 0,', ' -0,'))).toEqual(fails('length'));
  });
});
