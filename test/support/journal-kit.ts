/** Groups of the journal that are made by hand, and journals that its own classes write. */
import type { Checksum } from '../../src/format/checksum.js';
import { viewOf } from '../../src/format/bytes.js';
import {
  ENTRY_HEADER_BYTES,
  entryBytes,
  GROUP_HEADER_BYTES,
  sealGroup,
  writeEntryHead,
  type GroupHeader,
  type JournalEntry,
} from '../../src/format/journal-group.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Journal, type JournalParts } from '../../src/journal/journal.js';
import type { JournalSegment } from '../../src/journal/journal-segments.js';
import {
  readJournal,
  type JournalContents,
  type RecoveredJournal,
} from '../../src/journal/recovered-journal.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';

export const STORE = '/store';
export const JOURNAL: string = `${STORE}/journal`;
export const STORE_ID: Uint8Array = Uint8Array.from({ length: 16 }, (_, i) => i);
/** The smallest journal that an option allows. */
export const JOURNAL_BYTES: number = 256 * 1024;
export const NO_LINK: Checksum = { hi: 0, lo: 0 };

/** The id of a channel in these tests. */
export function channelId(n: number): Uint8Array {
  return new Uint8Array(16).fill(n);
}

export interface GroupBytes {
  readonly bytes: Uint8Array;
  readonly checksum: Checksum;
}

type GroupFields = Omit<GroupHeader, 'byteLength' | 'checksum' | 'entryCount'>;

/** A whole group with these entries. */
export function groupBytes(fields: GroupFields, entries: readonly JournalEntry[]): GroupBytes {
  const sizes = entries.map(({ data }) => entryBytes(data.byteLength));
  const byteLength = GROUP_HEADER_BYTES + sizes.reduce((sum, size) => sum + size, 0);
  const bytes = new Uint8Array(byteLength);
  let at = GROUP_HEADER_BYTES;
  for (const [i, { data, ...entry }] of entries.entries()) {
    writeEntryHead(viewOf(bytes), at, entry, data.byteLength);
    bytes.set(data, at + ENTRY_HEADER_BYTES);
    at += sizes[i] ?? 0;
  }
  const header = { ...fields, byteLength, entryCount: entries.length };
  return { bytes, checksum: sealGroup(bytes, 0, header) };
}

/** An entry with so many bytes of one value for a channel. */
export function writeEntry(channel: number, position: number, length: number): JournalEntry {
  const data = new Uint8Array(length).fill(channel + position);
  return { kind: 'write', channelId: channelId(channel), baseSeq: 0, position, data };
}

export function textEntry(kind: JournalEntry['kind'], channel: number, text: string): JournalEntry {
  const data = new TextEncoder().encode(text);
  return { kind, channelId: channelId(channel), baseSeq: 0, position: 0, data };
}

export function memoryStore(): MemoryFs {
  const fs = new MemoryFs();
  fs.mkdirSync(STORE);
  return fs;
}

export interface JournalLab {
  readonly journal: Journal;
  readonly runtime: ManualRuntime;
  /** What the journal has told of itself. */
  readonly failures: string[];
  /** How often a checkpoint was asked for because room is needed. */
  readonly wanted: { count: number };
}

/** A journal on this file system, taken up from what is there. */
export function openLab(fs: FileSystem, more: Partial<JournalParts> = {}): JournalLab {
  const runtime = more.runtime instanceof ManualRuntime ? more.runtime : new ManualRuntime();
  const failures: string[] = [];
  const wanted = { count: 0 };
  const parts: JournalParts = {
    fs,
    directory: STORE,
    storeId: STORE_ID,
    journalBytes: JOURNAL_BYTES,
    runtime,
    onFailed: (path) => failures.push(path),
    onUse: (isRoomNeeded) => {
      if (isRoomNeeded) wanted.count++;
    },
    ...more,
  };
  return { journal: new Journal(parts, recoveredFrom(fs)), runtime, failures, wanted };
}

/** What a recovery hands on when everything was redone. */
export function recoveredFrom(fs: FileSystem): RecoveredJournal | undefined {
  const contents = readJournal(fs, STORE, STORE_ID);
  if (contents === undefined) return undefined;
  const { control, end } = contents;
  const segments = contents.segments.map(({ number, byteLength, path }): JournalSegment => ({
    number,
    byteLength,
    path,
    files: undefined,
    isSyncing: false,
    lastGroup: 0,
    first: undefined,
  }));
  return { control, segments, end };
}

/** The journal that is there; it must be one. */
export function contentsOf(fs: FileSystem): JournalContents {
  const contents = readJournal(fs, STORE, STORE_ID);
  if (contents === undefined) throw new Error('there is no journal');
  return contents;
}

/** Adds an entry for which there is room. */
export function add(journal: Journal, { data, ...entry }: JournalEntry): void {
  if (!journal.ensureRoom(entryBytes(data.byteLength))) throw new Error('there is no room');
  journal.add(entry, data, 0, data.byteLength);
}

/** Adds an entry, and waits until space for it was allocated. */
export async function addSoon(
  { journal, runtime }: JournalLab,
  entry: JournalEntry,
): Promise<void> {
  for (let turn = 0; !journal.ensureRoom(entryBytes(entry.data.byteLength)); turn++) {
    if (turn > 3) throw new Error('there is no room');
    await runtime.drainIo();
  }
  journal.add(entry, entry.data, 0, entry.data.byteLength);
}

/** One group with this entry, synced. */
export async function addSynced(lab: JournalLab, ...entries: JournalEntry[]): Promise<void> {
  for (const entry of entries) await addSoon(lab, entry);
  const synced = lab.journal.synced();
  await lab.runtime.drainIo();
  await synced;
}
