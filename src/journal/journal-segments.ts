/**
 * The files of the journal: segments of a fixed size, filled with zeros and synced before they are
 * used, and used again once nothing in them has to be redone. Writing over blocks that are there
 * makes a sync cheaper than growing a file does. Which groups stand where is known here; what they
 * mean is not.
 */
import { clearList } from '../core/lists.js';
import type { Checksum } from '../format/checksum.js';
import { JOURNAL_NAME, journalSegmentName } from '../format/file-name.js';
import {
  encodeJournalSegmentHeader,
  JOURNAL_SEGMENT_HEADER_BYTES,
  type GroupPlace,
} from '../format/journal-control.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { JournalSyncError, syncOf } from './journal-sync-error.js';
import { removeUnfinished, writeAllSync } from '../fs/whole-file.js';

const ZEROS_BYTES = 1024 * 1024;
/** Of the first segment. */
const FIRST_BYTES = 128 * 1024;

/** A segment whose space is allocated. */
export interface JournalSegment {
  readonly number: number;
  readonly byteLength: number;
  readonly path: string;
  /** Open from its first group on until everything in it is synced. */
  files: SegmentFiles | undefined;
  /** A sync is in flight on its first descriptor. */
  isSyncing: boolean;
  /** Number of the last group in it that has to be kept; 0 when it is free. */
  lastGroup: number;
  /** Where its first group stands. */
  first: GroupPlace | undefined;
}

export interface SegmentFiles {
  readonly file: FileHandle;
  /** As old as the first: syncs of a synchronous append go through it (RULES S5). */
  readonly syncFile: FileHandle;
}

/** The number of a group, and the checksum of the one before. */
export interface GroupLink {
  readonly number: number;
  readonly link: Checksum;
}

/** One whose space is being allocated. */
interface NewSegment {
  readonly number: number;
  readonly byteLength: number;
  readonly path: string;
  readonly file: FileHandle;
}

export interface JournalPlace {
  readonly fs: FileSystem;
  /** Of the store. */
  readonly directory: string;
  readonly storeId: Uint8Array;
  /** All segments together take at most so many bytes. */
  readonly journalBytes: number;
}

export class JournalSegments {
  readonly directory: string;
  /** Bytes of a segment, unless a group needs a larger one. */
  readonly segmentBytes: number;
  readonly #place: JournalPlace;
  #active: JournalSegment | undefined;
  #position = 0;
  /** Counts how often groups have gone to another segment. */
  useCount = 0;
  /** Segments with groups that have to be kept, oldest first, without the active one. */
  readonly #full: JournalSegment[] = [];
  readonly #free: JournalSegment[] = [];
  #nextNumber = 1;
  readonly #pending = new Set<NewSegment>();

  constructor(place: JournalPlace) {
    this.#place = place;
    this.directory = `${place.directory}/${JOURNAL_NAME}`;
    this.segmentBytes = Math.max(16 * 1024, Math.floor(place.journalBytes / 8));
  }

  /**
   * The largest group that can ever be written: the active segment may be as large as one, and
   * another one has to fit beside it.
   */
  get maxGroupBytes(): number {
    return Math.floor((this.#place.journalBytes * 3) / 8) - JOURNAL_SEGMENT_HEADER_BYTES;
  }

  get allocatedBytes(): number {
    const all = [...this.#all(), ...this.#pending];
    return all.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Segments wait for a checkpoint to be used again. */
  get hasFull(): boolean {
    return this.#full.length > 0;
  }

  /** Bytes that can be written to the active segment. */
  get remaining(): number {
    return this.#active === undefined ? 0 : this.#active.byteLength - this.#position;
  }

  /** Bytes that can be written before something has to be freed. */
  get freeBytes(): number {
    const free = this.#free.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return this.remaining + free + this.#unallocated;
  }

  /**
   * Bytes that may still be allocated. An open before may have left more than is allowed now: the
   * active segment never keeps the largest group from finding its place.
   */
  get #unallocated(): number {
    const left = Math.max(0, this.#place.journalBytes - this.allocatedBytes);
    const isAlone = this.#full.length === 0 && this.#pending.size === 0;
    return isAlone ? Math.max(left, this.maxGroupBytes + JOURNAL_SEGMENT_HEADER_BYTES) : left;
  }

  /** Takes up a segment that a process before has left. */
  adopt(segment: JournalSegment, isActive: boolean, position: number): void {
    this.#nextNumber = Math.max(this.#nextNumber, segment.number + 1);
    if (isActive) {
      this.#active = segment;
      this.#position = position;
    } else if (segment.lastGroup === 0) this.#free.push(segment);
    else {
      this.#full.push(segment);
      this.#full.sort((a, b) => a.lastGroup - b.lastGroup);
    }
  }

  /** Where the next group stands. Undefined before there is a segment. */
  place(number: number, link: Checksum): GroupPlace | undefined {
    const active = this.#active;
    if (active === undefined) return undefined;
    return { segment: active.number, position: this.#position, number, link };
  }

  /** Goes on in another segment that has room for a group of so many bytes; false without one. */
  rotate(groupBytes: number): boolean {
    const needed = groupBytes + JOURNAL_SEGMENT_HEADER_BYTES;
    const at = this.#free.findIndex(({ byteLength }) => byteLength >= needed);
    if (at < 0) return false;
    const [next] = this.#free.splice(at, 1);
    if (next === undefined) return false;
    if (this.#active !== undefined) this.#full.push(this.#active);
    this.#active = next;
    this.useCount++;
    this.#position = JOURNAL_SEGMENT_HEADER_BYTES;
    return true;
  }

  /** Writes a group behind the last one. Throws what the file system reports. */
  write(bytes: Uint8Array, start: number, byteLength: number, { number, link }: GroupLink): void {
    const active = this.#active;
    if (active === undefined) throw new Error('the journal has no segment');
    const { file } = this.#open(active);
    writeAllSync(file, bytes.subarray(start, start + byteLength), byteLength, this.#position);
    if (active.lastGroup === 0) active.first = this.place(number, link);
    active.lastGroup = number;
    this.#position += byteLength;
  }

  #open(segment: JournalSegment): SegmentFiles {
    if (segment.files !== undefined) return segment.files;
    const { fs } = this.#place;
    const file = fs.openSync(segment.path, 'write');
    try {
      segment.files = { file, syncFile: fs.openSync(segment.path, 'write') };
      return segment.files;
    } catch (error) {
      file.closeSync();
      throw error;
    }
  }

  /** Everything up to this group is synced: of what is full no descriptor is needed any more. */
  onSynced(number: number): void {
    for (const segment of [...this.#full, ...this.#free]) {
      if (segment.lastGroup <= number) closeFiles(segment);
    }
  }

  /** Where a segment begins that holds this group, or an older one; undefined when none does. */
  startOf(number: number): GroupPlace | undefined {
    const segments = this.writtenAfter(number - 1);
    return segments[0]?.first;
  }

  /**
   * Where the group stands, or will, that would have stood at `place` when that was asked for. When
   * it has gone to another segment since, that of `place` is free, and may be removed.
   */
  lastingPlace(place: GroupPlace): GroupPlace {
    const active = this.#active;
    if (active === undefined || active.number === place.segment) return place;
    const [holder] = this.writtenAfter(place.number - 1);
    if (holder?.number === place.segment) return place;
    return holder?.first ?? this.place(place.number, place.link) ?? place;
  }

  /** The segments with groups above `number`, oldest first. */
  writtenAfter(number: number): JournalSegment[] {
    const active = this.#active === undefined ? [] : [this.#active];
    return [...this.#full, ...active].filter(({ lastGroup }) => lastGroup > number);
  }

  /** Nothing up to this group has to be redone any more. */
  release(number: number): void {
    const kept = this.#full.filter((segment) => segment.lastGroup > number);
    for (const segment of this.#full) {
      if (segment.lastGroup > number) continue;
      segment.lastGroup = 0;
      segment.first = undefined;
      closeFiles(segment);
      this.#free.push(segment);
    }
    clearList(this.#full);
    this.#full.push(...kept);
  }

  /** Whether a segment for such a group can be allocated now, without more than is allowed. */
  canAllocate(groupBytes: number): boolean {
    const byteLength = this.#sizeFor(groupBytes);
    return !this.hasFull || this.#keptBytes + byteLength <= this.#place.journalBytes;
  }

  #sizeFor(groupBytes: number): number {
    // A store of a few small channels does not pay for a large journal: it grows as it is used.
    // It grows fast, because each step is two syncs that many may wait for.
    const grown = Math.min(this.segmentBytes, Math.max(FIRST_BYTES, 3 * this.allocatedBytes));
    const left = this.#place.journalBytes - this.#keptBytes;
    return Math.max(Math.min(grown, left), groupBytes + JOURNAL_SEGMENT_HEADER_BYTES);
  }

  /** Bytes of segments that are not free. */
  get #keptBytes(): number {
    return this.allocatedBytes - this.#free.reduce((sum, free) => sum + free.byteLength, 0);
  }

  /** Allocates a segment for a group of so many bytes; free ones that are too small go for it. */
  async allocate(groupBytes: number): Promise<void> {
    const made = this.#create(groupBytes);
    const { file, byteLength } = made;
    try {
      const zeros = new Uint8Array(Math.min(ZEROS_BYTES, byteLength));
      for (let at = JOURNAL_SEGMENT_HEADER_BYTES; at < byteLength;) {
        at += await file.write(zeros, 0, Math.min(zeros.byteLength, byteLength - at), at);
      }
      await file.datasync();
      await this.#syncName();
      this.#add(made);
    } catch (error) {
      this.#discard(made);
      throw error;
    }
  }

  /** The same before it returns. */
  allocateNow(groupBytes: number): void {
    const made = this.#create(groupBytes);
    const { file, byteLength } = made;
    try {
      const zeros = new Uint8Array(Math.min(ZEROS_BYTES, byteLength));
      for (let at = JOURNAL_SEGMENT_HEADER_BYTES; at < byteLength; at += zeros.byteLength) {
        writeAllSync(file, zeros, Math.min(zeros.byteLength, byteLength - at), at);
      }
      file.datasyncSync();
      syncOf(this.directory, () => this.#place.fs.syncDirectorySync(this.directory));
      this.#add(made);
    } catch (error) {
      this.#discard(made);
      throw error;
    }
  }

  async #syncName(): Promise<void> {
    try {
      await this.#place.fs.syncDirectory(this.directory);
    } catch (error) {
      throw new JournalSyncError(this.directory, error);
    }
  }

  #create(groupBytes: number): NewSegment {
    const { fs, storeId } = this.#place;
    const byteLength = this.#sizeFor(groupBytes);
    this.#removeSmall(byteLength);
    const number = this.#nextNumber++;
    const path = `${this.directory}/${journalSegmentName(number)}`;
    // One of this number may be there whose allocation a crash has ended: nothing was ever in it.
    removeUnfinished(fs, path);
    const made = { number, byteLength, path, file: fs.openSync(path, 'create') };
    try {
      const header = encodeJournalSegmentHeader({ storeId, segment: number, byteLength });
      writeAllSync(made.file, header, header.byteLength, 0);
    } catch (error) {
      this.#discard(made);
      throw error;
    }
    this.#pending.add(made);
    return made;
  }

  /** Free segments go until there is room for one of so many bytes. */
  #removeSmall(byteLength: number): void {
    while (this.#free.length > 0 && this.allocatedBytes + byteLength > this.#place.journalBytes) {
      const segment = this.#free.shift();
      if (segment !== undefined) this.#remove(segment);
    }
  }

  #remove(segment: JournalSegment): void {
    closeFiles(segment);
    this.#place.fs.unlinkSync(segment.path);
  }

  #add(made: NewSegment): void {
    const { number, byteLength, path, file } = made;
    this.#pending.delete(made);
    file.closeSync();
    this.#free.push({
      number,
      byteLength,
      path,
      files: undefined,
      isSyncing: false,
      lastGroup: 0,
      first: undefined,
    });
  }

  #discard(made: NewSegment): void {
    const { path, file } = made;
    this.#pending.delete(made);
    file.closeSync();
    removeUnfinished(this.#place.fs, path);
  }

  #all(): JournalSegment[] {
    const active = this.#active === undefined ? [] : [this.#active];
    return [...this.#full, ...active, ...this.#free];
  }

  close(): void {
    for (const segment of this.#all()) closeFiles(segment);
    clearList(this.#full);
    clearList(this.#free);
    this.#active = undefined;
  }
}

function closeFiles(segment: JournalSegment): void {
  const { files, isSyncing } = segment;
  if (isSyncing) return;
  segment.files = undefined;
  files?.file.closeSync();
  files?.syncFile.closeSync();
}

/** Syncs what is written to a segment. */
export async function syncSegment(segment: JournalSegment): Promise<void> {
  segment.isSyncing = true;
  try {
    await segment.files?.file.datasync();
  } finally {
    segment.isSyncing = false;
  }
}
