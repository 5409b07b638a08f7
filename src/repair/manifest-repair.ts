/**
 * The manifest of a channel, when it cannot be read or is not the channel's. One wrong bit is put
 * right; one that stands in another channel's place comes back, and so does one that was about to
 * take its place. Otherwise it is written for the newest of the generations that reach furthest: a
 * compaction that did not get to its end does not, and one that did has retired the others. Those
 * are set aside before a manifest says so, because the next open would remove them. A manifest that
 * is good and names a generation which is not there is written for another one in the same way.
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
import type { RedoWrite } from '../journal/redo-plan.js';
import type { IndexOwner } from '../segment/segment-index.js';
import { configIn, type ChannelPlace } from './config-repair.js';
import type { RepairRun } from './repair-run.js';
import { endOf, findSegments, surveySegment, type SegmentSurvey } from './segment-survey.js';
import { withoutOneBit } from './single-bit.js';
import type { OnRead } from './unit-walk.js';
import { isOfAnother } from './waiting-bytes.js';

interface Replacement {
  readonly manifest: Manifest;
  readonly how: string;
  /** Generations that it does not name. */
  readonly others: readonly number[];
  /** The number that the one which it names has had; undefined when it keeps it. */
  readonly renumbered?: number;
  /** What nobody can know any more. */
  readonly lost: string | undefined;
}

/** A channel whose config is good. */
export interface ManifestOwner {
  readonly place: ChannelPlace;
  readonly channelId: Uint8Array;
  readonly name: string;
  /** What the journal has for it that is not in its files. */
  readonly writes: readonly RedoWrite[];
  /** Every seq below it may have been given to a record, as the journal says. */
  readonly reached: number;
}

/** Whether the channel has a manifest afterwards. */
export async function repairManifest(run: RepairRun, owner: ManifestOwner): Promise<boolean> {
  const { fs, notes, damaged } = run;
  const { place, channelId, name: channel } = owner;
  const { directory } = place;
  const path = `${directory}/${MANIFEST_NAME}`;
  const bytes = readWholeFile(fs, path, MANIFEST_BYTES);
  const decoded = bytes === undefined ? undefined : decodeManifest(bytes);
  const isOwn = (manifest: Manifest | undefined): manifest is Manifest =>
    manifest !== undefined && Buffer.compare(manifest.channelId, channelId) === 0;
  const present = decoded?.ok === true && isOwn(decoded.value) ? decoded.value : undefined;
  if (present !== undefined && isThere(fs, directory, present)) return true;
  const proven = bytes === undefined ? undefined : withoutOneBit(bytes, decodeManifest);
  if (decoded?.ok === false && decoded.check === 'version' && proven === undefined) {
    throw versionError(path, decoded.found);
  }
  const wrong = decoded === undefined ? 'not there' : decoded.ok ? 'not its own' : 'damaged';
  const reason =
    present === undefined
      ? `${path} is ${wrong}`
      : `${generationName(present.generation)}, which ${path} names, is not there`;
  const found = isOwn(proven)
    ? { manifest: proven, how: 'as it was, one bit is wrong', others: [], lost: undefined }
    : (elsewhere(run, place, isOwn) ?? (await byGenerations(run, owner, present)));
  if (found === undefined) {
    // Of a generation that is gone its own repair tells.
    if (present !== undefined) return true;
    const lost = `${reason}, and there is no generation: ${METADATA_REPAIRS.generation}`;
    notes.losses.push({ channel, path, reason: lost });
    return false;
  }
  const action = `is written again: ${found.how}`;
  notes.steps.push({ kind: 'manifest', channel, path, bytes: MANIFEST_BYTES, reason, action });
  if (found.lost !== undefined) notes.losses.push({ channel, path, reason: found.lost });
  await damaged.copy(path);
  setAside(run, owner, found.others);
  if (decoded?.ok === true && present === undefined) handOn(fs, place, decoded.value);
  put(run, owner, found);
  return true;
}

/** Generations that the new manifest does not name: the next open would remove them. */
function setAside(
  { notes, damaged }: RepairRun,
  { place, name: channel }: ManifestOwner,
  others: readonly number[],
): void {
  for (const number of others) {
    const path = `${place.directory}/${generationName(number)}`;
    const reason =
      'nothing says whether a compaction had retired it, or was about to take its place';
    notes.steps.push({ kind: 'generation', channel, path, reason, action: 'is set aside' });
    damaged.move(path);
  }
}

function put(
  { fs, notes }: RepairRun,
  { place: { directory }, channelId, name: channel }: ManifestOwner,
  { manifest, renumbered }: Replacement,
): void {
  if (renumbered !== undefined) {
    const path = `${directory}/${generationName(renumbered)}`;
    const to = generationName(manifest.generation);
    const reason = 'a number that a manifest has named is never used again';
    const action = `becomes ${to}`;
    notes.steps.push({ kind: 'generation', channel, path, reason, action });
    fs.renameSync(path, `${directory}/${to}`);
    fs.syncDirectorySync(directory);
  }
  replaceManifest(fs, directory, manifest);
  // It is what the channel is read by from here on.
  readManifest(fs, directory, channelId);
}

function isThere(fs: FileSystem, directory: string, { generation }: Manifest): boolean {
  return fs.statSync(`${directory}/${generationName(generation)}`)?.kind === 'directory';
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
  if (isOwn(next) && isThere(fs, directory, next)) {
    const how = `${MANIFEST_TEMPORARY_NAME} was about to take its place`;
    return { manifest: next, how, others: [], lost: undefined };
  }
  for (const other of all) {
    const manifest = manifestAt(fs, `${other}/${MANIFEST_NAME}`);
    if (isOwn(manifest) && isThere(fs, directory, manifest)) {
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
  readonly surveys: readonly SegmentSurvey[];
  /** Where its records end. */
  readonly end: number;
}

/** `present`: the manifest that is there and good, whose generation is not. */
async function byGenerations(
  run: RepairRun,
  channel: ManifestOwner,
  present: Manifest | undefined,
): Promise<Replacement | undefined> {
  const { fs, shared } = run;
  const { directory } = channel.place;
  const { channelId } = channel;
  const owner: IndexOwner = { fs, channelId, pages: shared.pages, readOnly: true };
  const candidates: Candidate[] = [];
  for (const { name, kind } of fs.readDirectorySync(directory)) {
    const generation = kind === 'directory' ? parseGenerationName(name) : undefined;
    if (generation === undefined) continue;
    candidates.push(await candidateAt(owner, `${directory}/${name}`, generation, run.pace.read));
  }
  // Beside a manifest that is good, an empty generation is no reason to give its own up.
  const usable = candidates.filter(
    ({ surveys }) => present === undefined || surveys.some(({ recordCount }) => recordCount > 0),
  );
  const furthest = Math.max(...usable.map(({ end }) => end));
  const chosen = usable
    .filter(({ end }) => end === furthest)
    .toSorted((a, b) => b.generation - a.generation)[0];
  if (chosen === undefined) return undefined;
  const others = candidates.filter((each) => each !== chosen).map(({ generation }) => generation);
  if (present === undefined) return { ...anotherManifest(run, channel, chosen), others };
  const free = Math.max(present.generation, ...candidates.map(({ generation }) => generation)) + 1;
  return { ...insteadOf(run, channel, present, chosen, free), others };
}

type Choice = Omit<Replacement, 'others'>;

function anotherManifest(run: RepairRun, channel: ManifestOwner, chosen: Candidate): Choice {
  const { channelId, place, writes, reached } = channel;
  const { generation, surveys } = chosen;
  const firstSeq = surveys[0]?.baseSeq ?? seqKnown(run.fs, place.directory, channelId);
  return {
    manifest: {
      channelId,
      generation,
      firstSeq,
      redoSeq: 0,
      ...redoPlaceFor(surveys, writes),
      nextSeqFloor: Math.max(firstSeq, reached),
      recoveryEpoch: newEpoch(run),
    },
    how: `for ${generationName(generation)}, the newest of those that reach furthest`,
    lost:
      `where the channel began: a trim may have taken records behind ${firstSeq} from its first ` +
      'segment, which are there again',
  };
}

/**
 * A manifest for a generation that stands in for the one that is gone. One with a higher number has
 * followed it: the manifest is an old one. One with a lower number was retired, and gets a new
 * number (RULES G4).
 */
function insteadOf(
  run: RepairRun,
  { writes, reached }: ManifestOwner,
  present: Manifest,
  { generation, surveys }: Candidate,
  free: number,
): Choice {
  const isNewer = generation > present.generation;
  const began = isNewer ? (surveys[0]?.baseSeq ?? 0) : 0;
  const firstSeq = Math.max(present.firstSeq, began);
  const manifest = {
    ...present,
    generation: isNewer ? generation : free,
    firstSeq,
    nextSeqFloor: Math.max(present.nextSeqFloor, firstSeq, reached),
    recoveryEpoch: Math.max(present.recoveryEpoch + 1, newEpoch(run)),
  };
  const name = generationName(generation);
  const gone = generationName(present.generation);
  if (isNewer) {
    return {
      manifest: { ...manifest, ...redoPlaceFor(surveys, writes) },
      how: `for ${name}, which came after ${gone}`,
      lost:
        `what a compaction has dropped that had not taken the place of ${gone} yet; and a trim ` +
        `may have taken records behind ${firstSeq}, which are there again`,
    };
  }
  return {
    manifest,
    renumbered: generation,
    how: `for ${name}, which came before ${gone}`,
    lost: `what was in ${gone} alone; what a compaction has dropped since ${name} is there again`,
  };
}

/** Above every one that a counter of recoveries can have reached. */
function newEpoch({ settings }: RepairRun): number {
  return Math.floor(settings.runtime.now() / 1000);
}

/**
 * Where the journal has the first entry that is not for a segment of an earlier generation: what it
 * has from before the last compaction would be written over what that has made of it (RULES J4).
 */
function redoPlaceFor(
  surveys: readonly SegmentSurvey[],
  writes: readonly RedoWrite[],
): Pick<Manifest, 'redoSegment' | 'redoPosition'> {
  const last = writes.findLast((write) => {
    if (surveys.some((survey) => isOfAnother(write, survey))) return true;
    const before = surveys.findLast(({ baseSeq }) => baseSeq <= write.baseSeq);
    if (before === undefined) return surveys.length > 0;
    // The segment has become a part of the one before it.
    return before.baseSeq < write.baseSeq && endOf(before) > write.baseSeq;
  });
  if (last === undefined) return { redoSegment: 0, redoPosition: 0 };
  return { redoSegment: last.baseSeq, redoPosition: last.position + 1 };
}

async function candidateAt(
  owner: IndexOwner,
  path: string,
  generation: number,
  onRead: OnRead,
): Promise<Candidate> {
  const surveys: SegmentSurvey[] = [];
  for (const found of findSegments(owner, path)) {
    if (typeof found.identity === 'string') continue;
    surveys.push(await surveySegment(owner.fs, found, onRead));
  }
  return { generation, surveys, end: Math.max(0, ...surveys.map(endOf)) };
}

/** Of a channel without segments: what its other files say that it has come to. */
function seqKnown(fs: FileSystem, directory: string, channelId: Uint8Array): number {
  const bytes = readWholeFile(fs, `${directory}/${CLEAN_MARK_NAME}`, CLEAN_FILE_BYTES);
  const mark = bytes === undefined ? undefined : decodeCleanFile(bytes).mark;
  const isOwn = mark !== undefined && Buffer.compare(mark.channelId, channelId) === 0;
  return Math.max(isOwn ? mark.nextSeq : 0, checkpointWitness(fs, directory, channelId));
}
