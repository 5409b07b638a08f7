/**
 * Goal: FORMAT.md and the code say the same.
 * Method: every example of the document has an input as JSON and its bytes as a hex dump, or as
 * text where they are that. The input is encoded and compared with the dump, the dump is decoded
 * and compared with the input, and the examples that make up one file are read as one file. Of the
 * tables, each constant is compared with the code's, each name of a channel is encoded, and each
 * list of fields is checked for gaps.
 */
import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { nanosFromBigint } from '../../src/core/nanos.js';
import { UNSAFE, viewOf } from '../../src/format/bytes.js';
import { decodeChannelEntry, encodeChannelName } from '../../src/format/channel-name.js';
import { decodeCheckpointHeader, encodeCheckpoint } from '../../src/format/checkpoint.js';
import {
  CLEAN_FILE_BYTES,
  cleanSlotPosition,
  decodeCleanFile,
  decodeCleanMark,
  encodeCleanMark,
} from '../../src/format/clean-mark.js';
import { decodeConfig, encodeConfig } from '../../src/format/config.js';
import { magicNumber } from '../../src/format/envelope.js';
import { DAT_MAGIC, decodeFileHeader, encodeFileHeader } from '../../src/format/file-header.js';
import { FrameEncoder, type FramePlace } from '../../src/format/frame-encoder.js';
import {
  IDX_ENTRY_BYTES,
  readIndexEntry,
  TS_ENTRY_BYTES,
  writeIndexEntry,
} from '../../src/format/index-entry.js';
import { decodeManifest, encodeManifest } from '../../src/format/manifest.js';
import { decodeStoreManifest, encodeStoreManifest } from '../../src/format/store-manifest.js';
import { BLOCK_HEADER_BYTES, decodeUnitHeader } from '../../src/format/unit.js';
import {
  contentOf,
  isSame,
  valueOf,
  walkDat,
  type ModelRecord,
} from '../support/format-arbitraries.js';
import {
  bytesOf,
  examples,
  id,
  inputOf,
  lines,
  number,
  numbers,
  SOURCES,
  u64,
  type Input,
} from '../support/format-document.js';

/** The records of an input; those of a rule have consecutive seqs and the frame's time. */
function recordsOf(input: Input): ModelRecord[] {
  const rule = input.payloadRule;
  if (rule === undefined) {
    return (input.records ?? []).map(({ seq, type, timestamp, payload, lastOfBatch }) => ({
      seq,
      type,
      timestampNs: BigInt(timestamp),
      payload: new TextEncoder().encode(payload),
      batchEnd: lastOfBatch,
    }));
  }
  return Array.from({ length: rule.records }, (_, i) => ({
    seq: number(input, 'baseSeq') + i,
    type: 0,
    timestampNs: BigInt(input['timestamp'] as string),
    payload: Uint8Array.from({ length: rule.bytes }, (_byte, j) => (31 * i + j) % 256),
    batchEnd: i === rule.records - 1,
  }));
}

function placeOf(input: Input): FramePlace {
  const { position, attempt, durableSeq } = numbers(input, 'position', 'attempt', 'durableSeq');
  const nonce = u64(inputOf('dat-header'), 'nonce');
  return { position, attempt, durableSeq, link: u64(input, 'link'), nonce };
}

function encodeUnits(name: string): Uint8Array {
  const input = inputOf(name);
  const encoder = new FrameEncoder();
  const records = recordsOf(input);
  if (records.length > 0) {
    encoder.encode(contentOf(records), placeOf(input));
  } else {
    const timestamp = u64(input, 'timestamp');
    const baseSeq = number(input, 'baseSeq');
    if (name === 'seal') {
      encoder.encodeSeal(baseSeq, number(input, 'recordCount'), timestamp, placeOf(input));
    } else encoder.encodeWitness(baseSeq, timestamp, placeOf(input));
  }
  return encoder.bytes.slice(0, encoder.byteLength);
}

const headerOf = (input: Input): Parameters<typeof encodeFileHeader>[1] => ({
  channelId: id(input),
  ...numbers(input, 'baseSeq', 'durableSeq'),
  nonce: u64(input, 'nonce'),
  timestampFloor: u64(input, 'timestampFloor'),
});
const manifestOf = (input: Input): Parameters<typeof encodeManifest>[0] => ({
  channelId: id(input),
  ...numbers(input, 'generation', 'firstSeq', 'redoSeq', 'nextSeqFloor', 'recoveryEpoch'),
  ...numbers(input, 'redoSegment', 'redoPosition'),
});
const markOf = (input: Input): Parameters<typeof encodeCleanMark>[0] => ({
  channelId: id(input),
  ...numbers(input, 'counter', 'generation', 'baseSeq', 'datLength', 'nextSeq'),
  lastChecksum: u64(input, 'lastChecksum'),
  lastTimestamp: u64(input, 'lastTimestamp'),
  ...numbers(input, 'recordCount', 'frameCount'),
});
const configOf = (input: Input): Parameters<typeof encodeConfig>[0] => ({
  channelId: id(input),
  body: input['body'] as Record<string, unknown>,
});
const checkpointOf = (input: Input): Parameters<typeof encodeCheckpoint>[0] => ({
  channelId: id(input),
  ...numbers(input, 'seq', 'fromSeq', 'foldVersion', 'kind'),
  name: input['name'] as string,
});
const entryOf = (input: Input): ReturnType<typeof readIndexEntry> =>
  numbers(input, 'seqDelta', 'position', 'byteLength', 'check');

/** All that an example's input is encoded to. */
function encodeExample(name: string): Uint8Array {
  const input = inputOf(name);
  if (name === 'dat-header') return encodeFileHeader(DAT_MAGIC, headerOf(input));
  if (name === 'manifest') return encodeManifest(manifestOf(input));
  if (name === 'clean-mark') return encodeCleanMark(markOf(input));
  if (name === 'config') return encodeConfig(configOf(input));
  if (name === 'checkpoint') {
    const state = new TextEncoder().encode(input['state'] as string);
    return encodeCheckpoint(checkpointOf(input), state);
  }
  if (name === 'idx-entry') {
    const bytes = new Uint8Array(IDX_ENTRY_BYTES);
    const { seqDelta, position, byteLength, check } = entryOf(input);
    writeIndexEntry(viewOf(bytes), 0, seqDelta, position, byteLength, check);
    return bytes;
  }
  if (name === 'ts-entry') {
    const bytes = new Uint8Array(TS_ENTRY_BYTES);
    viewOf(bytes).setBigUint64(0, BigInt(input['timestamp'] as string), true);
    return bytes;
  }
  return encodeUnits(name);
}

const FRAMES = ['frame-inline', 'frame-columns', 'frame-blocks', 'frame-witness'];
const UNITS = [...FRAMES, 'seal'];
const MARKS = ['clean-mark', 'checkpoint'];
const WHOLE = ['dat-header', 'config', 'manifest', ...MARKS, 'idx-entry', 'ts-entry'];
/** See journal-document.test.ts. */
const JOURNAL = ['journal-segment', 'journal-group', 'journal-create', 'journal-control'];

/** Where the first block of the example starts in its frame, and the bytes of it that are shown. */
const BLOCK_START = 104;
const SHOWN_BYTES = BLOCK_HEADER_BYTES + 4 * 8;

describe('the examples', () => {
  test('are these', () => {
    const names = [...examples.keys()].filter((key) => key.startsWith('hex '));
    expect(names.toSorted()).toEqual(
      [...UNITS, ...WHOLE, 'block-start', ...JOURNAL].map((name) => `hex ${name}`).toSorted(),
    );
  });

  test.each([...UNITS, ...WHOLE].filter((name) => name !== 'frame-blocks'))(
    '%s is encoded to the bytes of the document',
    (name) => {
      expect(Buffer.from(encodeExample(name))).toEqual(Buffer.from(bytesOf(name)));
    },
  );

  test('frame-blocks is encoded to the head, and the beginning, of the document', () => {
    const encoded = Buffer.from(encodeExample('frame-blocks'));
    expect(encoded.subarray(0, BLOCK_START)).toEqual(Buffer.from(bytesOf('frame-blocks')));
    const start = encoded.subarray(BLOCK_START, BLOCK_START + SHOWN_BYTES);
    expect(start).toEqual(Buffer.from(bytesOf('block-start')));
  });

  test('are decoded to their inputs', () => {
    const header = valueOf(decodeFileHeader(DAT_MAGIC, bytesOf('dat-header')));
    expect(header).toMatchObject(headerOf(inputOf('dat-header')));
    const manifest = valueOf(decodeManifest(bytesOf('manifest')));
    expect(manifest).toEqual(manifestOf(inputOf('manifest')));
    const mark = valueOf(decodeCleanMark(bytesOf('clean-mark')));
    expect(mark).toEqual(markOf(inputOf('clean-mark')));
    expect(valueOf(decodeConfig(bytesOf('config')))).toEqual(configOf(inputOf('config')));
    const checkpoint = valueOf(decodeCheckpointHeader(bytesOf('checkpoint')));
    expect(checkpoint.header).toMatchObject(checkpointOf(inputOf('checkpoint')));
    const entry = readIndexEntry(viewOf(bytesOf('idx-entry')), 0);
    expect(entry).toEqual(entryOf(inputOf('idx-entry')));
  });
});

describe('the examples that are text', () => {
  const textOf = (name: string): string => (examples.get(`text ${name}`) ?? []).join('\n');

  test('are these', () => {
    const names = [...examples.keys()].filter((key) => key.startsWith('text '));
    expect(names).toEqual(['text entry-hashed', 'text store-manifest']);
  });

  test('store-manifest is encoded to the text of the document, and decoded to its input', () => {
    const input = inputOf('store-manifest');
    const manifest = { storeId: input['storeId'] as string, ...numbers(input, 'created') };
    const text = `${textOf('store-manifest')}\n`;
    expect(Buffer.from(encodeStoreManifest(manifest)).toString()).toBe(text);
    const bytes = new TextEncoder().encode(text);
    expect(valueOf(decodeStoreManifest(bytes))).toEqual(manifest);
  });

  test('entry-hashed is that of its name', () => {
    const entry = textOf('entry-hashed');
    expect(encodeChannelName(inputOf('entry-hashed')['name'] as string)).toBe(entry);
    expect(decodeChannelEntry(entry)).toEqual({ kind: 'hashed' });
  });
});

describe('the file that the examples make up', () => {
  const blocks = encodeExample('frame-blocks');
  blocks.set(bytesOf('frame-blocks'));
  blocks.set(bytesOf('block-start'), BLOCK_START);
  const pieces = UNITS.map((name) => (name === 'frame-blocks' ? blocks : bytesOf(name)));
  const file = new Uint8Array(Buffer.concat([bytesOf('dat-header'), ...pieces]));
  const records = FRAMES.flatMap((name) => recordsOf(inputOf(name)));

  test('is read to its seal, record for record', () => {
    const walk = walkDat(file);
    expect(walk).toMatchObject({ ended: 'seal', position: file.byteLength });
    expect(walk.records.length).toBe(records.length);
    for (const [i, record] of walk.records.entries()) {
      const written = records[i];
      expect([i, written !== undefined && isSame(record, written)]).toEqual([i, true]);
    }
  });

  test('is what the seal, the clean mark and the entries say', () => {
    const seal = inputOf('seal');
    const last = records.at(-1);
    expect(seal['recordCount']).toBe(records.length);
    expect(seal['baseSeq']).toBe((last?.seq ?? 0) + 1);
    const slots = new Uint8Array(CLEAN_FILE_BYTES);
    const mark = markOf(inputOf('clean-mark'));
    slots.set(bytesOf('clean-mark'), cleanSlotPosition(mark.counter));
    expect(decodeCleanFile(slots).mark).toEqual({
      ...mark,
      baseSeq: headerOf(inputOf('dat-header')).baseSeq,
      datLength: file.byteLength - 64,
      nextSeq: seal['baseSeq'],
      lastChecksum: u64(seal, 'link'),
      lastTimestamp: nanosFromBigint(last?.timestampNs ?? 0n),
      recordCount: records.length,
      frameCount: FRAMES.length,
    });
    const at = records.findIndex(({ seq }) => seq === 105);
    const { seqDelta, position, byteLength, check } = entryOf(inputOf('idx-entry'));
    expect([at, seqDelta]).toEqual([3, 105 - mark.baseSeq]);
    const unit = decodeUnitHeader(viewOf(file), position, position, byteLength);
    expect(unit).toMatchObject({ byteLength, checksum: { lo: check } });
    const stamp = viewOf(bytesOf('ts-entry')).getBigUint64(0, true);
    expect(stamp).toBe(records[at]?.timestampNs);
  });
});

/** The rows of all tables whose first column has this title, as their cells. */
function tables(title: string): string[][][] {
  const found: string[][][] = [];
  let rows: string[][] | undefined;
  for (const line of lines) {
    if (!line.startsWith('|')) rows = undefined;
    const cells = line.split('|').map((cell) => cell.trim());
    if (cells[1] === title && rows === undefined) {
      rows = [];
      found.push(rows);
    } else if (rows !== undefined && !/^-+$/.test(cells[1] ?? '')) {
      rows.push(cells.slice(1));
    }
  }
  return found;
}

describe('the tables', () => {
  test('of names and their entries is so, in both directions', () => {
    const rows = tables('JSON of the name').flat();
    expect(rows.length).toBeGreaterThan(10);
    for (const row of rows) {
      const [json = '', entry = ''] = row.map((cell) => cell.replaceAll('`', ''));
      const name = JSON.parse(json) as string;
      expect([json, encodeChannelName(name)]).toEqual([json, entry]);
      expect(decodeChannelEntry(entry)).toEqual({ kind: 'name', name });
    }
  });

  test('of constants names all of the code, with their values', async () => {
    const inCode = new Map<string, unknown>();
    for (const name of readdirSync(SOURCES).filter((file) => file.endsWith('.ts'))) {
      const module = (await import(new URL(name, SOURCES).href)) as Record<string, unknown>;
      for (const [key, value] of Object.entries(module)) {
        if (typeof value === 'number' || typeof value === 'string') inCode.set(key, value);
      }
    }
    expect(inCode.get('UNSAFE')).toBe(UNSAFE);
    inCode.delete('UNSAFE');
    const inDocument = new Map<string, unknown>();
    for (const [name = '', value = ''] of tables('constant').flat()) {
      const key = name.replaceAll('`', '');
      const text = value.replaceAll('`', '');
      const parsed = key.endsWith('_MAGIC') ? magicNumber(text) : Number(text);
      inDocument.set(key, key.endsWith('_NAME') ? text : parsed);
    }
    expect(Object.fromEntries(inDocument)).toEqual(Object.fromEntries(inCode));
    expect(inCode.size).toBeGreaterThan(30);
  });

  test('of fields leave no gap', () => {
    const layouts = tables('at');
    expect(layouts.length).toBeGreaterThanOrEqual(10);
    for (const rows of layouts) {
      const fields = rows.map(([at, bytes]) => [Number(at), Number(bytes)] as const);
      const fixed = fields.filter(([at, bytes]) => !Number.isNaN(at) && !Number.isNaN(bytes));
      expect(fixed.length).toBeGreaterThanOrEqual(2);
      for (const [i, [at, bytes]] of fixed.slice(0, -1).entries()) {
        expect([rows[i], at + bytes]).toEqual([rows[i], fixed[i + 1]?.[0]]);
      }
    }
  });
});
