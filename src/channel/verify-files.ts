/**
 * Verifies what stands around the segments of a channel: config, manifest, clean mark, and every
 * name in its directories. Only ENOENT is absence; what the system cannot read is a problem.
 */
import { RedexError, type FailedCheck } from '../core/errors.js';
import { compareNanos } from '../core/nanos.js';
import { sameChecksum } from '../format/checksum.js';
import {
  CLEAN_FILE_BYTES,
  CLEAN_MARK_BYTES,
  CLEAN_SLOT_BYTES,
  cleanSlotPosition,
  decodeCleanMark,
  type CleanMark,
} from '../format/clean-mark.js';
import {
  CHECKPOINTS_NAME,
  CLEAN_MARK_NAME,
  CONFIG_NAME,
  generationName,
  MANIFEST_NAME,
  parseGenerationName,
  parseSegmentFileName,
} from '../format/file-name.js';
import type { DirectoryEntry } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import { readWholeFile } from '../fs/whole-file.js';
import type { Segment } from '../segment/segment.js';
import type { ChannelContext } from './channel-context.js';
import { readConfig, readManifest } from './channel-files.js';
import { storedOptionsFrom } from './options.js';
import { problemOf } from './verify-problem.js';
import type { ProblemList, VerifyKind } from './verify-report.js';
import type { SegmentVerdict } from './verify-segment-ends.js';

/** Runs a check of one file; what it throws for damage, or EIO, is a problem. */
function checkFile(problems: ProblemList, kind: VerifyKind, path: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (RedexError.is(error, 'CORRUPT')) {
      const { position, check: failed } = error;
      const what = `${path} is damaged at byte ${position} (${failed})`;
      problems.add(problemOf('damage', kind, { path, position, check: failed }, what));
    } else if (RedexError.is(error, 'FORMAT_VERSION')) {
      problems.add(problemOf('damage', kind, { path }, error.message));
    } else if (systemCodeOf(error) === 'EIO') {
      problems.add(problemOf('damage', 'unreadable', { path }, `${path} cannot be read (EIO)`));
    } else throw error;
  }
}

export function verifyConfig(context: ChannelContext, problems: ProblemList): void {
  const { fs, directory, channelId, name } = context;
  const path = `${directory}/${CONFIG_NAME}`;
  const bad = (position: number, check: FailedCheck, what: string): void => {
    problems.add(problemOf('damage', 'config', { path, position, check }, `${path} ${what}`));
  };
  checkFile(problems, 'config', path, () => {
    const config = readConfig(fs, directory);
    const known = storedOptionsFrom(config.body);
    const isOwn = Buffer.compare(config.channelId, channelId) === 0;
    if (!isOwn) bad(8, 'identity', 'is of another channel');
    else if (known === undefined) bad(24, 'fields', 'has no name or options that can be');
    else if (known.name !== name) bad(24, 'identity', `is of channel ${known.name}`);
  });
}

export function verifyManifest(context: ChannelContext, problems: ProblemList): void {
  const { fs, directory, channelId } = context;
  checkFile(problems, 'manifest', `${directory}/${MANIFEST_NAME}`, () => {
    readManifest(fs, directory, channelId);
  });
}

/** Returns the newest clean mark of the channel, if there is one. */
export function verifyCleanMark(
  context: ChannelContext,
  problems: ProblemList,
): CleanMark | undefined {
  const { fs, directory, channelId } = context;
  const path = `${directory}/${CLEAN_MARK_NAME}`;
  let newest: CleanMark | undefined;
  checkFile(problems, 'clean-mark', path, () => {
    const bytes = readWholeFile(fs, path, CLEAN_FILE_BYTES) ?? new Uint8Array(0);
    for (let at = 0; at < bytes.byteLength; at += CLEAN_SLOT_BYTES) {
      const slot = bytes.subarray(at, at + CLEAN_SLOT_BYTES);
      const mark = slotOf(slot, at, path, channelId, problems);
      if (mark !== undefined && mark.counter >= (newest?.counter ?? 0)) newest = mark;
    }
  });
  return newest;
}

/**
 * The mark in one slot. That a slot holds none harms nothing: the next open scans. One of a newer
 * version keeps the channel from being opened.
 */
function slotOf(
  slot: Uint8Array,
  position: number,
  path: string,
  channelId: Uint8Array,
  problems: ProblemList,
): CleanMark | undefined {
  const mark = slot.subarray(0, CLEAN_MARK_BYTES);
  if (slot.subarray(mark.byteLength).some((byte) => byte !== 0)) {
    const what = `${path} holds bytes behind the mark at ${position}`;
    problems.add(problemOf('note', 'clean-mark', { path, position: position + 128 }, what));
  }
  if (mark.every((byte) => byte === 0)) return undefined;
  const decoded = decodeCleanMark(mark);
  if (!decoded.ok && decoded.check === 'version') {
    const what = `${path} has a mark of format version ${decoded.found} at ${position}`;
    problems.add(problemOf('damage', 'clean-mark', { path, position }, what));
    return undefined;
  }
  if (decoded.ok && Buffer.compare(decoded.value.channelId, channelId) === 0) return decoded.value;
  const what = `${path} holds no mark of this channel at ${position}: the next open scans the end`;
  const check = decoded.ok ? 'identity' : decoded.check;
  const place = { path, position, check };
  problems.add(problemOf('note', 'clean-mark', place, what));
  return undefined;
}

/** The clean mark is believed by the next open, so it has to say what its segment says. */
export function verifyMarked(
  { directory }: ChannelContext,
  mark: CleanMark | undefined,
  segment: Segment,
  { end, recordCount, lastTime, problems }: SegmentVerdict,
): void {
  if (mark === undefined || end === undefined) return;
  const agrees =
    mark.nextSeq === end.nextSeq &&
    mark.recordCount === recordCount &&
    // Nobody counts the frames of a segment that takes no more of them.
    (segment.sealed || mark.frameCount === end.frameCount) &&
    compareNanos(mark.lastTimestamp, lastTime) === 0 &&
    end.lastChecksum !== undefined &&
    sameChecksum(mark.lastChecksum, end.lastChecksum);
  if (agrees) return;
  const path = `${directory}/${CLEAN_MARK_NAME}`;
  const place = { path, position: cleanSlotPosition(mark.counter), check: 'fields' } as const;
  const what = `${path} does not say what the last segment says`;
  problems.add(problemOf('damage', 'clean-mark', place, what));
}

/** Every name in the channel's directory and in the live generation that belongs to nothing. */
export function verifyNames(
  context: ChannelContext,
  generation: number,
  segments: readonly Segment[],
  problems: ProblemList,
): void {
  const { fs, directory } = context;
  const live = generationName(generation);
  const known = new Set([CONFIG_NAME, MANIFEST_NAME, CLEAN_MARK_NAME, CHECKPOINTS_NAME, live]);
  const note = (kind: VerifyKind, path: string, what: string): void => {
    problems.add(problemOf('note', kind, { path }, `${path} ${what}`));
  };
  for (const { name, kind } of namesIn(fs.readDirectorySync(directory))) {
    const path = `${directory}/${name}`;
    if (known.has(name)) continue;
    if (/^cut-\d{20}-\d+-[0-9a-f]{16}$/.test(name)) {
      note('kept-aside', path, 'holds bytes that a recovery has cut off; remove it when you like');
    } else if (kind === 'directory' && parseGenerationName(name) !== undefined) {
      note('leftover', path, 'is a generation that is not live');
    } else {
      note('leftover', path, 'is not used by the channel');
    }
  }
  const bases = new Set(segments.map(({ baseSeq }) => baseSeq));
  for (const { name } of namesIn(fs.readDirectorySync(`${directory}/${live}`))) {
    const file = parseSegmentFileName(name);
    if (file !== undefined && bases.has(file.baseSeq)) continue;
    note('leftover', `${directory}/${live}/${name}`, 'is no file of a segment of the log');
  }
}

/** In an order of their own, so that two looks find the same. */
function namesIn(entries: readonly DirectoryEntry[]): DirectoryEntry[] {
  return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
