/**
 * The control block of an open journal: created last, so that a journal without one has never
 * held anything, and then written in place, one of its two slots at a time.
 */
import { CONTROL_NAME, NEW_CONTROL_NAME } from '../format/file-name.js';
import {
  CONTROL_FILE_BYTES,
  controlSlotPosition,
  encodeControl,
  type GroupPlace,
  type JournalControl,
} from '../format/journal-control.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { removeUnfinished, writeAllSync, writeWholeFileSync } from '../fs/whole-file.js';
import { syncOf } from './journal-sync-error.js';

interface ControlOptions {
  readonly fs: FileSystem;
  /** Of the store. */
  readonly directory: string;
  readonly storeId: Uint8Array;
}

export class ControlFile {
  readonly path: string;
  readonly #options: ControlOptions;
  /** The journal's directory. */
  readonly #directory: string;
  #current: JournalControl | undefined;
  #file: FileHandle | undefined;

  constructor(
    options: ControlOptions,
    directory: string,
    recovered: { readonly control: JournalControl } | undefined,
  ) {
    this.#options = options;
    this.#directory = directory;
    this.path = `${directory}/${CONTROL_NAME}`;
    this.#current = recovered?.control;
  }

  /** As it is on the disk; undefined before there is one. */
  get current(): JournalControl | undefined {
    return this.#current;
  }

  /** 0 before the first group of this open. */
  get epoch(): number {
    return this.#current?.epoch ?? 0;
  }

  /** Makes the directory of the journal, durably, unless it is there. */
  prepare(): void {
    const { fs, directory } = this.#options;
    if (fs.statSync(this.#directory) === undefined) fs.mkdirSync(this.#directory);
    // It, and what is in it, may come from a process that was killed before it had synced the names
    // (RULES S4).
    for (const path of [directory, this.#directory]) {
      syncOf(path, () => fs.syncDirectorySync(path));
    }
  }

  /**
   * Stores an epoch of its own for this open, before its first group (RULES J6). That goes to
   * `first`: from there on is redone, unless groups from before it are kept.
   */
  beginEpoch(first: GroupPlace | undefined): void {
    if (first === undefined) throw new Error('an epoch begins before there is a segment');
    const kept = this.#current?.redoFrom;
    const redoFrom = kept !== undefined && kept.number < first.number ? kept : first;
    const { storeId } = this.#options;
    const counter = (this.#current?.counter ?? 0) + 1;
    const epoch = this.epoch + 1;
    const next: JournalControl = { storeId, counter, epoch, redoFrom, isClosed: false };
    if (this.#current === undefined) this.#create(next);
    else this.#writeSync(next);
    this.#current = next;
  }

  #create(control: JournalControl): void {
    const { fs } = this.#options;
    const temporary = `${this.#directory}/${NEW_CONTROL_NAME}`;
    const bytes = new Uint8Array(CONTROL_FILE_BYTES);
    bytes.set(encodeControl(control), controlSlotPosition(control.counter));
    removeUnfinished(fs, temporary);
    writeWholeFileSync(fs, temporary, bytes);
    fs.renameSync(temporary, this.path);
    syncOf(this.#directory, () => fs.syncDirectorySync(this.#directory));
  }

  #writeSync(control: JournalControl): void {
    const file = this.#open();
    try {
      const bytes = encodeControl(control);
      writeAllSync(file, bytes, bytes.byteLength, controlSlotPosition(control.counter));
      syncOf(this.path, () => file.datasyncSync());
    } finally {
      this.close();
    }
  }

  #open(): FileHandle {
    this.#file ??= this.#options.fs.openSync(this.path, 'write');
    return this.#file;
  }

  /** What is before this place needs no redo: everything that it says is on the disk (RULES J5). */
  async advance(redoFrom: GroupPlace, isClosed: boolean = false): Promise<void> {
    const current = this.#current;
    if (current === undefined) throw new Error('the journal has no control block yet');
    const next = { ...current, counter: current.counter + 1, redoFrom, isClosed };
    const file = this.#open();
    try {
      const bytes = encodeControl(next);
      // The counter is taken even when this fails: the slot may have been written.
      this.#current = { ...current, counter: next.counter };
      writeAllSync(file, bytes, bytes.byteLength, controlSlotPosition(next.counter));
      await file.datasync();
      this.#current = next;
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#file?.closeSync();
    this.#file = undefined;
  }
}
