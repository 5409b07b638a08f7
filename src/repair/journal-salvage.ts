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
  type JournalEntry,
} from '../format/journal-group.js';
import { decodeUnitHeader, FLAG_BLOCKS, FRAME_MAGIC } from '../format/unit.js';
import { nextSeqOf } from '../format/unit-records.js';
import type { FileSystem } from '../fs/file-system.js';
import { readWholeFile } from '../fs/whole-file.js';
import { idOf } from '../journal/redo-plan.js';
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
  const segments = [...segmentsIn(fs, journal, storeId)];
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

/** What the groups of a journal say all together, however old they are. */
export interface JournalLook {
  /** The highest epoch of a group; undefined without any. */
  readonly epoch: number | undefined;
  /**
   * By the id of a channel, the seq behind the last one that a group has of it: also what is in no
   * dat file any more was given to a record.
   */
  readonly reached: ReadonlyMap<string, number>;
}

/** Reads all of it, a segment at a time. Throws FORMAT_VERSION. */
export function lookAtJournal(fs: FileSystem, journal: string, storeId: Uint8Array): JournalLook {
  const reached = new Map<string, number>();
  let epoch: number | undefined;
  for (const segment of segmentsIn(fs, journal, storeId)) {
    for (const { header, entries } of groupsIn(segment)) {
      if (Buffer.compare(header.storeId, storeId) !== 0) continue;
      epoch = Math.max(epoch ?? 0, header.epoch);
      for (const entry of entries) {
        const id = idOf(entry.channelId);
        reached.set(id, Math.max(reached.get(id) ?? 0, endOfEntry(entry)));
      }
    }
  }
  return { epoch, reached };
}

/** The seq behind the records of a frame; 0 for anything else. */
function endOfEntry({ kind, position, data }: JournalEntry): number {
  if (kind !== 'write' || position === 0) return 0;
  const unit = decodeUnitHeader(viewOf(data), 0, position, data.byteLength);
  if (typeof unit === 'string' || unit.magic !== FRAME_MAGIC) return 0;
  // The head of a frame of blocks has no column of seqs.
  if ((unit.flags & FLAG_BLOCKS) !== 0) return unit.baseSeq + unit.recordCount;
  return nextSeqOf(viewOf(data), 0, unit);
}

/**
 * What is wrong with a control block that the engine reads, or does without: there are groups that
 * it does not know of. Each epoch is in it before the first group that has it.
 */
export function staleControl(
  { epoch }: JournalLook,
  control: JournalControl | undefined,
): FailedCheck | undefined {
  if (epoch === undefined) return undefined;
  if (control === undefined) return 'missing';
  return epoch > control.epoch ? 'sequence' : undefined;
}

function* segmentsIn(
  fs: FileSystem,
  journal: string,
  storeId: Uint8Array,
): Generator<SegmentBytes, undefined> {
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
      yield { number, bytes, isOwn };
    } finally {
      file.closeSync();
    }
  }
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
