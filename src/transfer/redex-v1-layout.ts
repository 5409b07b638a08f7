/**
 * Where a log of RedEX keeps its files: a manifest that names a generation, directories of
 * generations with `idx`, `dat` and `ts`, or the three files by themselves, as early ones had it.
 * Nothing here writes.
 */
import { redexError } from '../core/errors.js';
import { archiveDamage } from './archive-error.js';
import { viewOf } from '../format/bytes.js';
import { checksumOf } from '../format/checksum.js';
import { magicNumber } from '../format/envelope.js';
import type { FileSystem } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import { readWholeFile } from '../fs/whole-file.js';

const MANIFEST_MAGIC = magicNumber('REDM');
const MANIFEST_BYTES = 16;
const VERSION = 1;

export interface V1Layout {
  /** The directory of the files. */
  readonly directory: string;
  /** Undefined where there are no generations. */
  readonly generation: number | undefined;
  readonly manifest: 'valid' | 'missing' | 'damaged';
  /** Generations beside it, which are not read. */
  readonly otherGenerations: readonly number[];
  /** The generation that RedEX itself would open: 0 for the flat files, undefined for none. */
  readonly openedByRedex: number | undefined;
}

interface Generation {
  readonly number: number;
  readonly directory: string;
  readonly hasIndex: boolean;
  readonly hasDat: boolean;
  readonly isComplete: boolean;
}

/** `wanted` is for when the manifest names files that are not there, or is damaged. */
export function findV1Files(fs: FileSystem, given: string, wanted?: number): V1Layout {
  const directory = resolved(fs, given);
  const found = generationsOf(fs, directory);
  const manifest = manifestOf(fs, directory, wanted !== undefined);
  const flat = generationIn(fs, directory, 0);
  const chosen = choose(directory, found, flat, manifest.generation, wanted);
  return {
    directory: chosen.directory,
    generation: chosen === flat ? undefined : chosen.number,
    manifest: manifest.state,
    otherGenerations: found.filter((each) => each !== chosen).map(({ number }) => number),
    openedByRedex: openedByRedex(found, flat, manifest.generation),
  };
}

/** The port follows no links, and what is moved may well be behind one. */
function resolved(fs: FileSystem, directory: string): string {
  try {
    return fs.realpathSync(directory);
  } catch (error) {
    throw systemCodeOf(error) === 'ENOENT' ? nothingThere(directory) : error;
  }
}

/** In rising order. */
function generationsOf(fs: FileSystem, directory: string): Generation[] {
  return entriesOf(fs, directory)
    .filter(({ kind, name }) => kind === 'directory' && isGenerationName(name))
    .map(({ name }) => generationIn(fs, `${directory}/${name}`, Number(name.slice(1))))
    .toSorted((a, b) => a.number - b.number);
}

function isGenerationName(name: string): boolean {
  return /^v\d{10}$/.test(name);
}

function entriesOf(fs: FileSystem, directory: string): ReturnType<FileSystem['readDirectorySync']> {
  if (fs.statSync(directory)?.kind !== 'directory') throw nothingThere(directory);
  return fs.readDirectorySync(directory);
}

function generationIn(fs: FileSystem, directory: string, number: number): Generation {
  const has = (name: string): boolean => fs.statSync(`${directory}/${name}`)?.kind === 'file';
  const [hasIndex, hasDat] = [has('idx'), has('dat')];
  return { number, directory, hasIndex, hasDat, isComplete: hasIndex && hasDat && has('ts') };
}

interface V1Manifest {
  readonly state: V1Layout['manifest'];
  readonly generation: number | undefined;
}

function manifestOf(fs: FileSystem, directory: string, isOverruled: boolean): V1Manifest {
  const path = `${directory}/manifest`;
  if (fs.statSync(path)?.kind !== 'file') return { state: 'missing', generation: undefined };
  const bytes = readWholeFile(fs, path, MANIFEST_BYTES) ?? new Uint8Array();
  const damaged = { state: 'damaged', generation: undefined } as const;
  if (bytes.byteLength < MANIFEST_BYTES) return damaged;
  const view = viewOf(bytes);
  const isIntact = view.getUint32(12, true) === checksumOf(bytes, 0, 12).lo;
  if (view.getUint32(0, true) !== MANIFEST_MAGIC || !isIntact) return damaged;
  const found = bytes[4] ?? 0;
  if (found > VERSION && !isOverruled) {
    const message = `${path} is of version ${found} of RedEX; version ${VERSION} can be read`;
    throw redexError('FORMAT_VERSION', message, { path, found, supported: VERSION });
  }
  const generation = view.getUint32(5, true);
  const isZero = bytes[9] === 0 && bytes[10] === 0 && bytes[11] === 0;
  if (found !== VERSION || generation === 0 || !isZero) return damaged;
  return { state: 'valid', generation };
}

function choose(
  directory: string,
  found: readonly Generation[],
  flat: Generation,
  named: number | undefined,
  wanted: number | undefined,
): Generation {
  const number = wanted ?? named;
  if (number !== undefined) {
    const generation = found.find((each) => each.number === number);
    // Another generation has other records: that it is to be taken has to be said.
    const path = generation?.directory ?? `${directory}/v${String(number).padStart(10, '0')}`;
    if (generation?.hasIndex !== true) throw withoutIndex(path);
    return generation;
  }
  const newest = found.toReversed();
  const chosen =
    newest.find(({ isComplete }) => isComplete) ??
    newest.find(({ hasIndex, hasDat }) => hasIndex && hasDat) ??
    newest.find(({ hasIndex }) => hasIndex) ??
    (flat.hasIndex ? flat : undefined);
  if (chosen !== undefined) return chosen;
  const without = newest.find(({ hasDat }) => hasDat) ?? (flat.hasDat ? flat : undefined);
  throw without === undefined ? nothingThere(directory) : withoutIndex(without.directory);
}

function withoutIndex(directory: string): Error {
  const detail = 'it is not there, and nothing else says where a record begins';
  return archiveDamage(`${directory}/idx`, 0, 'missing', detail);
}

function nothingThere(resource: string): Error {
  const message = `${resource} is no directory of a RedEX log`;
  return redexError('NOT_FOUND', message, { kind: 'RedEX log', resource });
}

function openedByRedex(
  found: readonly Generation[],
  flat: Generation,
  named: number | undefined,
): number | undefined {
  const live = found.find(({ number }) => number === named);
  if (live?.isComplete === true) return live.number;
  const complete = found.findLast(({ isComplete }) => isComplete);
  if (complete !== undefined) return complete.number;
  if (flat.hasIndex) return 0;
  // It begins a new one, under a name that may be taken; the files in there are then used.
  return found.some(({ number }) => number === 1) ? 1 : undefined;
}

export interface V1Location {
  /** As RedEX has it: the path below the directory that was searched. */
  readonly name: string;
  readonly directory: string;
}

/** All logs below a directory, which may nest, in the order of their names. */
export function findV1Logs(fs: FileSystem, base: string): V1Location[] {
  const found: V1Location[] = [];
  const visit = (directory: string, name: string): void => {
    const entries = fs.readDirectorySync(directory);
    const isLog = entries.some(
      ({ name: entry, kind }) =>
        (kind === 'file' && (entry === 'manifest' || entry === 'idx')) ||
        (kind === 'directory' && isGenerationName(entry)),
    );
    if (isLog && name !== '') found.push({ name, directory });
    for (const { name: entry, kind } of entries) {
      if (kind !== 'directory' || isGenerationName(entry)) continue;
      visit(`${directory}/${entry}`, name === '' ? entry : `${name}/${entry}`);
    }
  };
  visit(resolved(fs, base), '');
  return found.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
