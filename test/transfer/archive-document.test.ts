/**
 * Goal: docs/archive.md is what is written and read.
 * Method: the dump and the lines of its example are imported, compared with the JSON there, and
 * exported again, byte by byte.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ChannelOptions } from '../../src/channel/options.js';
import { exportStore } from '../../src/transfer/export-store.js';
import { importStore } from '../../src/transfer/import-store.js';
import { bytesFrom, contentOf, openStore, piecesOf, utf8 } from './transfer-kit.js';

const text = readFileSync(new URL('../../docs/archive.md', import.meta.url), 'utf8');
const block = (language: string): string =>
  new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'ms').exec(text)?.[1] ?? '';

interface Example {
  readonly name: string;
  readonly options: ChannelOptions;
  readonly firstSeq: number;
  readonly nextSeq: number;
  readonly records: readonly {
    readonly seq: number;
    readonly type: number;
    readonly timestampNs: string;
    readonly payload: string;
  }[];
}

const example = JSON.parse(block('json')) as Example;

function dump(): Uint8Array {
  const bytes: number[] = [];
  for (const line of block('hex').trimEnd().split('\n')) {
    const [, offset = '', hex = ''] = /^([0-9a-f]{4}) {2}((?:[0-9a-f]{2} ?)+)/.exec(line) ?? [];
    expect(Number.parseInt(offset, 16), line).toBe(bytes.length);
    bytes.push(...Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  }
  return Uint8Array.from(bytes);
}

const content = [
  {
    name: example.name,
    options: { ...example.options, retention: undefined },
    firstSeq: example.firstSeq,
    nextSeq: example.nextSeq,
    records: example.records.map(({ seq, type, timestampNs, payload }) => {
      return [seq, type, BigInt(timestampNs), payload];
    }),
  },
];

test.each([
  ['the dump', dump()],
  ['the lines', utf8(block('ndjson'))],
])('%s is imported as the channel that the example describes', async (_what, bytes) => {
  const redex = await openStore();
  await importStore(redex, piecesOf(bytes, 9));
  expect(await contentOf(redex)).toEqual(content);
  const archive = await bytesFrom(exportStore(redex, { format: 'archive' }));
  expect(Buffer.from(archive).toString('hex')).toBe(Buffer.from(dump()).toString('hex'));
  const lines = await bytesFrom(exportStore(redex, { format: 'ndjson' }));
  expect(Buffer.from(lines).toString()).toBe(block('ndjson'));
  await redex.close();
});
