/**
 * Opens the segments of a channel: at once after a clean close, otherwise by scanning the
 * unfinished suffix and doing what the plan says. Whatever is changed is synced before this
 * returns, in an order in which a crash at any step leads to the same end (RULES C5, C6).
 */
import { parentOf } from '../fs/whole-file.js';
import type { FailedCheck } from '../core/errors.js';
import { catchRejection } from '../core/late-rejection.js';
import { diagnostics } from '../core/runtime.js';
import { segmentFileName } from '../format/file-name.js';
import type { Manifest } from '../format/manifest.js';
import type { FileHandle } from '../fs/file-system.js';
import { surveyRemains } from '../segment/resync.js';
import type { Segment } from '../segment/segment.js';
import { scanSegment, type SegmentScan } from '../segment/segment-scan.js';
import type { ChannelContext } from './channel-context.js';
import { listGeneration, openClean, segmentBases } from './clean-open.js';
import { openFinished, readOwnHeader, unreadable } from './finished-segment.js';
import { rewriteInherited, type InheritedRange } from './inherited.js';
import { findLeftovers, keptBases, NO_LEFTOVERS, type Leftovers } from './leftovers.js';
import { applyCut, type CutTarget } from './recovery-cut.js';
import {
  coveredEnd,
  planRecovery,
  seqBehind,
  type RecoveryPlan,
  type ScannedSegment,
} from './recovery-plan.js';
import type { RecoveryReport, SuffixDamage, TornTail } from './recovery-report.js';
import { readWitnesses } from './witnesses.js';

export interface RecoveredChannel {
  readonly manifest: Manifest;
  readonly segments: Segment[];
  /** The next seq to assign; with damage, one past what is known to have been synced. */
  readonly nextSeq: number;
  /** Every record below it is covered by a sync. */
  readonly durableSeq: number;
  /** What has to be written again before a sync may count it. */
  readonly inherited: readonly InheritedRange[];
  /** Directories whose names no sync of this process covers yet. */
  readonly inheritedDirectories: readonly string[];
  /** Counter of the newest clean mark. */
  readonly cleanCounter: number;
  /** The clean mark on disk describes exactly what is there. */
  readonly clean: boolean;
  readonly damage: SuffixDamage | undefined;
  /** What can be removed. */
  readonly leftovers: Leftovers;
}

interface Suffix {
  readonly scans: SegmentScan[];
  readonly entries: ScannedSegment[];
  proven: number;
}

export async function recoverChannel(
  context: ChannelContext,
  manifest: Manifest,
  isFresh: boolean = false,
): Promise<RecoveredChannel> {
  // The journal vouches for its names, too.
  if (isFresh && context.journal?.isUsed === true) return settled(manifest, [], 0);
  // What lies wholly below firstSeq is gone, whichever of its files are still there.
  const names = listGeneration(context);
  const bases = keptBases(segmentBases(names), manifest.firstSeq);
  const recovered = await recoverSegments(context, manifest, bases);
  if (recovered.damage !== undefined) return recovered;
  const kept = recovered.segments.map(({ baseSeq }) => baseSeq);
  return { ...recovered, leftovers: findLeftovers(context, manifest, kept, names) };
}

async function recoverSegments(
  context: ChannelContext,
  manifest: Manifest,
  bases: readonly number[],
): Promise<RecoveredChannel> {
  const { mark, checkpointed, highest } = readWitnesses(context);
  const finishedUpTo = bases.slice(0, -1);
  const known = Math.max(mark?.nextSeq ?? 0, manifest.firstSeq, manifest.nextSeqFloor);
  // A mark of a log that has gone on since is an old one: the log was put back to it.
  const isWhole = checkpointed <= known;
  if (mark !== undefined && mark.generation === manifest.generation && isWhole) {
    const last = openClean(context, mark, bases);
    if (last !== undefined) {
      const segments = finishedUpTo.map((base, i) =>
        openFinished(context, base, bases[i + 1] ?? 0),
      );
      segments.push(last);
      return settled(manifest, segments, mark.counter);
    }
  }
  const proven = Math.max(manifest.redoSeq, highest);
  return recoverUnclean(context, manifest, bases, { proven, cleanCounter: mark?.counter ?? 0 });
}

/** The state after an open that had nothing to do. */
function settled(manifest: Manifest, segments: Segment[], cleanCounter: number): RecoveredChannel {
  const end = segments.at(-1)?.nextSeq ?? 0;
  const nextSeq = Math.max(end, manifest.firstSeq, manifest.nextSeqFloor);
  return {
    manifest,
    segments,
    nextSeq,
    durableSeq: nextSeq,
    inherited: [],
    inheritedDirectories: [],
    cleanCounter,
    clean: true,
    damage: undefined,
    leftovers: NO_LEFTOVERS,
  };
}

async function recoverUnclean(
  context: ChannelContext,
  manifest: Manifest,
  bases: readonly number[],
  known: { readonly proven: number; readonly cleanCounter: number },
): Promise<RecoveredChannel> {
  const suffix: Suffix = { scans: [], entries: [], proven: known.proven };
  try {
    await scanSuffix(context, bases, suffix);
    return await decide(context, manifest, bases, suffix, known.cleanCounter);
  } catch (error) {
    for (const scan of suffix.scans) scan.abandonIndex?.();
    throw error;
  }
}

async function decide(
  context: ChannelContext,
  manifest: Manifest,
  bases: readonly number[],
  suffix: Suffix,
  cleanCounter: number,
): Promise<RecoveredChannel> {
  const { entries } = suffix;
  const finishedCount = bases.length - entries.length;
  const segments = bases
    .slice(0, finishedCount)
    .map((base, i) => openFinished(context, base, bases[i + 1] ?? 0));
  const floor = Math.max(manifest.firstSeq, manifest.nextSeqFloor);
  const evidence = { proven: suffix.proven, floor };
  const plan = planRecovery(entries, segments.at(-1)?.nextSeq, evidence);
  const outcome = { context, manifest, suffix, segments, plan, cleanCounter };
  if (plan.kind === 'damaged') return reportDamage(outcome, plan);
  return settleSuffix(outcome, plan);
}

interface Outcome {
  readonly context: ChannelContext;
  readonly manifest: Manifest;
  readonly suffix: Suffix;
  readonly segments: Segment[];
  readonly plan: RecoveryPlan;
  readonly cleanCounter: number;
}

/**
 * Scans the last segment, and the one before it unless a witness above the last one's base proves
 * that all of it was synced. Collects what is proven on the way.
 */
async function scanSuffix(
  context: ChannelContext,
  bases: readonly number[],
  suffix: Suffix,
): Promise<void> {
  const last = bases.at(-1);
  const previous = bases.at(-2);
  if (last === undefined) return;
  // Segment k+2 is created only when segment k is synced: k+1 begins where k durably ended.
  if (bases.length > 2) suffix.proven = Math.max(suffix.proven, previous ?? 0);
  await scanInto(context, last, suffix);
  if (previous !== undefined && suffix.proven <= last) await scanInto(context, previous, suffix);
}

async function scanInto(context: ChannelContext, baseSeq: number, suffix: Suffix): Promise<void> {
  const directory = context.generationDirectory;
  const path = `${directory}/${segmentFileName(baseSeq, 'dat')}`;
  const file = context.fs.openSync(path, 'read');
  try {
    const header = readOwnHeader(context, file, baseSeq);
    const scan =
      typeof header === 'string'
        ? await headless(directory, baseSeq, file, header)
        : await scanSegment(file, directory, header, context.owner);
    suffix.scans.unshift(scan);
    suffix.entries.unshift({
      baseSeq,
      nextSeq: scan.segment.nextSeq,
      position: scan.segment.datLength,
      sealed: scan.segment.sealed,
      check: scan.failure?.check,
    });
    suffix.proven = Math.max(suffix.proven, scan.witness);
  } finally {
    file.closeSync();
  }
}

/** The scan of a file without a good header: what is in it can only be a witness. */
async function headless(
  directory: string,
  baseSeq: number,
  file: FileHandle,
  check: FailedCheck,
): Promise<SegmentScan> {
  const fileLength = file.sizeSync();
  const remains = await surveyRemains(file, { nonce: undefined, position: 0, end: fileLength });
  const segment = { ...unreadable(directory, baseSeq, baseSeq, check), sealed: false };
  return {
    segment,
    fileLength,
    failure: { check, unfinishedWrite: false },
    witness: remains.durableSeq,
    recordsBehind: remains.recordCount,
    frameEnds: [],
    frameNextSeqs: [],
    finishIndex: undefined,
    abandonIndex: undefined,
  };
}

/** Damage below W: nothing is changed, what is before it can be read. */
function reportDamage(
  outcome: Outcome,
  plan: Extract<RecoveryPlan, { kind: 'damaged' }>,
): RecoveredChannel {
  const { context, manifest, suffix, segments, cleanCounter } = outcome;
  for (const scan of suffix.scans) scan.abandonIndex?.();
  const directory = context.generationDirectory;
  const scan = suffix.scans[plan.index];
  const baseSeq = scan?.segment.baseSeq ?? plan.fromSeq;
  const position = scan?.segment.datLength ?? 0;
  const damage: SuffixDamage = {
    path: `${directory}/${segmentFileName(baseSeq, 'dat')}`,
    position,
    check: plan.check,
    seqRange: { firstSeq: plan.fromSeq, nextSeq: plan.nextSeq },
  };
  for (const kept of suffix.scans.slice(0, Math.max(0, plan.index))) segments.push(kept.segment);
  const damaged = scan?.segment ?? unreadable(directory, baseSeq, plan.nextSeq, plan.check);
  damaged.damage = { check: plan.check, position, fromSeq: plan.fromSeq };
  damaged.nextSeq = plan.nextSeq;
  damaged.sealed = true;
  segments.push(damaged);
  report(outcome, plan.nextSeq, manifest.recoveryEpoch, undefined, damage);
  return {
    manifest,
    segments,
    nextSeq: plan.nextSeq,
    durableSeq: plan.nextSeq,
    inherited: [],
    inheritedDirectories: [],
    cleanCounter,
    clean: false,
    damage,
    leftovers: NO_LEFTOVERS,
  };
}

/** Cuts what has to be cut, and puts the derived files of what is kept in place. */
async function settleSuffix(
  outcome: Outcome,
  plan: Extract<RecoveryPlan, { kind: 'keep' | 'cut' }>,
): Promise<RecoveredChannel> {
  const { context, suffix, segments, cleanCounter } = outcome;
  const { fs } = context;
  const keptCount = plan.kind === 'keep' ? suffix.scans.length : plan.keptCount;
  const kept = suffix.scans.slice(0, keptCount);
  const dropped = suffix.scans.slice(keptCount);
  const target: CutTarget = { truncated: kept, dropped, plan };
  // What could not be redone leaves the files as they are (RULES J4, J9).
  const isHeld = context.journal?.refusal !== undefined;
  const untouched = { manifest: outcome.manifest, tornTail: undefined };
  const cut = isHeld ? untouched : applyCut(context, outcome.manifest, target);
  const { manifest } = cut;
  for (const scan of kept) {
    if (isHeld) scan.abandonIndex?.();
    else scan.finishIndex?.();
    segments.push(scan.segment);
  }
  const proven = Math.max(suffix.proven, manifest.firstSeq, manifest.nextSeqFloor);
  const witness = isHeld ? seqInJournal(context, kept, proven) : proven;
  const inherited = kept
    .map((scan) => inheritedRange(scan, witness))
    .filter((range) => range.from < range.to);
  const inheritedDirectories = [context.generationDirectory, context.directory];
  if (!context.isNameSynced) inheritedDirectories.push(parentOf(context.directory));
  report(outcome, plan.nextSeq, manifest.recoveryEpoch, cut.tornTail, undefined);
  const recovered: RecoveredChannel = {
    manifest,
    segments,
    nextSeq: plan.nextSeq,
    durableSeq: Math.min(witness, plan.nextSeq),
    inherited,
    inheritedDirectories,
    cleanCounter,
    clean: false,
    damage: undefined,
    leftovers: NO_LEFTOVERS,
  };
  // Nothing of it is written again: it stays as it is until it can be redone.
  if (isHeld) return { ...recovered, inherited: [], inheritedDirectories: [] };
  if (context.stored.sync !== 'always') return recovered;
  for (const range of inherited) await rewriteInherited(fs, range);
  for (const path of inheritedDirectories) await fs.syncDirectory(path);
  return { ...recovered, durableSeq: plan.nextSeq, inherited: [], inheritedDirectories: [] };
}

/**
 * Behind what the journal has, which is synced with all that stands before it. What a channel that
 * writes to its files itself has written behind that may be in the page cache only.
 */
function seqInJournal(
  { journal }: ChannelContext,
  kept: readonly SegmentScan[],
  proven: number,
): number {
  return kept.reduce((seq, { segment, frameEnds, frameNextSeqs }) => {
    const path = `${segment.directory}/${segmentFileName(segment.baseSeq, 'dat')}`;
    const waiting = journal?.waitingFor(path);
    if (waiting === undefined) return seq;
    return Math.max(seq, seqBehind(frameEnds, frameNextSeqs, waiting.end));
  }, proven);
}

function inheritedRange(scan: SegmentScan, witness: number): InheritedRange {
  const { segment, frameEnds, frameNextSeqs } = scan;
  return {
    path: `${segment.directory}/${segmentFileName(segment.baseSeq, 'dat')}`,
    from: coveredEnd(frameEnds, frameNextSeqs, segment.baseSeq, witness),
    to: segment.datLength,
  };
}

function report(
  outcome: Outcome,
  nextSeq: number,
  recoveryEpoch: number,
  tornTail: TornTail | undefined,
  damage: SuffixDamage | undefined,
): void {
  const { context, suffix } = outcome;
  const { logger, onRecovery } = context.settings;
  const details: RecoveryReport = {
    channel: context.name,
    directory: context.directory,
    scannedSegments: suffix.scans.length,
    scannedBytes: suffix.scans.reduce((sum, scan) => sum + scan.fileLength, 0),
    tornTail,
    damage,
    nextSeq,
    durableSeq: suffix.proven,
    recoveryEpoch,
  };
  if (tornTail !== undefined) logger.warn('a torn tail was cut', { ...details });
  if (damage !== undefined) logger.error('damage below what was synced', { ...details });
  if (diagnostics.recover.hasSubscribers) diagnostics.recover.publish(details);
  if (suffix.scans.length === 0 && damage === undefined) return;
  // The recovery is done, whatever who is told of it makes of that.
  const onFailed = (error: unknown): void =>
    logger.error('onRecovery threw', { channel: context.name, error });
  try {
    const answer: unknown = onRecovery?.(details);
    catchRejection(answer, onFailed);
  } catch (error) {
    onFailed(error);
  }
}
