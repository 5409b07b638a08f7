/**
 * Reads the journal that is there: which groups a redo has to look at, and where the next one goes.
 * Everything that was read is checked; what cannot be is a typed error and changes nothing
 * (RULES J3, J6). The end of the journal is the first place where no group follows the one before.
 */
import { redexError, type FailedCheck, type RedexError } from '../core/errors.js';
import { sameChecksum } from '../format/checksum.js';
import { FORMAT_VERSION } from '../format/envelope.js';
import { CONTROL_NAME, JOURNAL_NAME, parseJournalSegmentName } from '../format/file-name.js';
import {
  CONTROL_FILE_BYTES,
  decodeControlFile,
  decodeJournalSegmentHeader,
  JOURNAL_SEGMENT_HEADER_BYTES,
  type ControlSlots,
  type GroupPlace,
  type JournalControl,
} from '../format/journal-control.js';
import {
  decodeGroup,
  GROUP_HEADER_BYTES,
  GROUP_MAGIC_BYTES,
  groupLength,
  type GroupHeader,
  type JournalEntry,
} from '../format/journal-group.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { readWholeFile } from '../fs/whole-file.js';
import type { JournalSegment } from './journal-segments.js';

/** A whole group, and where it stands. */
export interface FoundGroup {
  readonly segment: number;
  readonly position: number;
  readonly header: GroupHeader;
  readonly entries: readonly JournalEntry[];
}

export interface RecoveredJournal {
  readonly control: JournalControl;
  readonly segments: readonly JournalSegment[];
  /** Where the next group goes. */
  readonly end: GroupPlace;
}

/** What a look at the journal has found. */
export interface JournalContents {
  readonly control: JournalControl;
  /** From `redoFrom` on, in their order. */
  readonly groups: readonly FoundGroup[];
  readonly end: GroupPlace;
  /** Every group up to this number was synced, as groups say that are there. */
  readonly syncedNumber: number;
  /** Number and bytes of the segments that are there. */
  readonly segments: readonly SegmentFile[];
  /** Names that channels are found under, from what stands before the redo as well. */
  readonly names: readonly JournalEntry[];
}

interface SegmentFile {
  readonly number: number;
  readonly path: string;
  readonly byteLength: number;
  /** All of it, or the header of one that nothing is looked for in. */
  readonly bytes: Uint8Array;
  /** What was looked for, by its position: each place is looked at for several reasons. */
  readonly looked: Map<number, FoundGroup | undefined>;
}

/** Undefined when there is no journal, or one that was never finished. */
export function readJournal(
  fs: FileSystem,
  directory: string,
  storeId: Uint8Array,
): JournalContents | undefined {
  const journal = `${directory}/${JOURNAL_NAME}`;
  if (fs.statSync(journal) === undefined) return undefined;
  const path = controlPath(directory);
  const slots = readSlots(fs, path, storeId);
  const isEmpty = slots !== undefined && slots.newest.isClosed && !slots.isAlone;
  const segments = readSegments(fs, journal, storeId, isEmpty);
  if (slots !== undefined) {
    return contentsOf(proven(slots, segments, storeId), segments, storeId, path);
  }
  if (segments.some((segment) => hasGroups(segment, storeId))) {
    throw journalError(path, 0, 'missing');
  }
  return undefined;
}

/** Of the store in a directory. */
export function controlPath(directory: string): string {
  return `${directory}/${JOURNAL_NAME}/${CONTROL_NAME}`;
}

/** The control block; undefined when there is none. Throws CORRUPT or FORMAT_VERSION. */
export function readControl(
  fs: FileSystem,
  path: string,
  storeId: Uint8Array,
): JournalControl | undefined {
  return readSlots(fs, path, storeId)?.newest;
}

function readSlots(fs: FileSystem, path: string, storeId: Uint8Array): ControlSlots | undefined {
  const bytes = readWholeFile(fs, path, CONTROL_FILE_BYTES);
  if (bytes === undefined) return undefined;
  const control = decodeControlFile(bytes);
  if (!control.ok) {
    if (control.check === 'version') throw newerVersion(path, control.found);
    throw journalError(path, 0, control.check);
  }
  const { newest } = control.value;
  if (Buffer.compare(newest.storeId, storeId) !== 0) throw journalError(path, 8, 'identity');
  return control.value;
}

/**
 * A slot that is damaged may have been the newer one: then groups are there of an epoch that the
 * other one does not know. They are redone from where it says, and their epoch is not given again.
 */
function proven(
  { newest, isAlone }: ControlSlots,
  segments: readonly SegmentFile[],
  storeId: Uint8Array,
): JournalControl {
  if (!isAlone) return newest;
  let { epoch } = newest;
  for (const { header } of groupsIn(segments, storeId)) epoch = Math.max(epoch, header.epoch);
  return epoch === newest.epoch ? newest : { ...newest, epoch, isClosed: false };
}

/** Of a journal that was closed nothing but the headers of its segments is looked at. */
function readSegments(
  fs: FileSystem,
  journal: string,
  storeId: Uint8Array,
  isClosed: boolean,
): SegmentFile[] {
  const found: SegmentFile[] = [];
  for (const { name, kind } of fs.readDirectorySync(journal)) {
    const number = kind === 'file' ? parseJournalSegmentName(name) : undefined;
    if (number === undefined) continue;
    const path = `${journal}/${name}`;
    const segment = readSegment(fs, path, number, storeId, isClosed);
    if (segment !== undefined) found.push(segment);
  }
  return found.toSorted((a, b) => a.number - b.number);
}

/** Undefined for a segment whose allocation was never finished: it has never been used. */
function readSegment(
  fs: FileSystem,
  path: string,
  number: number,
  storeId: Uint8Array,
  isClosed: boolean,
): SegmentFile | undefined {
  const file = fs.openSync(path, 'read');
  try {
    const byteLength = file.sizeSync();
    const bytes = readBytes(file, isClosed ? JOURNAL_SEGMENT_HEADER_BYTES : byteLength);
    const header = decodeJournalSegmentHeader(bytes.subarray(0, JOURNAL_SEGMENT_HEADER_BYTES));
    const segment: SegmentFile = { number, path, byteLength, bytes, looked: new Map() };
    if (!header.ok) {
      if (header.check === 'version') throw newerVersion(path, header.found);
      return hasGroups(segment, storeId) ? segment : undefined;
    }
    const { storeId: owner, segment: stated } = header.value;
    if (Buffer.compare(owner, storeId) !== 0) throw journalError(path, 8, 'identity');
    if (stated !== number) throw journalError(path, 24, 'identity');
    return segment;
  } finally {
    file.closeSync();
  }
}

function readBytes(file: FileHandle, length: number): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(length);
  return new Uint8Array(bytes.buffer, 0, file.readSync(bytes, 0, length, 0));
}

/** Whether the first group of a segment is there; a recycled one has one from an earlier use. */
function hasGroups(segment: SegmentFile, storeId: Uint8Array): boolean {
  return groupAt(segment, JOURNAL_SEGMENT_HEADER_BYTES, storeId) !== undefined;
}

/** The whole group at a place, of this store; undefined for anything else. */
function groupAt(
  segment: SegmentFile,
  position: number,
  storeId: Uint8Array,
): FoundGroup | undefined {
  const { looked } = segment;
  if (!looked.has(position)) looked.set(position, decodedAt(segment, position, storeId));
  return looked.get(position);
}

function decodedAt(
  segment: SegmentFile,
  position: number,
  storeId: Uint8Array,
): FoundGroup | undefined {
  const { bytes, number } = segment;
  const length = groupLength(bytes.subarray(position, position + GROUP_HEADER_BYTES));
  if (length === undefined || position + length > bytes.byteLength) return undefined;
  const group = decodeGroup(bytes.subarray(position, position + length));
  if (!group.ok || Buffer.compare(group.value.header.storeId, storeId) !== 0) return undefined;
  return { segment: number, position, ...group.value };
}

function contentsOf(
  control: JournalControl,
  segments: readonly SegmentFile[],
  storeId: Uint8Array,
  path: string,
): JournalContents {
  const groups: FoundGroup[] = [];
  let end = control.redoFrom;
  const first = segments.find(({ number }) => number === end.segment);
  if (control.isClosed) {
    // Nothing of it is needed, not even the segment that it would go on in.
    return { control, groups, end, syncedNumber: end.number - 1, segments, names: [] };
  }
  if (first === undefined) throw journalError(path, 40, 'missing');
  for (;;) {
    const group = nextGroup(segments, end, storeId);
    if (group === undefined) break;
    groups.push(group);
    const { segment, position, header } = group;
    end = {
      segment,
      position: position + header.byteLength,
      number: header.number + 1,
      link: header.checksum,
    };
  }
  const syncedNumber = highestSynced(segments, storeId);
  if (syncedNumber >= end.number) {
    const at = segments.find(({ number }) => number === end.segment);
    throw journalError(at?.path ?? path, end.position, 'chain');
  }
  const names = namesBefore(first, control.redoFrom, storeId);
  return { control, groups, end, syncedNumber, segments, names };
}

/** The group that follows: right behind the last one, or at the beginning of another segment. */
function nextGroup(
  segments: readonly SegmentFile[],
  end: GroupPlace,
  storeId: Uint8Array,
): FoundGroup | undefined {
  const follows = (group: FoundGroup | undefined): group is FoundGroup =>
    group !== undefined &&
    group.header.number === end.number &&
    sameChecksum(group.header.link, end.link);
  const current = segments.find(({ number }) => number === end.segment);
  const behind = current === undefined ? undefined : groupAt(current, end.position, storeId);
  if (follows(behind)) return behind;
  for (const segment of segments) {
    if (segment.number === end.segment) continue;
    const group = groupAt(segment, JOURNAL_SEGMENT_HEADER_BYTES, storeId);
    if (follows(group)) return group;
  }
  return undefined;
}

/** The highest number that any group of the store says was synced, wherever it stands. */
function highestSynced(segments: readonly SegmentFile[], storeId: Uint8Array): number {
  let highest = 0;
  for (const { header } of groupsIn(segments, storeId)) {
    highest = Math.max(highest, header.syncedNumber);
  }
  return highest;
}

/** Every whole group of the store, wherever it stands and however old it is. */
function* groupsIn(segments: readonly SegmentFile[], storeId: Uint8Array): Generator<FoundGroup> {
  for (const segment of segments) {
    const bytes = asBuffer(segment.bytes);
    let position = bytes.indexOf(GROUP_MAGIC_BYTES, JOURNAL_SEGMENT_HEADER_BYTES);
    while (position >= 0) {
      const group = position % 8 === 0 ? groupAt(segment, position, storeId) : undefined;
      if (group !== undefined) yield group;
      position = bytes.indexOf(GROUP_MAGIC_BYTES, position + (group?.header.byteLength ?? 1));
    }
  }
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Names that stand before the redo in its segment: hints only, whoever wrote them. */
function namesBefore(
  segment: SegmentFile,
  redoFrom: GroupPlace,
  storeId: Uint8Array,
): JournalEntry[] {
  const names: JournalEntry[] = [];
  let position = JOURNAL_SEGMENT_HEADER_BYTES;
  while (position < redoFrom.position) {
    const group = groupAt(segment, position, storeId);
    if (group === undefined) break;
    names.push(...group.entries.filter(({ kind }) => kind === 'name'));
    position += group.header.byteLength;
  }
  return names;
}

function journalError(path: string, position: number, check: FailedCheck): RedexError {
  const message = `the journal is damaged in ${path} at byte ${position} (${check})`;
  return redexError('CORRUPT', message, { path, position, check });
}

function newerVersion(path: string, found: number): RedexError {
  const message = `${path} has format version ${found}: this build reads ${FORMAT_VERSION}`;
  return redexError('FORMAT_VERSION', message, { path, found, supported: FORMAT_VERSION });
}
