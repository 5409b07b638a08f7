/**
 * One writer for a data directory: an advisory lock on the file LOCK, held by an open file and so
 * given back by the system however the process ends. The file is never removed or replaced, or two
 * processes could each hold the lock of another file (RULES N3). LOCK.info says who holds it; it is
 * for people and decides nothing.
 */
import { hostname } from 'node:os';
import { redexError, type RedexErrorOf } from '../core/errors.js';
import type { ChannelSettings } from '../channel/settings.js';
import { LOCK_INFO_NAME, LOCK_NAME } from '../format/file-name.js';
import { utf8Bytes } from '../format/text.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import { readWholeFile, writeAllSync } from '../fs/whole-file.js';

/** LOCK.info that is longer is not believed. */
const MAX_INFO_BYTES = 4096;

interface LockHolder {
  readonly pid: number;
  readonly host: string;
}

export class StoreLock {
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #handle: FileHandle;

  private constructor(fs: FileSystem, directory: string, handle: FileHandle) {
    this.#fs = fs;
    this.#directory = directory;
    this.#handle = handle;
  }

  /** Takes the lock or throws LOCKED. */
  static take(fs: FileSystem, directory: string): StoreLock {
    const handle = openLockFile(fs, `${directory}/${LOCK_NAME}`);
    let isHeld: boolean;
    try {
      isHeld = handle.tryLockSync();
    } catch (error) {
      handle.closeSync();
      throw error;
    }
    if (isHeld) return new StoreLock(fs, directory, handle);
    handle.closeSync();
    throw lockedError(directory, readLockHolder(fs, directory));
  }

  /** Says who holds the lock. That this fails costs nothing but a worse message. */
  announce(settings: ChannelSettings): void {
    const path = `${this.#directory}/${LOCK_INFO_NAME}`;
    const holder: LockHolder = { pid: process.pid, host: hostname() };
    try {
      const text = `${JSON.stringify({ ...holder, since: settings.runtime.now() })}\n`;
      const bytes = utf8Bytes(text);
      if (this.#fs.statSync(path) !== undefined) this.#fs.unlinkSync(path);
      const file = this.#fs.openSync(path, 'create');
      try {
        writeAllSync(file, bytes, bytes.byteLength, 0);
      } finally {
        file.closeSync();
      }
    } catch (error) {
      settings.logger.warn('LOCK.info could not be written', { path, error });
    }
  }

  /** Gives the lock back. Never throws. */
  release(): void {
    try {
      this.#fs.unlinkSync(`${this.#directory}/${LOCK_INFO_NAME}`);
    } catch {
      // The next holder replaces it.
    }
    try {
      this.#handle.closeSync();
    } catch {
      // Then the lock is given back when the process ends.
    }
  }
}

function openLockFile(fs: FileSystem, path: string): FileHandle {
  for (let attempt = 1; ; attempt++) {
    try {
      return fs.openSync(path, 'write');
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw error;
    }
    try {
      return fs.openSync(path, 'create');
    } catch (error) {
      // Another process was faster; or what is there is a link to nothing.
      if (systemCodeOf(error) !== 'EEXIST' || attempt === 3) throw error;
    }
  }
}

/** What LOCK.info says; undefined when it cannot be read. It cannot say that its holder lives. */
function readLockHolder(fs: FileSystem, directory: string): LockHolder | undefined {
  try {
    const bytes = readWholeFile(fs, `${directory}/${LOCK_INFO_NAME}`, MAX_INFO_BYTES);
    if (bytes === undefined) return undefined;
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof value !== 'object' || value === null) return undefined;
    if (!('pid' in value) || !('host' in value)) return undefined;
    const { pid, host } = value;
    return typeof pid === 'number' && typeof host === 'string' ? { pid, host } : undefined;
  } catch {
    return undefined;
  }
}

function lockedError(directory: string, holder: LockHolder | undefined): RedexErrorOf<'LOCKED'> {
  const isHere = holder?.pid === process.pid && holder.host === hostname();
  const who = holder === undefined ? 'another owner' : `process ${holder.pid} on ${holder.host}`;
  const message = isHere
    ? `${directory} is open in this process already: open it once and pass the Redex on`
    : `${directory} is open in ${who}: open it once, or with readOnly beside the writer`;
  return redexError('LOCKED', message, { path: directory, pid: holder?.pid, host: holder?.host });
}
