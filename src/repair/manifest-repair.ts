/**
 * The manifest of a channel, when it cannot be read or is not the channel's. One wrong bit is put
 * right; one that stands in another channel's place comes back, and so does one that was about to
 * take its place. Otherwise it is written for the newest of the generations that reach furthest: a
 * compaction that did not get to its end does not, and one that did has retired the others. Those
 * are set aside before a manifest says so, because the next open would remove them.
 */
import { readManifest, replaceManifest } from '../channel/channel-files.js';
import { checkpointWitness } from '../channel/checkpoint-files.js';
import { METADATA_REPAIRS, versionError } from '../channel/damaged-file.js';
import { CLEAN_FILE_BYTES, decodeCleanFile } from '../format/clean-mark.js';
import {
  CLEAN_MARK_NAME,
  generationName,
  MANIFEST_NAME,
  MANIFEST_TEMPORARY_NAME,
  parseGenerationName,
} from '../format/file-name.js';
import {
  decodeManifest,
  encodeManifest,
  MANIFEST_BYTES,
  type Manifest,
} from '../format/manifest.js';
import type { FileSystem } from '../fs/file-system.js';
import { readWholeFile, writeWholeFileSync } from '../fs/whole-file.js';
import type { IndexOwner } from '../segment/segment-index.js';
import { configIn, type ChannelPlace } from './config-repair.js';
import type { RepairRun } from './repair-run.js';
import { findSegments, surveySegment } from './segment-survey.js';
import { withoutOneBit } from './single-bit.js';

interface Replacement {
  readonly manifest: Manifest;
  readonly how: string;
  /** Generations that it does not name. */
  readonly others: readonly number[];
  /** What nobody can know any more. */
  readonly lost: string | undefined;
}

/** Whether the channel has a manifest afterwards. */
export async function repairManifest(
  run: RepairRun,
  place: ChannelPlace,
  channelId: Uint8Array,
  channel: string,
): Promise<boolean> {
  const { fs, notes, damaged } = run;
  const { directory } = place;
  const path = `${directory}/${MANIFEST_NAME}`;
  const bytes = readWholeFile(fs, path, MANIFEST_BYTES);
  const decoded = bytes === undefined ? undefined : decodeManifest(bytes);
  const isOwn = (manifest: Manifest | undefined): manifest is Manifest =>
    manifest !== undefined && Buffer.compare(manifest.channelId, channelId) === 0;
  if (decoded?.ok === true && isOwn(decoded.value)) return true;
  const proven = bytes === undefined ? undefined : withoutOneBit(bytes, decodeManifest);
  if (decoded?.ok === false && decoded.check === 'version' && proven === undefined) {
    throw versionError(path, decoded.found);
  }
  const wrong = decoded === undefined ? 'not there' : decoded.ok ? 'not its own' : 'damaged';
  const reason = `${path} is ${wrong}`;
  const found = isOwn(proven)
    ? { manifest: proven, how: 'as it was, one bit is wrong', others: [], lost: undefined }
    : (elsewhere(run, place, isOwn) ?? (await byGenerations(run, place, channelId)));
  if (found === undefined) {
    const lost = `${reason}, and there is no generation: ${METADATA_REPAIRS.generation}`;
    notes.losses.push({ channel, path, reason: lost });
    return false;
  }
  const action = `is written again: ${found.how}`;
  const { manifest, others } = found;
  notes.steps.push({ kind: 'manifest', channel, path, bytes: MANIFEST_BYTES, reason, action });
  if (found.lost !== undefined) notes.losses.push({ channel, path, reason: found.lost });
  await damaged.copy(path);
  for (const number of others) {
    const other = `${directory}/${generationName(number)}`;
    const why = 'nothing says whether a compaction had retired it, or was about to take its place';
    const done = 'is set aside';
    notes.steps.push({ kind: 'generation', channel, path: other, reason: why, action: done });
    damaged.move(other);
  }
  if (decoded?.ok === true) handOn(fs, place, decoded.value);
  replaceManifest(fs, directory, manifest);
  // It is what the channel is read by from here on.
  readManifest(fs, directory, channelId);
  return true;
}

/** A good manifest in the wrong place: who misses it finds it, also after a crash here. */
function handOn(fs: FileSystem, { directory, all }: ChannelPlace, manifest: Manifest): void {
  const isFor = (id: Uint8Array | undefined): boolean =>
    id !== undefined && Buffer.compare(id, manifest.channelId) === 0;
  for (const other of all) {
    if (other === directory || !isFor(configIn(fs, other)?.channelId)) continue;
    if (isFor(manifestAt(fs, `${other}/${MANIFEST_NAME}`)?.channelId)) continue;
    const next = `${other}/${MANIFEST_TEMPORARY_NAME}`;
    if (fs.statSync(next) !== undefined) fs.unlinkSync(next);
    writeWholeFileSync(fs, next, encodeManifest(manifest));
    fs.syncDirectorySync(other);
  }
}

/** A manifest of the channel that stands somewhere else. */
function elsewhere(
  { fs }: RepairRun,
  { directory, all }: ChannelPlace,
  isOwn: (manifest: Manifest | undefined) => manifest is Manifest,
): Replacement | undefined {
  const next = manifestAt(fs, `${directory}/${MANIFEST_TEMPORARY_NAME}`);
  const isThere = ({ generation }: Manifest): boolean =>
    fs.statSync(`${directory}/${generationName(generation)}`)?.kind === 'directory';
  if (isOwn(next) && isThere(next)) {
    const how = `${MANIFEST_TEMPORARY_NAME} was about to take its place`;
    return { manifest: next, how, others: [], lost: undefined };
  }
  for (const other of all) {
    const manifest = manifestAt(fs, `${other}/${MANIFEST_NAME}`);
    if (isOwn(manifest) && isThere(manifest)) {
      return { manifest, how: `it stands in ${other}`, others: [], lost: undefined };
    }
  }
  return undefined;
}

function manifestAt(fs: FileSystem, path: string): Manifest | undefined {
  const bytes = readWholeFile(fs, path, MANIFEST_BYTES);
  const decoded = bytes === undefined ? undefined : decodeManifest(bytes);
  return decoded?.ok === true ? decoded.value : undefined;
}

interface Candidate {
  readonly generation: number;
  readonly firstBase: number | undefined;
  /** Where its records end. */
  readonly end: number;
}

async function byGenerations(
  { fs, shared, settings }: RepairRun,
  { directory }: ChannelPlace,
  channelId: Uint8Array,
): Promise<Replacement | undefined> {
  const owner: IndexOwner = { fs, channelId, pages: shared.pages, readOnly: true };
  const candidates: Candidate[] = [];
  for (const { name, kind } of fs.readDirectorySync(directory)) {
    const generation = kind === 'directory' ? parseGenerationName(name) : undefined;
    if (generation === undefined) continue;
    candidates.push(await candidateAt(owner, `${directory}/${name}`, generation));
  }
  const furthest = Math.max(...candidates.map(({ end }) => end));
  const chosen = candidates
    .filter(({ end }) => end === furthest)
    .toSorted((a, b) => b.generation - a.generation)[0];
  if (chosen === undefined) return undefined;
  const { generation, firstBase } = chosen;
  const firstSeq = firstBase ?? seqKnown(fs, directory, channelId);
  const manifest: Manifest = {
    channelId,
    generation,
    firstSeq,
    redoSeq: 0,
    redoSegment: 0,
    redoPosition: 0,
    nextSeqFloor: firstSeq,
    // Above every one that a counter of recoveries can have reached.
    recoveryEpoch: Math.floor(settings.runtime.now() / 1000),
  };
  const others = candidates.filter((each) => each !== chosen);
  return {
    manifest,
    how: `for ${generationName(generation)}, the newest of those that reach furthest`,
    others: others.map((each) => each.generation),
    lost:
      `where the channel began: a trim may have taken records behind ${firstSeq} from its first ` +
      'segment, which are there again',
  };
}

async function candidateAt(
  owner: IndexOwner,
  path: string,
  generation: number,
): Promise<Candidate> {
  let end = 0;
  let firstBase: number | undefined;
  for (const found of findSegments(owner, path)) {
    if (typeof found.identity === 'string') continue;
    const { seal, nextSeq, baseSeq } = await surveySegment(owner.fs, found);
    firstBase ??= baseSeq;
    end = Math.max(end, nextSeq, seal?.baseSeq ?? 0);
  }
  return { generation, firstBase, end };
}

/** Of a channel without segments: what its other files say that it has come to. */
function seqKnown(fs: FileSystem, directory: string, channelId: Uint8Array): number {
  const bytes = readWholeFile(fs, `${directory}/${CLEAN_MARK_NAME}`, CLEAN_FILE_BYTES);
  const mark = bytes === undefined ? undefined : decodeCleanFile(bytes).mark;
  const isOwn = mark !== undefined && Buffer.compare(mark.channelId, channelId) === 0;
  return Math.max(isOwn ? mark.nextSeq : 0, checkpointWitness(fs, directory, channelId));
}
