/**
 * A group is what one write puts into the journal: entries of any number of channels, which are
 * there all together or not at all. A group names the store, the epoch (one for each open that
 * writes), its number and the checksum of the group before, so that what an earlier use of a
 * recycled segment has left is never taken for what comes next (RULES J6).
 *
 *   0 u32 magic  4 u32 bytes of the group  8 u64 checksum of all that follows it in the group
 *  16 store id (16)  32 u64 epoch  40 u64 number  48 u64 number known to be synced
 *  56 u64 checksum of the group before  64 u32 entries  68 zero (u32)   72 entries
 *
 *   entry:  0 u8 kind  1 zeros (3)  4 u32 bytes of the data  8 channel id (16)
 *  24 u64 base seq of the segment  32 u64 position in its dat file  40 data, zeros up to 8
 */
import { alignTo8, readSafeU64, UNSAFE, viewOf, writeSafeU64 } from './bytes.js';
import {
  checksumOf,
  readChecksum,
  sameChecksum,
  writeChecksum,
  type Checksum,
} from './checksum.js';
import { decoded, failed, type Decoded } from './decoded.js';
import { magicNumber } from './envelope.js';
import { CHANNEL_ID_BYTES } from './file-header.js';

export const GROUP_HEADER_BYTES = 72;
export const ENTRY_HEADER_BYTES = 40;
const MAGIC_LETTERS = 'RXJG';
export const GROUP_MAGIC: number = magicNumber(MAGIC_LETTERS);
/** The first bytes of a group, to look for. */
export const GROUP_MAGIC_BYTES: Uint8Array = new TextEncoder().encode(MAGIC_LETTERS);
/** Where the bytes begin that the checksum of a group covers. */
const HASHED_FROM = 16;

/** What an entry asks for. */
export const ENTRY_KINDS = {
  /** Bytes of a dat file. */
  write: 1,
  /** A channel is made: the data is its config and its manifest. */
  create: 2,
  /** A channel is no more. */
  delete: 3,
  /** Under which name a channel is found; for the first entry of it in a segment. */
  name: 4,
} as const;

export type EntryKind = keyof typeof ENTRY_KINDS;

export interface GroupHeader {
  readonly byteLength: number;
  readonly checksum: Checksum;
  /** 16 bytes. */
  readonly storeId: Uint8Array;
  readonly epoch: number;
  readonly number: number;
  /** Every group up to this number was synced before this one was encoded. */
  readonly syncedNumber: number;
  /** Checksum of the group before. */
  readonly link: Checksum;
  readonly entryCount: number;
}

export interface JournalEntry {
  readonly kind: EntryKind;
  readonly channelId: Uint8Array;
  readonly baseSeq: number;
  readonly position: number;
  /** A view of the bytes that were decoded. */
  readonly data: Uint8Array;
}

/** Bytes that an entry with so much data takes. */
export function entryBytes(dataLength: number): number {
  return ENTRY_HEADER_BYTES + alignTo8(dataLength);
}

/** Writes the head of an entry; its data follows at `at + ENTRY_HEADER_BYTES`. */
export function writeEntryHead(
  view: DataView,
  at: number,
  entry: Omit<JournalEntry, 'data'>,
  dataLength: number,
): void {
  view.setUint32(at, ENTRY_KINDS[entry.kind], true);
  view.setUint32(at + 4, dataLength, true);
  const { channelId } = entry;
  for (let i = 0; i < CHANNEL_ID_BYTES; i++) view.setUint8(at + 8 + i, channelId[i] ?? 0);
  writeSafeU64(view, at + 24, entry.baseSeq);
  writeSafeU64(view, at + 32, entry.position);
}

/** Completes a group whose entries stand behind its header. Returns its checksum. */
export function sealGroup(
  bytes: Uint8Array,
  start: number,
  header: Omit<GroupHeader, 'checksum'>,
): Checksum {
  const { byteLength, storeId, epoch, number, syncedNumber, link, entryCount } = header;
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, byteLength);
  view.setUint32(0, GROUP_MAGIC, true);
  view.setUint32(4, byteLength, true);
  bytes.set(storeId, start + 16);
  writeSafeU64(view, 32, epoch);
  writeSafeU64(view, 40, number);
  writeSafeU64(view, 48, syncedNumber);
  writeChecksum(view, 56, link);
  view.setUint32(64, entryCount, true);
  view.setUint32(68, 0, true);
  const checksum = checksumOf(bytes, start + HASHED_FROM, byteLength - HASHED_FROM);
  writeChecksum(view, 8, checksum);
  return checksum;
}

/** Bytes of the group that begins here, as its header says; undefined for what is none. */
export function groupLength(head: Uint8Array): number | undefined {
  if (head.byteLength < GROUP_HEADER_BYTES) return undefined;
  const view = viewOf(head);
  if (view.getUint32(0, true) !== GROUP_MAGIC) return undefined;
  const byteLength = view.getUint32(4, true);
  return byteLength < GROUP_HEADER_BYTES || byteLength % 8 !== 0 ? undefined : byteLength;
}

/** Decodes a whole group; `bytes` is exactly its length. */
export function decodeGroup(
  bytes: Uint8Array,
): Decoded<{ readonly header: GroupHeader; readonly entries: readonly JournalEntry[] }> {
  if (bytes.byteLength < GROUP_HEADER_BYTES) return failed('length');
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== GROUP_MAGIC) return failed('magic');
  const byteLength = groupLength(bytes);
  if (byteLength !== bytes.byteLength) return failed('length');
  const checksum = readChecksum(view, 8);
  const actual = checksumOf(bytes, HASHED_FROM, byteLength - HASHED_FROM);
  if (!sameChecksum(checksum, actual)) return failed('checksum');
  const header: GroupHeader = {
    byteLength,
    checksum,
    storeId: bytes.subarray(16, 32),
    epoch: readSafeU64(view, 32),
    number: readSafeU64(view, 40),
    syncedNumber: readSafeU64(view, 48),
    link: readChecksum(view, 56),
    entryCount: view.getUint32(64, true),
  };
  if ([header.epoch, header.number, header.syncedNumber].includes(UNSAFE)) return failed('fields');
  const entries = decodeEntries(bytes, view, header.entryCount);
  return entries === undefined ? failed('fields') : decoded({ header, entries });
}

const KIND_OF = new Map<number, EntryKind>(
  (Object.keys(ENTRY_KINDS) as EntryKind[]).map((kind) => [ENTRY_KINDS[kind], kind]),
);

function decodeEntries(
  bytes: Uint8Array,
  view: DataView,
  count: number,
): JournalEntry[] | undefined {
  const entries: JournalEntry[] = [];
  let at = GROUP_HEADER_BYTES;
  for (let i = 0; i < count; i++) {
    if (at + ENTRY_HEADER_BYTES > bytes.byteLength) return undefined;
    const kind = KIND_OF.get(view.getUint32(at, true));
    const dataLength = view.getUint32(at + 4, true);
    const from = at + ENTRY_HEADER_BYTES;
    const next = at + entryBytes(dataLength);
    const baseSeq = readSafeU64(view, at + 24);
    const position = readSafeU64(view, at + 32);
    const isWhole = kind !== undefined && next <= bytes.byteLength;
    if (!isWhole || baseSeq === UNSAFE || position === UNSAFE) return undefined;
    entries.push({
      kind,
      channelId: bytes.subarray(at + 8, at + 8 + CHANNEL_ID_BYTES),
      baseSeq,
      position,
      data: bytes.subarray(from, from + dataLength),
    });
    at = next;
  }
  return at === bytes.byteLength ? entries : undefined;
}
