/**
 * The checkpoints of one fold. Each is written under a number of its own: to a name that says that
 * it is unfinished, synced, renamed, its directory synced; then all but the last two good ones go.
 * So a crash at any step leaves the one before, and what failed is never written or synced again.
 *
 * A checkpoint states that every record below its seq is synced, so it is written only when that
 * is so, and never on a poisoned channel (RULES N5, S3).
 */
import { assert } from '../core/assert.js';
import { redexError, type RedexError } from '../core/errors.js';
import { encodeChannelName } from '../format/channel-name.js';
import { encodeCheckpoint, type CheckpointHeader } from '../format/checkpoint.js';
import { checkpointFileName, newCheckpointFileName } from '../format/file-name.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import {
  checkpointDirectory,
  checkpointHeader,
  listCheckpoints,
  readCheckpoint,
  type CheckpointFile,
} from './checkpoint-files.js';
import type { KnownFold } from './checkpoint-holds.js';
import type { FoldHost } from './fold-host.js';
import { ioError } from './io-error.js';
import { settleJournal } from './settle-journal.js';

/** Written at once by another thread; less is written by this one. */
const PIECE_BYTES = 4 * 1024 * 1024;
const SMALL_BYTES = 64 * 1024;
/** The newest one and the one before. */
const KEPT = 2;
/** Lists of the directory until one holds still, where its writer is another process. */
const MAX_LOOKS = 5;

export interface CheckpointIdentity {
  readonly name: string;
  readonly kind: number;
  readonly version: number;
  readonly maxBytes: number;
  /** One of a fold that began above it is not used; Infinity: wherever it began. */
  readonly from: number;
}

export interface LoadedCheckpoint<S> {
  readonly state: S;
  readonly seq: number;
  readonly fromSeq: number;
  readonly stateLength: number;
}

/** By kind: the version that was written last, and how many of it are kept. */
type Lines = Map<number, { readonly version: number; count: number }>;

export class CheckpointStore {
  readonly #host: FoldHost;
  readonly #identity: CheckpointIdentity;
  readonly #directory: string;
  readonly #entry: string;
  #lastNumber = 0;
  /** What retention knew of the fold before it was opened. */
  #before: KnownFold | undefined;
  /** Good ones, oldest first. */
  #good: number[] = [];
  /** Files that may go once there are enough good ones. */
  #others = new Set<number>();
  /** A sync of this process covers the name of the directory. */
  #isNamed = false;
  /** A sync of the directory failed: up to this number nothing is removed any more. */
  #keptUpTo = 0;

  constructor(host: FoldHost, identity: CheckpointIdentity) {
    this.#host = host;
    this.#identity = identity;
    this.#directory = checkpointDirectory(host.context.directory);
    this.#entry = encodeChannelName(identity.name);
  }

  get #fs(): FileSystem {
    return this.#host.context.fs;
  }

  /** Why nothing may be written; undefined when there is nothing against it. */
  get refusal(): RedexError | undefined {
    const { health, sync, context } = this.#host;
    const { name, directory } = context;
    if (health.isClosed) return health.closedError();
    if (sync !== undefined) return health.writeError();
    return redexError('READ_ONLY', `channel ${name} was opened with readOnly`, {
      path: directory,
    });
  }

  /** The fold is not opened after all: retention waits for it no more than before. */
  giveUp(): void {
    this.#host.sync?.holds.onRefused(this.#identity.name, this.#before);
  }

  /** The newest checkpoint that is good, of this channel, fold and version. Rejects with IO. */
  async load<S>(decode: (state: Uint8Array) => S): Promise<LoadedCheckpoint<S> | undefined> {
    const { directory } = this.#host.context;
    const { sync } = this.#host;
    this.#before = await sync?.holds.onOpening(this.#identity.name);
    for (let look = 1; ; look++) {
      try {
        const loaded = await this.#loadListed(decode);
        sync?.holds.onLoaded(this.#identity.name, loaded?.seq);
        return loaded;
      } catch (error) {
        const isReplaced = systemCodeOf(error) === 'ENOENT' && this.#host.sync === undefined;
        if (!isReplaced || look === MAX_LOOKS) throw ioError('read', directory, error, 'absent');
      }
    }
  }

  async #loadListed<S>(decode: (state: Uint8Array) => S): Promise<LoadedCheckpoint<S> | undefined> {
    const list = listCheckpoints(this.#fs, this.#host.context.directory, this.#identity.name);
    if (this.refusal === undefined) for (const file of list.unfinished) this.#remove(file.path);
    this.#good = [];
    this.#others = new Set();
    const lines: Lines = new Map();
    let loaded: LoadedCheckpoint<S> | undefined;
    for (const file of list.files) {
      const { path, number } = file;
      this.#lastNumber = Math.max(this.#lastNumber, number);
      const head = checkpointHeader(this.#fs, path);
      const reason = head.ok ? this.#foreignness(head.value) : undefined;
      if (head.ok && reason !== undefined) {
        if (!isKept(lines, head.value)) this.#others.add(number);
        if (loaded === undefined) this.#warn('a checkpoint is not used', { path, reason });
      } else if (loaded === undefined) loaded = await this.#tryFile(file, decode);
      // Behind a good one no state is looked at: it was good when it was written.
      else if (head.ok || head.check !== 'version') this.#good.unshift(number);
    }
    return loaded;
  }

  /** What makes a checkpoint one of another fold that has had this name, or will have it again. */
  #foreignness(header: CheckpointHeader): string | undefined {
    const { name, kind, version } = this.#identity;
    const isOurs = Buffer.compare(header.channelId, this.#host.context.channelId) === 0;
    if (!isOurs || header.name !== name) return undefined;
    if (header.kind !== kind) return 'kind';
    return header.foldVersion === version ? undefined : 'fold version';
  }

  async #tryFile<S>(
    file: CheckpointFile,
    decode: (state: Uint8Array) => S,
  ): Promise<LoadedCheckpoint<S> | undefined> {
    const { path, number } = file;
    const found = await readCheckpoint(this.#fs, path, (header) => this.#against(header));
    let reason: unknown;
    if (found.ok) {
      const { header, state } = found.value;
      try {
        const value = decode(state);
        this.#good.push(number);
        const { seq, fromSeq, stateLength } = header;
        return { state: value, seq, fromSeq, stateLength };
      } catch (error) {
        reason = error;
      }
    } else reason = found.check;
    // A newer build has written it, and may want it back.
    if (reason !== 'version') this.#others.add(number);
    this.#warn('a checkpoint is not used', { path, reason });
    return undefined;
  }

  /** What speaks against a header, which is good in itself. */
  #against(header: CheckpointHeader): string | undefined {
    const { context } = this.#host;
    const { name, maxBytes, from } = this.#identity;
    if (Buffer.compare(header.channelId, context.channelId) !== 0) return 'channel id';
    if (header.name !== name) return 'fold name';
    if (header.fromSeq > from) return 'from';
    return header.stateLength > maxBytes ? 'size' : undefined;
  }

  #warn(message: string, details: Readonly<Record<string, unknown>>): void {
    const { settings, name } = this.#host.context;
    settings.logger.warn(message, { channel: name, fold: this.#identity.name, ...details });
  }

  /** Throws LIMIT for a state that is too large. */
  checkSize(byteLength: number): void {
    const { name, maxBytes } = this.#identity;
    if (byteLength <= maxBytes) return;
    const message = `the state of fold ${name} has ${byteLength} bytes: over the limit ${maxBytes}`;
    const fields = { what: 'maxCheckpointBytes', limit: maxBytes, actual: byteLength };
    throw redexError('LIMIT', message, fields);
  }

  /**
   * Writes the state that has seen all records from `fromSeq` to below `seq`; durable when this
   * resolves. Rejects with LIMIT, IO, POISONED, CLOSED, READ_ONLY, CORRUPT. One at a time.
   */
  async write(seq: number, fromSeq: number, state: Uint8Array): Promise<void> {
    this.checkSize(state.byteLength);
    const { context } = this.#host;
    const { name, kind, version } = this.#identity;
    const { channelId } = context;
    const header = { channelId, seq, fromSeq, foldVersion: version, kind, name };
    const bytes = encodeCheckpoint(header, state);
    const number = this.#lastNumber + 1;
    this.#lastNumber = number;
    const path = `${this.#directory}/${checkpointFileName(this.#entry, number)}`;
    try {
      await this.#makeTrue(seq);
      await this.#writeFile(bytes, number, path);
    } catch (error) {
      throw ioError('checkpoint', path, error, 'absent');
    }
    this.#good.push(number);
    this.#host.sync?.holds.onSaved(name, seq);
    this.#prune();
  }

  /** Syncs what the checkpoint states, and the name of the directory that it goes to. */
  async #makeTrue(seq: number): Promise<void> {
    const { context, health, sync } = this.#host;
    if (sync === undefined) return;
    const { directory } = context;
    const isNamed = this.#isNamed;
    if (!isNamed) {
      // The journal makes the channel again that a power cut takes the name of, without this.
      if (context.journal?.isFresh === true) await settleJournal(context, health);
      if (this.#fs.statSync(this.#directory) === undefined) this.#fs.mkdirSync(this.#directory);
      // The channel's own sync covers it: a failed one must not be hidden from the channel.
      sync.addName(directory);
    }
    if (!isNamed || seq > this.#host.durableSeq) await sync.syncAll();
    this.#isNamed = true;
    assert(seq <= this.#host.durableSeq, 'a checkpoint states what is synced');
  }

  async #writeFile(bytes: Uint8Array, number: number, path: string): Promise<void> {
    const unfinished = `${this.#directory}/${newCheckpointFileName(this.#entry, number)}`;
    this.#requireWritable();
    const file = this.#fs.openSync(unfinished, 'create');
    try {
      try {
        await writeAll(file, bytes);
        await file.datasync();
      } finally {
        file.closeSync();
      }
      this.#requireWritable();
      this.#fs.renameSync(unfinished, path);
    } catch (error) {
      this.#remove(unfinished);
      throw error;
    }
    try {
      await this.#fs.syncDirectory(this.#directory);
    } catch (error) {
      this.#keptUpTo = number;
      this.#host.sync?.holds.onSyncFailed();
      throw error;
    }
  }

  #requireWritable(): void {
    const { refusal } = this;
    if (refusal !== undefined) throw refusal;
  }

  /** Behind a durable newest one. What cannot be removed is in nobody's way. */
  #prune(): void {
    const isFree = (number: number): boolean => number > this.#keptUpTo;
    const kept = this.#good.slice(-KEPT);
    if (kept.length < KEPT) return;
    const removed = [...this.#others, ...this.#good.slice(0, -KEPT)].filter(isFree);
    for (const number of removed) {
      this.#remove(`${this.#directory}/${checkpointFileName(this.#entry, number)}`);
    }
    this.#good = kept;
    this.#others = new Set();
  }

  #remove(path: string): void {
    try {
      this.#fs.unlinkSync(path);
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') this.#warn('a file was not removed', { path, error });
    }
  }
}

/**
 * Whether a checkpoint of another kind or version stays: who goes back to it would have to rebuild,
 * and could not from a log that was trimmed. Asked for one after the other, newest first.
 */
function isKept(lines: Lines, { kind, foldVersion }: CheckpointHeader): boolean {
  const line = lines.get(kind) ?? { version: foldVersion, count: 0 };
  lines.set(kind, line);
  return line.version === foldVersion && ++line.count <= KEPT;
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) {
    const length = Math.min(PIECE_BYTES, bytes.byteLength - at);
    const count =
      bytes.byteLength <= SMALL_BYTES
        ? file.writeSync(bytes, at, length, at)
        : await file.write(bytes, at, length, at);
    if (count === 0) throw Object.assign(new Error('EIO: nothing was written'), { code: 'EIO' });
    at += count;
  }
}
