/**
 * Redoes the journal when a store is opened for writing, before any channel is: the valid tail is
 * written again and synced first, then every entry goes to its place, in the order of the groups,
 * and is synced with its names; only then the journal begins anew (RULES J3, J4, J5). What cannot
 * be decided is a typed error, and nothing has been changed then.
 */
import { redexError, RedexError } from '../core/errors.js';
import { readManifest } from '../channel/channel-files.js';
import { damagedFile } from '../channel/damaged-file.js';
import { ioError } from '../channel/io-error.js';
import { sharedBytes, viewOf } from '../format/bytes.js';
import {
  decodeFileHeader,
  DAT_MAGIC,
  FILE_HEADER_BYTES,
  isOtherSegment,
} from '../format/file-header.js';
import { generationName, segmentFileName } from '../format/file-name.js';
import {
  BLOCK_HEADER_BYTES,
  BLOCK_LIST_AT,
  coveredBytes,
  decodeUnitHeader,
  verifyUnit,
} from '../format/unit.js';
import type { Manifest } from '../format/manifest.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import { writeAllSync } from '../fs/whole-file.js';
import type { FoundGroup, JournalContents } from '../journal/recovered-journal.js';
import { leftToRedo, type RedoChannel, type RedoWrite } from '../journal/redo-plan.js';

/** Channels that are redone at once. */
const AT_ONCE = 4;

/** Bytes of entries that are written together. */
const JOINED_BYTES: number = 256 * 1024;

/** What could not be written to a file. */
interface HeldWrite extends RedoWrite {
  readonly path: string;
}

/** A channel whose entries could not be redone: they stay in the journal (RULES J9). */
export interface HeldChannel {
  readonly channelId: Uint8Array;
  readonly error: RedexError;
  /** What its readers are to be shown in place of the files; none when that cannot be said. */
  readonly writes: readonly HeldWrite[];
  readonly firstGroup: number;
  readonly directory: string;
}

/** A channel with entries, and the directory that it was found in. */
export interface RedoTarget {
  readonly channel: RedoChannel;
  readonly directory: string;
}

/** Writes again what no sync is known to have covered, at the same places, and syncs it. */
export async function rewriteTail(fs: FileSystem, contents: JournalContents): Promise<void> {
  const { groups, syncedNumber, segments } = contents;
  for (const { number, path, bytes } of segments) {
    const inSegment = groups.filter(
      (group: FoundGroup) => group.segment === number && group.header.number > syncedNumber,
    );
    if (inSegment.length === 0) continue;
    const file = fs.openSync(path, 'write');
    try {
      for (const { position, header } of inSegment) {
        const group = bytes.subarray(position, position + header.byteLength);
        writeAllSync(file, group, group.byteLength, position);
      }
      await file.datasync();
    } finally {
      file.closeSync();
    }
  }
}

/** Redoes all targets. Returns those that could not be; every other failure is thrown. */
export async function redoChannels(
  fs: FileSystem,
  targets: readonly RedoTarget[],
): Promise<HeldChannel[]> {
  const held: HeldChannel[] = [];
  const rest = targets.toReversed();
  const lane = async (): Promise<void> => {
    for (let target = rest.pop(); target !== undefined; target = rest.pop()) {
      const failure = await redoOne(fs, target);
      if (failure !== undefined) held.push(failure);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return held;
}

async function redoOne(fs: FileSystem, target: RedoTarget): Promise<HeldChannel | undefined> {
  const { channel, directory } = target;
  const { channelId, firstGroup } = channel;
  if (channel.writes.length === 0) return undefined;
  let manifest: Manifest;
  try {
    manifest = readManifest(fs, directory, channelId);
  } catch (error) {
    if (!RedexError.is(error)) throw error;
    return { channelId, error, writes: [], firstGroup, directory };
  }
  const writes = leftToRedo(channel.writes, manifest);
  if (writes.length === 0) return undefined;
  const generation = `${directory}/${generationName(manifest.generation)}`;
  if (fs.statSync(generation) === undefined) {
    const error = damagedFile('generation', generation, 0, 'missing');
    return { channelId, error, writes: [], firstGroup, directory };
  }
  const conflict = findConflict(fs, generation, channelId, writes);
  if (conflict !== undefined) {
    return { channelId, error: conflict, writes: [], firstGroup, directory };
  }
  try {
    for (const [baseSeq, inFile] of byFile(writes)) {
      await redoFile(fs, datPath(generation, baseSeq), inFile);
    }
    await fs.syncDirectory(generation);
    await fs.syncDirectory(directory);
    return undefined;
  } catch (error) {
    if (!isNoSpace(error)) throw error;
    return heldFor(fs, target, error);
  }
}

export function isNoSpace(error: unknown): boolean {
  const code = systemCodeOf(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** A channel that could not be redone, with what its readers are to be shown. */
export function heldFor(fs: FileSystem, target: RedoTarget, cause: unknown): HeldChannel {
  const { channel, directory } = target;
  const { channelId, firstGroup } = channel;
  const error = RedexError.is(cause)
    ? cause
    : ioError('redo the journal', directory, cause, 'absent');
  return { channelId, error, writes: heldWrites(fs, target), firstGroup, directory };
}

/** Nothing where no manifest says what is live. */
function heldWrites(fs: FileSystem, { channel, directory }: RedoTarget): HeldWrite[] {
  const { channelId, writes } = channel;
  try {
    const manifest = readManifest(fs, directory, channelId);
    const generation = `${directory}/${generationName(manifest.generation)}`;
    return leftToRedo(writes, manifest).map(({ baseSeq, position, data, group }) => {
      return { baseSeq, position, data, group, path: datPath(generation, baseSeq) };
    });
  } catch (error) {
    if (RedexError.is(error)) return [];
    throw error;
  }
}

function datPath(generation: string, baseSeq: number): string {
  return `${generation}/${segmentFileName(baseSeq, 'dat')}`;
}

function byFile(writes: readonly RedoWrite[]): Map<number, RedoWrite[]> {
  const files = new Map<number, RedoWrite[]>();
  for (const write of writes) {
    const inFile = files.get(write.baseSeq);
    if (inFile === undefined) files.set(write.baseSeq, [write]);
    else inFile.push(write);
  }
  return files;
}

async function redoFile(fs: FileSystem, path: string, writes: readonly RedoWrite[]): Promise<void> {
  // In place: who reads the channel beside this has the file open.
  const file = fs.openSync(path, fs.statSync(path) === undefined ? 'create' : 'write');
  try {
    // Written whatever stands there: the page cache may hold what the disk has lost.
    for (const { data, position } of joined(writes)) {
      writeAllSync(file, data, data.byteLength, position);
    }
    await file.datasync();
  } finally {
    file.closeSync();
  }
}

/** Those that follow each other as one: a group of the journal may have one record of a file. */
function* joined(writes: readonly RedoWrite[]): Generator<Pick<RedoWrite, 'data' | 'position'>> {
  let pieces: Uint8Array[] = [];
  let position = 0;
  let byteLength = 0;
  for (const write of writes) {
    const { length } = write.data;
    const isNext = write.position === position + byteLength && byteLength + length <= JOINED_BYTES;
    if (!isNext || pieces.length === 0) {
      if (pieces.length > 0) yield { data: Buffer.concat(pieces, byteLength), position };
      [pieces, byteLength, position] = [[], 0, write.position];
    }
    pieces.push(write.data);
    byteLength += length;
  }
  if (pieces.length > 0) yield { data: Buffer.concat(pieces, byteLength), position };
}

/**
 * What stands at the place of an entry and is neither the same, nor anything that fails; or a file
 * that is another segment's, whose bytes would be written over.
 */
function findConflict(
  fs: FileSystem,
  generation: string,
  channelId: Uint8Array,
  writes: readonly RedoWrite[],
): RedexError | undefined {
  for (const [baseSeq, inFile] of byFile(writes)) {
    const path = datPath(generation, baseSeq);
    const [first] = inFile;
    if (first === undefined) continue;
    if (fs.statSync(path) === undefined) {
      if (first.position > 0) return conflictError(path, 0, 'missing');
      continue;
    }
    const file = fs.openSync(path, 'read');
    try {
      const head = readAt(file, 0, FILE_HEADER_BYTES);
      if (isOtherSegment(head, channelId, baseSeq)) return conflictError(path, 8, 'identity');
      const position = conflictIn(file, inFile);
      if (position !== undefined) return conflictError(path, position, 'sequence');
      if (file.sizeSync() < first.position) return conflictError(path, file.sizeSync(), 'length');
    } finally {
      file.closeSync();
    }
  }
  return undefined;
}

function conflictIn(file: FileHandle, writes: readonly RedoWrite[]): number | undefined {
  const head = readAt(file, 0, FILE_HEADER_BYTES);
  const header = decodeFileHeader(DAT_MAGIC, head);
  for (const { data, position } of writes) {
    const present = readAt(file, position, data.byteLength);
    if (Buffer.compare(present, data) === 0) continue;
    if (position === 0) {
      if (header.ok) return 0;
      continue;
    }
    if (!header.ok) continue;
    const rest = unitAt(file, position);
    const unit =
      rest.byteLength < BLOCK_HEADER_BYTES
        ? 'length'
        : decodeUnitHeader(viewOf(rest), 0, position, rest.byteLength);
    if (typeof unit === 'string') continue;
    const covered = coveredBytes(viewOf(rest), 0, unit);
    if (covered === undefined) continue;
    // The beginning of the same bytes, of which the rest never got there.
    if (Buffer.compare(rest.subarray(0, covered), data.subarray(0, covered)) === 0) continue;
    const { checksum } = unit;
    if (verifyUnit(rest, 0, covered, checksum, header.value.nonce) === undefined) return position;
  }
  return undefined;
}

/** The bytes of the unit that begins at a place, as far as they are there. */
function unitAt(file: FileHandle, position: number): Uint8Array {
  const available = file.sizeSync() - position;
  const head = readAt(file, position, Math.min(BLOCK_LIST_AT, available));
  if (head.byteLength < BLOCK_LIST_AT) return head;
  const unit = decodeUnitHeader(viewOf(head), 0, position, available);
  return typeof unit === 'string' ? head : readAt(file, position, unit.byteLength);
}

function readAt(file: FileHandle, position: number, length: number): Uint8Array {
  const bytes = sharedBytes(Math.max(0, length));
  return bytes.subarray(0, file.readSync(bytes, 0, bytes.byteLength, position));
}

function conflictError(
  path: string,
  position: number,
  check: 'missing' | 'sequence' | 'length' | 'identity',
): RedexError {
  const message = `${path} is not what the journal goes on from, at byte ${position} (${check})`;
  return redexError('CORRUPT', message, { path, position, check });
}
