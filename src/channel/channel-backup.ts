/**
 * A copy of a channel while it goes on being written to. Finished segments get a second name where
 * the file system allows it, because nobody ever writes to them again; everything else is copied
 * (RULES G3). What is copied is a state that was synced here, and is synced there. Checkpoints are
 * those of the same moment: none of them states more than the copied log holds (RULES N5).
 */
import { CLEAN_FILE_BYTES, encodeCleanMark, cleanSlotPosition } from '../format/clean-mark.js';
import { encodeConfig } from '../format/config.js';
import {
  CLEAN_MARK_NAME,
  CONFIG_NAME,
  generationName,
  isCutFileName,
  MANIFEST_NAME,
  segmentFileName,
  type SegmentFileKind,
} from '../format/file-name.js';
import { encodeManifest, type Manifest } from '../format/manifest.js';
import { copyFile, copyOpenFile, linkOrCopy, type CopiedBytes } from '../fs/copy-file.js';
import { writeWholeFile } from '../fs/whole-file.js';
import type { Segment } from '../segment/segment.js';
import type { ChannelContext } from './channel-context.js';
import { cleanMarkOf, configBody } from './channel-files.js';
import type { ChannelParts } from './channel-parts.js';
import { settleJournal } from './settle-journal.js';
import { checkpointDirectory, holdCheckpoints, type HeldCheckpoint } from './checkpoint-files.js';

/** Makes `directory` a channel like this one as it is after a sync. Its parent exists. */
export async function backUpChannel(parts: ChannelParts, directory: string): Promise<CopiedBytes> {
  await parts.syncAll();
  // From here to the first await nothing is appended: this is the state that is copied.
  // Compaction and trim may let go of it meanwhile; its files stay for as long.
  const { context, chain, unsynced } = parts;
  const { fs, channelId } = context;
  // Opened at once: newer ones, which the copied log may not hold, soon take their place.
  const held = holdCheckpoints(fs, context.directory, channelId, unsynced.writtenSeq);
  const snapshot = chain.hold(0);
  try {
    return await copyState(parts, directory, held);
  } finally {
    chain.letGo(snapshot);
    for (const { file } of held) file.closeSync();
  }
}

async function copyState(
  parts: ChannelParts,
  directory: string,
  held: readonly HeldCheckpoint[],
): Promise<CopiedBytes> {
  const { context, manifest, unsynced } = parts;
  const { fs } = context;
  const unfinished = new Set<Segment>(unsynced.sealed.map(({ segment }) => segment));
  const segments = parts.chain.all.map((segment) => ({ live: segment, state: { ...segment } }));
  const last = segments.at(-1)?.state;
  const end = parts.unsynced.writtenSeq;
  // What the journal has of it is in the files before these get other names.
  await settleJournal(context, parts.health);
  const generation = `${directory}/${generationName(manifest.generation)}`;
  fs.mkdirSync(directory);
  fs.mkdirSync(generation);
  let copied = sum(
    await copyCutAside(context, directory),
    await copyCheckpoints(context, held, directory),
  );
  for (const [i, { live, state }] of segments.entries()) {
    const isFinished = state.sealed && !unfinished.has(live) && isBehind(i, segments.length, last);
    copied = sum(copied, await copySegment(parts, state, generation, isFinished));
  }
  // What was appended beside the first sync is in the copy: it may not be lost here either.
  if (parts.durableSeq < end) await parts.syncAll();
  await fs.syncDirectory(generation);
  await writeSmallFiles(context, manifest, directory, last);
  await fs.syncDirectory(directory);
  return copied;
}

/**
 * Whether no recovery, of the channel or of its copy, ever writes to the segment: the last two may
 * be written again, but for one before a segment whose records prove that it was synced.
 */
function isBehind(index: number, count: number, last: Segment | undefined): boolean {
  return index < count - 2 || (index === count - 2 && (last?.recordCount ?? 0) > 0);
}

/** What recoveries have cut off and kept: somebody may still want to look at it. */
async function copyCutAside(context: ChannelContext, target: string): Promise<CopiedBytes> {
  const { fs, directory } = context;
  let copied: CopiedBytes = { linkedBytes: 0, copiedBytes: 0 };
  for (const { name, kind } of fs.readDirectorySync(directory)) {
    if (kind !== 'file' || !isCutFileName(name)) continue;
    copied = sum(copied, await linkOrCopy(fs, `${directory}/${name}`, `${target}/${name}`));
  }
  return copied;
}

/** A fold whose records retention has let go of cannot be computed again without them. */
async function copyCheckpoints(
  { fs }: ChannelContext,
  held: readonly HeldCheckpoint[],
  target: string,
): Promise<CopiedBytes> {
  let copiedBytes = 0;
  if (held.length > 0) {
    const directory = checkpointDirectory(target);
    fs.mkdirSync(directory);
    for (const { name, file } of held) {
      copiedBytes += await copyOpenFile(fs, file, `${directory}/${name}`);
    }
    await fs.syncDirectory(directory);
  }
  return { linkedBytes: 0, copiedBytes };
}

async function writeSmallFiles(
  context: ChannelContext,
  manifest: Manifest,
  directory: string,
  last: Segment | undefined,
): Promise<void> {
  const { fs, channelId, name, created, stored } = context;
  const config = encodeConfig({ channelId, body: configBody(name, created, stored) });
  await writeWholeFile(fs, `${directory}/${CONFIG_NAME}`, config);
  const marks = new Uint8Array(CLEAN_FILE_BYTES);
  if (last !== undefined) {
    const mark = cleanMarkOf(last, channelId, manifest.generation, 1);
    marks.set(encodeCleanMark(mark), cleanSlotPosition(mark.counter));
  }
  await writeWholeFile(fs, `${directory}/${CLEAN_MARK_NAME}`, marks);
  await writeWholeFile(fs, `${directory}/${MANIFEST_NAME}`, encodeManifest(manifest));
}

async function copySegment(
  parts: ChannelParts,
  segment: Segment,
  generation: string,
  isFinished: boolean,
): Promise<CopiedBytes> {
  const { fs } = parts.context;
  const place = (kind: SegmentFileKind): [from: string, to: string] => {
    const file = segmentFileName(segment.baseSeq, kind);
    return [`${segment.directory}/${file}`, `${generation}/${file}`];
  };
  const [from, to] = place('dat');
  if (!isFinished) {
    const copiedBytes = await copyFile(fs, from, to, segment.datLength);
    return { linkedBytes: 0, copiedBytes };
  }
  let copied = await linkOrCopy(fs, from, to);
  for (const kind of ['idx', 'ts'] as const) {
    const [derived, target] = place(kind);
    // A missing one is rebuilt from dat when it is needed.
    if (fs.statSync(derived) !== undefined) {
      copied = sum(copied, await linkOrCopy(fs, derived, target));
    }
  }
  return copied;
}

function sum(a: CopiedBytes, b: CopiedBytes): CopiedBytes {
  return {
    linkedBytes: a.linkedBytes + b.linkedBytes,
    copiedBytes: a.copiedBytes + b.copiedBytes,
  };
}
