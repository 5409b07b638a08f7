/**
 * What one channel has in the journal: bytes for its dat files that are synced in the journal, or
 * will be, and that a checkpoint writes to the files later. Until then they are in memory, and who
 * reads a dat file through `fs` finds them at their places (RULES J1, J2).
 */
import type { RedexError } from '../core/errors.js';
import { clearList } from '../core/lists.js';
import type { Slots } from '../core/slots.js';
import { entryBytes } from '../format/journal-group.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { writeAllSync } from '../fs/whole-file.js';
import type { Journal } from './journal.js';
import type { NameChange } from './name-changes.js';
import { idOf } from './redo-plan.js';
import {
  WaitingFile,
  type FileStart,
  type WaitingChunk,
  type WaitingFiles,
} from './waiting-file.js';

/** Pieces that are written at once by a checkpoint. */
const PIECE_BYTES = 1024 * 1024;
/** A piece above this is written off the calling thread. */
const ASYNC_BYTES = 64 * 1024;

/** A channel that was made and whose files no sync has covered. */
interface Creation {
  readonly group: number;
  /** What its entry says. */
  readonly creation: Uint8Array;
  /** Undefined before it has its place. */
  readonly directory: string | undefined;
}

export interface ChannelJournalParts {
  readonly fs: FileSystem;
  readonly journal: Journal;
  readonly channelId: Uint8Array;
  /** The entry under which the channel's directory is found. */
  readonly name: Uint8Array;
  /** Syncs the files and names that a channel begins with. */
  readonly syncCreated: (directory: string, creation: Uint8Array) => Promise<void>;
  /** Syncs the names of all channels. */
  readonly syncNames: () => Promise<void>;
  /** Few checkpoints at a time: each has a descriptor and a thread. */
  readonly slots: Slots;
  /** Something waits from now on, or nothing does any more. */
  readonly onWaiting: (channel: ChannelJournal, isWaiting: boolean) => void;
}

/** A sync of a checkpoint failed: the channel it belongs to is poisoned by whoever is told. */
export class CheckpointSyncError extends Error {
  readonly path: string;

  constructor(path: string, cause: unknown) {
    super(`a checkpoint could not sync ${path}`, { cause });
    this.path = path;
  }
}

export class ChannelJournal implements WaitingFiles {
  readonly journal: Journal;
  /** The channel's id in hex digits. */
  readonly id: string;
  /** Directory of the live generation. */
  liveDirectory: string = '';
  /** Appends go through the journal. */
  isUsed: boolean = false;
  /** A sync of a file failed: what waits stays in the journal until the channel is opened again. */
  isPinned = false;
  /** What that sync reported. */
  pinCause: unknown;
  /** Why nothing can be appended: a recovery could not write what the journal has (RULES J9). */
  refusal: RedexError | undefined;
  /** The first group that has to be kept for it, whatever waits; Infinity for none. */
  heldGroup: number = Infinity;
  /** Its name, while that may be new. */
  nameChange: NameChange | undefined;
  /** Told when a checkpoint of this channel could not sync a file. */
  onSyncFailed: (path: string, cause: unknown) => void = () => undefined;
  /** Told when nothing waits any more. */
  onEmpty: () => void = () => undefined;
  readonly #parts: ChannelJournalParts;
  readonly #files = new Map<string, WaitingFile>();
  /** The use of a segment of the journal in which the channel's name stands. */
  #namedIn = -1;
  #creation: Creation | undefined;
  /** The journal says that it is gone: nothing is added any more. */
  #isDeleted = false;
  /** The file that is made and not opened for the first time yet. */
  #made: string | undefined;
  #filed: { readonly baseSeq: number; readonly position: number } | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: ChannelJournalParts) {
    this.#parts = parts;
    this.journal = parts.journal;
    this.id = idOf(parts.channelId);
  }

  /** Bytes of files wait for a checkpoint. */
  get isWaiting(): boolean {
    return this.#files.size > 0;
  }

  /** Its files or names are made, and not synced yet. */
  get isFresh(): boolean {
    return this.#creation !== undefined || this.nameChange?.isSynced === false;
  }

  get files(): readonly WaitingFile[] {
    return [...this.#files.values()];
  }

  /** The group of the oldest bytes that wait; Infinity when nothing does. */
  get oldestGroup(): number {
    const created = this.#creation?.group ?? Infinity;
    for (const { chunks } of this.#files.values()) {
      const [first] = chunks;
      if (first !== undefined) return Math.min(first.added.group, this.heldGroup, created);
    }
    return Math.min(this.heldGroup, created);
  }

  /** Everything before this is in the files: base seq of a segment, bytes of its dat file. */
  get filed(): { readonly baseSeq: number; readonly position: number } | undefined {
    return this.#filed;
  }

  /**
   * The channel is opened, and its files end here. What the journal has of it from before is in
   * them, and may be redone all the same, as long as the journal has it.
   */
  openedAt(baseSeq: number, position: number): void {
    if (!this.isWaiting) this.#filed ??= { baseSeq, position };
  }

  /** What waits for a file. */
  waitingFor(path: string): WaitingFile | undefined {
    return this.#files.get(path);
  }

  /** Bytes of the journal that an entry of so much data takes, with all that may go before it. */
  roomFor(dataLength: number): number {
    return entryBytes(dataLength) + entryBytes(this.#parts.name.byteLength);
  }

  /**
   * Adds bytes for a dat file, at `start`, behind what waits for it. What was written to the file
   * directly since is synced. There must be room for them.
   */
  add(file: FileStart, data: Uint8Array, from: number, length: number): void {
    // A redo would find bytes of a channel that is not there.
    if (this.#isDeleted) throw new Error('the channel is deleted');
    const { journal, channelId } = this.#parts;
    const present = this.#files.get(file.path);
    // What came between went to the file directly, and is synced with all that is before it.
    const waiting = present?.end === file.start ? present : this.#startFile(file);
    this.#addName();
    const { baseSeq, start: position } = file;
    const entry = { kind: 'write', channelId, baseSeq, position } as const;
    const added = journal.add(entry, data, from, length);
    waiting.push(added, length, position);
  }

  #startFile(file: FileStart): WaitingFile {
    const waiting = new WaitingFile(file);
    if (this.#files.size === 0) this.#parts.onWaiting(this, true);
    this.#files.set(file.path, waiting);
    return waiting;
  }

  /** In each segment of the journal the first entry of a channel comes behind its name. */
  #addName(): void {
    const { journal, channelId, name } = this.#parts;
    const { segmentUse } = journal;
    if (this.#namedIn === segmentUse) return;
    journal.add({ kind: 'name', channelId, baseSeq: 0, position: 0 }, name, 0, name.byteLength);
    this.#namedIn = segmentUse;
  }

  /** Bytes that a recovery found in the journal and could not write to their file. */
  hold(file: FileStart, data: Uint8Array, group: number): void {
    const waiting = this.#files.get(file.path) ?? this.#startFile(file);
    waiting.push({ bytes: data, offset: 0, group }, data.byteLength, file.start);
  }

  /** Makes a dat file that is created later, while a failure costs nothing. */
  makeFile(path: string): void {
    this.#parts.fs.openSync(path, 'create').closeSync();
    this.#made = path;
  }

  /** Creates a dat file, unless it was made for that. */
  createFile(path: string): void {
    if (this.#made !== path) this.#parts.fs.openSync(path, 'create').closeSync();
    this.#made = undefined;
  }

  /** Says that the channel is made. There must be room for it. Returns the group. */
  create(creation: Uint8Array): number {
    const { journal, channelId } = this.#parts;
    this.#addName();
    const entry = { kind: 'create', channelId, baseSeq: 0, position: 0 } as const;
    const { group } = journal.add(entry, creation, 0, creation.byteLength);
    this.#creation = { group, creation, directory: undefined };
    if (this.#files.size === 0) this.#parts.onWaiting(this, true);
    return group;
  }

  /** Its files are in this directory now, and a checkpoint can sync them. */
  created(directory: string): void {
    if (this.#creation !== undefined) this.#creation = { ...this.#creation, directory };
  }

  /** The directory of the live generation is another one now; nothing else has changed. */
  relocate(liveDirectory: string): void {
    this.liveDirectory = liveDirectory;
    const files = [...this.#files.values()];
    this.#files.clear();
    for (const file of files) {
      const path = `${liveDirectory}${file.path.slice(file.path.lastIndexOf('/'))}`;
      this.#files.set(path, file.at(path));
    }
  }

  /** Nothing of the channel is to be redone. There must be room to say so. Returns the group. */
  delete(name: Uint8Array): number {
    const { journal, channelId } = this.#parts;
    const place = { channelId, baseSeq: 0, position: 0 };
    this.#isDeleted = true;
    journal.add({ kind: 'name', ...place }, name, 0, name.byteLength);
    return journal.add({ kind: 'delete', ...place }, name, 0, 0).group;
  }

  /** What waits is let go. */
  forget(): void {
    this.#files.clear();
    this.#creation = undefined;
    this.heldGroup = Infinity;
    this.#parts.onWaiting(this, false);
  }

  /** Takes back what was added last to a file, down to `size`. Throws when it is written. */
  cutBack(path: string, size: number): void {
    const file = this.#files.get(path);
    if (file === undefined) return;
    while (file.end > size) {
      const chunk = file.chunks.at(-1);
      const isTaken =
        chunk !== undefined &&
        chunk.position >= size &&
        this.#parts.journal.takeBack(chunk.added, chunk.length);
      if (!isTaken) throw new Error('what is in the journal cannot be taken back');
      file.chunks.pop();
      file.end = chunk.position;
    }
    if (file.chunks.length === 0) this.#end(path);
  }

  /** Nothing waits for a file any more. */
  #end(path: string): void {
    this.#files.delete(path);
    if (this.#files.size === 0 && this.#creation === undefined) this.#parts.onWaiting(this, false);
  }

  /**
   * Writes what waits to the dat files and syncs them, up to what the journal has synced when it
   * begins. Rejects with what the file system reports; everything goes on waiting then.
   */
  checkpoint(): Promise<void> {
    const run = this.#running.then(() => this.#parts.slots.run(() => this.#checkpoint()));
    this.#running = run.catch(() => undefined);
    return run;
  }

  /** Syncs the journal, and writes to the dat files and syncs what waits then. */
  async settle(): Promise<void> {
    if (!this.isWaiting && !this.isFresh) return;
    await this.#parts.journal.synced();
    await this.checkpoint();
    if (this.nameChange?.isSynced === false) await this.#parts.syncNames();
  }

  async #checkpoint(): Promise<void> {
    if (this.isPinned) return;
    const upTo = this.#parts.journal.syncedNumber;
    if (!(await this.#syncCreation(upTo))) return;
    for (const file of Array.from(this.#files.values())) {
      const count = countUpTo(file.chunks, upTo);
      if (count === 0) break;
      await this.#write(file, count);
    }
    if (this.#files.size === 0) {
      this.#parts.onWaiting(this, false);
      this.onEmpty();
    }
  }

  /** Syncs the files of a channel that was made. False when they are not in their place yet. */
  async #syncCreation(upTo: number): Promise<boolean> {
    const creation = this.#creation;
    if (creation === undefined) return true;
    const { directory, group } = creation;
    if (directory === undefined || group > upTo) return false;
    await this.#sync(directory, this.#parts.syncCreated(directory, creation.creation));
    this.#creation = undefined;
    return true;
  }

  async #write(file: WaitingFile, count: number): Promise<void> {
    const { fs } = this.#parts;
    const chunks = file.chunks.slice(0, count);
    const handle = fs.openSync(file.path, 'write');
    try {
      await writeChunks(handle, chunks);
      await this.#sync(file.path, handle.datasync());
    } finally {
      handle.closeSync();
    }
    if (file.isNew) {
      const directory = file.path.slice(0, file.path.lastIndexOf('/'));
      await this.#sync(directory, fs.syncDirectory(directory));
      file.isNew = false;
    }
    const last = chunks.at(-1);
    file.start = last === undefined ? file.start : last.position + last.length;
    this.#filed = { baseSeq: file.baseSeq, position: file.start };
    const rest = file.chunks.slice(count);
    clearList(file.chunks);
    file.chunks.push(...rest);
    if (rest.length === 0 && this.#files.get(file.path) === file) this.#files.delete(file.path);
  }

  async #sync(path: string, sync: Promise<void>): Promise<void> {
    try {
      await sync;
    } catch (error) {
      this.isPinned = true;
      this.pinCause = error;
      this.onSyncFailed(path, error);
      throw new CheckpointSyncError(path, error);
    }
  }

  /** Resolves when no checkpoint of this channel is going on. */
  async idle(): Promise<void> {
    await this.#running;
  }
}

/** How many of the chunks are in groups up to this one. */
function countUpTo(chunks: readonly WaitingChunk[], group: number): number {
  const at = chunks.findIndex(({ added }) => added.group > group);
  return at < 0 ? chunks.length : at;
}

async function writeChunks(handle: FileHandle, chunks: readonly WaitingChunk[]): Promise<void> {
  let piece: Uint8Array = new Uint8Array(0);
  for (let i = 0; i < chunks.length;) {
    const from = chunks[i]?.position ?? 0;
    let length = 0;
    let next = i;
    while (next < chunks.length) {
      const { length: chunkLength = 0, position = from } = chunks[next] ?? {};
      if (next > i && (position > from + length || length + chunkLength > PIECE_BYTES)) break;
      length += chunkLength;
      next++;
    }
    if (length > piece.byteLength) piece = new Uint8Array(length);
    for (const { added, length: size, position } of chunks.slice(i, next)) {
      const { bytes, offset } = added;
      piece.set(bytes.subarray(offset, offset + size), position - from);
    }
    await writePiece(handle, piece, length, from);
    i = next;
  }
}

async function writePiece(
  handle: FileHandle,
  piece: Uint8Array,
  length: number,
  position: number,
): Promise<void> {
  if (length <= ASYNC_BYTES) {
    writeAllSync(handle, piece, length, position);
    return;
  }
  let written = 0;
  while (written < length) {
    const count = await handle.write(piece, written, length - written, position + written);
    if (count === 0) throw Object.assign(new Error('nothing was written'), { code: 'EIO' });
    written += count;
  }
}
