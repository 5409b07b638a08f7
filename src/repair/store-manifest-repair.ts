/**
 * `redex.json` of a store that has channels: put right where one bit of it is wrong, else written
 * anew with the id that the journal names, or with another one when nothing does.
 */
import { damagedFile, versionError } from '../channel/damaged-file.js';
import {
  CHANNELS_NAME,
  CONTROL_NAME,
  JOURNAL_NAME,
  parseJournalSegmentName,
  STORE_MANIFEST_NAME,
} from '../format/file-name.js';
import {
  CONTROL_FILE_BYTES,
  decodeControlFile,
  decodeJournalSegmentHeader,
  JOURNAL_SEGMENT_HEADER_BYTES,
} from '../format/journal-control.js';
import {
  decodeStoreManifest,
  MAX_STORE_MANIFEST_BYTES,
  type StoreManifest,
} from '../format/store-manifest.js';
import type { FileSystem } from '../fs/file-system.js';
import { readWholeFile } from '../fs/whole-file.js';
import { finishStore } from '../store/data-directory.js';
import { drawName } from '../store/drawn-name.js';
import type { RepairRun } from './repair-run.js';
import { withoutOneBit } from './single-bit.js';

/** Throws FORMAT_VERSION for a store of a newer version, before anything of it is touched. */
export function refuseNewer(fs: FileSystem, directory: string): void {
  const path = `${directory}/${STORE_MANIFEST_NAME}`;
  const bytes = readWholeFile(fs, path, MAX_STORE_MANIFEST_BYTES);
  const decoded = bytes === undefined ? undefined : decodeStoreManifest(bytes);
  if (bytes === undefined || decoded?.ok !== false || decoded.check !== 'version') return;
  if (withoutOneBit(bytes, decodeStoreManifest) !== undefined) return;
  throw versionError(path, decoded.found);
}

/** The manifest that the store has afterwards; undefined when there are no channels to be saved. */
export async function repairStoreManifest(run: RepairRun): Promise<StoreManifest | undefined> {
  const { fs, directory, notes } = run;
  refuseNewer(fs, directory);
  const channels = `${directory}/${CHANNELS_NAME}`;
  const path = `${directory}/${STORE_MANIFEST_NAME}`;
  const bytes = readWholeFile(fs, path, MAX_STORE_MANIFEST_BYTES);
  const decoded = bytes === undefined ? undefined : decodeStoreManifest(bytes);
  const proven =
    bytes === undefined || decoded?.ok === true
      ? undefined
      : withoutOneBit(bytes, decodeStoreManifest);
  if (fs.statSync(channels)?.kind !== 'directory') {
    const reason = damagedFile('channels', channels, 0, 'missing').message;
    notes.losses.push({ path: channels, reason });
    return undefined;
  }
  if (decoded?.ok === true) return decoded.value;
  const manifest = proven ?? anotherManifest(run);
  const check = decoded?.check ?? 'missing';
  const reason = `${path} is ${bytes === undefined ? 'not there' : `damaged (${check})`}`;
  const how = proven === undefined ? sourceOf(run, manifest) : 'as it was: one bit is wrong';
  const action = `is written with the id ${manifest.storeId}, ${how}`;
  notes.steps.push({ kind: 'store', path, bytes: bytes?.byteLength ?? 0, reason, action });
  await run.damaged.copy(path);
  finishStore(fs, directory, manifest);
  return manifest;
}

function anotherManifest({ fs, directory, settings }: RepairRun): StoreManifest {
  const storeId = idInJournal(fs, directory) ?? drawName(settings.runtime);
  return { storeId, created: settings.runtime.now() };
}

function sourceOf({ fs, directory }: RepairRun, { storeId }: StoreManifest): string {
  const source = idInJournal(fs, directory) === storeId ? 'which the journal names' : 'a new one';
  return `${source}, and the time of the repair`;
}

/** The id that the journal's files name. */
function idInJournal(fs: FileSystem, directory: string): string | undefined {
  const journal = `${directory}/${JOURNAL_NAME}`;
  if (fs.statSync(journal)?.kind !== 'directory') return undefined;
  const control = readWholeFile(fs, `${journal}/${CONTROL_NAME}`, CONTROL_FILE_BYTES);
  const decoded = control === undefined ? undefined : decodeControlFile(control);
  if (decoded?.ok === true) return Buffer.from(decoded.value.newest.storeId).toString('hex');
  for (const { name } of fs.readDirectorySync(journal)) {
    if (parseJournalSegmentName(name) === undefined) continue;
    const file = fs.openSync(`${journal}/${name}`, 'read');
    try {
      const bytes = new Uint8Array(JOURNAL_SEGMENT_HEADER_BYTES);
      const length = file.readSync(bytes, 0, bytes.byteLength, 0);
      const header = decodeJournalSegmentHeader(bytes.subarray(0, length));
      if (header.ok) return Buffer.from(header.value.storeId).toString('hex');
    } finally {
      file.closeSync();
    }
  }
  return undefined;
}
