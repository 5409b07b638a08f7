/**
 * idx and ts, built anew from a dat file that verifies. Nothing depends on them, so they are not
 * synced; a file that says the same already is left alone.
 */
import { viewOf } from '../format/bytes.js';
import { decodeFileHeader, FILE_HEADER_BYTES, IDX_MAGIC } from '../format/file-header.js';
import { parseSegmentFileName, segmentFileName } from '../format/file-name.js';
import { IDX_ENTRY_BYTES, readIndexEntry } from '../format/index-entry.js';
import type { FileSystem } from '../fs/file-system.js';
import { IndexRebuild } from '../segment/index-rebuild.js';
import type { IndexOwner } from '../segment/segment-index.js';
import { emptySegment } from '../segment/segment.js';
import type { SegmentSurvey } from './segment-survey.js';
import { PlannedFs } from './planned-fs.js';
import { walkUnits, type OnRead } from './unit-walk.js';

/** Builds those of a segment. False when that was not possible; the log is whole without them. */
export async function rebuildIndex(
  owner: IndexOwner,
  directory: string,
  survey: SegmentSurvey,
  onRead?: OnRead,
): Promise<boolean> {
  const { identity, path, baseSeq, size } = survey;
  if (typeof identity === 'string') return false;
  const { nonce, link, timestampFloor } = identity;
  const file = owner.fs.openSync(path, 'read');
  try {
    const index = new IndexRebuild(owner, emptySegment(directory, baseSeq, nonce, timestampFloor));
    const walked = { nonce, link, baseSeq, end: size, onRead };
    await walkUnits(file, walked, ({ view }, at, unit) => index.add(view, at, unit));
    return index.finish(survey.recordCount);
  } finally {
    file.closeSync();
  }
}

/** The derived files of a segment that are missing or do not say what its dat file says. */
export async function wrongIndexes(
  fs: FileSystem,
  owner: IndexOwner,
  directory: string,
  survey: SegmentSurvey,
  onRead?: OnRead,
): Promise<string[]> {
  if (survey.recordCount === 0) return [];
  const probe = new PlannedFs(fs, directory);
  await rebuildIndex({ ...owner, fs: probe }, directory, survey, onRead);
  return [...probe.replaced].toSorted();
}

/**
 * The seq behind the last one that an idx file has: nothing that proves that it was synced, but
 * reason enough not to give it to another record. Files of dat files that are gone count as well.
 */
export function indexedUpTo(
  { fs, channelId }: IndexOwner,
  directory: string,
  bases: readonly number[],
): number {
  const names = fs.readDirectorySync(directory).map(({ name }) => parseSegmentFileName(name));
  const present = names.flatMap((parsed) => (parsed?.kind === 'idx' ? parsed.baseSeq : []));
  const last = Math.max(-1, ...present);
  // Behind it there is a dat file, which says more.
  if (last < (bases.at(-1) ?? -1) || last < 0) return 0;
  const file = fs.openSync(`${directory}/${segmentFileName(last, 'idx')}`, 'read');
  try {
    const head = new Uint8Array(FILE_HEADER_BYTES);
    file.readSync(head, 0, FILE_HEADER_BYTES, 0);
    const header = decodeFileHeader(IDX_MAGIC, head);
    if (!header.ok || Buffer.compare(header.value.channelId, channelId) !== 0) return 0;
    if (header.value.baseSeq !== last) return 0;
    const count = Math.floor((file.sizeSync() - FILE_HEADER_BYTES) / IDX_ENTRY_BYTES);
    if (count <= 0) return 0;
    const entry = new Uint8Array(IDX_ENTRY_BYTES);
    const at = FILE_HEADER_BYTES + (count - 1) * IDX_ENTRY_BYTES;
    file.readSync(entry, 0, IDX_ENTRY_BYTES, at);
    // A damaged entry says anything; more seqs than the file could have are not believed.
    const { seqDelta } = readIndexEntry(viewOf(entry), 0);
    return last + (seqDelta < MAX_SKIP ? seqDelta : count) + 1;
  } finally {
    file.closeSync();
  }
}

/** How far an entry is believed. */
const MAX_SKIP: number = 2 ** 24;
