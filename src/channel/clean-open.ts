/**
 * What an open does before it looks into any segment: which segments there are, and whether the
 * clean mark still describes the last one, so that nothing has to be scanned (RULES C7).
 */
import type { CleanMark } from '../format/clean-mark.js';
import { parseSegmentFileName, segmentFileName } from '../format/file-name.js';
import { systemCodeOf } from '../fs/system-error.js';
import type { Segment } from '../segment/segment.js';
import type { ChannelContext } from './channel-context.js';
import { damagedFile } from './damaged-file.js';
import { endsInSeal, readOwnHeader } from './finished-segment.js';

/** The names in the directory of the live generation. */
export function listGeneration(context: ChannelContext): string[] {
  const { fs, generationDirectory } = context;
  try {
    return fs.readDirectorySync(generationDirectory).map((entry) => entry.name);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error;
    throw damagedFile('generation', generationDirectory, 0, 'missing');
  }
}

/** Base seqs of the dat files among these names, ascending. */
export function segmentBases(names: readonly string[]): number[] {
  return names
    .map(parseSegmentFileName)
    .filter((parsed) => parsed?.kind === 'dat')
    .map((parsed) => parsed?.baseSeq ?? 0)
    .toSorted((a, b) => a - b);
}

/** The last segment as the clean mark describes it, or undefined when it does not fit any more. */
export function openClean(
  context: ChannelContext,
  mark: CleanMark,
  bases: readonly number[],
): Segment | undefined {
  if (bases.at(-1) !== mark.baseSeq) return undefined;
  const directory = context.generationDirectory;
  const path = `${directory}/${segmentFileName(mark.baseSeq, 'dat')}`;
  const file = context.fs.openSync(path, 'read');
  try {
    const size = file.sizeSync();
    if (size !== mark.datLength) return undefined;
    const header = readOwnHeader(context, file, mark.baseSeq);
    if (typeof header === 'string') return undefined;
    const { nonce, checksum, timestampFloor, baseSeq } = header;
    return {
      directory,
      baseSeq,
      nonce,
      timestampFloor,
      headerChecksum: checksum,
      nextSeq: mark.nextSeq,
      recordCount: mark.recordCount,
      frameCount: mark.frameCount,
      datLength: mark.datLength,
      lastTimestamp: mark.lastTimestamp,
      lastChecksum: mark.lastChecksum,
      sealed: endsInSeal(file, nonce, size, mark.lastChecksum),
      damage: undefined,
      marks: undefined,
    };
  } finally {
    file.closeSync();
  }
}
