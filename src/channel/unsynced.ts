/**
 * What no finished sync covers: segments with new bytes, directories with new names, inherited
 * bytes. A sync takes what is there when it begins; whatever comes later belongs to the next one.
 * An acknowledgement may rest on a sync only when that began after the write (RULES S1, S2, S7).
 */
import type { SegmentWriter } from '../segment/segment-writer.js';
import type { InheritedRange } from './inherited.js';

/** Totals since the channel was opened. */
interface Written {
  readonly records: number;
  readonly bytes: number;
}

/** What one sync covers when it succeeds. */
export interface SyncTarget {
  readonly writers: readonly SegmentWriter[];
  readonly directories: readonly string[];
  readonly inherited: readonly InheritedRange[];
  /** Every record below it is covered. */
  readonly seq: number;
  readonly written: Written;
}

const NONE: readonly never[] = [];

export class Unsynced {
  /** Every record below it has been written. */
  writtenSeq: number;
  durableSeq: number;
  /** Sealed segments, oldest first, that are not known to be synced. */
  sealed: SegmentWriter[] = [];
  active: SegmentWriter | undefined;
  #inherited: readonly InheritedRange[];
  /** What a background sync is writing again. */
  #rewriting: readonly InheritedRange[] = [];
  readonly #directories: Set<string>;
  readonly #syncing = new Set<SegmentWriter>();
  readonly #syncingDirectories = new Set<string>();
  readonly #written = { records: 0, bytes: 0 };
  #begun: Written = { records: 0, bytes: 0 };

  constructor(
    writtenSeq: number,
    durableSeq: number,
    inherited: readonly InheritedRange[],
    directories: readonly string[],
  ) {
    this.writtenSeq = writtenSeq;
    this.durableSeq = durableSeq;
    this.#inherited = inherited;
    this.#directories = new Set(directories);
  }

  /** A frame was written. */
  add(records: number, bytes: number, nextSeq: number): void {
    this.#written.records += records;
    this.#written.bytes += bytes;
    this.writtenSeq = Math.max(this.writtenSeq, nextSeq);
  }

  /** A segment was sealed: the next one takes its place. */
  seal(writer: SegmentWriter): void {
    this.sealed.push(writer);
    this.active = undefined;
  }

  /** The seal was taken back before anything was synced. */
  unseal(writer: SegmentWriter): void {
    this.sealed = this.sealed.filter((other) => other !== writer);
    this.active = writer;
  }

  /** A name was made in a directory. */
  addName(directory: string): void {
    this.#directories.add(directory);
  }

  /** Records and bytes that no sync has begun after. */
  get uncovered(): Written {
    return {
      records: this.#written.records - this.#begun.records,
      bytes: this.#written.bytes - this.#begun.bytes,
    };
  }

  /** A sync that is running or still has to come reads this file. */
  isInherited(path: string): boolean {
    return [...this.#inherited, ...this.#rewriting].some((range) => range.path === path);
  }

  /** No sync that is running or still has to come concerns this segment. */
  isSettled(writer: SegmentWriter): boolean {
    return !writer.dirty && !writer.isWriting && !this.#syncing.has(writer);
  }

  /** Whether there is anything that no finished sync covers. */
  get isClean(): boolean {
    return (
      this.#syncing.size === 0 &&
      this.#syncingDirectories.size === 0 &&
      this.#directories.size === 0 &&
      this.#inherited.length === 0 &&
      this.sealed.length === 0 &&
      this.active?.dirty !== true
    );
  }

  /** A segment before the active one is not known to be synced, or part of it is inherited. */
  get hasOpenPast(): boolean {
    return this.sealed.length > 0 || this.#inherited.length > 0;
  }

  /**
   * Takes what a background sync has to cover: everything, or the sealed segments and names only.
   * Every byte written from now on waits for the next one.
   */
  begin(scope: 'all' | 'sealed'): SyncTarget {
    const target = this.#target(scope);
    for (const writer of target.writers) {
      writer.dirty = false;
      this.#syncing.add(writer);
    }
    for (const directory of target.directories) {
      this.#directories.delete(directory);
      this.#syncingDirectories.add(directory);
    }
    this.#rewriting = target.inherited;
    if (scope === 'all') this.#begun = target.written;
    return target;
  }

  /**
   * What a synchronous sync has to cover: that, and whatever a sync in flight has taken, because
   * an acknowledgement may not rest on one that has not returned.
   */
  beginNow(): SyncTarget {
    const target = this.#target('all');
    const writers = new Set([...this.#syncing, ...target.writers]);
    const directories = new Set([...this.#syncingDirectories, ...target.directories]);
    for (const writer of writers) writer.dirty = false;
    for (const directory of directories) this.#directories.delete(directory);
    this.#begun = target.written;
    return { ...target, writers: [...writers], directories: [...directories] };
  }

  #target(scope: 'all' | 'sealed'): SyncTarget {
    const last = this.sealed.at(-1);
    const all = scope === 'all';
    const active = all && this.active?.dirty === true ? [this.active] : NONE;
    return {
      writers: this.sealed.length === 0 ? active : [...this.sealed, ...active],
      directories: this.#directories.size === 0 ? NONE : [...this.#directories],
      inherited: this.#inherited,
      seq: all ? this.writtenSeq : (last?.segment.nextSeq ?? this.durableSeq),
      written: { ...this.#written },
    };
  }

  /** Everything below `seq` is covered by a sync that was made elsewhere. */
  cover(seq: number): SegmentWriter[] {
    this.durableSeq = Math.max(this.durableSeq, Math.min(seq, this.writtenSeq));
    return [];
  }

  /** All of the target of `begin` is on disk. Returns the sealed segments that are done with. */
  finish(target: SyncTarget): SegmentWriter[] {
    for (const writer of target.writers) this.#syncing.delete(writer);
    for (const directory of target.directories) this.#syncingDirectories.delete(directory);
    this.#rewriting = [];
    return this.finishNow(target);
  }

  /** The same for the target of `beginNow`: a sync in flight keeps its segments. */
  finishNow(target: SyncTarget): SegmentWriter[] {
    if (this.#inherited === target.inherited) this.#inherited = [];
    const covered = Math.min(target.seq, this.writtenSeq);
    this.durableSeq = Math.max(this.durableSeq, covered);
    if (this.sealed.length === 0) return [];
    const done = this.sealed.filter(
      (writer) => target.writers.includes(writer) && this.isSettled(writer),
    );
    this.sealed = this.sealed.filter((writer) => !done.includes(writer));
    return done;
  }
}
