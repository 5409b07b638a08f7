/**
 * What a process before has left behind in a channel's directory although the manifest does not
 * name it any more. Only what redex itself has named, and only under a valid manifest.
 */
import type { Manifest } from '../format/manifest.js';
import {
  fileOwner,
  MANIFEST_TEMPORARY_NAME,
  NEXT_CONFIG_NAME,
  parseGenerationName,
} from '../format/file-name.js';
import { removeUnfinished } from '../fs/whole-file.js';
import type { ChannelContext } from './channel-context.js';
import type { FileReclaim } from './file-reclaim.js';
import type { ManifestKeeper } from './manifest-keeper.js';

export interface Leftovers {
  readonly paths: readonly string[];
  /** Generations that are not live. */
  readonly directories: readonly string[];
  /** A manifest or config that was to take the place of the one that counts. */
  readonly unfinished: readonly string[];
}

export const NO_LEFTOVERS: Leftovers = { paths: [], directories: [], unfinished: [] };

/** The base seqs of segments that are not wholly below `firstSeq`. Ascending. */
export function keptBases(bases: readonly number[], firstSeq: number): number[] {
  return bases.filter((_base, i) => (bases[i + 1] ?? Infinity) > firstSeq);
}

/** `bases`: of the segments that the channel consists of; `names`: all in its generation. */
export function findLeftovers(
  context: ChannelContext,
  manifest: Manifest,
  bases: readonly number[],
  names: readonly string[],
): Leftovers {
  const { fs, directory, generationDirectory } = context;
  // Above firstSeq a file without its dat is a trace of damage, and no leftover.
  const end = Math.min(manifest.firstSeq, bases[0] ?? Infinity);
  const paths = names
    .filter((name) => (fileOwner(name) ?? Infinity) < end)
    .map((name) => `${generationDirectory}/${name}`);
  const present = fs.readDirectorySync(directory);
  const directories = present
    .filter(({ name, kind }) => {
      const generation = kind === 'directory' ? parseGenerationName(name) : undefined;
      return generation !== undefined && generation !== manifest.generation;
    })
    .map(({ name }) => `${directory}/${name}`);
  const unfinished = present
    .filter(({ name }) => name === MANIFEST_TEMPORARY_NAME || name === NEXT_CONFIG_NAME)
    .map(({ name }) => `${directory}/${name}`);
  return { paths, directories, unfinished };
}

/** Removes what was let go before. The manifest that says so may not be durable yet. */
export function sweepLeftovers(
  { fs, directory, settings, name }: ChannelContext,
  { paths, directories, unfinished }: Leftovers,
  keeper: Pick<ManifestKeeper, 'makeDurable'>,
  reclaim: Pick<FileReclaim, 'add'>,
): void {
  if (paths.length + directories.length + unfinished.length === 0) return;
  keeper.makeDurable().then(
    () => {
      // The new manifest took the place of an unfinished one. No configure is in the middle now.
      removeUnfinished(fs, `${directory}/${NEXT_CONFIG_NAME}`);
      reclaim.add(paths, directories);
    },
    (error: unknown) => {
      settings.logger.warn('leftovers could not be swept', { channel: name, error });
    },
  );
}
