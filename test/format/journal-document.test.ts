/**
 * Goal: what FORMAT.md says of the journal and the code are the same.
 * Method: the examples are encoded, decoded, and put into the files that they make up, which are
 * read as a recovery reads them.
 */
import { describe, expect, test } from 'vitest';
import { alignTo8, viewOf } from '../../src/format/bytes.js';
import { MANIFEST_BYTES } from '../../src/format/manifest.js';
import {
  CONTROL_FILE_BYTES,
  controlSlotPosition,
  decodeControlFile,
  decodeJournalSegmentHeader,
  encodeControl,
  encodeJournalSegmentHeader,
  JOURNAL_SEGMENT_HEADER_BYTES,
  type JournalControl,
} from '../../src/format/journal-control.js';
import {
  decodeGroup,
  ENTRY_KINDS,
  type EntryKind,
  type JournalEntry,
} from '../../src/format/journal-group.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { writeWholeFileSync } from '../../src/fs/whole-file.js';
import { readJournal } from '../../src/journal/recovered-journal.js';
import { planRedo } from '../../src/journal/redo-plan.js';
import { valueOf } from '../support/format-arbitraries.js';
import {
  bytesOf,
  id,
  inputOf,
  lines,
  number,
  u64,
  type Input,
} from '../support/format-document.js';
import {
  groupBytes,
  JOURNAL,
  memoryStore,
  STORE,
  type GroupBytes,
} from '../support/journal-kit.js';

const storeIdOf = (input: Input): Uint8Array =>
  new Uint8Array(Buffer.from(input['storeId'] as string, 'hex'));

/** The data of an entry: a text, the bytes of another example, or a creation. */
function dataOf(input: Input): Uint8Array {
  const text = input['text'] as string | undefined;
  if (text !== undefined) return new TextEncoder().encode(text);
  const example = input['example'] as string | undefined;
  if (example !== undefined) return bytesOf(example);
  const [config, manifest] = ((input['examples'] as string[] | undefined) ?? []).map(bytesOf);
  if (config === undefined || manifest === undefined) return new Uint8Array(0);
  const data = new Uint8Array(8 + alignTo8(config.byteLength) + manifest.byteLength);
  viewOf(data).setUint32(0, config.byteLength, true);
  data.set(config, 8);
  data.set(manifest, 8 + alignTo8(config.byteLength));
  return data;
}

const entriesOf = (input: Input): JournalEntry[] =>
  (input['entries'] as Input[]).map((entry) => ({
    kind: entry['kind'] as EntryKind,
    channelId: id(entry),
    baseSeq: number(entry, 'baseSeq'),
    position: number(entry, 'position'),
    data: dataOf(entry),
  }));

/** Bytes as they are printed, whichever class they have. */
const plain = ({ channelId, data, ...rest }: JournalEntry): object => ({
  ...rest,
  channelId: [...channelId],
  data: [...data],
});

function encodeGroup(name: string): GroupBytes {
  const input = inputOf(name);
  const fields = {
    storeId: storeIdOf(input),
    epoch: number(input, 'epoch'),
    number: number(input, 'number'),
    syncedNumber: number(input, 'synced'),
    link: u64(input, 'link'),
  };
  return groupBytes(fields, entriesOf(input));
}

function controlOf(input: Input): JournalControl {
  return {
    storeId: storeIdOf(input),
    counter: number(input, 'counter'),
    epoch: number(input, 'epoch'),
    redoFrom: {
      segment: number(input, 'segment'),
      position: number(input, 'position'),
      number: number(input, 'number'),
      link: u64(input, 'link'),
    },
    isClosed: number(input, 'closed') === 1,
  };
}

const control = controlOf(inputOf('journal-control'));
const segment = {
  storeId: storeIdOf(inputOf('journal-segment')),
  segment: number(inputOf('journal-segment'), 'segment'),
  byteLength: number(inputOf('journal-segment'), 'byteLength'),
};

describe('the examples of the journal', () => {
  test('are encoded to the bytes of the document', () => {
    expect(Buffer.from(encodeControl(control))).toEqual(Buffer.from(bytesOf('journal-control')));
    const header = encodeJournalSegmentHeader(segment);
    expect(Buffer.from(header)).toEqual(Buffer.from(bytesOf('journal-segment')));
    const { bytes } = encodeGroup('journal-group');
    expect(Buffer.from(bytes)).toEqual(Buffer.from(bytesOf('journal-group')));
    const created = Buffer.from(encodeGroup('journal-create').bytes);
    const shown = Buffer.from(bytesOf('journal-create'));
    expect(created.subarray(0, shown.byteLength)).toEqual(shown);
    const rest = created.subarray(shown.byteLength);
    const config = bytesOf('config');
    expect(rest.byteLength).toBe(config.byteLength + 5 + MANIFEST_BYTES);
    expect(rest.subarray(0, config.byteLength)).toEqual(Buffer.from(config));
    expect(rest.subarray(config.byteLength + 5)).toEqual(Buffer.from(bytesOf('manifest')));
  });

  test('are decoded to their inputs', () => {
    const file = new Uint8Array(CONTROL_FILE_BYTES);
    file.set(bytesOf('journal-control'), controlSlotPosition(control.counter));
    expect(valueOf(decodeControlFile(file)).newest).toEqual(control);
    expect(valueOf(decodeJournalSegmentHeader(bytesOf('journal-segment')))).toEqual(segment);
    const { entries } = valueOf(decodeGroup(bytesOf('journal-group')));
    expect(entries.map(plain)).toEqual(entriesOf(inputOf('journal-group')).map(plain));
  });

  test('have every kind of entry, with the values of the table', () => {
    const kinds = ['journal-group', 'journal-create'].flatMap((name) => entriesOf(inputOf(name)));
    const used = new Set(kinds.map(({ kind }) => kind));
    expect([...used].toSorted()).toEqual(Object.keys(ENTRY_KINDS).toSorted());
    for (const [kind, value] of Object.entries(ENTRY_KINDS)) {
      const rows = lines.map((line) => /^\| `(\w+)` +\| (\d+) /.exec(line));
      const found = rows.find((row) => row?.[1] === kind)?.[2];
      expect([kind, Number(found)]).toEqual([kind, value]);
    }
  });
});

describe('the journal that the examples make up', () => {
  /** Segment and control block; the latter as it was before the store was closed, when open. */
  function journalOf(isClosed: boolean): FileSystem {
    const fs = memoryStore();
    fs.mkdirSync(JOURNAL);
    const file = new Uint8Array(segment.byteLength);
    const groups = ['journal-group', 'journal-create'].map((name) => encodeGroup(name).bytes);
    file.set(bytesOf('journal-segment'));
    file.set(Buffer.concat(groups), JOURNAL_SEGMENT_HEADER_BYTES);
    writeWholeFileSync(fs, `${JOURNAL}/0000000001.journal`, file);
    const slots = new Uint8Array(CONTROL_FILE_BYTES);
    const first = { segment: 1, position: JOURNAL_SEGMENT_HEADER_BYTES, number: 1 };
    const redoFrom = { ...first, link: { hi: 0, lo: 0 } };
    const before = { ...control, counter: 1, redoFrom, isClosed: false };
    slots.set(encodeControl(before), controlSlotPosition(before.counter));
    const last = bytesOf('journal-control');
    if (isClosed) slots.set(last, controlSlotPosition(control.counter));
    writeWholeFileSync(fs, `${JOURNAL}/control`, slots);
    return fs;
  }

  test('is read to the end that the control block states afterwards', () => {
    const contents = readJournal(journalOf(false), STORE, segment.storeId);
    expect(contents?.groups.map(({ header }) => header.number)).toEqual([1, 2]);
    expect(contents?.end).toEqual(control.redoFrom);
    expect(contents?.syncedNumber).toBe(1);
    const plan = planRedo(contents?.groups ?? [], contents?.names ?? []);
    expect(plan.map(({ hint, isDeleted, writes }) => [hint, isDeleted, writes.length])).toEqual([
      ['orders', false, 1],
      ['a%2fb', true, 0],
    ]);
  });

  test('has nothing to redo once it is closed', () => {
    const contents = readJournal(journalOf(true), STORE, segment.storeId);
    expect(contents).toMatchObject({ groups: [], end: control.redoFrom });
  });
});
