/**
 * The small files of stores and channels as they are: decoded where they can be, and where not,
 * what is wrong with them. Nothing is locked, changed or thrown for damage.
 */
import { hostname } from 'node:os';
import process from 'node:process';
import { viewOf } from '../format/bytes.js';
import { decodeCheckpointHeader, MAX_CHECKPOINT_HEADER_BYTES } from '../format/checkpoint.js';
import { CHECKPOINT_OF_INDEX } from '../format/checkpoint.js';
import { CLEAN_FILE_BYTES, decodeCleanFile, type CleanMark } from '../format/clean-mark.js';
import { decodeConfig, MAX_CONFIG_BYTES, type Config } from '../format/config.js';
import type { Decoded } from '../format/decoded.js';
import {
  CHECKPOINTS_NAME,
  CLEAN_MARK_NAME,
  CONFIG_NAME,
  CONTROL_NAME,
  JOURNAL_NAME,
  LOCK_INFO_NAME,
  MANIFEST_NAME,
  parseCheckpointFileName,
  parseJournalSegmentName,
  STORE_MANIFEST_NAME,
} from '../format/file-name.js';
import { CONTROL_FILE_BYTES, decodeControlFile } from '../format/journal-control.js';
import { decodeManifest, MANIFEST_BYTES, type Manifest } from '../format/manifest.js';
import { decodeStoreManifest, MAX_STORE_MANIFEST_BYTES } from '../format/store-manifest.js';
import type { StoreManifest } from '../format/store-manifest.js';
import type { DirectoryEntry, FileSystem } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import { readWholeFile } from '../fs/whole-file.js';

/** What was found, or what is wrong with it. */
export type Looked<T> =
  | { readonly value: T; readonly problem?: undefined }
  | { readonly value?: undefined; readonly problem: string };

function look<T>(
  fs: FileSystem,
  path: string,
  limit: number,
  decode: (bytes: Uint8Array) => Decoded<T>,
): Looked<T> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = readWholeFile(fs, path, limit);
  } catch (error) {
    return { problem: `cannot be read (${systemCodeOf(error) ?? 'unknown'})` };
  }
  if (bytes === undefined) return { problem: 'missing' };
  const decoded = decode(bytes);
  if (decoded.ok) return { value: decoded.value };
  const isNewer = decoded.check === 'version';
  return { problem: isNewer ? `format version ${decoded.found}` : `damaged (${decoded.check})` };
}

/** Names in a directory; none where there is no directory. */
export function namesIn(fs: FileSystem, path: string): readonly DirectoryEntry[] {
  try {
    return fs.readDirectorySync(path).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return [];
  }
}

export const storeManifestOf = (fs: FileSystem, directory: string): Looked<StoreManifest> =>
  look(fs, `${directory}/${STORE_MANIFEST_NAME}`, MAX_STORE_MANIFEST_BYTES, decodeStoreManifest);

export const configOf = (fs: FileSystem, directory: string): Looked<Config> =>
  look(fs, `${directory}/${CONFIG_NAME}`, MAX_CONFIG_BYTES, decodeConfig);

export const manifestOf = (fs: FileSystem, directory: string): Looked<Manifest> =>
  look(fs, `${directory}/${MANIFEST_NAME}`, MANIFEST_BYTES, decodeManifest);

/** A channel that is being written to has none: that it does not decode says nothing. */
export function cleanMarkOf(fs: FileSystem, directory: string): Looked<CleanMark> {
  return look(fs, `${directory}/${CLEAN_MARK_NAME}`, CLEAN_FILE_BYTES, (bytes) => {
    const { mark, newerVersion } = decodeCleanFile(bytes);
    if (mark !== undefined) return { ok: true, value: mark };
    if (newerVersion !== undefined) return { ok: false, check: 'version', found: newerVersion };
    return { ok: false, check: 'checksum' };
  });
}

/** Who says that it has the store open. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** Unix milliseconds; undefined where that is not said. */
  readonly since: number | undefined;
  /** Undefined for a process of another host. */
  readonly isAlive: boolean | undefined;
}

const MAX_LOCK_INFO_BYTES = 4096;

/**
 * The lock itself is not tried: for a moment that would keep a writer from opening the store. So
 * this is what LOCK.info says, which a killed process leaves behind.
 */
export function lockHolderOf(fs: FileSystem, directory: string): LockHolder | undefined {
  try {
    const bytes = readWholeFile(fs, `${directory}/${LOCK_INFO_NAME}`, MAX_LOCK_INFO_BYTES);
    if (bytes === undefined) return undefined;
    const said: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof said !== 'object' || said === null) return undefined;
    const { pid, host, since } = said as Readonly<Record<string, unknown>>;
    if (typeof pid !== 'number' || typeof host !== 'string') return undefined;
    return {
      pid,
      host,
      since: typeof since === 'number' ? since : undefined,
      isAlive: host === hostname() ? isAlive(pid) : undefined,
    };
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there, and somebody else's.
    return systemCodeOf(error) === 'EPERM';
  }
}

export interface JournalLook {
  readonly segments: number;
  /** Allocated. */
  readonly byteLength: number;
  /** `open`: there may be appends in it that are in no dat file yet. */
  readonly state: 'none' | 'closed' | 'open' | 'damaged';
  readonly problem: string | undefined;
  readonly epoch: number | undefined;
}

export function journalOf(fs: FileSystem, directory: string): JournalLook {
  const path = `${directory}/${JOURNAL_NAME}`;
  let segments = 0;
  let byteLength = 0;
  for (const { name } of namesIn(fs, path)) {
    if (parseJournalSegmentName(name) === undefined) continue;
    segments++;
    byteLength += fs.statSync(`${path}/${name}`)?.size ?? 0;
  }
  const sizes = { segments, byteLength };
  const control = look(fs, `${path}/${CONTROL_NAME}`, CONTROL_FILE_BYTES, decodeControlFile);
  if (control.problem !== undefined) {
    const isNone = control.problem === 'missing' && segments === 0;
    const problem = isNone ? undefined : `control block ${control.problem}`;
    return { ...sizes, state: isNone ? 'none' : 'damaged', problem, epoch: undefined };
  }
  const { isClosed, epoch } = control.value.newest;
  return { ...sizes, state: isClosed ? 'closed' : 'open', problem: undefined, epoch };
}

export interface CheckpointLook {
  readonly file: string;
  readonly byteLength: number;
  readonly fold: string | undefined;
  readonly kind: 'fold' | 'index' | undefined;
  readonly seq: number | undefined;
  readonly version: number | undefined;
  readonly problem: string | undefined;
}

export function checkpointsOf(fs: FileSystem, directory: string): CheckpointLook[] {
  const path = `${directory}/${CHECKPOINTS_NAME}`;
  return namesIn(fs, path).flatMap(({ name }) => {
    const parsed = parseCheckpointFileName(name);
    if (parsed === undefined || parsed.isNew) return [];
    const file = `${path}/${name}`;
    const byteLength = fs.statSync(file)?.size ?? 0;
    const header = look(fs, file, MAX_CHECKPOINT_HEADER_BYTES, (bytes) =>
      decodeCheckpointHeader(headOf(bytes)),
    );
    const { name: fold, kind, seq, foldVersion: version } = header.value?.header ?? {};
    const { problem } = header;
    const kindName = kind === undefined ? undefined : kind === CHECKPOINT_OF_INDEX;
    return [
      {
        file: name,
        byteLength,
        fold,
        kind: kindName === undefined ? undefined : kindName ? 'index' : 'fold',
        seq,
        version,
        problem,
      } as const,
    ];
  });
}

/** What is said to be the header; of less than that the decoder says what is wrong. */
function headOf(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength < 8 ? bytes : bytes.subarray(0, viewOf(bytes).getUint16(6, true));
}
