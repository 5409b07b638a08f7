/**
 * `redex.json` of a store that has channels: put right where one bit of it is wrong, else written
 * anew with the id that the journal names, or with another one when nothing does. One of another
 * store is known by the journal: with its id none of the records in there would belong to the
 * channels.
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
import { decodeChannelEntry } from '../format/channel-name.js';
import type { Decoded } from '../format/decoded.js';
import type { FileSystem } from '../fs/file-system.js';
import { readWholeFile } from '../fs/whole-file.js';
import { channelIdIn } from '../journal/channel-identity.js';
import { idOf } from '../journal/redo-plan.js';
import { finishStore } from '../store/data-directory.js';
import { drawName } from '../store/drawn-name.js';
import { salvageJournal } from './journal-salvage.js';
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
  if (decoded?.ok === true && !isForeign(run, decoded.value)) return decoded.value;
  const manifest = proven ?? anotherManifest(run);
  const reason = `${path} is ${wrongWith(decoded)}`;
  const how = proven === undefined ? sourceOf(run, manifest) : 'as it was: one bit is wrong';
  const action = `is written with the id ${manifest.storeId}, ${how}`;
  notes.steps.push({ kind: 'store', path, bytes: bytes?.byteLength ?? 0, reason, action });
  await run.damaged.copy(path);
  finishStore(fs, directory, manifest);
  return manifest;
}

function wrongWith(decoded: Decoded<StoreManifest> | undefined): string {
  if (decoded === undefined) return 'not there';
  return decoded.ok ? "another store's" : `damaged (${decoded.check})`;
}

/** Whether the journal names another store, and has records of channels that are here. */
function isForeign({ fs, directory }: RepairRun, { storeId }: StoreManifest): boolean {
  const named = idInJournal(fs, directory);
  if (named === undefined || named === storeId) return false;
  const { groups } = salvageJournal(fs, `${directory}/${JOURNAL_NAME}`, Buffer.from(named, 'hex'));
  const own = salvageJournal(fs, `${directory}/${JOURNAL_NAME}`, Buffer.from(storeId, 'hex'));
  if (own.groups.length > 0) return false;
  const present = channelIdsIn(fs, `${directory}/${CHANNELS_NAME}`);
  return groups.some(({ entries }) => entries.some((each) => present.has(idOf(each.channelId))));
}

function channelIdsIn(fs: FileSystem, channels: string): Set<string> {
  const ids = new Set<string>();
  for (const { name, kind } of fs.readDirectorySync(channels)) {
    if (kind !== 'directory' || decodeChannelEntry(name) === undefined) continue;
    const id = channelIdIn(fs, `${channels}/${name}`);
    if (id !== undefined) ids.add(idOf(id));
  }
  return ids;
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
