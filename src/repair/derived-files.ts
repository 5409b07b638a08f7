/**
 * idx and ts, built anew from a dat file that verifies. Nothing depends on them, so they are not
 * synced; a file that says the same already is left alone.
 */
import type { FileSystem } from '../fs/file-system.js';
import { IndexRebuild } from '../segment/index-rebuild.js';
import type { IndexOwner } from '../segment/segment-index.js';
import type { Segment } from '../segment/segment.js';
import type { SegmentSurvey } from './segment-survey.js';
import { PlannedFs } from './planned-fs.js';
import { walkUnits } from './unit-walk.js';

/** Builds those of a segment. False when that was not possible; the log is whole without them. */
export async function rebuildIndex(
  owner: IndexOwner,
  directory: string,
  survey: SegmentSurvey,
): Promise<boolean> {
  const { identity, path, baseSeq, size } = survey;
  if (typeof identity === 'string') return false;
  const { nonce, link, timestampFloor } = identity;
  const file = owner.fs.openSync(path, 'read');
  try {
    const index = new IndexRebuild(owner, identityOf(directory, baseSeq, nonce, timestampFloor));
    const walked = { nonce, link, baseSeq, end: size };
    await walkUnits(file, walked, ({ view }, at, unit) => index.add(view, at, unit));
    return index.finish(survey.recordCount);
  } finally {
    file.closeSync();
  }
}

/** What the header of a derived file says. */
function identityOf(
  directory: string,
  baseSeq: number,
  nonce: Segment['nonce'],
  timestampFloor: Segment['timestampFloor'],
): Segment {
  const none = { hi: 0, lo: 0 };
  return {
    directory,
    baseSeq,
    nonce,
    timestampFloor,
    headerChecksum: none,
    nextSeq: baseSeq,
    recordCount: 0,
    frameCount: 0,
    datLength: 0,
    lastTimestamp: timestampFloor,
    lastChecksum: none,
    sealed: false,
    damage: undefined,
    marks: undefined,
  };
}

/** The derived files of a segment that are missing or do not say what its dat file says. */
export async function wrongIndexes(
  fs: FileSystem,
  owner: IndexOwner,
  directory: string,
  survey: SegmentSurvey,
): Promise<string[]> {
  if (survey.recordCount === 0) return [];
  const probe = new PlannedFs(fs, directory);
  await rebuildIndex({ ...owner, fs: probe }, directory, survey);
  return [...probe.replaced].toSorted();
}
