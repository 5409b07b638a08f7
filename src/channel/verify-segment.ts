/**
 * Verifies one segment: reads its dat file from the header to the end that is accepted, checks
 * every unit, and goes on behind damage with the next unit that verifies. Along the way idx and ts
 * are compared. Nothing is changed, and nothing that is known in memory stands in for the bytes:
 * only the nonce does, when the file header is damaged, so that what is behind it can be checked.
 */
import type { Checksum } from '../format/checksum.js';
import { FILE_HEADER_BYTES } from '../format/file-header.js';
import { SEAL_BYTES, type UnitHeader } from '../format/unit.js';
import type { FileHandle } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import type { Chunk, ChunkSource } from '../segment/chunk.js';
import { findNextUnit, surveyRemains, type ResyncRequest } from '../segment/resync.js';
import { segmentPath } from '../segment/segment.js';
import { UnitParser, type Step } from '../segment/unit-parser.js';
import { EntryCheck, laterOf } from './verify-entries.js';
import { problemOf } from './verify-problem.js';
import { RegionList, type Region } from './verify-regions.js';
import { ProblemList } from './verify-report.js';
import {
  badHeaderOf,
  expectedNext,
  hasNonce,
  isSuffixDamage,
  missingBehind,
  tailBehind,
  type BadHeader,
  type SegmentJob,
  type SegmentVerdict,
} from './verify-segment-ends.js';

/** Opens the file and verifies it. What opening it throws is for the caller. */
export async function verifySegment(job: SegmentJob): Promise<SegmentVerdict> {
  const file = job.owner.fs.openSync(segmentPath(job.segment, 'dat'), 'read');
  let check: SegmentCheck | undefined;
  try {
    check = new SegmentCheck(job, file);
    return await check.run();
  } finally {
    check?.close();
    file.closeSync();
  }
}

class SegmentCheck {
  readonly #job: SegmentJob;
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #size: number;
  /** Bytes that are walked. */
  readonly #end: number;
  readonly #problems = new ProblemList();
  readonly #derived = new ProblemList();
  readonly #entries: EntryCheck;
  readonly #chunks: ChunkSource;
  readonly #regions = new RegionList();
  #parser: UnitParser;
  #seal: UnitHeader | undefined;
  #frameCount = 0;
  /** Records that the head of the frame of blocks promises, less those that were seen. */
  #owed = 0;
  #headAt = -1;
  /** The walk has come to where nothing verifies any more. */
  #isCutOff = false;

  constructor(job: SegmentJob, file: FileHandle) {
    const { segment } = job;
    this.#job = job;
    this.#chunks = job.chunks;
    this.#file = file;
    this.#path = file.path;
    this.#size = file.sizeSync();
    this.#end = this.#isSuffixDamage || !hasNonce(segment) ? this.#size : segment.datLength;
    const notBefore = laterOf(segment.timestampFloor, job.notBefore);
    this.#entries = new EntryCheck(job.owner, segment, notBefore, this.#derived);
    this.#parser = this.#parserAt(FILE_HEADER_BYTES, segment.headerChecksum, segment.baseSeq);
  }

  get #isSuffixDamage(): boolean {
    return isSuffixDamage(this.#job);
  }

  get #expectedNext(): number {
    return expectedNext(this.#job);
  }

  #parserAt(position: number, link: Checksum | undefined, nextSeq: number): UnitParser {
    const { nonce } = this.#job.segment;
    return new UnitParser({ nonce, position, end: this.#end, link, nextSeq });
  }

  async run(): Promise<SegmentVerdict> {
    const canWalk = await this.#checkHeader();
    if (canWalk) {
      if (this.#job.segment.recordCount > 0) await this.#entries.open();
      await this.#walk();
      this.#checkEnd();
    }
    return this.#verdict();
  }

  /** False when nothing behind the header can be checked against it. */
  async #checkHeader(): Promise<boolean> {
    let bad: BadHeader | undefined;
    try {
      bad = badHeaderOf(this.#job, this.#file);
    } catch (error) {
      this.#cannotRead(error);
      return false;
    }
    if (bad === undefined) return true;
    const { baseSeq: firstSeq } = this.#job.segment;
    this.#addRegion({ kind: 'header', position: 0, firstSeq, end: FILE_HEADER_BYTES, ...bad });
    if (hasNonce(this.#job.segment)) return true;
    const remains = await surveyRemains(this.#file, this.#behind(FILE_HEADER_BYTES, undefined));
    this.#entries.recordCount = remains.recordCount;
    return false;
  }

  #behind(position: number, nonce: Checksum | undefined): ResyncRequest {
    return { nonce, position, end: this.#end, onPiece: this.#job.onPiece };
  }

  #addRegion(region: Omit<Region, 'recordsBefore'>): void {
    this.#regions.add({ ...region, recordsBefore: this.#entries.recordCount });
  }

  async #read(): Promise<Chunk | undefined> {
    const { position, needed } = this.#parser;
    this.#job.onPiece(position);
    try {
      return await this.#chunks.read(this.#file, position, needed, this.#end);
    } catch (error) {
      this.#cannotRead(error);
      return undefined;
    }
  }

  /** EIO is a finding; that there are no descriptors, say, is not. */
  #cannotRead(error: unknown): void {
    if (systemCodeOf(error) !== 'EIO') throw error;
    const { position, nextSeq: firstSeq } = this.#parser;
    const what = `${this.#path} cannot be read from byte ${position} on (EIO)`;
    const range = { firstSeq, nextSeq: this.#expectedNext, end: this.#end };
    this.#addRegion({ kind: 'unreadable', position, check: undefined, what, ...range });
    this.#isCutOff = true;
  }

  async #walk(): Promise<void> {
    let chunk = await this.#read();
    while (chunk !== undefined) {
      const step = this.#parser.step(chunk);
      if (step === 'end' || step === 'seal') {
        if (step === 'seal') this.#seal = this.#parser.unit;
        return;
      }
      if (step === 'failed' && !(await this.#goOnBehind())) return;
      if (step === 'more' || step === 'failed') chunk = await this.#read();
      else {
        const reading = this.#take(step, chunk);
        if (reading !== undefined) await reading;
      }
    }
  }

  #take(step: Exclude<Step, 'more'>, { view }: Chunk): Promise<void> | undefined {
    const { unit, at, atFrameEnd } = this.#parser;
    if (unit === undefined) return undefined;
    if (step === 'head') {
      this.#headAt = unit.position;
      this.#owed = unit.recordCount;
      return undefined;
    }
    if (atFrameEnd) this.#frameCount++;
    if (this.#headAt >= 0) {
      this.#owed -= unit.recordCount;
      if (atFrameEnd) this.#endBlocks();
    }
    return this.#entries.add(view, at, unit);
  }

  #endBlocks(): void {
    const position = this.#headAt;
    this.#headAt = -1;
    if (this.#owed === 0) return;
    const what = `the frame at byte ${position} of ${this.#path} counts its records wrong`;
    const place = { path: this.#path, position, check: 'fields' } as const;
    this.#problems.add(problemOf('damage', 'frame', place, what));
  }

  /** Notes where the parser has failed and sets it on the next unit; false when there is none. */
  async #goOnBehind(): Promise<boolean> {
    const { position, nextSeq: firstSeq, check } = this.#parser;
    const { sealed } = this.#job.segment;
    const next = await this.#nextUnit(position);
    const nextSeq = Math.max(firstSeq, next?.baseSeq ?? this.#expectedNext);
    const end = next?.position ?? this.#end;
    const isSeal = sealed && this.#end - position === SEAL_BYTES && check !== 'length';
    const kind = isSeal ? 'seal' : 'frame';
    const what = `${this.#path} is damaged at byte ${position} (${check})`;
    this.#addRegion({ kind, position, check, what, firstSeq, nextSeq, end });
    this.#headAt = -1;
    this.#entries.recordsLost();
    if (next === undefined) {
      this.#isCutOff = true;
      return false;
    }
    this.#parser = this.#parserAt(end, undefined, Math.max(firstSeq, next.baseSeq));
    return true;
  }

  async #nextUnit(position: number): Promise<UnitHeader | undefined> {
    const { nonce } = this.#job.segment;
    try {
      return await findNextUnit(this.#file, this.#behind(position + 8, nonce));
    } catch (error) {
      if (systemCodeOf(error) !== 'EIO') throw error;
      return undefined;
    }
  }

  /** What has to hold where the walk has ended. */
  #checkEnd(): void {
    const { segment, nextBase } = this.#job;
    const { position, nextSeq: firstSeq } = this.#parser;
    if (this.#seal !== undefined) this.#checkSeal(this.#seal);
    else if (!this.#isCutOff && (nextBase !== undefined || this.#mustBeSealed)) {
      const what = `${this.#path} ends at byte ${position} without a seal`;
      const range = { firstSeq, nextSeq: this.#expectedNext, end: position };
      this.#addRegion({ kind: 'seal', position, check: 'missing', what, ...range });
    }
    if (this.#isSuffixDamage) this.#checkSuffix();
    else if (!this.#isCutOff && (this.#seal !== undefined || this.#job.endIsFinal)) {
      this.#checkTail(this.#seal === undefined ? this.#end : position);
    }
    this.#checkTimes();
    const isWhole = this.#regions.isEmpty;
    const total = isWhole ? this.#entries.recordCount : this.#seal?.recordCount;
    const mustBeIndexed = this.#job.mustBeIndexed() && (isWhole || segment.sealed);
    this.#entries.finish(mustBeIndexed ? total : undefined);
  }

  get #mustBeSealed(): boolean {
    return this.#job.segment.sealed && !this.#isSuffixDamage;
  }

  #checkSeal(seal: UnitHeader): void {
    const { nextBase } = this.#job;
    const { recordCount, lastTime } = this.#entries;
    const { position, timestampHi: hi, timestampLo: lo } = seal;
    const agrees = seal.recordCount === recordCount && lastTime.hi === hi && lastTime.lo === lo;
    if (this.#regions.isEmpty && !agrees) {
      const what =
        `the seal of ${this.#path} does not agree with its records: ` +
        `it counts ${seal.recordCount}, and there are ${recordCount}`;
      const place = { path: this.#path, position, check: 'fields' } as const;
      this.#problems.add(problemOf('damage', 'seal', place, what));
    }
    if (nextBase === undefined || seal.baseSeq === nextBase) return;
    this.#missingSegment(seal.baseSeq, nextBase);
  }

  #missingSegment(from: number, to: number): void {
    this.#problems.add(missingBehind(this.#job, from, to));
  }

  /** Damage that recovery has found: all from there on is unreadable, as far as it was synced. */
  #checkSuffix(): void {
    const { damage, nextSeq } = this.#job.segment;
    if (damage === undefined) return;
    const { check, position, fromSeq: firstSeq } = damage;
    if (this.#regions.widen(position, firstSeq, nextSeq)) return;
    if (this.#seal?.baseSeq === firstSeq) {
      this.#missingSegment(firstSeq, nextSeq);
      return;
    }
    const what = `${this.#path} lacks what was synced behind byte ${position} (${check})`;
    this.#addRegion({ kind: 'frame', position, check, what, firstSeq, nextSeq, end: this.#end });
  }

  #checkTail(position: number): void {
    const tail = tailBehind(this.#path, position, this.#size);
    if (tail !== undefined) this.#problems.add(tail);
  }

  #checkTimes(): void {
    const { backwardCount, backwardAt: position } = this.#entries;
    if (backwardCount === 0) return;
    const what = `${backwardCount} records of ${this.#path} are older than the ones before them`;
    const place = { path: this.#path, position, check: 'sequence' } as const;
    this.#problems.add(problemOf('damage', 'time', place, what));
  }

  #verdict(): SegmentVerdict {
    const { recordCount, lastTime } = this.#entries;
    const problems = this.#regions.problems(this.#path, recordCount, this.#job.firstSeq);
    problems.addAll(this.#problems);
    problems.addAll(this.#derived);
    const { nextSeq, link: lastChecksum } = this.#parser;
    const end = !this.#regions.isEmpty
      ? undefined
      : { nextSeq: this.#seal?.baseSeq ?? nextSeq, frameCount: this.#frameCount, lastChecksum };
    const byteCount = Math.min(this.#size, this.#end);
    return { problems, recordCount, byteCount, lastTime, end };
  }

  close(): void {
    this.#entries.close();
  }
}
