/**
 * Follows the records that a walk over one segment verifies, in their order: their times must not
 * go back, and idx and ts must agree with each of them. Behind damage the place in idx is found
 * again by the seq, because nobody knows how many records are lost.
 */
import { compareNanos, ZERO_NANOS, type Nanos } from '../core/nanos.js';
import { IDX_MAGIC, TS_MAGIC } from '../format/file-header.js';
import { IDX_ENTRY_BYTES, TS_ENTRY_BYTES } from '../format/index-entry.js';
import type { UnitHeader } from '../format/unit.js';
import { visitRecordKeys } from '../format/unit-records.js';
import { derivedHeader, type IndexOwner } from '../segment/segment-index.js';
import { segmentPath, type Segment } from '../segment/segment.js';
import { DerivedCheck } from './verify-derived.js';
import type { ProblemList } from './verify-report.js';

export class EntryCheck {
  /** Records that were seen. */
  recordCount = 0;
  /** Records whose time is before that of the one before them, and the unit of the first. */
  backwardCount = 0;
  backwardAt = 0;
  readonly #owner: IndexOwner;
  readonly #segment: Segment;
  readonly #idx: DerivedCheck;
  readonly #ts: DerivedCheck;
  #ordinal = 0;
  #isAligned = true;
  #isLost = false;
  #timeHi: number;
  #timeLo: number;
  // Of the unit that is being compared.
  #position = 0;
  #byteLength = 0;
  #check = 0;

  constructor(owner: IndexOwner, segment: Segment, notBefore: Nanos, problems: ProblemList) {
    const { fs } = owner;
    this.#owner = owner;
    this.#segment = segment;
    const idx = { kind: 'idx', magic: IDX_MAGIC, entryBytes: IDX_ENTRY_BYTES } as const;
    const ts = { kind: 'ts', magic: TS_MAGIC, entryBytes: TS_ENTRY_BYTES } as const;
    this.#idx = new DerivedCheck(fs, segmentPath(segment, 'idx'), idx, problems);
    this.#ts = new DerivedCheck(fs, segmentPath(segment, 'ts'), ts, problems);
    this.#timeHi = notBefore.hi;
    this.#timeLo = notBefore.lo;
  }

  /** The time of the last record, or the one that none may be before. */
  get lastTime(): Nanos {
    return { hi: this.#timeHi, lo: this.#timeLo };
  }

  /** Opens idx and ts of a segment that has records. */
  async open(): Promise<void> {
    await this.#idx.open(derivedHeader(this.#owner, this.#segment, IDX_MAGIC));
    await this.#ts.open(derivedHeader(this.#owner, this.#segment, TS_MAGIC));
  }

  /** Records are lost before the next one: its entry has to be looked for by its seq. */
  recordsLost(): void {
    this.#isAligned = false;
  }

  /** The records of a verified unit. A promise only when files have to be read for it. */
  add(view: DataView, at: number, unit: UnitHeader): Promise<void> | undefined {
    if (unit.recordCount === 0) return undefined;
    if (!this.#isReady(unit)) return this.#prepare(unit).then(() => this.#compare(view, at, unit));
    this.#compare(view, at, unit);
    return undefined;
  }

  #isReady({ recordCount }: UnitHeader): boolean {
    if (this.#isLost) return true;
    const first = this.#ordinal;
    return (
      this.#isAligned &&
      this.#idx.isLoaded(first, recordCount) &&
      this.#ts.isLoaded(first, recordCount)
    );
  }

  async #prepare({ baseSeq, recordCount }: UnitHeader): Promise<void> {
    if (!this.#isAligned) await this.#align(baseSeq - this.#segment.baseSeq);
    if (this.#isLost) return;
    const first = this.#ordinal;
    const missing = [this.#idx, this.#ts].filter((file) => !file.isLoaded(first, recordCount));
    await Promise.all(missing.map((file) => file.load(first, recordCount)));
  }

  /** Goes on in idx to the entry of a seq. */
  async #align(seqDelta: number): Promise<void> {
    const idx = this.#idx;
    this.#isAligned = true;
    for (; this.#ordinal < idx.count; this.#ordinal++) {
      if (!idx.isLoaded(this.#ordinal, 1)) await idx.load(this.#ordinal, 1);
      const at = idx.at(this.#ordinal);
      if (at < 0) break;
      const delta = idx.view.getUint32(at, true);
      if (delta === seqDelta) return;
      if (delta > seqDelta) break;
    }
    // Not in the file yet, or the file is wrong: which entries belong to what follows is not known.
    if (this.#ordinal < idx.count) idx.wrong(this.#ordinal);
    this.#isLost = true;
  }

  #compare(view: DataView, at: number, unit: UnitHeader): void {
    this.#position = unit.position;
    this.#byteLength = unit.byteLength;
    this.#check = unit.checksum.lo;
    this.recordCount += unit.recordCount;
    visitRecordKeys(view, at, unit, this.#visit);
  }

  readonly #visit = (seq: number, hi: number, lo: number): void => {
    if (hi < this.#timeHi || (hi === this.#timeHi && lo < this.#timeLo)) this.#wentBack();
    this.#timeHi = hi;
    this.#timeLo = lo;
    if (this.#isLost) return;
    const ordinal = this.#ordinal++;
    const idxAt = this.#idx.at(ordinal);
    if (idxAt >= 0) {
      const { view } = this.#idx;
      const isRight =
        view.getUint32(idxAt, true) === seq - this.#segment.baseSeq &&
        view.getUint32(idxAt + 4, true) === this.#position &&
        view.getUint32(idxAt + 8, true) === this.#byteLength &&
        view.getUint32(idxAt + 12, true) === this.#check;
      if (!isRight) this.#idx.wrong(ordinal);
    }
    const tsAt = this.#ts.at(ordinal);
    if (tsAt < 0) return;
    const { view } = this.#ts;
    const isRight = view.getUint32(tsAt, true) === lo && view.getUint32(tsAt + 4, true) === hi;
    if (!isRight) this.#ts.wrong(ordinal);
  };

  #wentBack(): void {
    if (this.backwardCount === 0) this.backwardAt = this.#position;
    this.backwardCount++;
  }

  /** Ends the comparison; how many entries there must be, undefined when that is not known. */
  finish(records: number | undefined): void {
    this.#idx.finish(records);
    this.#ts.finish(records);
  }

  close(): void {
    this.#idx.close();
    this.#ts.close();
  }
}

/** The later one. */
export function laterOf(a: Nanos, b: Nanos = ZERO_NANOS): Nanos {
  return compareNanos(a, b) > 0 ? a : b;
}
