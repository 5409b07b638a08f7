/**
 * Takes up the journal of a store that is opened for writing: redoes what is in it, and leaves it
 * empty. A journal that is damaged, of another store or of a newer version is refused with nothing
 * changed.
 */
import { RedexError } from '../core/errors.js';
import type { ChannelSettings } from '../channel/settings.js';
import { JOURNAL_NAME } from '../format/file-name.js';
import type { GroupPlace, JournalControl } from '../format/journal-control.js';
import type { FileSystem } from '../fs/file-system.js';
import { ControlFile } from '../journal/control-file.js';
import type { JournalSegment } from '../journal/journal-segments.js';
import {
  readJournal,
  type FoundGroup,
  type JournalContents,
  type RecoveredJournal,
} from '../journal/recovered-journal.js';
import { planRedo } from '../journal/redo-plan.js';
import type { ChannelDirectories } from './channel-directories.js';
import {
  heldFor,
  isNoSpace,
  redoChannels,
  rewriteTail,
  type HeldChannel,
  type RedoTarget,
} from './journal-redo.js';
import { TargetFinder, type RedoTargets } from './redo-targets.js';

export interface OpenedJournal {
  readonly recovered: RecoveredJournal | undefined;
  readonly held: readonly HeldChannel[];
}

export interface JournalOpening {
  readonly settings: ChannelSettings;
  /** Of the store. */
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly directories: ChannelDirectories;
}

export async function openJournal(opening: JournalOpening): Promise<OpenedJournal> {
  const { settings, directory, storeId } = opening;
  const { fs } = settings;
  const contents = readJournal(fs, directory, storeId);
  if (contents === undefined) return { recovered: undefined, held: [] };
  if (contents.groups.length === 0) return { recovered: takeUp(contents, []), held: [] };
  const { held, control } = await redo(opening, contents);
  return { recovered: takeUp({ ...contents, control }, held), held };
}

/** Redoes everything, and says where the next redo begins: behind it, unless something is held. */
async function redo(
  opening: JournalOpening,
  contents: JournalContents,
): Promise<{ readonly held: HeldChannel[]; readonly control: JournalControl }> {
  const { settings, directory, storeId, directories } = opening;
  const { fs } = settings;
  const plan = planRedo(contents.groups, contents.names);
  const found = new TargetFinder(fs, directories).find(plan, directory);
  const { targets, unreadable, deleted, created } = found;
  await rewriteTail(fs, contents);
  fs.syncDirectorySync(`${directory}/${JOURNAL_NAME}`);
  fs.syncDirectorySync(directory);
  for (const entry of deleted) directories.finishDeletion(entry);
  const { made, unmade } = await finishCreations(fs, directories, created, targets);
  const held = [...unreadable, ...unmade, ...(await redoChannels(fs, made))];
  directories.syncNames();
  if (held.length > 0) return { held, control: contents.control };
  const journal = `${directory}/${JOURNAL_NAME}`;
  const file = new ControlFile({ fs, directory, storeId }, journal, contents);
  try {
    await file.advance(contents.end, true);
  } finally {
    file.close();
  }
  return { held, control: file.current ?? contents.control };
}

/**
 * Makes what was created; a channel with files that are not known here, or for which there is no
 * space, is left as it is.
 */
async function finishCreations(
  fs: FileSystem,
  directories: ChannelDirectories,
  created: RedoTargets['created'],
  targets: readonly RedoTarget[],
): Promise<{ readonly made: readonly RedoTarget[]; readonly unmade: readonly HeldChannel[] }> {
  const errors = new Map<string, unknown>();
  for (const { entry, channel } of created) {
    try {
      await directories.finishCreation(entry, channel);
    } catch (error) {
      if (!RedexError.is(error) && !isNoSpace(error)) throw error;
      errors.set(directories.pathOfEntry(entry), error);
    }
  }
  const unmade: HeldChannel[] = [];
  const made = targets.filter((target) => {
    const error = errors.get(target.directory);
    if (error !== undefined) unmade.push(heldFor(fs, target, error));
    return error === undefined;
  });
  return { made, unmade };
}

function placeOf({ segment, position, header }: FoundGroup): GroupPlace {
  return { segment, position, number: header.number, link: header.link };
}

function takeUp(contents: JournalContents, held: readonly HeldChannel[]): RecoveredJournal {
  const segments: JournalSegment[] = contents.segments.map(({ number, path, byteLength }) => {
    // The control block still names the first of them.
    const inSegment = contents.groups.filter((group) => group.segment === number);
    const [first] = inSegment;
    const isKept = held.length > 0 && first !== undefined;
    return {
      number,
      byteLength,
      path,
      files: undefined,
      isSyncing: false,
      lastGroup: isKept ? (inSegment.at(-1)?.header.number ?? 0) : 0,
      first: isKept ? placeOf(first) : undefined,
    };
  });
  return { control: contents.control, segments, end: contents.end };
}
