/**
 * Verifies the checkpoints of folds: every byte of each file, piece by piece. Their folds write
 * new ones and remove older ones meanwhile, so a file that has gone is no problem. What is under a
 * final name was synced before it got that name: it is whole, or it was damaged later.
 */
import type { FailedCheck } from '../core/errors.js';
import { encodeChannelName } from '../format/channel-name.js';
import type { CheckpointHeader } from '../format/checkpoint.js';
import { parseCheckpointFileName } from '../format/file-name.js';
import type { DirectoryEntry, FileHandle } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import type { ChannelContext } from './channel-context.js';
import type { ChannelCore } from './channel-core.js';
import {
  checkpointDirectory,
  newPiece,
  readCheckpointHeader,
  readState,
  type CheckpointHead,
} from './checkpoint-files.js';
import { problemOf, rangeOf } from './verify-problem.js';
import { ProblemList, type VerifyKind, type VerifySeverity } from './verify-report.js';

/** Where the fields of a header begin that say what a checkpoint belongs to. */
const CHANNEL_ID_AT = 8;
const SEQ_AT = 24;
const NAME_AT = 72;

export interface FoundCheckpoint {
  readonly path: string;
  /** That of the fold that its name says. */
  readonly entry: string;
  readonly byteLength: number;
}

export interface CheckpointJob {
  readonly core: ChannelCore;
  readonly found: FoundCheckpoint;
  /** The channel holds nothing below it. */
  readonly firstSeq: number;
  /** Of the state only the length is checked. */
  readonly quick: boolean;
  /** Called before each piece that is read; what it throws ends the verification. */
  readonly onPiece: (position: number) => void;
}

/** The checkpoints that are there now. What cannot be listed is told by `verifyCheckpointNames`. */
export function findCheckpoints(context: ChannelContext): FoundCheckpoint[] {
  const { fs, directory } = context;
  const found: FoundCheckpoint[] = [];
  const entries = entriesIn(context);
  if (typeof entries === 'string') return found;
  for (const { name } of entries) {
    const parsed = parseCheckpointFileName(name);
    if (parsed?.isNew !== false) continue;
    const path = `${checkpointDirectory(directory)}/${name}`;
    const stat = fs.statSync(path);
    if (stat?.kind !== 'file') continue;
    found.push({ path, entry: parsed.entry, byteLength: stat.size });
  }
  return found;
}

/** In an order of their own, so that two looks find the same; or why there are none. */
function entriesIn({ fs, directory }: ChannelContext): DirectoryEntry[] | string {
  try {
    const entries = fs.readDirectorySync(checkpointDirectory(directory));
    return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    const code = systemCodeOf(error);
    if (code !== 'ENOENT' && code !== 'EIO' && code !== 'ENOTDIR') throw error;
    return code;
  }
}

/** Every name in `checkpoints` that belongs to nothing. */
export function verifyCheckpointNames(
  { context, folds }: ChannelCore,
  problems: ProblemList,
): void {
  const directory = checkpointDirectory(context.directory);
  const entries = entriesIn(context);
  if (entries === 'ENOENT') return;
  if (typeof entries === 'string') {
    const [kind, what] =
      entries === 'EIO'
        ? (['unreadable', 'cannot be read (EIO)'] as const)
        : (['checkpoint', 'is no directory'] as const);
    problems.add(problemOf('damage', kind, { path: directory }, `${directory} ${what}`));
    return;
  }
  for (const { name, kind } of entries) {
    const parsed = kind === 'file' ? parseCheckpointFileName(name) : undefined;
    if (parsed?.isNew === false) continue;
    // It is being written, or will go when the next one is.
    if (parsed !== undefined && folds.isOpen(parsed.entry)) continue;
    const path = `${directory}/${name}`;
    const what = parsed === undefined ? 'is no checkpoint' : 'is a checkpoint without its end';
    problems.add(problemOf('note', 'leftover', { path }, `${path} ${what}`));
  }
}

/**
 * Below it nothing is missing, or it is told where it is missing. A reader does not know of every
 * sync, and sees no more than what a checkpoint proves to have been synced.
 */
function endOf({ context, health, visibleSeq, durableSeq }: ChannelCore): number {
  return context.owner.readOnly || health.damage !== undefined ? visibleSeq : durableSeq;
}

/** What is wrong with one of them. */
export async function verifyCheckpoint(
  job: CheckpointJob,
): Promise<{ readonly problems: ProblemList }> {
  const check = new CheckpointCheck(job);
  await check.run();
  return check;
}

class CheckpointCheck {
  readonly problems = new ProblemList();
  readonly #job: CheckpointJob;
  /** Where what is being read begins. */
  #position = 0;

  constructor(job: CheckpointJob) {
    this.#job = job;
  }

  async run(): Promise<void> {
    const { core, found } = this.#job;
    let file: FileHandle | undefined;
    try {
      this.#job.onPiece(0);
      file = core.context.fs.openSync(found.path, 'read');
      await this.#read(file);
    } catch (error) {
      const code = systemCodeOf(error);
      // A newer one has taken its place.
      if (code === 'ENOENT' && file === undefined) return;
      if (code !== 'EIO') throw error;
      this.#add('unreadable', this.#position, undefined, 'cannot be read (EIO)');
    } finally {
      file?.closeSync();
    }
  }

  async #read(file: FileHandle): Promise<void> {
    const head = readCheckpointHeader(file);
    if (!head.ok) {
      if (head.check !== 'version') this.#damaged(0, head.check);
      // Whose it is goes on with an older one, and leaves this one to who can read it.
      else this.#add('checkpoint', 0, undefined, 'is of a newer format version', 'note');
      return;
    }
    const { header, byteLength } = head.value;
    this.#checkHeader(header);
    const failure = await this.#readState(file, head.value);
    if (failure !== undefined) this.#damaged(byteLength, failure);
  }

  async #readState(file: FileHandle, head: CheckpointHead): Promise<FailedCheck | undefined> {
    if (this.#job.quick) {
      const isWhole = file.sizeSync() === head.byteLength + head.header.stateLength;
      return isWhole ? undefined : 'length';
    }
    return readState(file, head, newPiece(head.header), (position) => {
      this.#position = position;
      this.#job.onPiece(position);
    });
  }

  /** What a good header says, against what the channel is. */
  #checkHeader({ channelId, name, seq }: CheckpointHeader): void {
    const { core, found, firstSeq } = this.#job;
    if (Buffer.compare(channelId, core.context.channelId) !== 0) {
      this.#add('checkpoint', CHANNEL_ID_AT, 'identity', 'is of another channel', 'note');
      return;
    }
    if (name.includes('\0') || encodeChannelName(name) !== found.entry) {
      this.#add('checkpoint', NAME_AT, 'identity', `is of the fold ${name}`, 'note');
    }
    // Asked behind the header: a fold writes none before the log is synced up to its seq.
    const end = endOf(core);
    if (seq <= end) return;
    const seqRange = rangeOf(end, seq, firstSeq);
    const place = { path: found.path, position: SEQ_AT, check: 'missing', seqRange } as const;
    const what = `${found.path} has seen the records below ${seq}, and the log ends at ${end}`;
    this.problems.add(problemOf('damage', 'checkpoint', place, what));
  }

  #damaged(position: number, check: FailedCheck): void {
    this.#add('checkpoint', position, check, `is damaged at byte ${position} (${check})`);
  }

  #add(
    kind: VerifyKind,
    position: number,
    check: FailedCheck | undefined,
    what: string,
    severity: VerifySeverity = 'damage',
  ): void {
    const { path } = this.#job.found;
    this.problems.add(problemOf(severity, kind, { path, position, check }, `${path} ${what}`));
  }
}
