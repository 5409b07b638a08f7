/**
 * The file systems that a channel with a journal works on. Both show dat files with what waits for
 * a checkpoint in its place. Through the one of the writer, dat files of the live generation are
 * written by way of the journal, and the derived files beside them are open only while they are
 * used. Everything else is the file system itself.
 */
import { parseSegmentFileName } from '../format/file-name.js';
import type {
  DirectoryEntry,
  FileHandle,
  FileStat,
  FileSystem,
  OpenMode,
} from '../fs/file-system.js';
import type { OpenFiles } from '../fs/open-files.js';
import { PassingFs } from '../fs/passing-fs.js';
import { PooledFile } from '../fs/pooled-file.js';
import type { ChannelJournal } from './channel-journal.js';
import { JournaledDat } from './journaled-dat.js';
import { MemoryFile } from './memory-file.js';
import { OverlaidDat } from './overlaid-dat.js';
import type { WaitingFiles } from './waiting-file.js';

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** A file system that shows dat files with what the journal has of them in its place. */
export class OverlaidFs extends PassingFs {
  protected readonly waiting: WaitingFiles;

  constructor(fs: FileSystem, waiting: WaitingFiles) {
    super(fs);
    this.waiting = waiting;
  }

  override openSync(path: string, mode: OpenMode): FileHandle {
    if (mode !== 'read' || !path.endsWith('.dat')) return this.fs.openSync(path, mode);
    return new OverlaidDat(path, this.waiting, this.#openDat(path));
  }

  #openDat(path: string): FileHandle {
    const { waiting } = this;
    const waitingFile = waiting.isWaiting ? waiting.waitingFor(path) : undefined;
    // Its name may have been lost, while the journal has all of it.
    const isWhole = waitingFile?.start === 0 && this.fs.statSync(path) === undefined;
    return isWhole ? new MemoryFile(path, NO_BYTES) : this.fs.openSync(path, 'read');
  }

  override readDirectorySync(path: string): DirectoryEntry[] {
    const entries = this.fs.readDirectorySync(path);
    if (!this.waiting.isWaiting) return entries;
    for (const file of this.waiting.files) {
      const slash = file.path.lastIndexOf('/');
      const name = file.path.slice(slash + 1);
      const isMissing = file.start === 0 && !entries.some((entry) => entry.name === name);
      if (file.path.slice(0, slash) === path && isMissing) entries.push({ name, kind: 'file' });
    }
    return entries;
  }

  override statSync(path: string): FileStat | undefined {
    const found = this.fs.statSync(path);
    if (found !== undefined || !this.waiting.isWaiting) return found;
    const file = this.waiting.waitingFor(path);
    return file?.start === 0 ? { kind: 'file', size: file.end } : undefined;
  }
}

/** And through which a channel writes. */
export class JournaledFs extends OverlaidFs {
  readonly #channel: ChannelJournal;
  readonly #pool: OpenFiles;

  constructor(fs: FileSystem, channel: ChannelJournal, pool: OpenFiles) {
    super(fs, channel);
    this.#channel = channel;
    this.#pool = pool;
  }

  override openSync(path: string, mode: OpenMode): FileHandle {
    const channel = this.#channel;
    if (mode === 'read' || !channel.isUsed) return super.openSync(path, mode);
    const slash = path.lastIndexOf('/');
    const file = parseSegmentFileName(path.slice(slash + 1));
    if (file === undefined || path.slice(0, slash) !== channel.liveDirectory) {
      return super.openSync(path, mode);
    }
    if (file.kind !== 'dat') return this.#openDerived(path, mode);
    // The name is there from now on; the first bytes come with the first checkpoint.
    if (mode === 'create') channel.createFile(path);
    const isNew = mode === 'create';
    return new JournaledDat(this.fs, this.#pool, path, file.baseSeq, channel, isNew);
  }

  #openDerived(path: string, mode: OpenMode): FileHandle {
    const pool = this.#pool;
    pool.makeRoom(1);
    return new PooledFile(this.fs, path, 'write', pool, this.fs.openSync(path, mode));
  }
}
