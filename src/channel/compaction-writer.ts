/**
 * Writes the segments of a new generation: survivors with their seqs, times, types and bytes, and
 * second names for segments that lose nothing. Nothing here is live before the manifest names it.
 */
import { redexError } from '../core/errors.js';
import { compareNanos, nanosFromBigint, type Nanos } from '../core/nanos.js';
import type { LogRecord } from '../core/record.js';
import { FrameEncoder } from '../format/frame-encoder.js';
import { segmentFileName } from '../format/file-name.js';
import { linkOrCopy, type CopiedBytes } from '../fs/copy-file.js';
import { segmentPath, type Segment } from '../segment/segment.js';
import { SegmentWriter } from '../segment/segment-writer.js';
import type { ChannelContext } from './channel-context.js';
import { Gather } from './gather.js';
import { drawSegment, encodeGathered } from './gathered-frame.js';

/** Payload bytes that are encoded at once. */
const PIECE_BYTES = 512 * 1024;
const PIECE_RECORDS = 16 * 1024;

export class CompactionWriter {
  readonly segments: Segment[] = [];
  /** Bytes of new files, and of files that got a second name. */
  writtenBytes = 0;
  linkedBytes = 0;
  readonly #context: ChannelContext;
  readonly #directory: string;
  readonly #durableSeq: number;
  readonly #encoder = new FrameEncoder();
  readonly #gather: Gather;
  #writer: SegmentWriter | undefined;
  #lastTimestamp: Nanos = { hi: 0, lo: 0 };

  /** Everything below `durableSeq` is synced, and nothing else is written. */
  constructor(context: ChannelContext, directory: string, durableSeq: number) {
    this.#context = context;
    this.#directory = directory;
    this.#durableSeq = durableSeq;
    this.#gather = new Gather(PIECE_BYTES);
  }

  /** A segment that loses nothing: the same file under another name. */
  async link(source: Segment): Promise<void> {
    const file = segmentFileName(source.baseSeq, 'dat');
    this.#count(await linkOrCopy(this.#context.fs, segmentPath(source, 'dat'), this.#path(file)));
    await this.#linkDerived(source);
    this.segments.push({ ...source, directory: this.#directory });
  }

  async #linkDerived(source: Segment): Promise<void> {
    const { fs } = this.#context;
    for (const kind of ['idx', 'ts'] as const) {
      const from = segmentPath(source, kind);
      // A missing one is rebuilt when it is needed.
      if (fs.statSync(from) === undefined) continue;
      this.#count(await linkOrCopy(fs, from, this.#path(segmentFileName(source.baseSeq, kind))));
    }
  }

  #path(file: string): string {
    return `${this.#directory}/${file}`;
  }

  #count({ linkedBytes, copiedBytes }: CopiedBytes): void {
    this.linkedBytes += linkedBytes;
    this.writtenBytes += copiedBytes;
  }

  /** A segment that begins where this one does: those that are added until `finish` survive. */
  begin(source: Segment): void {
    const { owner, settings, shared } = this.#context;
    const { nonce, attempt } = drawSegment(settings.runtime);
    const { baseSeq, timestampFloor } = source;
    const birth = {
      directory: this.#directory,
      baseSeq,
      nonce,
      durableSeq: Math.min(this.#durableSeq, baseSeq),
      timestampFloor,
    };
    const writer = SegmentWriter.create(owner, birth, shared.scratch, attempt);
    this.writtenBytes += writer.segment.datLength;
    this.#writer = writer;
    this.#lastTimestamp = timestampFloor;
  }

  /** A survivor. Its payload is copied before this resolves. */
  add(record: LogRecord): void {
    const gather = this.#gather;
    const time = nanosFromBigint(record.timestampNs);
    gather.beginBatch(1, record.byteLength, record.seq, record.seq);
    gather.add(record.payload, record.seq, record.type, time);
    gather.endBatch();
    if (compareNanos(time, this.#lastTimestamp) > 0) this.#lastTimestamp = time;
  }

  /** Writes what was added when it is much. */
  async flushIfLarge(): Promise<void> {
    const { payloadBytes, recordCount } = this.#gather;
    if (payloadBytes >= PIECE_BYTES || recordCount >= PIECE_RECORDS) await this.#flush();
  }

  async #flush(): Promise<void> {
    const gather = this.#gather;
    const writer = this.#writer;
    if (gather.isEmpty || writer === undefined) return;
    for (let i = 0; i < gather.frameCount; i++) {
      const content = gather.frame(i);
      // A witness in a frame may state only what is below the frame and synced.
      const place = writer.nextPlace(Math.min(this.#durableSeq, content.baseSeq));
      const frame = encodeGathered(this.#encoder, gather, content, place);
      await writer.write(frame.bytes, frame.byteLength);
      this.writtenBytes += frame.byteLength;
      writer.accept(frame);
    }
    gather.clear();
  }

  /** Seals and syncs what is being written: the next segment begins at `nextBase`. */
  async finish(nextBase: number): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined) return;
    await this.#flush();
    const { segment, open, syncHandle } = writer;
    const place = writer.nextPlace(Math.min(this.#durableSeq, nextBase));
    this.#encoder.encodeSeal(nextBase, segment.recordCount, this.#lastTimestamp, place);
    const { bytes, byteLength, checksum } = this.#encoder;
    await writer.write(bytes, byteLength);
    writer.acceptSeal(byteLength, checksum, nextBase);
    this.writtenBytes += byteLength;
    await open.dat.datasync();
    this.#writer = undefined;
    try {
      open.close();
    } finally {
      syncHandle.closeSync();
    }
    this.segments.push(segment);
  }

  /** Gives descriptors back after a failure. */
  abandon(): void {
    const writer = this.#writer;
    this.#writer = undefined;
    if (writer === undefined) return;
    for (const close of [() => writer.open.close(), () => writer.syncHandle.closeSync()]) {
      try {
        close();
      } catch {
        // What it was writing goes anyway.
      }
    }
  }
}

/** CLOSED for work that the close of its channel has ended. */
export function closedMeanwhile(name: string): Error {
  const resource = `channel ${name}`;
  return redexError('CLOSED', `${resource} was closed meanwhile`, { resource });
}
