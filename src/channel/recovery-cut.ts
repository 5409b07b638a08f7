/**
 * Cuts a torn tail: keep the bytes aside, raise the recovery epoch, then truncate and unlink, each
 * synced before the next. A crash in between leaves a torn tail that the next recovery cuts alike.
 */
import type { Manifest } from '../format/manifest.js';
import { segmentFileName } from '../format/file-name.js';
import { derivedNames } from '../segment/segment-index.js';
import type { SegmentScan } from '../segment/segment-scan.js';
import type { ChannelContext } from './channel-context.js';
import { replaceManifest } from './channel-files.js';
import { keepAside, type CutSource } from './cut-aside.js';
import type { RecoveryPlan } from './recovery-plan.js';
import type { CutRegion, TornTail } from './recovery-report.js';

export interface CutTarget {
  /** Segments that stay, each as long as its whole frames. */
  readonly truncated: readonly SegmentScan[];
  /** Segments that go as a whole. */
  readonly dropped: readonly SegmentScan[];
  readonly plan: RecoveryPlan;
}

export interface CutResult {
  readonly manifest: Manifest;
  readonly tornTail: TornTail | undefined;
}

export function applyCut(
  context: ChannelContext,
  manifest: Manifest,
  target: CutTarget,
): CutResult {
  const { fs, directory, generationDirectory } = context;
  const { truncated, dropped, plan } = target;
  for (const scan of dropped) scan.abandonIndex?.();
  const torn = truncated.filter((scan) => scan.fileLength > scan.segment.datLength);
  if (torn.length === 0 && dropped.length === 0) return { manifest, tornTail: undefined };

  const regions = [
    ...torn.map((scan) => sourceOf(scan, scan.segment.datLength)),
    ...dropped.map((scan) => sourceOf(scan, 0)),
  ].map((source): CutRegion => ({
    path: source.path,
    position: source.position,
    byteLength: source.byteLength,
    keptAside: keepAside(fs, directory, source),
  }));
  const raised = { ...manifest, recoveryEpoch: manifest.recoveryEpoch + 1 };
  // Syncs the channel's directory, and with it the names of what was kept aside.
  replaceManifest(fs, directory, raised);
  for (const scan of torn) truncate(context, scan);
  for (const scan of dropped) {
    const { baseSeq } = scan.segment;
    for (const name of [...derivedNames(baseSeq), segmentFileName(baseSeq, 'dat')]) {
      const path = `${generationDirectory}/${name}`;
      if (fs.statSync(path) !== undefined) fs.unlinkSync(path);
    }
  }
  if (dropped.length > 0) fs.syncDirectorySync(generationDirectory);
  return { manifest: raised, tornTail: describe(plan, torn, dropped, regions) };
}

function sourceOf(scan: SegmentScan, position: number): CutSource {
  const { directory, baseSeq } = scan.segment;
  return {
    path: `${directory}/${segmentFileName(baseSeq, 'dat')}`,
    baseSeq,
    position,
    byteLength: scan.fileLength - position,
  };
}

function truncate(context: ChannelContext, scan: SegmentScan): void {
  const { directory, baseSeq, datLength } = scan.segment;
  const file = context.fs.openSync(`${directory}/${segmentFileName(baseSeq, 'dat')}`, 'write');
  try {
    file.truncateSync(datLength);
    file.datasyncSync();
  } finally {
    file.closeSync();
  }
}

function describe(
  plan: RecoveryPlan,
  torn: readonly SegmentScan[],
  dropped: readonly SegmentScan[],
  regions: readonly CutRegion[],
): TornTail {
  const cut = [...torn, ...dropped];
  const droppedRecords = dropped.reduce((sum, scan) => sum + scan.segment.recordCount, 0);
  const empty = dropped.every((scan) => scan.fileLength === 0);
  return {
    count: cut.reduce((sum, scan) => sum + scan.recordsBehind, droppedRecords),
    bytes: regions.reduce((sum, region) => sum + region.byteLength, 0),
    reason: plan.kind === 'cut' ? plan.check : 'length',
    mayHaveBeenAcknowledged:
      !empty || torn.some((scan) => scan.failure?.unfinishedWrite !== true && !scan.segment.sealed),
    regions,
  };
}
