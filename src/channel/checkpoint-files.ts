/**
 * The checkpoint files of a channel's directory, found and read. A file of a final name was synced
 * before it got that name; what does not decode all the same is left out, never relied on. The
 * seq in a good header is a witness of the log, whatever the state behind it is worth (RULES N5).
 */
import type { FailedCheck } from '../core/errors.js';
import { encodeChannelName } from '../format/channel-name.js';
import { RunningChecksum, sameChecksum } from '../format/checksum.js';
import {
  decodeCheckpointHeader,
  MAX_CHECKPOINT_HEADER_BYTES,
  type CheckpointHeader,
} from '../format/checkpoint.js';
import { failed, type DecodeFailure, type Decoded } from '../format/decoded.js';
import { CHECKPOINTS_NAME, parseCheckpointFileName } from '../format/file-name.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';

/** A state is read in pieces, so that no thread of the pool is held for long. */
const PIECE_BYTES = 4 * 1024 * 1024;

export interface CheckpointFile {
  readonly path: string;
  readonly number: number;
}

export interface CheckpointList {
  /** Newest first. */
  readonly files: readonly CheckpointFile[];
  /** What was being written when a process stopped. */
  readonly unfinished: readonly CheckpointFile[];
}

export function checkpointDirectory(channelDirectory: string): string {
  return `${channelDirectory}/${CHECKPOINTS_NAME}`;
}

/** The names in `checkpoints`; undefined when there is no such directory. */
function namesIn(fs: FileSystem, directory: string): string[] | undefined {
  try {
    return fs.readDirectorySync(checkpointDirectory(directory)).map(({ name }) => name);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

/** The files of the fold with this name. */
export function listCheckpoints(
  fs: FileSystem,
  channelDirectory: string,
  foldName: string,
): CheckpointList {
  const entry = encodeChannelName(foldName);
  const directory = checkpointDirectory(channelDirectory);
  const files: CheckpointFile[] = [];
  const unfinished: CheckpointFile[] = [];
  for (const name of namesIn(fs, channelDirectory) ?? []) {
    const parsed = parseCheckpointFileName(name);
    if (parsed?.entry !== entry) continue;
    const file = { path: `${directory}/${name}`, number: parsed.number };
    if (parsed.isNew) unfinished.push(file);
    else files.push(file);
  }
  return { files: files.toSorted((a, b) => b.number - a.number), unfinished };
}

/**
 * The highest seq below which a checkpoint of the channel says that everything was synced; 0
 * without one. A look at a directory that is not there costs next to nothing; otherwise the header
 * of each file is read. A file that does not decode, or is of another channel or a newer version,
 * says nothing.
 */
export function checkpointWitness(
  fs: FileSystem,
  channelDirectory: string,
  channelId: Uint8Array,
): number {
  let highest = 0;
  for (const name of namesIn(fs, channelDirectory) ?? []) {
    if (parseCheckpointFileName(name) === undefined) continue;
    const file = openPresent(fs, `${checkpointDirectory(channelDirectory)}/${name}`);
    if (file === undefined) continue;
    try {
      const head = readCheckpointHeader(file);
      if (!head.ok || Buffer.compare(head.value.header.channelId, channelId) !== 0) continue;
      highest = Math.max(highest, head.value.header.seq);
    } finally {
      file.closeSync();
    }
  }
  return highest;
}

/** Undefined when the file has gone since it was listed: its writer has a newer one. */
function openPresent(fs: FileSystem, path: string): FileHandle | undefined {
  try {
    return fs.openSync(path, 'read');
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

export interface CheckpointHead {
  readonly header: CheckpointHeader;
  /** Of the header, behind which the state begins. */
  readonly byteLength: number;
}

export function readCheckpointHeader(file: FileHandle): Decoded<CheckpointHead> {
  const bytes = new Uint8Array(MAX_CHECKPOINT_HEADER_BYTES);
  const length = file.readSync(bytes, 0, bytes.byteLength, 0);
  return decodeCheckpointHeader(bytes.subarray(0, length));
}

/** The header of a checkpoint, which says nothing about the state. Throws what the disk reports. */
export function checkpointHeader(fs: FileSystem, path: string): Decoded<CheckpointHeader> {
  const file = fs.openSync(path, 'read');
  try {
    const head = readCheckpointHeader(file);
    return head.ok ? { ok: true, value: head.value.header } : head;
  } finally {
    file.closeSync();
  }
}

/** A checkpoint that is held, whatever becomes of its name. */
export interface HeldCheckpoint {
  readonly name: string;
  readonly file: FileHandle;
}

/**
 * Opens the checkpoints of a channel that say nothing of records from `endSeq` on, whatever their
 * states are worth; who calls it closes them. What does not decode is left out, and so is what was
 * not finished: it may be of another channel, or say anything.
 */
export function holdCheckpoints(
  fs: FileSystem,
  channelDirectory: string,
  channelId: Uint8Array,
  endSeq: number,
): HeldCheckpoint[] {
  const held: HeldCheckpoint[] = [];
  try {
    for (const name of namesIn(fs, channelDirectory) ?? []) {
      if (parseCheckpointFileName(name)?.isNew !== false) continue;
      const file = fs.openSync(`${checkpointDirectory(channelDirectory)}/${name}`, 'read');
      held.push({ name, file });
      const head = readCheckpointHeader(file);
      const isGood =
        head.ok &&
        Buffer.compare(head.value.header.channelId, channelId) === 0 &&
        head.value.header.seq <= endSeq;
      if (!isGood) held.pop()?.file.closeSync();
    }
  } catch (error) {
    for (const { file } of held) file.closeSync();
    throw error;
  }
  return held;
}

export interface ReadCheckpoint {
  readonly header: CheckpointHeader;
  /** Nobody else has these bytes. */
  readonly state: Uint8Array;
}

type Refused = DecodeFailure | { readonly ok: false; readonly check: string };

/**
 * The checkpoint in a file, when `wanted` says nothing against its header. No more than the file
 * has is allocated. Throws what the file system reports; ENOENT, too.
 */
export async function readCheckpoint(
  fs: FileSystem,
  path: string,
  wanted: (header: CheckpointHeader) => string | undefined,
): Promise<Decoded<ReadCheckpoint> | Refused> {
  let state: Uint8Array = new Uint8Array(0);
  const read = await walkState(fs, path, wanted, ({ stateLength }) => {
    state = new Uint8Array(stateLength);
    return state;
  });
  return read.ok ? { ok: true, value: { header: read.value, state } } : read;
}

/** The header of the same, once its state is known to be good; of that one piece is in memory. */
export function checkCheckpoint(
  fs: FileSystem,
  path: string,
  wanted: (header: CheckpointHeader) => string | undefined,
): Promise<Decoded<CheckpointHeader> | Refused> {
  return walkState(fs, path, wanted, newPiece);
}

/** Memory to read a state through. */
export function newPiece({ stateLength }: CheckpointHeader): Uint8Array {
  return new Uint8Array(Math.min(PIECE_BYTES, stateLength));
}

/** Reads the state into what `allocate` makes: all of it, or one piece after the other. */
async function walkState(
  fs: FileSystem,
  path: string,
  wanted: (header: CheckpointHeader) => string | undefined,
  allocate: (header: CheckpointHeader) => Uint8Array,
): Promise<Decoded<CheckpointHeader> | Refused> {
  const file = fs.openSync(path, 'read');
  try {
    const head = readCheckpointHeader(file);
    if (!head.ok) return head;
    const { header } = head.value;
    if (!hasLength(file, head.value)) return failed('length');
    const refusal = wanted(header);
    if (refusal !== undefined) return { ok: false, check: refusal };
    const failure = await readState(file, head.value, allocate(header));
    return failure === undefined ? { ok: true, value: header } : failed(failure);
  } finally {
    file.closeSync();
  }
}

/** Whether a file has exactly the bytes that its header says. */
function hasLength(file: FileHandle, { header, byteLength }: CheckpointHead): boolean {
  return file.sizeSync() === byteLength + header.stateLength;
}

/**
 * The check that a state fails, if one does. Reads it into `bytes`, or through them where they are
 * fewer; `onPiece` is called before each piece with its position in the file.
 */
export async function readState(
  file: FileHandle,
  head: CheckpointHead,
  bytes: Uint8Array,
  onPiece?: (position: number) => void,
): Promise<FailedCheck | undefined> {
  if (!hasLength(file, head)) return 'length';
  const { stateLength, stateChecksum } = head.header;
  const checksum = new RunningChecksum();
  for (let at = 0; at < stateLength;) {
    onPiece?.(head.byteLength + at);
    const offset = bytes.byteLength === stateLength ? at : 0;
    const piece = Math.min(PIECE_BYTES, stateLength - at);
    const count = await file.read(bytes, offset, piece, head.byteLength + at);
    if (count === 0) return 'length';
    checksum.add(bytes, offset, count);
    at += count;
  }
  return sameChecksum(checksum.value, stateChecksum) ? undefined : 'checksum';
}
