/**
 * Reads a journal that the engine refuses: every whole group of the store that is there, from where
 * the control block says, whatever is missing between them. Groups of an earlier use of a segment
 * are told apart by their numbers and epochs. Nothing is changed.
 */
import { versionError } from '../channel/damaged-file.js';
import type { FailedCheck } from '../core/errors.js';
import type { Decoded } from '../format/decoded.js';
import { viewOf } from '../format/bytes.js';
import { CONTROL_NAME, parseJournalSegmentName } from '../format/file-name.js';
import {
  CONTROL_FILE_BYTES,
  decodeControlFile,
  decodeJournalSegmentHeader,
  JOURNAL_SEGMENT_HEADER_BYTES,
  type JournalControl,
} from '../format/journal-control.js';
import {
  decodeGroup,
  GROUP_HEADER_BYTES,
  GROUP_MAGIC,
  groupLength,
} from '../format/journal-group.js';
import type { FileSystem } from '../fs/file-system.js';
import { readWholeFile } from '../fs/whole-file.js';
import type { FoundGroup } from '../journal/recovered-journal.js';
import { withoutOneBit } from './single-bit.js';

/** What a segment takes at most: of one that is gone nobody knows more. */
const LARGEST_SEGMENT_BYTES: number = (3 * 2 ** 31) / 8;

export interface SalvagedJournal {
  /** In the order of their numbers. */
  readonly groups: readonly FoundGroup[];
  /** Groups of other stores. */
  readonly foreign: readonly FoundGroup[];
  /** Where a redo begins is known. */
  readonly hasStart: boolean;
  /** Groups that were synced, or stand before one that is there, and are not there. */
  readonly lostGroups: number;
  /** Bytes that these had, at most. */
  readonly lostBytes: number;
}

interface SegmentBytes {
  readonly number: number;
  readonly bytes: Uint8Array;
  /** Its header says that it is the store's, and which one. */
  readonly isOwn: boolean;
}

/** What is left of it. Throws FORMAT_VERSION for what is of a newer version. */
export function salvageJournal(
  fs: FileSystem,
  journal: string,
  storeId: Uint8Array,
): SalvagedJournal {
  const control = controlIn(fs, journal);
  const isOwn = control !== undefined && Buffer.compare(control.storeId, storeId) === 0;
  const start = isOwn ? control : undefined;
  const segments = segmentsIn(fs, journal, storeId);
  const all = segments.flatMap(groupsIn);
  const own = all.filter(({ header }) => Buffer.compare(header.storeId, storeId) === 0);
  const groups = inOrder(own, start?.redoFrom.number ?? 0);
  const synced = Math.max(0, ...own.map(({ header }) => header.syncedNumber));
  const lost = lostFrom(groups, start, synced, segments);
  return {
    groups,
    foreign: all.filter(({ header }) => Buffer.compare(header.storeId, storeId) !== 0),
    hasStart: start !== undefined,
    ...lost,
  };
}

function controlIn(fs: FileSystem, journal: string): JournalControl | undefined {
  const path = `${journal}/${CONTROL_NAME}`;
  const bytes = readWholeFile(fs, path, CONTROL_FILE_BYTES);
  if (bytes === undefined) return undefined;
  const decoded = decodeControlFile(bytes);
  const slots = decoded.ok ? decoded.value : provenOr(path, bytes, decodeControlFile, decoded);
  return slots?.newest;
}

/** What the bytes are without one bit. Throws FORMAT_VERSION for those of a newer version. */
function provenOr<T>(
  path: string,
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => Decoded<T>,
  decoded: Decoded<T>,
): T | undefined {
  const proven = withoutOneBit(bytes, decode);
  if (proven === undefined && !decoded.ok && decoded.check === 'version') {
    throw versionError(path, decoded.found);
  }
  return proven;
}

/**
 * What is wrong with a control block that the engine reads, or does without: there are groups that
 * it does not know of. Undefined when nothing is.
 */
export function staleControl(
  fs: FileSystem,
  journal: string,
  storeId: Uint8Array,
  control: JournalControl | undefined,
): { readonly path: string; readonly check: FailedCheck } | undefined {
  const segments = segmentsIn(fs, journal, storeId);
  const path = `${journal}/${CONTROL_NAME}`;
  const epochs = segments
    .flatMap(groupsIn)
    .filter(({ header }) => Buffer.compare(header.storeId, storeId) === 0)
    .map(({ header }) => header.epoch);
  if (control === undefined) return epochs.length > 0 ? { path, check: 'missing' } : undefined;
  // Each epoch is in the control block before the first group that has it.
  if (epochs.some((epoch) => epoch > control.epoch)) return { path, check: 'sequence' };
  return undefined;
}

function segmentsIn(fs: FileSystem, journal: string, storeId: Uint8Array): SegmentBytes[] {
  const segments: SegmentBytes[] = [];
  for (const { name, kind } of fs.readDirectorySync(journal)) {
    const number = kind === 'file' ? parseJournalSegmentName(name) : undefined;
    if (number === undefined) continue;
    const path = `${journal}/${name}`;
    const file = fs.openSync(path, 'read');
    try {
      const bytes = new Uint8Array(file.sizeSync());
      file.readSync(bytes, 0, bytes.byteLength, 0);
      const head = bytes.subarray(0, JOURNAL_SEGMENT_HEADER_BYTES);
      const header = decodeJournalSegmentHeader(head);
      const proven = header.ok
        ? header.value
        : provenOr(path, head, decodeJournalSegmentHeader, header);
      const isOwn = proven?.segment === number && Buffer.compare(proven.storeId, storeId) === 0;
      segments.push({ number, bytes, isOwn });
    } finally {
      file.closeSync();
    }
  }
  return segments;
}

/** Every group that verifies, of whichever store and use of the segment. */
function groupsIn({ number: segment, bytes }: SegmentBytes): FoundGroup[] {
  const found: FoundGroup[] = [];
  const view = viewOf(bytes);
  let position = JOURNAL_SEGMENT_HEADER_BYTES;
  while (position + GROUP_HEADER_BYTES <= bytes.byteLength) {
    const isGroup = view.getUint32(position, true) === GROUP_MAGIC;
    const length = isGroup ? groupLength(bytes.subarray(position)) : undefined;
    const group =
      length === undefined || position + length > bytes.byteLength
        ? undefined
        : decodeGroup(bytes.subarray(position, position + length));
    if (group?.ok === true) {
      found.push({ segment, position, ...group.value });
      position += group.value.header.byteLength;
    } else position += 8;
  }
  return found;
}

/** Of one number the group of the latest epoch; none of an epoch before that of a lower number. */
function inOrder(groups: readonly FoundGroup[], from: number): FoundGroup[] {
  const byNumber = new Map<number, FoundGroup>();
  for (const group of groups) {
    const { number, epoch } = group.header;
    if (number < from) continue;
    const known = byNumber.get(number);
    if (known === undefined || known.header.epoch < epoch) byNumber.set(number, group);
  }
  const sorted = [...byNumber.values()].toSorted((a, b) => a.header.number - b.header.number);
  let epoch = 0;
  return sorted.filter(({ header }) => {
    if (header.epoch < epoch) return false;
    epoch = header.epoch;
    return true;
  });
}

function lostFrom(
  groups: readonly FoundGroup[],
  start: JournalControl | undefined,
  synced: number,
  segments: readonly SegmentBytes[],
): { readonly lostGroups: number; readonly lostBytes: number } {
  let next = start?.redoFrom.number ?? groups[0]?.header.number ?? 0;
  let segment = start?.redoFrom.segment;
  let position = start?.redoFrom.position ?? 0;
  let lostGroups = 0;
  let lostBytes = 0;
  for (const group of groups) {
    if (group.header.number > next) {
      lostGroups += group.header.number - next;
      lostBytes += group.segment === segment ? group.position - position : LARGEST_SEGMENT_BYTES;
    }
    next = group.header.number + 1;
    segment = group.segment;
    position = group.position + group.header.byteLength;
  }
  if (start?.isClosed !== true && synced >= next) {
    lostGroups += synced - next + 1;
    lostBytes += LARGEST_SEGMENT_BYTES;
  }
  const last = segments.find(({ number }) => number === segment);
  if (start?.isClosed === false && last?.isOwn !== true) {
    // Nobody knows what it had where the next group would stand.
    return { lostGroups: Math.max(1, lostGroups), lostBytes: LARGEST_SEGMENT_BYTES };
  }
  return { lostGroups, lostBytes };
}
