/**
 * The segments of a generation as their files are, damaged or not, whoever writes to them: headers
 * and seals are read, and only the last one is scanned. What cannot be read is marked, not thrown.
 */
import type { FailedCheck } from '../core/errors.js';
import { bigintFromNanos } from '../core/nanos.js';
import { viewOf } from '../format/bytes.js';
import { FILE_HEADER_BYTES, type FileHeader } from '../format/file-header.js';
import { segmentFileName } from '../format/file-name.js';
import { IDX_ENTRY_BYTES, TS_ENTRY_BYTES } from '../format/index-entry.js';
import { decodeUnitHeader, FRAME_HEADER_BYTES, type UnitHeader } from '../format/unit.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import { EntryPages } from '../segment/entry-pages.js';
import { readSeal } from '../segment/seal.js';
import { readDatHeader, scanSegment, segmentFromHeader } from '../segment/segment-scan.js';
import type { Segment } from '../segment/segment.js';

/** What of the log a segment's files are, as far as they tell. */
type SegmentState = 'sealed' | 'active' | 'damaged' | 'missing';

/** A derived file against its segment's records: a `short` one is being written, or rebuilt. */
type DerivedState = 'ok' | 'short' | 'missing';

export interface SegmentView {
  readonly baseSeq: number;
  /** One past the last record; undefined when nobody can tell. */
  readonly nextSeq: number | undefined;
  readonly state: SegmentState;
  /** What is wrong, when it is damaged. */
  readonly problem: string | undefined;
  readonly recordCount: number | undefined;
  /**
   * Of an active one: what the bytes behind its last whole frame fail. They are a torn tail, or
   * damage; who knows where the log ends can tell.
   */
  readonly torn: string | undefined;
  /** Of the dat file. */
  readonly byteLength: number;
  /** Unix nanoseconds of the first and the last record. */
  readonly firstTime: bigint | undefined;
  readonly lastTime: bigint | undefined;
  readonly idx: DerivedState;
  readonly ts: DerivedState;
  /** As the engine knows a segment; undefined for one that it could not read. */
  readonly segment: Segment | undefined;
}

/** At an active segment that looks damaged, each time in another place. */
const MAX_LOOKS = 4;

/** Those with these base seqs, which are in their order. */
export async function inspectSegments(
  fs: FileSystem,
  directory: string,
  bases: readonly number[],
  channelId: Uint8Array | undefined,
): Promise<SegmentView[]> {
  const views: SegmentView[] = [];
  for (const [i, baseSeq] of bases.entries()) {
    const view = await inspectSegment(fs, directory, baseSeq, bases[i + 1], channelId);
    if (view !== undefined) views.push(view);
  }
  return views;
}

/** Undefined for one that has gone since it was listed. */
async function inspectSegment(
  fs: FileSystem,
  directory: string,
  baseSeq: number,
  nextBaseSeq: number | undefined,
  channelId: Uint8Array | undefined,
): Promise<SegmentView | undefined> {
  const path = `${directory}/${segmentFileName(baseSeq, 'dat')}`;
  let file: FileHandle;
  try {
    file = fs.openSync(path, 'read');
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'ENOENT' && derivedAre(fs, directory, baseSeq, 'missing')) return undefined;
    const [state, problem] =
      code === 'ENOENT' ? (['missing', undefined] as const) : (['damaged', code] as const);
    return unreadable(fs, directory, baseSeq, nextBaseSeq, state, problem, 0);
  }
  try {
    return await lookInto(fs, file, { directory, baseSeq, nextBaseSeq, channelId });
  } finally {
    file.closeSync();
  }
}

interface Place {
  readonly directory: string;
  readonly baseSeq: number;
  readonly nextBaseSeq: number | undefined;
  readonly channelId: Uint8Array | undefined;
}

async function lookInto(fs: FileSystem, file: FileHandle, place: Place): Promise<SegmentView> {
  const { directory, baseSeq, nextBaseSeq, channelId } = place;
  const isLast = nextBaseSeq === undefined;
  const read = readDatHeader(file);
  const size = file.sizeSync();
  // A file is there before its header.
  if (isLast && size < FILE_HEADER_BYTES) {
    const view = unreadable(fs, directory, baseSeq, baseSeq, 'active', undefined, size);
    return { ...view, recordCount: 0, idx: 'ok', ts: 'ok' };
  }
  const check = read.ok ? identityFailure(read.header, baseSeq, channelId) : read.failure.check;
  if (!read.ok || check !== undefined) {
    const problem = `header: ${check}`;
    return unreadable(fs, directory, baseSeq, nextBaseSeq, 'damaged', problem, size);
  }
  const seal = readSeal(file, read.header.nonce, size);
  if (seal === undefined && isLast) return await lookAtActive(fs, file, directory, read.header);
  const segment = segmentFromHeader(directory, read.header);
  if (seal !== undefined) applySeal(segment, seal, size);
  const isShort = seal !== undefined && (nextBaseSeq ?? seal.baseSeq) !== seal.baseSeq;
  const problem = seal === undefined ? 'no seal' : isShort ? 'records are missing' : undefined;
  return viewOfSegment(fs, file, segment, size, problem, seal !== undefined);
}

/** Scanned twice before it is called damaged: somebody may be writing to it. */
async function lookAtActive(
  fs: FileSystem,
  file: FileHandle,
  directory: string,
  header: FileHeader,
): Promise<SegmentView> {
  let before: string | undefined;
  for (let look = 1; ; look++) {
    const owner = { fs, channelId: header.channelId, pages: new EntryPages(), readOnly: true };
    const { segment, failure, fileLength } = await scanSegment(file, directory, header, owner);
    const isTorn = failure !== undefined && !failure.unfinishedWrite;
    const torn = isTorn ? `frame at byte ${segment.datLength}: ${failure.check}` : undefined;
    if (torn === before || torn === undefined || look === MAX_LOOKS) {
      return { ...viewOfSegment(fs, file, segment, fileLength, undefined, true), torn };
    }
    before = torn;
  }
}

function identityFailure(
  header: { readonly channelId: Uint8Array; readonly baseSeq: number },
  baseSeq: number,
  channelId: Uint8Array | undefined,
): FailedCheck | undefined {
  const isOwn = channelId === undefined || Buffer.compare(header.channelId, channelId) === 0;
  return isOwn && header.baseSeq === baseSeq ? undefined : 'identity';
}

/** What a seal says of its segment. */
function applySeal(segment: Segment, seal: UnitHeader, size: number): void {
  segment.sealed = true;
  segment.nextSeq = seal.baseSeq;
  segment.recordCount = seal.recordCount;
  segment.datLength = size;
  segment.lastTimestamp = { hi: seal.timestampHi, lo: seal.timestampLo };
}

function viewOfSegment(
  fs: FileSystem,
  file: FileHandle,
  segment: Segment,
  size: number,
  problem: string | undefined,
  isCounted: boolean,
): SegmentView {
  const { directory, baseSeq, nextSeq, recordCount, sealed, lastTimestamp } = segment;
  const known = isCounted ? recordCount : undefined;
  const lastTime = bigintFromNanos(lastTimestamp.hi, lastTimestamp.lo);
  return {
    baseSeq,
    nextSeq: isCounted ? nextSeq : undefined,
    state: problem === undefined ? (sealed ? 'sealed' : 'active') : 'damaged',
    problem,
    recordCount: known,
    torn: undefined,
    byteLength: size,
    firstTime: recordCount === 0 && isCounted ? undefined : firstTimeOf(file, size),
    lastTime: known === undefined || known === 0 ? undefined : lastTime,
    idx: derivedState(
      fs,
      `${directory}/${segmentFileName(baseSeq, 'idx')}`,
      known,
      IDX_ENTRY_BYTES,
    ),
    ts: derivedState(fs, `${directory}/${segmentFileName(baseSeq, 'ts')}`, known, TS_ENTRY_BYTES),
    segment: problem === undefined ? segment : undefined,
  };
}

function unreadable(
  fs: FileSystem,
  directory: string,
  baseSeq: number,
  nextSeq: number | undefined,
  state: SegmentState,
  problem: string | undefined,
  byteLength: number,
): SegmentView {
  const derived = (kind: 'idx' | 'ts'): DerivedState =>
    derivedState(fs, `${directory}/${segmentFileName(baseSeq, kind)}`, undefined, 1);
  return {
    baseSeq,
    nextSeq,
    state,
    problem,
    recordCount: undefined,
    torn: undefined,
    byteLength,
    firstTime: undefined,
    lastTime: undefined,
    idx: derived('idx'),
    ts: derived('ts'),
    segment: undefined,
  };
}

/** A frame has the time of its first record in its header. */
function firstTimeOf(file: FileHandle, size: number): bigint | undefined {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES);
  const length = file.readSync(bytes, 0, FRAME_HEADER_BYTES, FILE_HEADER_BYTES);
  if (length < FRAME_HEADER_BYTES) return undefined;
  const unit = decodeUnitHeader(viewOf(bytes), 0, FILE_HEADER_BYTES, size - FILE_HEADER_BYTES);
  return typeof unit === 'string' ? undefined : bigintFromNanos(unit.timestampHi, unit.timestampLo);
}

function derivedState(
  fs: FileSystem,
  path: string,
  recordCount: number | undefined,
  entryBytes: number,
): DerivedState {
  const size = fs.statSync(path)?.size;
  // A segment without records has none.
  if (size === undefined) return recordCount === 0 ? 'ok' : 'missing';
  if (recordCount === undefined) return 'ok';
  return size >= FILE_HEADER_BYTES + recordCount * entryBytes ? 'ok' : 'short';
}

function derivedAre(
  fs: FileSystem,
  directory: string,
  baseSeq: number,
  state: DerivedState,
): boolean {
  const kinds = ['idx', 'ts'] as const;
  return kinds.every(
    (kind) =>
      derivedState(fs, `${directory}/${segmentFileName(baseSeq, kind)}`, undefined, 1) === state,
  );
}
