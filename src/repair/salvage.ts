/**
 * Carries a salvage out: what verifies goes into a new generation beside the one that is damaged,
 * with its seqs, times, types and bytes. That one is the channel until the manifest names another,
 * which happens when every byte of the new one was read back, verified and synced, and everything
 * of the old one that is damaged is kept elsewhere (RULES G3, G5). A crash in between leaves a
 * generation that nothing names.
 */
import { generationName, parseGenerationName, segmentFileName } from '../format/file-name.js';
import type { LogRecord } from '../core/record.js';
import { compareNanos, type Nanos } from '../core/nanos.js';
import type { ChannelContext } from '../channel/channel-context.js';
import { replaceManifest } from '../channel/channel-files.js';
import { CompactionWriter } from '../channel/compaction-writer.js';
import type { Manifest } from '../format/manifest.js';
import { decodeRecords } from '../format/unit-records.js';
import type { FileSystem } from '../fs/file-system.js';
import { corruption, emptySegment } from '../segment/segment.js';
import { DatWriteError } from '../segment/segment-writer.js';
import { rebuildIndex } from './derived-files.js';
import type { RepairPace } from './pace.js';
import type { Piece, SalvagePlan } from './salvage-plan.js';
import { findSegments, surveySegment, type SegmentSurvey } from './segment-survey.js';
import { walkUnits } from './unit-walk.js';

export interface Salvage {
  readonly context: ChannelContext;
  readonly manifest: Manifest;
  readonly plan: SalvagePlan;
  /** What the segments are read from: the files, with what the journal has for them. */
  readonly source: FileSystem;
  readonly pace: RepairPace;
}

const PIECE_BYTES = 1024 * 1024;

export interface SalvageResult {
  readonly manifest: Manifest;
  readonly writtenBytes: number;
}

/** A number that no generation of the channel has or had (RULES G4). */
export function freeGeneration(fs: FileSystem, directory: string, manifest: Manifest): number {
  const present = fs.readDirectorySync(directory).map(({ name }) => parseGenerationName(name) ?? 0);
  return Math.max(manifest.generation, ...present) + 1;
}

/** Builds the new generation and makes it the channel's. Durable when it resolves. */
export async function salvage(job: Salvage): Promise<SalvageResult> {
  const { context, manifest, plan } = job;
  const { fs, directory } = context;
  const generation = freeGeneration(fs, directory, manifest);
  const target = `${directory}/${generationName(generation)}`;
  fs.mkdirSync(target);
  fs.syncDirectorySync(directory);
  const writer = new CompactionWriter(context, target, plan.nextSeq);
  let copiedBytes = 0;
  let records = 0;
  try {
    let last: Nanos = { hi: 0, lo: 0 };
    for (const piece of plan.pieces) {
      if (piece.kind === 'copy') copiedBytes += await copySegment(job, piece.survey, target);
      else records += await writeSegment(job, piece, writer, last);
      if (piece.kind === 'copy') records += piece.survey.recordCount;
      if (piece.kind !== 'empty') last = laterOf(last, piece.survey.lastTimestamp);
    }
    await verifyGeneration(job, target, records);
    job.pace.check();
  } catch (error) {
    writer.abandon();
    giveUp(fs, directory, generation);
    throw error instanceof DatWriteError ? error.cause : error;
  }
  fs.syncDirectorySync(target);
  const next = nextManifest(manifest, generation, plan.nextSeq);
  replaceManifest(fs, directory, next);
  removeGeneration(fs, directory, manifest.generation);
  return { manifest: next, writtenBytes: writer.writtenBytes + copiedBytes };
}

/** The journal has nothing for it: all that it had is in the new files (RULES J5). */
function nextManifest(manifest: Manifest, generation: number, nextSeq: number): Manifest {
  return {
    ...manifest,
    generation,
    redoSeq: Math.max(manifest.redoSeq, nextSeq),
    redoSegment: nextSeq,
    redoPosition: 0,
    nextSeqFloor: nextSeq,
    recoveryEpoch: manifest.recoveryEpoch + 1,
  };
}

/** From one file system to another; synced. */
async function copySegment(
  { context, source, pace }: Salvage,
  { path, baseSeq }: SegmentSurvey,
  target: string,
): Promise<number> {
  const file = source.openSync(path, 'read');
  try {
    const copy = context.fs.openSync(`${target}/${segmentFileName(baseSeq, 'dat')}`, 'create');
    try {
      const piece = new Uint8Array(PIECE_BYTES);
      for (let position = 0; ;) {
        const count = await file.read(piece, 0, piece.byteLength, position);
        if (count === 0) {
          await copy.datasync();
          return position;
        }
        for (let done = 0; done < count;) {
          done += await copy.write(piece, done, count - done, position + done);
        }
        position += count;
        pace.read(count);
      }
    } finally {
      copy.closeSync();
    }
  } finally {
    file.closeSync();
  }
}

async function writeSegment(
  { source, pace }: Salvage,
  piece: Exclude<Piece, { kind: 'copy' }>,
  writer: CompactionWriter,
  last: Nanos,
): Promise<number> {
  const { baseSeq, nextBase } = piece;
  writer.begin(emptySegment('', baseSeq, { hi: 0, lo: 0 }, last));
  const count = piece.kind === 'rewrite' ? await copyRecords(source, piece, writer, pace) : 0;
  await writer.finish(nextBase);
  return count;
}

function laterOf(a: Nanos, b: Nanos): Nanos {
  return compareNanos(a, b) < 0 ? b : a;
}

async function copyRecords(
  source: FileSystem,
  { survey, baseSeq }: Extract<Piece, { kind: 'rewrite' }>,
  writer: CompactionWriter,
  pace: RepairPace,
): Promise<number> {
  const { identity, path, size } = survey;
  if (typeof identity === 'string') return 0;
  const { nonce, link } = identity;
  const file = source.openSync(path, 'read');
  try {
    const walked = { nonce, link, baseSeq: survey.baseSeq, end: size, onRead: pace.read };
    const records: LogRecord[] = [];
    let count = 0;
    await walkUnits(file, walked, ({ bytes, view }, at, unit) => {
      records.length = 0;
      decodeRecords(bytes, view, at, unit, baseSeq, Infinity, records);
      for (const record of records) writer.add(record);
      count += records.length;
      return writer.flushIfLarge();
    });
    return count;
  } finally {
    file.closeSync();
  }
}

/** Reads all of it back, and builds idx and ts: only what is as planned becomes the channel's. */
async function verifyGeneration(job: Salvage, target: string, records: number): Promise<void> {
  const { context, plan, pace } = job;
  let count = 0;
  let end: number | undefined;
  for (const found of findSegments(context.owner, target)) {
    const survey = await surveySegment(context.fs, found, pace.read);
    const joins = end === undefined || end === found.baseSeq;
    if (!survey.isWhole || survey.seal === undefined || !joins) {
      throw corruption(found.path, 0, 'checksum');
    }
    end = survey.seal.baseSeq;
    count += survey.recordCount;
    await rebuildIndex(context.owner, target, survey, pace.read);
  }
  if (end !== plan.nextSeq && plan.pieces.length > 0) throw corruption(target, 0, 'sequence');
  if (count !== records) throw corruption(target, 0, 'missing');
}

/** What was written of it takes space that somebody needs; the next open would remove it, too. */
function giveUp(fs: FileSystem, directory: string, generation: number): void {
  try {
    removeGeneration(fs, directory, generation);
  } catch {
    // No manifest names it.
  }
}

/** Removes one that no manifest names, durably. */
function removeGeneration(fs: FileSystem, directory: string, generation: number): void {
  const path = `${directory}/${generationName(generation)}`;
  for (const { name } of fs.readDirectorySync(path)) fs.unlinkSync(`${path}/${name}`);
  fs.rmdirSync(path);
  fs.syncDirectorySync(directory);
}
