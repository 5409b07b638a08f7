/**
 * Verifies one segment by what stands around its records: the header, the seal and the length of
 * its dat file, and headers and lengths of idx and ts. No record is read, so it takes as long for
 * a large segment as for a small one. What stands between the ends it says nothing about.
 */
import { FILE_HEADER_BYTES } from '../format/file-header.js';
import { SEAL_BYTES, type UnitHeader } from '../format/unit.js';
import type { FileHandle } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import { readSeal } from '../segment/seal.js';
import { segmentPath } from '../segment/segment.js';
import { EntryCheck } from './verify-entries.js';
import { problemOf, rangeOf, type ProblemPlace } from './verify-problem.js';
import { ProblemList } from './verify-report.js';
import {
  badHeaderOf,
  expectedNext,
  hasNonce,
  isSuffixDamage,
  missingBehind,
  tailBehind,
  type SegmentJob,
  type SegmentVerdict,
} from './verify-segment-ends.js';

/** What is read of one dat file at most. */
export const QUICK_BYTES: number = FILE_HEADER_BYTES + SEAL_BYTES;

/** Opens the file and verifies it. What opening it throws is for the caller. */
export async function verifySegmentQuickly(job: SegmentJob): Promise<SegmentVerdict> {
  const file = job.owner.fs.openSync(segmentPath(job.segment, 'dat'), 'read');
  try {
    return await new QuickCheck(job, file).run();
  } finally {
    file.closeSync();
  }
}

class QuickCheck {
  readonly #job: SegmentJob;
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #size: number;
  readonly #problems = new ProblemList();
  #seal: UnitHeader | undefined;

  constructor(job: SegmentJob, file: FileHandle) {
    this.#job = job;
    this.#file = file;
    this.#path = file.path;
    this.#size = file.sizeSync();
  }

  async run(): Promise<SegmentVerdict> {
    this.#job.onPiece(0);
    try {
      this.#checkHeader();
      if (hasNonce(this.#job.segment)) this.#checkEnd();
    } catch (error) {
      this.#cannotRead(error);
    }
    if (this.#job.segment.recordCount > 0) await this.#checkDerived();
    const byteCount = Math.min(this.#size, QUICK_BYTES);
    const lastTime = this.#job.notBefore;
    return { problems: this.#problems, recordCount: 0, byteCount, lastTime, end: undefined };
  }

  /** EIO is a finding; that there are no descriptors, say, is not. */
  #cannotRead(error: unknown): void {
    if (systemCodeOf(error) !== 'EIO') throw error;
    const place = { path: this.#path, ...this.#range(this.#job.segment.baseSeq) };
    const what = `the ends of ${this.#path} cannot be read (EIO)`;
    this.#problems.add(problemOf('damage', 'unreadable', place, what));
  }

  #range(from: number, to: number = expectedNext(this.#job)): Pick<ProblemPlace, 'seqRange'> {
    return { seqRange: rangeOf(from, to, this.#job.firstSeq) };
  }

  #checkHeader(): void {
    const bad = badHeaderOf(this.#job, this.#file);
    if (bad === undefined) return;
    const { check, what, nextSeq } = bad;
    const range = this.#range(this.#job.segment.baseSeq, nextSeq);
    this.#problems.add(problemOf('damage', 'header', { path: this.#path, check, ...range }, what));
  }

  #checkEnd(): void {
    const { segment, nextBase, endIsFinal } = this.#job;
    const { sealed, datLength } = segment;
    if (isSuffixDamage(this.#job)) {
      this.#checkSuffix();
      return;
    }
    const mustBeSealed = nextBase !== undefined || sealed;
    if (mustBeSealed) {
      this.#seal = readSeal(this.#file, segment.nonce, Math.min(this.#size, datLength));
    }
    if (this.#size < datLength) this.#isCut();
    else if (mustBeSealed) this.#checkSeal();
    if (!mustBeSealed && !endIsFinal) return;
    const tail = tailBehind(this.#path, datLength, this.#size);
    if (tail !== undefined) this.#problems.add(tail);
  }

  #isCut(): void {
    const position = this.#size;
    const { datLength, sealed } = this.#job.segment;
    const what = `${this.#path} ends at byte ${position}, and has to have ${datLength}`;
    const kind = sealed ? 'seal' : 'frame';
    const place = { path: this.#path, position, check: 'length' } as const;
    this.#problems.add(problemOf('damage', kind, place, what));
  }

  #checkSeal(): void {
    const { segment, nextBase } = this.#job;
    if (this.#seal === undefined) {
      const position = Math.max(0, segment.datLength - SEAL_BYTES);
      const what = `${this.#path} does not end with a seal: what is missing, a full verify tells`;
      const place = { path: this.#path, position, check: 'missing' } as const;
      this.#problems.add(problemOf('damage', 'seal', place, what));
      return;
    }
    const { baseSeq } = this.#seal;
    if (nextBase === undefined || baseSeq === nextBase) return;
    this.#problems.add(missingBehind(this.#job, baseSeq, nextBase));
  }

  /** Damage that was found when the channel was opened. */
  #checkSuffix(): void {
    const { damage, nextSeq, nonce } = this.#job.segment;
    if (damage === undefined) return;
    const { check, position, fromSeq } = damage;
    if (readSeal(this.#file, nonce, this.#size)?.baseSeq === fromSeq) {
      this.#problems.add(missingBehind(this.#job, fromSeq, nextSeq));
      return;
    }
    const place = { path: this.#path, position, check, ...this.#range(fromSeq, nextSeq) };
    const what = `${this.#path} lacks what was synced behind byte ${position} (${check})`;
    this.#problems.add(problemOf('damage', 'frame', place, what));
  }

  /** Headers and lengths of idx and ts. */
  async #checkDerived(): Promise<void> {
    const { owner, segment, notBefore, mustBeIndexed } = this.#job;
    const entries = new EntryCheck(owner, segment, notBefore, this.#problems);
    try {
      await entries.open();
      const isKnown = segment.sealed ? this.#seal !== undefined : segment.damage === undefined;
      const records = this.#seal?.recordCount ?? segment.recordCount;
      entries.finish(isKnown && mustBeIndexed() ? records : undefined);
    } finally {
      entries.close();
    }
  }
}
