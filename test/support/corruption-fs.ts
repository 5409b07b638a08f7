/**
 * A file system in memory that is filled from a table of files, and counts every change of bytes,
 * lengths and names from then on; and the damages that can be done to such a table.
 */
import type { FileSystem } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { MemoryFile, type EntryChange } from '../../src/fs/memory-nodes.js';

/** Bytes by path; directories, with nothing, come before what is in them. */
export type Files = ReadonlyMap<string, Uint8Array | undefined>;

class CountedFile extends MemoryFile {
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    super();
    this.#onChange = onChange;
  }

  override write(buffer: Uint8Array, offset: number, length: number, position: number): void {
    this.#onChange();
    super.write(buffer, offset, length, position);
  }

  override truncate(size: number): void {
    this.#onChange();
    super.truncate(size);
  }
}

export class CorruptFs extends MemoryFs {
  /** Changes since it was filled. */
  changes = 0;

  constructor(files: Files) {
    super();
    for (const [path, bytes] of files) {
      if (bytes === undefined) {
        this.mkdirSync(path);
        continue;
      }
      const file = this.openSync(path, 'create');
      file.writeSync(bytes, 0, bytes.byteLength, 0);
      file.closeSync();
    }
    this.changes = 0;
  }

  protected override createFile(): MemoryFile {
    return new CountedFile(() => {
      this.changes += 1;
    });
  }

  protected override change(changes: readonly EntryChange[]): void {
    this.changes += 1;
    super.change(changes);
  }
}

/** Everything below a directory, itself first. */
export function filesUnder(fs: FileSystem, directory: string): Map<string, Uint8Array | undefined> {
  const files = new Map<string, Uint8Array | undefined>([[directory, undefined]]);
  for (const { name, kind } of fs.readDirectorySync(directory)) {
    const path = `${directory}/${name}`;
    if (kind === 'directory') for (const [at, bytes] of filesUnder(fs, path)) files.set(at, bytes);
    else files.set(path, bytesOf(fs, path));
  }
  return files;
}

export function bytesOf(fs: FileSystem, path: string): Uint8Array {
  const file = fs.openSync(path, 'read');
  const bytes = new Uint8Array(file.sizeSync());
  file.readSync(bytes, 0, bytes.byteLength, 0);
  file.closeSync();
  return bytes;
}

type DamageKind = 'bit' | 'truncation' | 'zeros' | 'missing' | 'swap';

/** One place where a directory is damaged: `from` to `to` of a file are not what they were. */
export interface Damage {
  readonly kind: DamageKind;
  readonly path: string;
  readonly from: number;
  readonly to: number;
  /** Of a bit, its number in the file. */
  readonly bit?: number;
  /** The file that has taken its place, and the other way round. */
  readonly other?: string;
}

export function describeDamage({ kind, path, from, to, bit, other }: Damage): string {
  const place = bit === undefined ? `${from} to ${to}` : `bit ${bit}`;
  return `${kind} ${path} ${other === undefined ? place : `and ${other}`}`;
}

function sizeOf(files: Files, path: string): number {
  return files.get(path)?.byteLength ?? 0;
}

/** What is allocated for a journal is zeros behind what was ever written. */
function usedSizeOf(files: Files, path: string): number {
  const bytes = files.get(path) ?? new Uint8Array(0);
  if (!path.endsWith('.journal')) return bytes.byteLength;
  return Math.min(bytes.byteLength, bytes.findLastIndex((byte) => byte !== 0) + 64);
}

export function bitsOf(files: Files, path: string, stride = 1, first = 0): Damage[] {
  const damages: Damage[] = [];
  for (let bit = first; bit < 8 * usedSizeOf(files, path); bit += stride) {
    const from = bit >> 3;
    damages.push({ kind: 'bit', path, from, to: from + 1, bit });
  }
  return damages;
}

export function truncationsOf(files: Files, path: string, stride = 1): Damage[] {
  const to = sizeOf(files, path);
  const damages: Damage[] = [];
  for (let from = 0; from < usedSizeOf(files, path); from += stride) {
    damages.push({ kind: 'truncation', path, from, to });
  }
  return damages;
}

/** Blocks of 512 bytes that hold anything. */
export function zeroedBlocksOf(files: Files, path: string): Damage[] {
  const size = sizeOf(files, path);
  const damages: Damage[] = [];
  for (let from = 0; from < size; from += 512) {
    const to = Math.min(size, from + 512);
    const isZero =
      files
        .get(path)
        ?.subarray(from, to)
        .every((byte) => byte === 0) ?? true;
    if (!isZero) damages.push({ kind: 'zeros', path, from, to });
  }
  return damages;
}

export function missingFile(files: Files, path: string): Damage {
  return { kind: 'missing', path, from: 0, to: sizeOf(files, path) };
}

/** What the files of a directory are, by what each of them is for. */
export function kindOfFile(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const segmentFile = /\.(dat|idx|ts)$/.exec(name)?.[1];
  return segmentFile ?? (path.includes('/checkpoints/') ? 'checkpoint' : name);
}

/** Each pair of files of one kind that differ, once. */
export function swapsOf(files: Files): Damage[] {
  const paths = [...files].flatMap(([path, bytes]) => (bytes === undefined ? [] : [path]));
  const damages: Damage[] = [];
  for (const [i, path] of paths.entries()) {
    for (const other of paths.slice(i + 1)) {
      if (kindOfFile(path) !== kindOfFile(other)) continue;
      const to = Math.max(sizeOf(files, path), sizeOf(files, other));
      damages.push({ kind: 'swap', path, other, from: 0, to });
    }
  }
  return damages;
}

/** The table with the damage done to it; what is not damaged is shared. */
export function damaged(files: Files, damage: Damage): Files {
  const { kind, path, other, from, to, bit } = damage;
  const after = new Map(files);
  const bytes = files.get(path);
  if (bytes === undefined) throw new Error(`no file ${path}`);
  if (kind === 'missing') after.delete(path);
  else if (kind === 'truncation') after.set(path, bytes.slice(0, from));
  else if (kind === 'zeros') after.set(path, bytes.slice().fill(0, from, to));
  else if (bit !== undefined) {
    const copy = bytes.slice();
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    after.set(path, copy);
  } else if (other !== undefined) {
    after.set(path, files.get(other));
    after.set(other, bytes);
  }
  return after;
}
