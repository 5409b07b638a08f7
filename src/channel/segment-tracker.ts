/**
 * What a reader beside the writer knows of the segments of one generation: how far each of them
 * verifies. Every pass takes up what was written since the one before; what cannot be read at the
 * end is the end for now, unless a witness that was read before the bytes says that they were
 * synced. Nothing on disk is ever changed.
 */
import type { FailedCheck } from '../core/errors.js';
import { viewOf } from '../format/bytes.js';
import { readChecksum, sameChecksum } from '../format/checksum.js';
import type { CleanMark } from '../format/clean-mark.js';
import { parseSegmentFileName, segmentFileName } from '../format/file-name.js';
import { FILE_HEADER_BYTES } from '../format/file-header.js';
import type { Manifest } from '../format/manifest.js';
import type { FileHandle } from '../fs/file-system.js';
import { surveyRemains, type ResyncRequest } from '../segment/resync.js';
import type { Segment } from '../segment/segment.js';
import { extendSegment, segmentFromHeader } from '../segment/segment-scan.js';
import { SeqMarks } from '../segment/seq-marks.js';
import type { ChannelContext } from './channel-context.js';
import { listGeneration, openClean, segmentBases } from './clean-open.js';
import { keptBases } from './leftovers.js';
import { openFinished, readOwnHeader } from './finished-segment.js';
import { HeldFile } from './held-file.js';
import { planRecovery, type RecoveryPlan, type ScannedSegment } from './recovery-plan.js';
import { readWitnesses } from './witnesses.js';

/** A last unit of up to this size is read as a whole, and with it whether something follows. */
const PROBE_BYTES = 16 * 1024;
/** Shared by all: what is in it is used before anything else runs. */
const PROBE: Uint8Array = new Uint8Array(PROBE_BYTES + 1);

/** A segment up to the last whole unit. */
interface UnitPlace {
  readonly segment: Segment;
  /** Where that unit begins; undefined when it was not looked at. */
  readonly lastUnitAt: number | undefined;
}

export interface TrackedSegment {
  /** A new object whenever something of it has changed. */
  segment: Segment;
  lastUnitAt: number | undefined;
  beforeSeal: UnitPlace | undefined;
  /** The segment as readers see it, and what was last taken over into it. */
  live: Segment | undefined;
  shown: Segment | undefined;
}

/** The end of one unfinished segment, as a pass has found it. */
export interface SegmentEnd extends ScannedSegment {
  /** Undefined when not even its header can be read. */
  readonly tracked: TrackedSegment | undefined;
  readonly fileLength: number;
}

export interface SegmentsView {
  /** Finished segments; damage inside of them is found by reads. */
  readonly finished: readonly TrackedSegment[];
  /** The others: at most the last two. */
  readonly ends: readonly SegmentEnd[];
  readonly plan: RecoveryPlan;
}

export class SegmentTracker {
  /** The highest witness: everything below it is known to have been synced. */
  witness = 0;
  readonly #context: ChannelContext;
  /** By base seq. */
  #tracked = new Map<number, TrackedSegment>();
  #bases: readonly number[] = [];
  /** Bases of segments of which nothing is taken for granted in the next pass, and in this one. */
  #distrusted = new Set<number>();
  #doubted = new Set<number>();
  readonly #tail: HeldFile;
  #isPassing = false;
  /** Where was looked behind a bad place, by base seq: once for each place and size. */
  readonly #surveys = new Map<number, ResyncRequest>();
  /** The last pass found that every file ends with its last unit. */
  #settled = false;
  /** The last pass found what is no whole log. */
  #irregular = false;
  #firstSeq = 0;
  #mustList = true;

  constructor(context: ChannelContext) {
    this.#context = context;
    this.#tail = new HeldFile(context.shared.files, () => this.#isPassing);
  }

  /** The next pass looks for other segments, too. */
  list(): void {
    this.#mustList = true;
  }

  /** The next pass opens the finished segment of a file again. */
  distrustFinished(path: string): void {
    const baseSeq = baseOf(path);
    this.list();
    if (baseSeq !== undefined && !this.#bases.slice(-2).includes(baseSeq)) {
      this.#distrusted.add(baseSeq);
    }
  }

  /** The next pass reads the segment of a file from its beginning. */
  distrust(path: string): void {
    const baseSeq = baseOf(path);
    this.list();
    if (baseSeq !== undefined) this.#distrusted.add(baseSeq);
  }

  /** Whether nothing has been written since the last pass. */
  isUnchanged(): boolean {
    if (!this.#settled || this.#mustList) return false;
    const baseSeq = this.#bases.at(-1);
    const tracked = baseSeq === undefined ? undefined : this.#tracked.get(baseSeq);
    if (tracked === undefined || tracked.segment.sealed) {
      const bases = this.#listed();
      if (bases.length !== this.#bases.length || bases.at(-1) !== baseSeq) return false;
    }
    if (tracked === undefined) return true;
    const { file } = this.#tail;
    return file !== undefined && this.#endsAsKnown(tracked, file);
  }

  #endsAsKnown(place: UnitPlace, file: FileHandle): boolean {
    const { segment, lastUnitAt } = place;
    const length = segment.datLength - (lastUnitAt ?? 0);
    if (lastUnitAt === undefined || length > PROBE_BYTES) {
      return file.sizeSync() === segment.datLength && this.#isThere(place, file);
    }
    const count = file.readSync(PROBE, 0, length + 1, lastUnitAt);
    return count === length && this.#hasRead(segment);
  }

  /** Whether the last unit that is known is still in the file. */
  #isThere({ segment, lastUnitAt }: UnitPlace, file: FileHandle): boolean {
    if (lastUnitAt === undefined) return true;
    return file.readSync(PROBE, 0, 8, lastUnitAt) === 8 && this.#hasRead(segment);
  }

  #hasRead({ lastChecksum }: Segment): boolean {
    return sameChecksum(readChecksum(viewOf(PROBE), 0), lastChecksum);
  }

  /** Base seqs of the segments that the channel consists of, those that are there. */
  #listed(): number[] {
    return keptBases(segmentBases(listGeneration(this.#context)), this.#firstSeq);
  }

  /** Takes up what is on disk. The manifest was read before, and has to be read again after it. */
  async pass(manifest: Manifest): Promise<SegmentsView> {
    this.#isPassing = true;
    try {
      return await this.#pass(manifest);
    } finally {
      this.#isPassing = false;
    }
  }

  async #pass(manifest: Manifest): Promise<SegmentsView> {
    // What is asked for while this pass runs is for the next one.
    const list = this.#mustList || this.#irregular;
    this.#mustList = false;
    this.#doubted = this.#distrusted;
    this.#distrusted = new Set();
    this.#settled = false;
    this.#firstSeq = manifest.firstSeq;
    this.#raise(manifest.redoSeq);
    let ends = this.#tracked.size === 0 ? this.#openClean(manifest) : undefined;
    ends ??= await this.#ends(list);
    if (ends.some((end) => end.check !== undefined && !end.sealed)) {
      // Below what they state the bytes are read again.
      this.#readWitnesses();
      ends = await this.#ends(true);
    }
    const finished = this.#openFinished(this.#bases.length - ends.length);
    const floor = Math.max(manifest.firstSeq, manifest.nextSeqFloor);
    const evidence = { proven: this.witness, floor };
    const plan = planRecovery(ends, finished.at(-1)?.segment.nextSeq, evidence);
    this.#irregular = plan.kind !== 'keep';
    this.#settled = !this.#irregular && ends.every((end) => end.fileLength === end.position);
    return { finished, ends, plan };
  }

  #raise(witness: number): void {
    this.witness = Math.max(this.witness, witness);
  }

  #readWitnesses(): CleanMark | undefined {
    const { mark, highest } = readWitnesses(this.#context);
    this.#raise(highest);
    return mark;
  }

  /** After a clean close nothing is scanned, and no file stays open. */
  #openClean(manifest: Manifest): SegmentEnd[] | undefined {
    const mark = this.#readWitnesses();
    if (mark?.generation !== manifest.generation) return undefined;
    const bases = this.#listed();
    const segment = openClean(this.#context, mark, bases);
    if (segment === undefined) return undefined;
    this.#bases = bases;
    return [endOf(this.#track(segment), segment.datLength, undefined)];
  }

  /** The ends of the segments that are not known to be finished. */
  async #ends(list: boolean): Promise<SegmentEnd[]> {
    const known = this.#bases.at(-1);
    if (!list && known !== undefined) {
      const end = await this.#end(known, true);
      // Without a seal there is no segment behind it.
      if (!end.sealed && end.check === undefined) return [...this.#unfinishedBefore(known), end];
    }
    this.#bases = this.#listed();
    // What the journal has of a segment was synced before the next but one got its name.
    this.#context.shared.view?.look();
    this.#forgetMissing();
    const last = this.#bases.at(-1);
    const previous = this.#bases.at(-2);
    if (last === undefined) return [];
    // Segment k+2 is created only when segment k is synced: k+1 begins where k durably ended.
    if (this.#bases.length > 2) this.#raise(previous ?? 0);
    const end = await this.#end(last, true);
    if (previous === undefined || this.witness > last) return [end];
    return [await this.#end(previous, false), end];
  }

  /** The segment before the last one, which an earlier pass has found to be whole. */
  #unfinishedBefore(last: number): SegmentEnd[] {
    const previous = this.#bases.at(-2);
    const tracked = previous === undefined ? undefined : this.#tracked.get(previous);
    if (tracked === undefined || this.witness > last) return [];
    return [endOf(tracked, tracked.segment.datLength, undefined)];
  }

  #forgetMissing(): void {
    const present = new Set(this.#bases);
    for (const baseSeq of this.#tracked.keys()) {
      if (!present.has(baseSeq)) this.#tracked.delete(baseSeq);
    }
  }

  /** Follows one segment to where it ends now. The file of the last one stays open. */
  async #end(baseSeq: number, isLast: boolean): Promise<SegmentEnd> {
    const held = this.#tail.fileOf(baseSeq);
    const path = `${this.#context.generationDirectory}/${segmentFileName(baseSeq, 'dat')}`;
    const file = held ?? this.#context.fs.openSync(path, 'read');
    if (isLast && held === undefined) {
      this.#tail.hold(baseSeq, file);
    }
    try {
      const tracked = this.#trackedIn(file, baseSeq, held !== undefined);
      if (typeof tracked !== 'string') return await this.#extended(file, tracked);
      const fileLength = file.sizeSync();
      await this.#survey(file, baseSeq, { nonce: undefined, position: 0, end: fileLength });
      return endOfHeadless(baseSeq, fileLength, tracked);
    } finally {
      if (!isLast && held === undefined) file.closeSync();
    }
  }

  /** What is known of the segment in a file, as far as the file still holds it. */
  #trackedIn(file: FileHandle, baseSeq: number, isHeld: boolean): TrackedSegment | FailedCheck {
    const doubted = this.#doubted.delete(baseSeq);
    const tracked = doubted ? undefined : this.#tracked.get(baseSeq);
    if (tracked !== undefined && isHeld && this.#isWhole(tracked, file)) return tracked;
    const header = readOwnHeader(this.#context, file, baseSeq);
    if (typeof header === 'string') {
      this.#tracked.delete(baseSeq);
      return header;
    }
    const { generationDirectory: directory } = this.#context;
    const isSame =
      tracked !== undefined && sameChecksum(header.checksum, tracked.segment.headerChecksum);
    if (isSame && (this.#isWhole(tracked, file) || this.#isUnsealed(tracked, file))) return tracked;
    this.#raise(header.durableSeq);
    // What has been seen before is gone: what is known to have been synced must still be there.
    if (this.#tracked.has(baseSeq)) this.#readWitnesses();
    return this.#track(segmentFromHeader(directory, header));
  }

  #isWhole(place: UnitPlace, file: FileHandle): boolean {
    return file.sizeSync() >= place.segment.datLength && this.#isThere(place, file);
  }

  /** Goes back to before the seal, which is taken away again when no segment could follow it. */
  #isUnsealed(tracked: TrackedSegment, file: FileHandle): boolean {
    const { beforeSeal } = tracked;
    if (beforeSeal === undefined || !this.#isWhole(beforeSeal, file)) return false;
    Object.assign(tracked, beforeSeal, { beforeSeal: undefined });
    return true;
  }

  #track(segment: Segment): TrackedSegment {
    const tracked: TrackedSegment = {
      segment: { ...segment, marks: new SeqMarks() },
      lastUnitAt: undefined,
      beforeSeal: undefined,
      live: undefined,
      shown: undefined,
    };
    this.#tracked.set(segment.baseSeq, tracked);
    return tracked;
  }

  async #extended(file: FileHandle, tracked: TrackedSegment): Promise<SegmentEnd> {
    if (tracked.segment.sealed) return endOf(tracked, file.sizeSync(), undefined);
    const segment = { ...tracked.segment };
    const found = await extendSegment(file, segment, this.#context.owner);
    const { failure, fileLength } = found;
    this.#raise(found.witness);
    const lastUnitAt = found.lastUnitAt ?? tracked.lastUnitAt;
    const isBad = failure !== undefined && !failure.unfinishedWrite;
    if (isBad && lastUnitAt === undefined && segment.datLength > FILE_HEADER_BYTES) {
      // Nothing links to where a clean mark says that the segment ended: is the mark right?
      const header = readOwnHeader(this.#context, file, segment.baseSeq);
      if (typeof header !== 'string') {
        const again = this.#track(segmentFromHeader(segment.directory, header));
        return this.#extended(file, again);
      }
    }
    if (found.beforeSeal !== undefined) {
      const { segment: before, lastUnitAt: at } = found.beforeSeal;
      tracked.beforeSeal = { segment: before, lastUnitAt: at ?? tracked.lastUnitAt };
    }
    tracked.segment = segment;
    tracked.lastUnitAt = lastUnitAt;
    // When it is known already to be damage, the rest says nothing more.
    if (isBad && !segment.sealed && this.witness <= segment.nextSeq) {
      const { nonce, datLength: position } = segment;
      await this.#survey(file, segment.baseSeq, { nonce, position, end: fileLength });
    }
    return endOf(tracked, fileLength, failure?.check);
  }

  /** Takes what verifies behind a bad place as witnesses. */
  async #survey(file: FileHandle, baseSeq: number, request: ResyncRequest): Promise<void> {
    const done = this.#surveys.get(baseSeq);
    if (done?.position === request.position && done.end === request.end) return;
    const remains = await surveyRemains(file, request);
    this.#raise(remains.durableSeq);
    this.#surveys.set(baseSeq, request);
  }

  #openFinished(count: number): TrackedSegment[] {
    return this.#bases.slice(0, count).map((baseSeq, i) => {
      const next = this.#bases[i + 1] ?? 0;
      const known = this.#tracked.get(baseSeq);
      const { sealed, nextSeq, marks } = known?.segment ?? {};
      if (known !== undefined && sealed === true && nextSeq === next) {
        if (!this.#doubted.has(baseSeq)) {
          // From its seal on the index is complete.
          if (marks !== undefined) known.segment = { ...known.segment, marks: undefined };
          return known;
        }
      }
      const segment = openFinished(this.#context, baseSeq, next);
      const isSame =
        known !== undefined && sameChecksum(known.segment.headerChecksum, segment.headerChecksum);
      const tracked: TrackedSegment = {
        segment,
        lastUnitAt: undefined,
        beforeSeal: undefined,
        live: isSame ? known.live : undefined,
        shown: undefined,
      };
      this.#tracked.set(baseSeq, tracked);
      return tracked;
    });
  }

  /** Gives the descriptor back; the next pass opens another one. */
  close(): void {
    this.#tail.close();
  }
}

function endOf(
  tracked: TrackedSegment,
  fileLength: number,
  check: FailedCheck | undefined,
): SegmentEnd {
  const { baseSeq, nextSeq, datLength: position, sealed } = tracked.segment;
  return { baseSeq, nextSeq, position, sealed, check, tracked, fileLength };
}

function endOfHeadless(baseSeq: number, fileLength: number, check: FailedCheck): SegmentEnd {
  const place = { baseSeq, nextSeq: baseSeq, position: 0, sealed: false };
  return { ...place, check, tracked: undefined, fileLength };
}

/** The segment that a file belongs to. */
function baseOf(path: string): number | undefined {
  return parseSegmentFileName(path.slice(path.lastIndexOf('/') + 1))?.baseSeq;
}
