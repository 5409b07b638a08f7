/**
 * The group that is being filled: entries one behind the other in memory that is never written
 * again, so that they can be read from there until a checkpoint has brought them to their files.
 */
import type { Checksum } from '../format/checksum.js';
import {
  ENTRY_HEADER_BYTES,
  entryBytes,
  GROUP_HEADER_BYTES,
  sealGroup,
  writeEntryHead,
  type GroupHeader,
  type JournalEntry,
} from '../format/journal-group.js';
import type { AddedBytes } from './waiting-file.js';

/** Of the first memory; each further one is larger, up to the most. */
const FIRST_ARENA_BYTES: number = 64 * 1024;
const ARENA_BYTES: number = 1024 * 1024;
const NO_BYTES: Uint8Array = new Uint8Array(0);

export class OpenGroup {
  #arena: Uint8Array = NO_BYTES;
  #view: DataView = new DataView(NO_BYTES.buffer);
  #start = 0;
  #end = 0;
  #entryCount = 0;
  #arenaBytes = FIRST_ARENA_BYTES;

  get isEmpty(): boolean {
    return this.#entryCount === 0;
  }

  /** Bytes of it, its header included; 0 before its first entry. */
  get byteLength(): number {
    return this.isEmpty ? 0 : this.#end - this.#start;
  }

  /** Whether the memory that is there can take so many bytes of entries more. */
  fits(bytes: number): boolean {
    return this.#end + bytes <= this.#arena.byteLength;
  }

  /** Makes memory for a group that can become so large. It must be empty. */
  begin(groupBytes: number): void {
    if (this.#start + groupBytes > this.#arena.byteLength) {
      this.#arena = new Uint8Array(Math.max(this.#arenaBytes, groupBytes));
      this.#arenaBytes = Math.min(ARENA_BYTES, 4 * this.#arenaBytes);
      this.#view = new DataView(this.#arena.buffer);
      this.#start = 0;
    }
    this.#end = this.#start + GROUP_HEADER_BYTES;
  }

  /** Adds an entry of group `group`. The data is copied. */
  add(
    entry: Omit<JournalEntry, 'data'>,
    data: Uint8Array,
    from: number,
    length: number,
    group: number,
  ): AddedBytes {
    const size = entryBytes(length);
    const at = this.#end;
    const offset = at + ENTRY_HEADER_BYTES;
    writeEntryHead(this.#view, at, entry, length);
    this.#arena.set(data.subarray(from, from + length), offset);
    this.#arena.fill(0, offset + length, at + size);
    this.#end = at + size;
    this.#entryCount++;
    return { bytes: this.#arena, offset, group };
  }

  /** Takes back the entry that was added last, of so much data; false when it is another one. */
  takeBack(added: AddedBytes, length: number): boolean {
    const size = entryBytes(length);
    const isLast = added.offset - ENTRY_HEADER_BYTES + size === this.#end;
    if (this.isEmpty || !isLast) return false;
    this.#end -= size;
    this.#entryCount--;
    return true;
  }

  /** Completes it. The bytes stand in `bytes` from `start` on; `next` begins behind them. */
  seal(header: Omit<GroupHeader, 'checksum' | 'byteLength' | 'entryCount'>): {
    readonly bytes: Uint8Array;
    readonly start: number;
    readonly byteLength: number;
    readonly checksum: Checksum;
  } {
    const { byteLength } = this;
    const bytes = this.#arena;
    const start = this.#start;
    const checksum = sealGroup(bytes, start, {
      ...header,
      byteLength,
      entryCount: this.#entryCount,
    });
    return { bytes, start, byteLength, checksum };
  }

  /** It is written: the next one begins behind it. */
  next(): void {
    this.#entryCount = 0;
    this.#start = this.#end;
  }
}
