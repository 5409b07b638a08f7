/**
 * Puts frames into segments: encodes them for their place, begins and seals segments, and takes
 * back what a failed write may have left. Decides nothing about who waits for what.
 */
import { redexError, type RedexError } from '../core/errors.js';
import { diagnostics } from '../core/runtime.js';
import { MAX_SEQ_DELTA } from '../format/index-entry.js';
import type { FrameContent, FrameEncoder } from '../format/frame-encoder.js';
import { FRAME_HEADER_BYTES, tableBytes } from '../format/unit.js';
import { DatWriteError, SegmentWriter, type EncodedFrame } from '../segment/segment-writer.js';
import { isJournaled, type ChannelContext } from './channel-context.js';
import type { Gather } from './gather.js';
import { drawSegment, encodeGathered } from './gathered-frame.js';
import { ioError } from './io-error.js';
import type { SegmentChain } from './segment-chain.js';
import { isUnused, mustRoll } from './segment-roll.js';
import type { Unsynced } from './unsynced.js';
import type { Nanos } from '../core/nanos.js';

/** A write failed. */
export class FrameWriteFailure extends Error {
  readonly error: RedexError;
  /** Bytes of it may stand behind the last frame and have to be cut off. */
  readonly partial: boolean;
  /** A segment file that could neither be completed nor removed. */
  readonly leftover: boolean;

  constructor(error: RedexError, partial: boolean, leftover: boolean) {
    super(error.message, { cause: error });
    this.error = error;
    this.partial = partial;
    this.leftover = leftover;
  }
}

export class FrameWriter {
  readonly #context: ChannelContext;
  readonly #chain: SegmentChain;
  readonly #unsynced: Unsynced;
  readonly #encoder: FrameEncoder;
  #segmentBornMs: number;
  /** Time of the last record of the log: no later one is older. */
  lastTimestamp: Nanos;

  constructor(
    context: ChannelContext,
    chain: SegmentChain,
    unsynced: Unsynced,
    lastTimestamp: Nanos,
  ) {
    this.#context = context;
    this.#chain = chain;
    this.#unsynced = unsynced;
    this.#encoder = context.shared.encoder;
    this.#segmentBornMs = context.settings.runtime.now();
    this.lastTimestamp = lastTimestamp;
  }

  get #active(): SegmentWriter | undefined {
    return this.#unsynced.active;
  }

  /** How many segments are opened to write a frame: the active one, and the one after it. */
  opensFor(rolls: boolean): number {
    const isOpen = this.#active !== undefined;
    const isNone = !isOpen && this.#chain.parked === undefined;
    return (isOpen ? 0 : 1) + (!isNone && rolls ? 1 : 0);
  }

  /**
   * Whether the frame needs a new segment. Asked once for each frame: by the clock, the answer may
   * be another one a moment later.
   */
  rollsFor(content: FrameContent): boolean {
    const segment = this.#active?.segment ?? this.#chain.parked;
    if (segment === undefined) return true;
    const { segmentBytes, segmentMs } = this.#context.stored;
    const lastSeq =
      content.seqs?.[content.first + content.recordCount - 1] ??
      content.baseSeq + content.recordCount - 1;
    return mustRoll(segment, {
      segmentBytes,
      segmentMs,
      ageMs: segmentMs === 0 ? 0 : this.#context.settings.runtime.now() - this.#segmentBornMs,
      frameBytes: FRAME_HEADER_BYTES + tableBytes(content.recordCount, 0) + content.payloadBytes,
      lastSeq,
    });
  }

  /**
   * Makes the segment ready that the frame goes to, a new one if it `rolls`. Throws
   * FrameWriteFailure; then the log is as it was, but a segment may have been sealed.
   */
  prepare(content: FrameContent, rolls: boolean): SegmentWriter {
    this.#resume();
    const active = this.#active;
    if (active !== undefined) {
      return rolls ? this.#roll(active, this.#nextBase(content)) : active;
    }
    const first = this.#create(this.#firstBase(content));
    // A frame may begin so far ahead that it has no place in the segment that comes next.
    return this.rollsFor(content) ? this.#roll(first, this.#nextBase(content)) : first;
  }

  /**
   * Seals the active segment and begins the next one, unless there is nothing in it. Behind a last
   * segment that has its seal, and lost the next one in a crash, that is begun again.
   */
  rollNow(): void {
    this.#resume();
    const last = this.#chain.last;
    if (last === undefined || isUnused(last)) return;
    const active = this.#active;
    if (active === undefined) this.#create(last.nextSeq);
    else this.#roll(active, this.#unsynced.writtenSeq);
  }

  /** Opens the active segment again, if its descriptors were given back. */
  #resume(): void {
    try {
      this.#chain.resume();
    } catch (error) {
      const { generationDirectory } = this.#context;
      const failure = ioError('open a segment', generationDirectory, error, 'absent');
      throw new FrameWriteFailure(failure, false, false);
    }
  }

  /** Seals a segment and begins the next one; if that cannot be begun, takes the seal back. */
  #roll(active: SegmentWriter, nextBase: number): SegmentWriter {
    const before = { ...active.segment };
    this.#seal(active, nextBase);
    try {
      return this.#create(nextBase);
    } catch (error) {
      Object.assign(active.segment, before);
      this.#unsynced.unseal(active);
      active.cutBack();
      throw error;
    }
  }

  /** A segment begins where the one before ended, so that a missing one is noticed. */
  #firstBase(content: FrameContent): number {
    return this.#chain.last?.nextSeq ?? Math.min(content.baseSeq, this.#unsynced.writtenSeq);
  }

  /** Base of the segment for a frame: the next seq, unless the frame skips too far ahead of it. */
  #nextBase(content: FrameContent): number {
    const { writtenSeq } = this.#unsynced;
    return content.baseSeq - writtenSeq > MAX_SEQ_DELTA / 2 ? content.baseSeq : writtenSeq;
  }

  #seal(writer: SegmentWriter, nextBase: number): void {
    const { segment } = writer;
    const place = writer.nextPlace(this.#unsynced.durableSeq);
    this.#encoder.encodeSeal(nextBase, segment.recordCount, segment.lastTimestamp, place);
    const { bytes, byteLength, checksum } = this.#encoder;
    this.#write(writer, bytes, byteLength);
    writer.acceptSeal(byteLength, checksum, nextBase);
    this.#unsynced.seal(writer);
    if (diagnostics.roll.hasSubscribers) {
      diagnostics.roll.publish({ channel: this.#context.name, nextBaseSeq: nextBase });
    }
  }

  #create(baseSeq: number): SegmentWriter {
    const { owner, settings, shared, generationDirectory } = this.#context;
    const { nonce, attempt } = drawSegment(settings.runtime);
    const birth = {
      directory: generationDirectory,
      baseSeq,
      nonce,
      durableSeq: this.#unsynced.durableSeq,
      timestampFloor: this.lastTimestamp,
    };
    try {
      const writer = SegmentWriter.create(owner, birth, shared.scratch, attempt);
      this.#unsynced.active = writer;
      // In the journal its first bytes are what makes it: the checkpoint syncs the name.
      if (!isJournaled(this.#context)) this.#unsynced.addName(generationDirectory);
      this.#chain.addWriter(writer);
      this.#segmentBornMs = settings.runtime.now();
      return writer;
    } catch (error) {
      // Its name may be on the disk although it is gone here: nothing is acknowledged before a
      // sync has made sure that a power cut does not bring it back.
      this.#unsynced.addName(generationDirectory);
      const leftover = !(error instanceof DatWriteError) || error.partial;
      const cause: unknown = error instanceof DatWriteError ? error.cause : error;
      const outcome = ioError('create a segment', generationDirectory, cause, 'absent');
      throw new FrameWriteFailure(outcome, false, leftover);
    }
  }

  /** Encodes a frame of gathered records. The bytes live until the next frame is encoded. */
  encode(writer: SegmentWriter, gather: Gather, content: FrameContent): EncodedFrame {
    this.#encoder.release();
    const place = writer.nextPlace(this.#unsynced.durableSeq);
    return encodeGathered(this.#encoder, gather, content, place);
  }

  /** The same frame over bytes that no later frame overwrites. */
  detach(frame: EncodedFrame): EncodedFrame {
    return { ...frame, bytes: this.#encoder.detach(), units: [...frame.units] };
  }

  /** Nobody reads the bytes of a detached frame any more. */
  reuse(frame: EncodedFrame): void {
    this.#encoder.reuse(frame.bytes);
  }

  /** Writes a frame at once. Throws FrameWriteFailure. */
  write(writer: SegmentWriter, frame: EncodedFrame): void {
    this.#write(writer, frame.bytes, frame.byteLength);
    this.accept(writer, frame);
  }

  /** The frame's bytes are in dat. */
  accept(writer: SegmentWriter, frame: EncodedFrame): void {
    writer.accept(frame);
    this.lastTimestamp = writer.segment.lastTimestamp;
    this.#unsynced.add(frame.recordCount, frame.byteLength, frame.nextSeq);
  }

  #write(writer: SegmentWriter, bytes: Uint8Array, byteLength: number): void {
    try {
      writer.writeSync(bytes, byteLength);
    } catch (error) {
      throw this.#failure('write', writer.open.dat.path, error);
    }
  }

  /** Writes a frame without records that states what is known to be synced. */
  writeWitness(): void {
    this.#resume();
    const writer = this.#active;
    if (writer === undefined) return;
    const { durableSeq, writtenSeq } = this.#unsynced;
    this.#encoder.encodeWitness(writtenSeq, this.lastTimestamp, writer.nextPlace(durableSeq));
    const { bytes, byteLength, checksum } = this.#encoder;
    this.#write(writer, bytes, byteLength);
    const { nextSeq, lastTimestamp } = writer.segment;
    writer.accept({
      bytes,
      byteLength,
      checksum,
      units: [],
      recordCount: 0,
      keys: undefined,
      nextSeq,
      lastTimestamp,
    });
  }

  /** What a failed write is to its caller: `absent` only if no byte of it reached the file. */
  #failure(operation: string, path: string, error: unknown): FrameWriteFailure {
    const partial = !(error instanceof DatWriteError) || error.partial;
    const cause: unknown = error instanceof DatWriteError ? error.cause : error;
    return new FrameWriteFailure(
      ioError(operation, path, cause, partial ? 'unknown' : 'absent'),
      partial,
      false,
    );
  }

  /** The failure of a write that was made elsewhere. */
  failureOf(writer: SegmentWriter, error: unknown): FrameWriteFailure {
    return this.#failure('write', writer.open.dat.path, error);
  }
}

/** LIMIT for a batch that no frame can hold. */
export function batchLimitError(actual: number, limit: number): RedexError {
  return redexError('LIMIT', `a batch of ${actual} bytes is over the limit of ${limit}`, {
    what: 'batchBytes',
    limit,
    actual,
  });
}
