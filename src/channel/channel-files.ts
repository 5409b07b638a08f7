/**
 * The small files of a channel's directory: config, manifest, clean mark. Reading them ends in a
 * value or a typed error and never in "as if it were not there"; only ENOENT is absence.
 */
import {
  readWholeFile,
  writeAllSync,
  writeWholeFile,
  writeWholeFileSync,
} from '../fs/whole-file.js';
import type { RedexErrorOf } from '../core/errors.js';
import {
  CLEAN_FILE_BYTES,
  cleanSlotPosition,
  decodeCleanFile,
  encodeCleanMark,
  type CleanMark,
} from '../format/clean-mark.js';
import { decodeConfig, encodeConfig, MAX_CONFIG_BYTES, type Config } from '../format/config.js';
import type { DecodeFailure } from '../format/decoded.js';
import {
  CLEAN_MARK_NAME,
  CONFIG_NAME,
  generationName,
  MANIFEST_NAME,
  MANIFEST_TEMPORARY_NAME,
  NEXT_CONFIG_NAME,
} from '../format/file-name.js';
import {
  decodeManifest,
  encodeManifest,
  MANIFEST_BYTES,
  type Manifest,
} from '../format/manifest.js';
import type { FileSystem } from '../fs/file-system.js';
import type { Segment } from '../segment/segment.js';
import { damagedFile, versionError } from './damaged-file.js';
import type { StoredChannelOptions } from './options.js';

/** The error for bytes that do not decode: a newer version, or damage. */
function decodeError(
  what: 'config' | 'manifest',
  path: string,
  failure: DecodeFailure,
): RedexErrorOf<'FORMAT_VERSION'> | RedexErrorOf<'CORRUPT'> {
  return failure.check === 'version'
    ? versionError(path, failure.found)
    : damagedFile(what, path, 0, failure.check);
}

export function readConfig(fs: FileSystem, directory: string): Config {
  const path = `${directory}/${CONFIG_NAME}`;
  const config = readConfigAt(fs, path);
  if (config === undefined) throw damagedFile('config', path, 0, 'missing');
  return config;
}

/** The config that waits to take the place of the one that counts, if there is one. */
export function readNextConfig(fs: FileSystem, directory: string): Config | undefined {
  return readConfigAt(fs, `${directory}/${NEXT_CONFIG_NAME}`);
}

function readConfigAt(fs: FileSystem, path: string): Config | undefined {
  const bytes = readWholeFile(fs, path, MAX_CONFIG_BYTES);
  if (bytes === undefined) return undefined;
  const config = decodeConfig(bytes);
  if (!config.ok) throw decodeError('config', path, config);
  if (bytes.byteLength > MAX_CONFIG_BYTES) {
    throw damagedFile('config', path, MAX_CONFIG_BYTES, 'length');
  }
  return config.value;
}

export function readManifest(fs: FileSystem, directory: string, channelId: Uint8Array): Manifest {
  const path = `${directory}/${MANIFEST_NAME}`;
  const bytes = readWholeFile(fs, path, MANIFEST_BYTES);
  if (bytes === undefined) throw damagedFile('manifest', path, 0, 'missing');
  const manifest = decodeManifest(bytes);
  if (!manifest.ok) throw decodeError('manifest', path, manifest);
  if (Buffer.compare(manifest.value.channelId, channelId) !== 0) {
    throw damagedFile('manifest', path, 8, 'identity');
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
  const bytes = readWholeFile(fs, path, CLEAN_FILE_BYTES);
  if (bytes === undefined) return undefined;
  const { mark, newerVersion } = decodeCleanFile(bytes);
  if (newerVersion !== undefined) throw versionError(path, newerVersion);
  if (mark === undefined || Buffer.compare(mark.channelId, channelId) !== 0) return undefined;
  return mark;
}

/** The mark of a channel that ends with this segment as it is. */
export function cleanMarkOf(
  segment: Segment,
  channelId: Uint8Array,
  generation: number,
  counter: number,
): CleanMark {
  const { baseSeq, datLength, nextSeq, lastChecksum, lastTimestamp } = segment;
  const { recordCount, frameCount } = segment;
  return {
    channelId,
    counter,
    generation,
    baseSeq,
    datLength,
    nextSeq,
    lastChecksum,
    lastTimestamp,
    recordCount,
    frameCount,
  };
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
  writeWholeFileSync(fs, temporary, encodeManifest(manifest));
  fs.renameSync(temporary, `${directory}/${MANIFEST_NAME}`);
  fs.syncDirectorySync(directory);
}

/** The body of a config. */
export function configBody(
  name: string,
  created: number,
  stored: StoredChannelOptions,
): Config['body'] {
  return { name, created, options: { ...stored } };
}

/** Writes a config beside the one that counts, and syncs it; its name is synced by the caller. */
export function writeNextConfig(fs: FileSystem, directory: string, config: Config): void {
  const path = `${directory}/${NEXT_CONFIG_NAME}`;
  if (fs.statSync(path) !== undefined) fs.unlinkSync(path);
  writeWholeFileSync(fs, path, encodeConfig(config));
}

export interface ChannelBirth {
  /** Where the channel will be. Its parent exists. */
  readonly directory: string;
  /** Where it is built, on the same file system; nothing is there. */
  readonly staging: string;
  readonly config: Config;
  readonly firstSeq: number;
}

/**
 * Creates a channel's directory whole or not at all: it is built under another name, synced, and
 * renamed into place. What throws has left no channel. The new name is not synced: when that
 * fails, the channel is there and nobody can say for how long, which is the caller's to tell.
 */
export async function createChannelDirectory(fs: FileSystem, birth: ChannelBirth): Promise<void> {
  const { staging, config, firstSeq, directory } = birth;
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
  await fs.syncDirectory(generation);
  await writeWholeFile(fs, `${staging}/${CONFIG_NAME}`, encodeConfig(config));
  await writeWholeFile(fs, `${staging}/${CLEAN_MARK_NAME}`, new Uint8Array(CLEAN_FILE_BYTES));
  await writeWholeFile(fs, `${staging}/${MANIFEST_NAME}`, encodeManifest(manifest));
  await fs.syncDirectory(staging);
  fs.renameSync(staging, directory);
}
