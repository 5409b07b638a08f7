/**
 * Goal: of an export that is cut off or damaged nothing is imported: it is CORRUPT, with the place,
 * or it is the same store after all. It is never other data, and never half of it.
 * Method: every prefix of an export, and every single bit of it turned over.
 */
import { describe, expect, test } from 'vitest';
import { RedexError } from '../../src/core/errors.js';
import { checksumOf, writeChecksum } from '../../src/format/checksum.js';
import { viewOf } from '../../src/format/bytes.js';
import type { Redex } from '../../src/store/redex.js';
import { newChunk, sealChunk } from '../../src/transfer/archive-chunk.js';
import { exportStore, type ExportOptions } from '../../src/transfer/export-store.js';
import { itemsOf } from '../../src/transfer/import-source.js';
import { importStore } from '../../src/transfer/import-store.js';
import { rejection } from '../support/channel-kit.js';
import {
  bytesFrom,
  contentOf,
  fillStore,
  openStore,
  piecesOf,
  SAMPLE,
  utf8,
} from './transfer-kit.js';

const WAYS: readonly ExportOptions[] = [
  { format: 'archive' },
  { format: 'ndjson' },
  { format: 'archive', gzip: true },
  { format: 'ndjson', gzip: true },
];

async function exported(options: ExportOptions): Promise<Uint8Array> {
  const source = await openStore();
  await fillStore(source, SAMPLE);
  const bytes = await bytesFrom(exportStore(source, options));
  await source.close();
  return bytes;
}

/** What an import of these bytes fails with; a store that it changed is closed and replaced. */
class Importer {
  #store: Redex | undefined;

  async failureOf(bytes: Uint8Array): Promise<RedexError | undefined> {
    this.#store ??= await openStore();
    const store = this.#store;
    const failure: unknown = await importStore(store, piecesOf(bytes), { path: 'x.rxar' }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (failure === undefined) return undefined;
    expect(await contentOf(store)).toEqual([]);
    return requireRedexError(failure);
  }

  async close(): Promise<unknown[]> {
    const store = this.#store;
    if (store === undefined) return [];
    this.#store = undefined;
    const content = await contentOf(store);
    await store.close();
    return content;
  }
}

function requireRedexError(failure: unknown): RedexError {
  expect(failure).toBeInstanceOf(RedexError);
  return failure as RedexError;
}

/** All items as text, or what they end with. Much cheaper than an import. */
async function itemsIn(bytes: Uint8Array): Promise<string | RedexError> {
  const found: unknown[] = [];
  try {
    for await (const item of itemsOf(piecesOf(bytes), 'x.rxar')) {
      if (item.kind !== 'records') found.push(item);
      else for (const each of item.records) found.push({ ...each, time: `${each.timestampNs}` });
    }
  } catch (error) {
    return requireRedexError(error);
  }
  return JSON.stringify(found, (_key, value: unknown) => (typeof value === 'bigint' ? 0 : value));
}

/** One of so many is imported, for all the others the items have to do. */
const IMPORTED = 43;

describe.each(WAYS)('%o', (options) => {
  test('every prefix is CORRUPT at a place inside of it', async () => {
    const whole = await exported(options);
    const importer = new Importer();
    for (let length = 0; length < whole.byteLength; length += 1) {
      const bytes = whole.slice(0, length);
      const failure =
        length % IMPORTED === 0 ? await importer.failureOf(bytes) : await itemsIn(bytes);
      expect(failure, `${length} bytes`).toMatchObject({ code: 'CORRUPT', path: 'x.rxar' });
      if (!RedexError.is(failure, 'CORRUPT') || options.gzip === true) continue;
      expect(failure.position, `${length} bytes`).toBeLessThanOrEqual(length);
    }
    expect(await importer.failureOf(whole)).toBeUndefined();
    await importer.close();
  });

  test('every bit that is turned over is told, or changes nothing', async () => {
    const whole = await exported(options);
    const importer = new Importer();
    const items = await itemsIn(whole);
    let same = 0;
    for (let at = 0; at < whole.byteLength; at += 1) {
      // All bits of some bytes, and one of each: a test of each bit takes minutes.
      const bits = at % 16 === 0 ? [0, 1, 2, 3, 4, 5, 6, 7] : [(at * 5) % 8];
      for (const bit of bits) {
        const bytes = whole.slice();
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        const found = await itemsIn(bytes);
        if (found === items) same += 1;
        else expect(found, `bit ${bit} of byte ${at}`).toHaveProperty('code', 'CORRUPT');
        if (found !== items && at % IMPORTED === 0) {
          expect(await importer.failureOf(bytes)).toHaveProperty('code', 'CORRUPT');
        }
      }
    }
    // Of gzip there are a time, an operating system and flags that mean nothing to us.
    if (options.gzip === true) expect(same).toBeLessThan(30);
    else expect(same).toBe(0);
    await importer.close();
  });

  test('bytes behind the end are CORRUPT', async () => {
    const whole = await exported(options);
    const longer = new Uint8Array(whole.byteLength + 1);
    longer.set(whole);
    const failure = await new Importer().failureOf(longer);
    expect(failure).toMatchObject({ code: 'CORRUPT', check: 'length', position: whole.byteLength });
  });

  test('two of them in a row are CORRUPT', async () => {
    const whole = await exported(options);
    const twice = new Uint8Array(Buffer.concat([whole, whole]));
    expect(await new Importer().failureOf(twice)).toMatchObject({ code: 'CORRUPT' });
  });
});

describe('a newer version is FORMAT_VERSION', () => {
  test('of an archive', async () => {
    const whole = await exported({ format: 'archive' });
    const view = viewOf(whole);
    view.setUint16(4, 2, true);
    writeChecksum(view, 16, checksumOf(whole, 0, 16));
    const failure = await new Importer().failureOf(whole);
    expect(failure).toMatchObject({ code: 'FORMAT_VERSION', found: 2, supported: 1 });
  });

  test('of lines of JSON', async () => {
    const failure = await new Importer().failureOf(
      utf8('{"format":"redex-export","version":2,"anything":true}\n?'),
    );
    expect(failure).toMatchObject({ code: 'FORMAT_VERSION', found: 2, supported: 1 });
  });
});

describe('forged archives', () => {
  test.each(['', 'x', 'RXA', 'PK\u0003\u0004 and more', '{', '[]\n', '{"version":1}\n', 'null\n'])(
    '%j is CORRUPT',
    async (text) => {
      expect(await new Importer().failureOf(utf8(text))).toMatchObject({ code: 'CORRUPT' });
    },
  );

  test('chunks with good checksums and bad bodies are CORRUPT', async () => {
    const whole = await exported({ format: 'archive' });
    const header = whole.slice(0, 24);
    for (const kind of [0, 1, 2, 3, 4, 5]) {
      for (const bodyBytes of [0, 8, 24, 32, 40]) {
        for (const fill of [0, 1, 0x7f, 0xff]) {
          const chunk = newChunk(kind, 0, bodyBytes);
          chunk.fill(fill, 16, 16 + bodyBytes);
          const bytes = new Uint8Array(Buffer.concat([header, sealChunk(chunk)]));
          const failure = await new Importer().failureOf(bytes);
          expect(failure, `${kind} ${bodyBytes} ${fill}`).toMatchObject({ code: 'CORRUPT' });
        }
      }
    }
  });

  test('chunks that were moved, left out or taken twice are CORRUPT', async () => {
    const whole = await exported({ format: 'archive' });
    const starts: number[] = [];
    for (let at = 24; at < whole.byteLength; at += 24 + viewOf(whole).getUint32(at + 12, true)) {
      starts.push(at);
    }
    expect(starts.length).toBeGreaterThan(8);
    for (const [i, start] of starts.entries()) {
      const end = starts[i + 1] ?? whole.byteLength;
      const without = Buffer.concat([whole.subarray(0, start), whole.subarray(end)]);
      const twice = Buffer.concat([whole.subarray(0, end), whole.subarray(start)]);
      for (const bytes of [without, twice]) {
        const failure = await new Importer().failureOf(new Uint8Array(bytes));
        expect(failure, `chunk ${i}`).toMatchObject({ code: 'CORRUPT' });
      }
    }
  });

  test.each([
    ['a seq below the last', '"seq":8', '"seq":7'],
    ['a seq beyond the end', '"seq":8', '"seq":901'],
    ['a type', '"type":65535', '"type":65536'],
    ['a time', '"18446744073709551614"', '"18446744073709551616"'],
    ['bytes', '"payloadBase64":"/wD+"', '"payloadBase64":"/wD!"'],
    ['an option', '"segmentMs":777', '"segmentMs":-1'],
    ['an unknown option', '"segmentMs"', '"segmentMz"'],
    ['a name twice', '"name":"empty"', String.raw`"name":"a/ü\n\"quoted\""`],
    ['the name of a stage', '"name":"empty"', '"name":".redex-import/1"'],
    ['another channel', '{"channel":"gap', '{"channel":"map'],
  ])('%s that cannot be is CORRUPT at its line', async (_what, from, to) => {
    const text = Buffer.from(await exported({ format: 'ndjson' })).toString();
    expect(text).toContain(from);
    const failure = await new Importer().failureOf(utf8(text.replace(from, to)));
    const position = Buffer.byteLength(
      text.slice(0, text.lastIndexOf('\n', text.indexOf(from)) + 1),
    );
    expect(failure).toMatchObject({ code: 'CORRUPT', position });
  });
});

test('the bytes of an export can be taken once, and a format has to be one', async () => {
  const store = await openStore();
  const run = exportStore(store, { format: 'archive' });
  await bytesFrom(run);
  await expect(bytesFrom(run)).rejects.toThrow(TypeError);
  expect(() => exportStore(store, { format: 'zip' as 'ndjson' })).toThrow(TypeError);
  await store.close();
  await rejection(bytesFrom(exportStore(store, { format: 'ndjson' })), 'CLOSED');
});
