/**
 * The small files of a channel's directory: config, manifest, clean mark. Reading them ends in a
 * value or a typed error and never in "as if it were not there"; only ENOENT is absence.
 */
import {
  readWholeFile,
  removeUnfinished,
  writeAllSync,
  writeWholeFileSync,
} from '../fs/whole-file.js';
import { RedexError, type RedexErrorOf } from '../core/errors.js';
import type { Runtime } from '../core/runtime.js';
import {
  CLEAN_FILE_BYTES,
  cleanSlotPosition,
  decodeCleanFile,
  encodeCleanMark,
  type CleanMark,
} from '../format/clean-mark.js';
import { CHANNEL_ID_BYTES } from '../format/file-header.js';
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
  const manifest = readManifestAt(fs, path);
  if (manifest === undefined) throw damagedFile('manifest', path, 0, 'missing');
  if (Buffer.compare(manifest.channelId, channelId) !== 0) {
    throw damagedFile('manifest', path, 8, 'identity');
  }
  return manifest;
}

function readManifestAt(fs: FileSystem, path: string): Manifest | undefined {
  const bytes = readWholeFile(fs, path, MANIFEST_BYTES);
  if (bytes === undefined) return undefined;
  const manifest = decodeManifest(bytes);
  if (!manifest.ok) throw decodeError('manifest', path, manifest);
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

/** A channel that is being made, in memory. */
export interface NewChannel extends ChannelBytes {
  readonly channelId: Uint8Array;
}

/** Draws a channel. */
export function drawChannel(
  runtime: Runtime,
  name: string,
  stored: StoredChannelOptions,
  firstSeq: number,
): NewChannel {
  const channelId = runtime.random(new Uint8Array(CHANNEL_ID_BYTES));
  const body = configBody(name, runtime.now(), stored);
  return {
    channelId,
    config: encodeConfig({ channelId, body }),
    manifest: encodeManifest(firstManifest(channelId, firstSeq)),
  };
}

function firstManifest(channelId: Uint8Array, firstSeq: number): Manifest {
  return {
    channelId,
    generation: 1,
    firstSeq,
    redoSeq: 0,
    redoSegment: 0,
    redoPosition: 0,
    nextSeqFloor: firstSeq,
    recoveryEpoch: 0,
  };
}

/** The files that a channel begins with, as they are written. */
export interface ChannelBytes {
  readonly config: Uint8Array;
  readonly manifest: Uint8Array;
}

/** Makes the directory of a channel, which is not there. Nothing of it is synced. */
export function buildChannel(
  fs: FileSystem,
  directory: string,
  { config, manifest }: ChannelBytes,
): void {
  fs.mkdirSync(directory);
  fs.mkdirSync(`${directory}/${generationName(1)}`);
  writeNew(fs, `${directory}/${CONFIG_NAME}`, config);
  writeNew(fs, `${directory}/${CLEAN_MARK_NAME}`, new Uint8Array(CLEAN_FILE_BYTES));
  writeNew(fs, `${directory}/${MANIFEST_NAME}`, manifest);
}

/**
 * Makes what is missing of a channel that the journal says was created, and syncs it. What is there
 * and whole keeps its bytes: they are newer, if they differ (RULES J4). They are written again all
 * the same, because the sync of the process before may have failed (RULES S4).
 */
export async function completeChannel(
  fs: FileSystem,
  directory: string,
  channel: NewChannel,
): Promise<void> {
  if (fs.statSync(directory) === undefined) fs.mkdirSync(directory);
  const configPath = `${directory}/${CONFIG_NAME}`;
  const manifestPath = `${directory}/${MANIFEST_NAME}`;
  const config = wholeOf(() => readConfigAt(fs, configPath), channel);
  const manifest = wholeOf(() => readManifestAt(fs, manifestPath), channel);
  rewrite(fs, configPath, config === undefined ? channel.config : encodeConfig(config));
  rewrite(fs, manifestPath, manifest === undefined ? channel.manifest : encodeManifest(manifest));
  // A later generation is named by a manifest, and so was synced before that.
  if ((manifest?.generation ?? 1) === 1) {
    const generation = `${directory}/${generationName(1)}`;
    if (fs.statSync(generation) === undefined) fs.mkdirSync(generation);
  }
  const clean = `${directory}/${CLEAN_MARK_NAME}`;
  if (fs.statSync(clean) === undefined) rewrite(fs, clean, new Uint8Array(CLEAN_FILE_BYTES));
  else await syncFile(fs, clean, undefined);
  await syncNames(fs, directory);
}

/** Whether all is there, and can be read, without which the channel cannot be opened. */
export function isComplete(fs: FileSystem, directory: string, channel: NewChannel): boolean {
  try {
    const config = wholeOf(() => readConfigAt(fs, `${directory}/${CONFIG_NAME}`), channel);
    const manifest = wholeOf(() => readManifestAt(fs, `${directory}/${MANIFEST_NAME}`), channel);
    if (config === undefined || manifest === undefined) return false;
    return fs.statSync(`${directory}/${generationName(manifest.generation)}`) !== undefined;
  } catch {
    return false;
  }
}

/** What is there, whole, and of this channel. Throws for what is of a newer version, and IO. */
function wholeOf<T extends { readonly channelId: Uint8Array }>(
  read: () => T | undefined,
  { channelId }: NewChannel,
): T | undefined {
  try {
    const found = read();
    if (found === undefined || Buffer.compare(found.channelId, channelId) !== 0) return undefined;
    return found;
  } catch (error) {
    if (RedexError.is(error, 'CORRUPT')) return undefined;
    throw error;
  }
}

/** Puts a file in its place, and syncs it; its name is synced by the caller. */
function rewrite(fs: FileSystem, path: string, bytes: Uint8Array): void {
  const temporary = `${path}.tmp`;
  removeUnfinished(fs, temporary);
  writeWholeFileSync(fs, temporary, bytes);
  fs.renameSync(temporary, path);
}

/**
 * Syncs the files and names that `buildChannel` has made. Its bytes are written again through the
 * descriptors that are synced: an error of the first ones would have been told to nobody (S6).
 */
export async function syncChannel(
  fs: FileSystem,
  directory: string,
  bytes?: ChannelBytes,
): Promise<void> {
  await syncFile(fs, `${directory}/${CONFIG_NAME}`, bytes?.config);
  await syncFile(fs, `${directory}/${MANIFEST_NAME}`, bytes?.manifest);
  await syncFile(fs, `${directory}/${CLEAN_MARK_NAME}`, undefined);
  await syncNames(fs, directory);
}

/** What is in a channel's directory and in its first generation, if that is still there. */
async function syncNames(fs: FileSystem, directory: string): Promise<void> {
  const generation = `${directory}/${generationName(1)}`;
  if (fs.statSync(generation) !== undefined) await fs.syncDirectory(generation);
  await fs.syncDirectory(directory);
}

async function syncFile(
  fs: FileSystem,
  path: string,
  bytes: Uint8Array | undefined,
): Promise<void> {
  const file = fs.openSync(path, 'write');
  try {
    if (bytes !== undefined) writeAllSync(file, bytes, bytes.byteLength, 0);
    await file.datasync();
  } finally {
    file.closeSync();
  }
}

function writeNew(fs: FileSystem, path: string, bytes: Uint8Array): void {
  const file = fs.openSync(path, 'create');
  try {
    writeAllSync(file, bytes, bytes.byteLength, 0);
  } finally {
    file.closeSync();
  }
}
