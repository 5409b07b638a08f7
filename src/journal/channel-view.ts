/**
 * What a journal that is only read has of one channel. Which of it belongs to the live generation
 * is said by the manifest, which the reader of the channel tells with each look.
 */
import type { JournalEntry } from '../format/journal-group.js';
import { segmentFileName } from '../format/file-name.js';
import { isBeforeRedo, type RedoWrite } from './redo-plan.js';
import { WaitingFile, type WaitingFiles } from './waiting-file.js';

/** What a manifest says of the journal. */
interface LiveGeneration {
  readonly directory: string;
  readonly redoSegment: number;
  readonly redoPosition: number;
}

const NO_GENERATION: LiveGeneration = { directory: '', redoSegment: 0, redoPosition: 0 };

export class ChannelView implements WaitingFiles {
  /** The journal says that the channel was deleted. */
  isDeleted = false;
  #writes: RedoWrite[] = [];
  #live = NO_GENERATION;
  #files: Map<string, WaitingFile> | undefined;

  /** The manifest that the files are to be seen with. */
  goBy(live: LiveGeneration): void {
    const { directory, redoSegment, redoPosition } = this.#live;
    const isSame =
      live.directory === directory &&
      live.redoSegment === redoSegment &&
      live.redoPosition === redoPosition;
    if (isSame) return;
    this.#live = live;
    this.#files = undefined;
  }

  take({ kind, baseSeq, position, data }: JournalEntry, group: number): void {
    if (kind === 'delete') {
      this.isDeleted = true;
      this.clear();
    }
    if (kind !== 'write') return;
    const write = { baseSeq, position, data, group };
    this.#writes.push(write);
    if (this.#files !== undefined) this.#place(this.#files, write);
  }

  /** What is in groups below this one is in the files by now. */
  dropBelow(group: number): void {
    const kept = this.#writes.filter((write) => write.group >= group);
    if (kept.length === this.#writes.length) return;
    this.#writes = kept;
    this.#files = undefined;
  }

  clear(): void {
    this.#writes = [];
    this.#files = undefined;
  }

  get isWaiting(): boolean {
    return this.#writes.length > 0;
  }

  waitingFor(path: string): WaitingFile | undefined {
    return this.#placed.get(path);
  }

  get files(): readonly WaitingFile[] {
    return [...this.#placed.values()];
  }

  get #placed(): Map<string, WaitingFile> {
    if (this.#files !== undefined) return this.#files;
    const files = new Map<string, WaitingFile>();
    for (const write of this.#writes) this.#place(files, write);
    this.#files = files;
    return files;
  }

  #place(files: Map<string, WaitingFile>, write: RedoWrite): void {
    if (isBeforeRedo(write, this.#live)) return;
    const { baseSeq, position, data, group } = write;
    const path = `${this.#live.directory}/${segmentFileName(baseSeq, 'dat')}`;
    let file = files.get(path);
    // What came between went to the file directly, and is synced with all that is before it.
    if (file === undefined || position > file.end) {
      file = new WaitingFile({ path, baseSeq, start: position, isNew: false });
      files.set(path, file);
    }
    // What was cut off after a failure never went on in the journal.
    if (file.end > position) return;
    file.push({ bytes: data, offset: 0, group }, data.byteLength, position);
  }
}
