/**
 * The small files of a channel's directory: config, manifest, clean mark. Reading them ends in a
 * value or a typed error and never in "as if it were not there"; only ENOENT is absence.
 */
import { redexError, type RedexErrorOf } from '../core/errors.js';
import {
  CLEAN_FILE_BYTES,
  cleanSlotPosition,
  decodeCleanFile,
  encodeCleanMark,
  type CleanMark,
} from '../format/clean-mark.js';
import { decodeConfig, encodeConfig, MAX_CONFIG_BYTES, type Config } from '../format/config.js';
import type { DecodeFailure } from '../format/decoded.js';
import { FORMAT_VERSION } from '../format/envelope.js';
import {
  CLEAN_MARK_NAME,
  CONFIG_NAME,
  generationName,
  MANIFEST_NAME,
  MANIFEST_TEMPORARY_NAME,
  parseSegmentFileName,
} from '../format/file-name.js';
import {
  decodeManifest,
  encodeManifest,
  MANIFEST_BYTES,
  type Manifest,
} from '../format/manifest.js';
import type { DirectoryEntry, FileHandle, FileSystem } from '../fs/file-system.js';
import { writeAllSync } from '../segment/derived-file.js';
import { corruption } from '../segment/segment.js';
import { systemCodeOf } from './io-error.js';

const BIRTH_FILES: ReadonlySet<string> = new Set([
  CONFIG_NAME,
  CLEAN_MARK_NAME,
  MANIFEST_NAME,
  MANIFEST_TEMPORARY_NAME,
]);

export function versionError(path: string, found: number): RedexErrorOf<'FORMAT_VERSION'> {
  return redexError(
    'FORMAT_VERSION',
    `${path} has format version ${found}; this build of redexlog reads version ${FORMAT_VERSION}`,
    { path, found, supported: FORMAT_VERSION },
  );
}

/** The error for bytes that do not decode: a newer version, or damage. */
function decodeError(
  path: string,
  failure: DecodeFailure,
): RedexErrorOf<'FORMAT_VERSION'> | RedexErrorOf<'CORRUPT'> {
  return failure.check === 'version'
    ? versionError(path, failure.found)
    : corruption(path, 0, failure.check);
}

/** A file's bytes, at most `limit` + 1 of them; undefined when there is no such file. */
function readWhole(fs: FileSystem, path: string, limit: number): Uint8Array | undefined {
  let file: FileHandle;
  try {
    file = fs.openSync(path, 'read');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    // One byte more than there can be: a decoder then sees the version first, the length next.
    const bytes = new Uint8Array(limit + 1);
    const length = file.readSync(bytes, 0, limit + 1, 0);
    return bytes.subarray(0, length);
  } finally {
    file.closeSync();
  }
}

export function readConfig(fs: FileSystem, directory: string): Config {
  const path = `${directory}/${CONFIG_NAME}`;
  const bytes = readWhole(fs, path, MAX_CONFIG_BYTES);
  if (bytes === undefined) throw corruption(path, 0, 'missing');
  const config = decodeConfig(bytes);
  if (!config.ok) throw decodeError(path, config);
  if (bytes.byteLength > MAX_CONFIG_BYTES) throw corruption(path, MAX_CONFIG_BYTES, 'length');
  return config.value;
}

export function readManifest(fs: FileSystem, directory: string, channelId: Uint8Array): Manifest {
  const path = `${directory}/${MANIFEST_NAME}`;
  const bytes = readWhole(fs, path, MANIFEST_BYTES);
  if (bytes === undefined) throw corruption(path, 0, 'missing');
  const manifest = decodeManifest(bytes);
  if (!manifest.ok) throw decodeError(path, manifest);
  if (Buffer.compare(manifest.value.channelId, channelId) !== 0) {
    throw corruption(path, 8, 'identity');
  }
  return manifest.value;
}

/** The newest clean mark of this channel, if any. A mark that does not decode is no mark. */
export function readCleanMark(
  fs: FileSystem,
  directory: string,
  channelId: Uint8Array,
): CleanMark | undefined {
  const path = `${directory}/${CLEAN_MARK_NAME}`;
  const bytes = readWhole(fs, path, CLEAN_FILE_BYTES);
  if (bytes === undefined) return undefined;
  const { mark, newerVersion } = decodeCleanFile(bytes);
  if (newerVersion !== undefined) throw versionError(path, newerVersion);
  if (mark === undefined || Buffer.compare(mark.channelId, channelId) !== 0) return undefined;
  return mark;
}

/** Writes and syncs a clean mark into the slot that the newer one does not occupy. */
export function writeCleanMark(fs: FileSystem, directory: string, mark: CleanMark): void {
  const path = `${directory}/${CLEAN_MARK_NAME}`;
  const missing = fs.statSync(path) === undefined;
  const file = fs.openSync(path, missing ? 'create' : 'write');
  try {
    const bytes = encodeCleanMark(mark);
    writeAllSync(file, bytes, bytes.byteLength, cleanSlotPosition(mark.counter));
    file.datasyncSync();
  } finally {
    file.closeSync();
  }
  if (missing) fs.syncDirectorySync(directory);
}

/** Replaces the manifest: whole, or not at all, whenever the power goes (RULES G5). */
export function replaceManifest(fs: FileSystem, directory: string, manifest: Manifest): void {
  const temporary = `${directory}/${MANIFEST_TEMPORARY_NAME}`;
  if (fs.statSync(temporary) !== undefined) fs.unlinkSync(temporary);
  writeWhole(fs, temporary, encodeManifest(manifest));
  fs.renameSync(temporary, `${directory}/${MANIFEST_NAME}`);
  fs.syncDirectorySync(directory);
}

/** Creates a file with these bytes and syncs it; its name is synced by the caller. */
function writeWhole(fs: FileSystem, path: string, bytes: Uint8Array): void {
  const file = fs.openSync(path, 'create');
  try {
    writeAllSync(file, bytes, bytes.byteLength, 0);
    file.datasyncSync();
  } finally {
    file.closeSync();
  }
}

export interface ChannelBirth {
  /** Where the channel will be. Its parent exists. */
  readonly directory: string;
  /** Where it is built; on the same file system. Left over from a crash, it is removed first. */
  readonly staging: string;
  readonly config: Config;
  readonly firstSeq: number;
}

/**
 * Creates a channel's directory whole or not at all: it is built under another name, synced, and
 * renamed into place. Durable when this returns, but for the parent's own name.
 */
export function createChannelDirectory(fs: FileSystem, birth: ChannelBirth): Manifest {
  const { staging, config, firstSeq } = birth;
  removeStaging(fs, staging);
  const manifest: Manifest = {
    channelId: config.channelId,
    generation: 1,
    firstSeq,
    redoSeq: 0,
    nextSeqFloor: firstSeq,
    recoveryEpoch: 0,
  };
  const generation = `${staging}/${generationName(manifest.generation)}`;
  fs.mkdirSync(staging);
  fs.mkdirSync(generation);
  fs.syncDirectorySync(generation);
  writeWhole(fs, `${staging}/${CONFIG_NAME}`, encodeConfig(config));
  writeWhole(fs, `${staging}/${CLEAN_MARK_NAME}`, new Uint8Array(CLEAN_FILE_BYTES));
  writeWhole(fs, `${staging}/${MANIFEST_NAME}`, encodeManifest(manifest));
  fs.syncDirectorySync(staging);
  // A rename does not replace a directory; one that is there has been seen to be empty.
  if (fs.statSync(birth.directory) !== undefined) fs.rmdirSync(birth.directory);
  fs.renameSync(staging, birth.directory);
  fs.syncDirectorySync(parentOf(birth.directory));
  return manifest;
}

/** Removes what a creation that never finished left behind. It never held a record. */
function removeStaging(fs: FileSystem, staging: string): void {
  if (fs.statSync(staging) === undefined) return;
  if (!isUnfinishedBirth(fs, staging)) {
    const message = `${staging} is in the way: it is not what an unfinished creation leaves behind`;
    throw redexError('EXISTS', message, { kind: 'directory', resource: staging });
  }
  for (const { name, kind } of fs.readDirectorySync(staging)) {
    const path = `${staging}/${name}`;
    if (kind === 'directory') removeFilesAndDirectory(fs, path);
    else fs.unlinkSync(path);
  }
  fs.rmdirSync(staging);
}

function isSegmentFile({ name, kind }: DirectoryEntry): boolean {
  return kind === 'file' && parseSegmentFileName(name.replace(/\.tmp$/, '')) !== undefined;
}

function removeFilesAndDirectory(fs: FileSystem, directory: string): void {
  for (const { name } of fs.readDirectorySync(directory)) fs.unlinkSync(`${directory}/${name}`);
  fs.rmdirSync(directory);
}

/**
 * Whether there is nothing in a directory but what creating a channel puts there. Segments may be
 * there as well: when a power cut takes back the rename into place, what was appended since, and
 * never synced, goes with it.
 */
function isUnfinishedBirth(fs: FileSystem, staging: string): boolean {
  return fs.readDirectorySync(staging).every(({ name, kind }) => {
    if (kind === 'file') return BIRTH_FILES.has(name) || name.startsWith('cut-');
    const isGeneration = kind === 'directory' && name === generationName(1);
    return isGeneration && fs.readDirectorySync(`${staging}/${name}`).every(isSegmentFile);
  });
}

/** The directory that holds the name of `path`. */
export function parentOf(path: string): string {
  const end = path.replace(/\/+$/, '');
  const slash = end.lastIndexOf('/');
  if (slash < 0) return '.';
  return slash === 0 ? '/' : end.slice(0, slash);
}
