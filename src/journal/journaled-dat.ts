/**
 * A dat file as the writer of its channel sees it: what is written goes to the journal, what waits
 * there is read from memory. No descriptor is open unless the file itself is read.
 */
import type { FileSystem } from '../fs/file-system.js';
import type { OpenFiles } from '../fs/open-files.js';
import { PooledFile } from '../fs/pooled-file.js';
import type { ChannelJournal } from './channel-journal.js';
import { OverlaidDat } from './overlaid-dat.js';

export class JournaledDat extends OverlaidDat {
  readonly #baseSeq: number;
  readonly #channel: ChannelJournal;
  readonly #isNew: boolean;

  constructor(
    fs: FileSystem,
    pool: OpenFiles,
    path: string,
    baseSeq: number,
    channel: ChannelJournal,
    isNew: boolean,
  ) {
    super(path, channel, new PooledFile(fs, path, 'read', pool));
    this.#baseSeq = baseSeq;
    this.#channel = channel;
    this.#isNew = isNew;
  }

  protected override get mayBeLonger(): boolean {
    return false;
  }

  override writeSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const channel = this.#channel;
    if (!channel.journal.ensureRoom(channel.roomFor(length), 'reserved')) {
      throw Object.assign(new Error('ENOSPC: the journal is full'), { code: 'ENOSPC' });
    }
    const { path } = this;
    const isNew = this.#isNew && position === 0;
    channel.add({ path, baseSeq: this.#baseSeq, start: position, isNew }, buffer, offset, length);
    return length;
  }

  override async write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    return this.writeSync(buffer, offset, length, position);
  }

  /** Only what was written last can be cut off, and only while it is in memory. */
  override truncateSync(size: number): void {
    this.#channel.cutBack(this.path, size);
  }

  override datasyncSync(): void {
    this.#channel.journal.syncNow();
  }

  override datasync(): Promise<void> {
    return this.#channel.journal.synced();
  }
}
