/**
 * What is in the segments of a generation: each dat file is identified and read from end to end,
 * and every stretch that does not verify is noted. Nothing is changed.
 */
import type { FailedCheck, SeqRange } from '../core/errors.js';
import { compareNanos, type Nanos } from '../core/nanos.js';
import type { Checksum } from '../format/checksum.js';
import { parseSegmentFileName, segmentFileName } from '../format/file-name.js';
import type { UnitHeader } from '../format/unit.js';
import { lastTimestampOf, nextSeqOf } from '../format/unit-records.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import type { IndexOwner } from '../segment/segment-index.js';
import { identify, type SegmentIdentity } from './segment-identity.js';
import { walkUnits, type DamagedRegion, type OnRead } from './unit-walk.js';

/** A dat file, and who it is. */
export interface FoundSegment {
  readonly path: string;
  /** That of its header where there is a good one, else of its name. */
  readonly baseSeq: number;
  readonly size: number;
  /** Or why nobody knows whose it is. */
  readonly identity: SegmentIdentity | FailedCheck;
  /** It stands under the name of another segment. */
  readonly isMisnamed: boolean;
}

export interface SegmentSurvey extends FoundSegment {
  readonly regions: readonly DamagedRegion[];
  readonly seal: UnitHeader | undefined;
  readonly recordCount: number;
  /** The seq behind the last record. */
  readonly nextSeq: number;
  readonly lastTimestamp: Nanos;
  /** The highest `durableSeq` that it states. */
  readonly witness: number;
  readonly frameCount: number;
  /** Of the last frame or seal. */
  readonly lastChecksum: Checksum | undefined;
  /** All of it verifies, and nothing stands behind its seal. */
  readonly isWhole: boolean;
}

/** What the journal says that the units of segments are bound to, by their base seqs. */
export type JournaledNonces = ReadonlyMap<number, Checksum>;

const NO_NONCES: JournaledNonces = new Map();

/** The dat files of a generation, by what they are; of two that are the same, the one so named. */
export function findSegments(
  owner: IndexOwner,
  directory: string,
  nonces: JournaledNonces = NO_NONCES,
): FoundSegment[] {
  const found: FoundSegment[] = [];
  for (const { name } of owner.fs.readDirectorySync(directory)) {
    const parsed = parseSegmentFileName(name);
    if (parsed?.kind !== 'dat') continue;
    found.push(findSegment(owner, directory, parsed.baseSeq, nonces.get(parsed.baseSeq)));
  }
  const named = new Set(found.filter((each) => !each.isMisnamed).map(({ baseSeq }) => baseSeq));
  const taken = new Set<number>();
  return found
    .map((each) => {
      const isTwice = each.isMisnamed && (named.has(each.baseSeq) || taken.has(each.baseSeq));
      if (!isTwice) taken.add(each.baseSeq);
      return isTwice ? unknown(each) : each;
    })
    .toSorted((a, b) => a.baseSeq - b.baseSeq);
}

/** A copy of another segment: what is under its own name counts. */
function unknown(found: FoundSegment): FoundSegment {
  return { ...found, baseSeq: baseOf(found.path), identity: 'identity', isMisnamed: false };
}

function baseOf(path: string): number {
  return parseSegmentFileName(path.slice(path.lastIndexOf('/') + 1))?.baseSeq ?? 0;
}

function findSegment(
  owner: IndexOwner,
  directory: string,
  baseSeq: number,
  journaled: Checksum | undefined,
): FoundSegment {
  const path = `${directory}/${segmentFileName(baseSeq, 'dat')}`;
  const file = owner.fs.openSync(path, 'read');
  try {
    const identity = identify(file, { owner, directory, baseSeq, journaled });
    const base = typeof identity === 'string' ? baseSeq : identity.baseSeq;
    return { path, baseSeq: base, size: file.sizeSync(), identity, isMisnamed: base !== baseSeq };
  } finally {
    file.closeSync();
  }
}

/** Whether nothing about a file itself is wrong, as far as its header says. */
export function isPlain({ identity, isMisnamed }: FoundSegment): boolean {
  return !isMisnamed && typeof identity !== 'string' && identity.check === undefined;
}

/** Reads all of a segment. */
export async function surveySegment(
  fs: FileSystem,
  found: FoundSegment,
  onRead?: OnRead,
): Promise<SegmentSurvey> {
  const { identity, path, baseSeq, size } = found;
  if (typeof identity === 'string') return nothingIn(found);
  const { nonce, link, timestampFloor, durableSeq } = identity;
  let recordCount = 0;
  let lastTimestamp = timestampFloor;
  const file: FileHandle = fs.openSync(path, 'read');
  try {
    const walked = { nonce, link, baseSeq, end: size, onRead };
    const result = await walkUnits(file, walked, ({ view }, at, unit) => {
      recordCount += unit.recordCount;
      const time = lastTimestampOf(view, at, unit);
      if (compareNanos(time, lastTimestamp) > 0) lastTimestamp = time;
    });
    const { position, ...rest } = result;
    const isWhole = isPlain(found) && rest.regions.length === 0 && position === size;
    const witness = Math.max(durableSeq, rest.witness);
    return { ...found, ...rest, recordCount, lastTimestamp, witness, isWhole };
  } finally {
    file.closeSync();
  }
}

/** Whether a generation has a record that verifies with a seq in any of these ranges. */
export async function hasRecordsIn(
  owner: IndexOwner,
  directory: string,
  ranges: readonly SeqRange[],
  onRead?: OnRead,
): Promise<boolean> {
  for (const found of findSegments(owner, directory)) {
    const { identity, path, baseSeq, size } = found;
    if (typeof identity === 'string') continue;
    const { nonce, link } = identity;
    let hasAny = false;
    const file = owner.fs.openSync(path, 'read');
    try {
      const walked = { nonce, link, baseSeq, end: size, onRead };
      await walkUnits(file, walked, ({ view }, at, unit) => {
        const end = nextSeqOf(view, at, unit);
        hasAny ||= ranges.some((lost) => unit.baseSeq < lost.nextSeq && end > lost.firstSeq);
      });
    } finally {
      file.closeSync();
    }
    if (hasAny) return true;
  }
  return false;
}

/** Where a segment ends, as far as it can be read. */
export function endOf({ seal, nextSeq }: SegmentSurvey): number {
  return Math.max(seal?.baseSeq ?? 0, nextSeq);
}

function nothingIn(found: FoundSegment): SegmentSurvey {
  return {
    ...found,
    regions: [],
    seal: undefined,
    recordCount: 0,
    nextSeq: found.baseSeq,
    lastTimestamp: { hi: 0, lo: 0 },
    witness: 0,
    frameCount: 0,
    lastChecksum: undefined,
    isWhole: false,
  };
}
