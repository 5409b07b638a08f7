/**
 * The data directory: created whole or not at all, recognised by its redex.json, and refused with
 * a typed error, unchanged, when it is anything else. redex.json is read before the lock is taken
 * and again under it, because another process may have created the store in between (RULES N3).
 */
import { resolve, sep } from 'node:path';
import { redexError } from '../core/errors.js';
import { damagedFile, versionError } from '../channel/damaged-file.js';
import type { ChannelSettings } from '../channel/settings.js';
import {
  CHANNELS_NAME,
  LOCK_INFO_NAME,
  LOCK_NAME,
  NEW_NAME,
  RENAME_NAME,
  STORE_MANIFEST_NAME,
  STORE_MANIFEST_TEMPORARY_NAME,
  TRASH_NAME,
} from '../format/file-name.js';
import {
  decodeStoreManifest,
  encodeStoreManifest,
  MAX_STORE_MANIFEST_BYTES,
  type StoreManifest,
} from '../format/store-manifest.js';
import type { FileSystem } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import { parentOf, readWholeFile, writeWholeFileSync } from '../fs/whole-file.js';
import { drawName } from './drawn-name.js';
import { StoreLock } from './store-lock.js';

/** What an empty data directory may hold: what a creation that never finished leaves, too. */
const UNFINISHED: ReadonlySet<string> = new Set([
  LOCK_NAME,
  LOCK_INFO_NAME,
  STORE_MANIFEST_TEMPORARY_NAME,
  // At the top of a file system of its own.
  'lost+found',
]);
const WORK_NAMES: readonly string[] = [NEW_NAME, TRASH_NAME, RENAME_NAME];

export interface DataDirectory {
  /** Absolute, with all links resolved. */
  readonly path: string;
  readonly manifest: StoreManifest;
  /** Undefined for one that is only looked at. */
  readonly lock: StoreLock | undefined;
}

/** Opens a data directory that somebody else may be writing to. Changes nothing. */
export function lookAtDataDirectory(fs: FileSystem, directory: string): DataDirectory {
  const path = existingDirectory(fs, directory);
  if (path === undefined) throw notFound(directory);
  const manifest = readStoreManifest(fs, path) ?? readLateManifest(fs, path);
  if (manifest === undefined) throw notFound(directory);
  requireChannels(fs, path);
  return { path, manifest, lock: undefined };
}

/**
 * The manifest of a store that another process has made since it was looked for. Throws CORRUPT
 * for a store that has lost its own; undefined for what is none.
 */
function readLateManifest(fs: FileSystem, path: string): StoreManifest | undefined {
  const isStore = fs.statSync(`${path}/${CHANNELS_NAME}`)?.kind === 'directory';
  if (!isStore || isEmptyWork(fs, path, CHANNELS_NAME)) return undefined;
  const manifest = readStoreManifest(fs, path);
  if (manifest !== undefined) return manifest;
  throw damagedFile('store', `${path}/${STORE_MANIFEST_NAME}`, 0, 'missing');
}

/** Opens a data directory for writing, and creates it when there is none. Throws LOCKED. */
export function takeDataDirectory(
  settings: ChannelSettings,
  directory: string,
  createIfMissing: boolean,
): DataDirectory {
  const { fs } = settings;
  const path = existingDirectory(fs, directory);
  const isNew = path === undefined || presentStore(fs, path) === undefined;
  if (isNew && !createIfMissing) throw notFound(directory);
  const place = path ?? realPath(fs, createDirectories(fs, absolutePath(directory)));
  const lock = StoreLock.take(fs, place);
  try {
    const present = presentStore(fs, place);
    if (present !== undefined) takeUpStore(fs, place);
    const manifest = present ?? createStore(settings, place);
    lock.announce(settings);
    return { path: place, manifest, lock };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** The absolute path with all links resolved, as far as it is there. */
export function resolvedPath(fs: FileSystem, directory: string): string {
  const path = absolutePath(directory);
  if (fs.statSync(path) !== undefined) return realPath(fs, path);
  const parent = parentOf(path);
  if (parent === path) return path;
  return `${resolvedPath(fs, parent).replace(/\/$/, '')}${path.slice(path.lastIndexOf('/'))}`;
}

function absolutePath(directory: string): string {
  // The working directory may change while the store is open.
  return resolve(directory).replaceAll(sep, '/');
}

function realPath(fs: FileSystem, path: string): string {
  return fs.realpathSync(path).replaceAll(sep, '/');
}

/** The real path of a directory; undefined when there is nothing. Throws EXISTS for a file. */
function existingDirectory(fs: FileSystem, directory: string): string | undefined {
  const path = absolutePath(directory);
  const present = fs.statSync(path);
  if (present === undefined) return undefined;
  const real = realPath(fs, path);
  const kind = fs.statSync(real)?.kind ?? 'other';
  if (kind === 'directory') return real;
  throw redexError('EXISTS', `${path} is not a directory`, { kind, resource: path });
}

/** The store's manifest, undefined when there is none. Throws FORMAT_VERSION or CORRUPT. */
function readStoreManifest(fs: FileSystem, directory: string): StoreManifest | undefined {
  const path = `${directory}/${STORE_MANIFEST_NAME}`;
  const bytes = readWholeFile(fs, path, MAX_STORE_MANIFEST_BYTES);
  if (bytes === undefined) return undefined;
  const manifest = decodeStoreManifest(bytes);
  if (manifest.ok) return manifest.value;
  if (manifest.check === 'version') throw versionError(path, manifest.found);
  throw damagedFile('store', path, 0, manifest.check);
}

/**
 * The manifest of the store that is there; undefined when the directory may become one: it is
 * empty, or holds what an unfinished creation leaves. Throws for everything else, which is not ours
 * to touch.
 */
function presentStore(fs: FileSystem, directory: string): StoreManifest | undefined {
  const present = readStoreManifest(fs, directory);
  if (present !== undefined) return present;
  const entries = fs.readDirectorySync(directory);
  if (entries.every(({ name }) => UNFINISHED.has(name) || isEmptyWork(fs, directory, name))) {
    return undefined;
  }
  // Another process may have made a store of it since.
  const late = readStoreManifest(fs, directory);
  if (late !== undefined) return late;
  if (entries.some(({ name }) => name === CHANNELS_NAME)) {
    throw damagedFile('store', `${directory}/${STORE_MANIFEST_NAME}`, 0, 'missing');
  }
  const message = `${directory} is no data directory, and it is not empty`;
  throw redexError('EXISTS', message, { kind: 'directory', resource: directory });
}

/** Whether this is a `channels` directory without any channel in it. */
function isEmptyWork(fs: FileSystem, directory: string, name: string): boolean {
  const path = `${directory}/${name}`;
  if (name !== CHANNELS_NAME || fs.statSync(path)?.kind !== 'directory') return false;
  return fs.readDirectorySync(path).every((entry) => {
    const isWork = entry.kind === 'directory' && WORK_NAMES.includes(entry.name);
    return isWork && fs.readDirectorySync(`${path}/${entry.name}`).length === 0;
  });
}

/** Makes a store of an empty directory. */
function createStore(settings: ChannelSettings, directory: string): StoreManifest {
  const { fs, runtime } = settings;
  const manifest: StoreManifest = { storeId: drawName(runtime), created: runtime.now() };
  makeChannelsDirectory(fs, directory);
  finishStore(fs, directory, manifest);
  return manifest;
}

function makeChannelsDirectory(fs: FileSystem, directory: string): void {
  const channels = `${directory}/${CHANNELS_NAME}`;
  if (fs.statSync(channels) === undefined) fs.mkdirSync(channels);
  makeWorkDirectories(fs, channels);
}

/** A directory that will be a store, for somebody else to fill. */
export function makeStoreDirectories(fs: FileSystem, directory: string): void {
  makeChannelsDirectory(fs, createDirectories(fs, directory));
}

/** Syncs what is there and adds the redex.json that makes a store of it. */
export function finishStore(fs: FileSystem, directory: string, manifest: StoreManifest): void {
  fs.syncDirectorySync(`${directory}/${CHANNELS_NAME}`);
  fs.syncDirectorySync(directory);
  const temporary = `${directory}/${STORE_MANIFEST_TEMPORARY_NAME}`;
  if (fs.statSync(temporary) !== undefined) fs.unlinkSync(temporary);
  writeWholeFileSync(fs, temporary, encodeStoreManifest(manifest));
  fs.renameSync(temporary, `${directory}/${STORE_MANIFEST_NAME}`);
  fs.syncDirectorySync(directory);
  syncParent(fs, directory);
}

/**
 * Takes up a store that is there. Its names may come from a process that was killed before it had
 * synced them, so they are synced before anything is built on them (RULES S4).
 */
function takeUpStore(fs: FileSystem, directory: string): void {
  const channels = requireChannels(fs, directory);
  makeWorkDirectories(fs, channels);
  fs.syncDirectorySync(directory);
  syncParent(fs, directory);
}

function requireChannels(fs: FileSystem, directory: string): string {
  const path = `${directory}/${CHANNELS_NAME}`;
  if (fs.statSync(path)?.kind !== 'directory') throw damagedFile('channels', path, 0, 'missing');
  return path;
}

/** The directories that channels pass through when they come, go and change their names. */
function makeWorkDirectories(fs: FileSystem, channels: string): void {
  for (const name of WORK_NAMES) {
    const path = `${channels}/${name}`;
    if (fs.statSync(path) === undefined) fs.mkdirSync(path);
  }
  fs.syncDirectorySync(channels);
}

/**
 * Makes missing directories, and makes sure of their names. The first one that is there may come
 * from a process that was killed before it had synced its name (RULES S4).
 */
function createDirectories(fs: FileSystem, directory: string): string {
  const parent = parentOf(directory);
  if (parent === directory) return directory;
  if (fs.statSync(directory) !== undefined) {
    syncParent(fs, directory);
    return directory;
  }
  createDirectories(fs, parent);
  try {
    fs.mkdirSync(directory);
  } catch (error) {
    // Another process was faster.
    if (systemCodeOf(error) !== 'EEXIST') throw error;
  }
  fs.syncDirectorySync(parent);
  return directory;
}

function syncParent(fs: FileSystem, directory: string): void {
  const parent = parentOf(directory);
  // The top of everything has no name.
  if (parent === '.') return;
  try {
    fs.syncDirectorySync(parent);
  } catch (error) {
    // Where we may not look we have made nothing.
    const code = systemCodeOf(error);
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
  }
}

function notFound(directory: string): Error {
  const message = `there is no data directory in ${directory}`;
  return redexError('NOT_FOUND', message, { kind: 'store', resource: directory });
}
