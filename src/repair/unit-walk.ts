/**
 * A walk over all units of a dat file that verify, whatever stands between them, for who does
 * something with the records that takes time. Seqs rise over the whole walk: what does not follow
 * is damage.
 */
import type { FailedCheck } from '../core/errors.js';
import type { Checksum } from '../format/checksum.js';
import { FILE_HEADER_BYTES } from '../format/file-header.js';
import { FRAME_MAGIC, type UnitHeader } from '../format/unit.js';
import type { FileHandle } from '../fs/file-system.js';
import { ChunkReader, type Chunk } from '../segment/chunk.js';
import { findNextUnit } from '../segment/resync.js';
import { UnitParser } from '../segment/unit-parser.js';

export interface WalkedFile {
  readonly nonce: Checksum;
  /** Checksum that the first frame links to; undefined where nothing says so. */
  readonly link: Checksum | undefined;
  /** The lowest seq that the first record may have. */
  readonly baseSeq: number;
  /** Bytes that are walked. */
  readonly end: number;
  /** Told how many bytes more were read; what it throws ends the walk. */
  readonly onRead?: OnRead | undefined;
}

export type OnRead = (bytes: number) => void;

/** A stretch of a file in which nothing verifies. */
export interface DamagedRegion {
  readonly position: number;
  readonly end: number;
  /** What the first bytes of it fail. */
  readonly check: FailedCheck;
  /** The seq that was expected there. */
  readonly firstSeq: number;
  /** The seq of what stands behind it; undefined when nothing does. */
  readonly nextSeq: number | undefined;
}

export interface WalkResult {
  readonly regions: readonly DamagedRegion[];
  readonly seal: UnitHeader | undefined;
  /** Where it has ended: behind the seal, or at the end of the file. */
  readonly position: number;
  /** The seq behind the last record. */
  readonly nextSeq: number;
  /** The highest `durableSeq` of a unit. */
  readonly witness: number;
  readonly frameCount: number;
  /** Of the last frame or seal. */
  readonly lastChecksum: Checksum | undefined;
}

/** Records of a unit that verifies; the chunk lives until the promise settles. */
export type OnRecords = (chunk: Chunk, at: number, unit: UnitHeader) => void | Promise<void>;

export async function walkUnits(
  file: FileHandle,
  walked: WalkedFile,
  onRecords: OnRecords,
): Promise<WalkResult> {
  const walk = new UnitWalk(file, walked, onRecords);
  return walk.run();
}

type OpenRegion = Omit<DamagedRegion, 'end' | 'nextSeq'>;

class UnitWalk {
  readonly #file: FileHandle;
  readonly #walked: WalkedFile;
  readonly #onRecords: OnRecords;
  readonly #regions: DamagedRegion[] = [];
  #region: OpenRegion | undefined;
  #witness = 0;
  #frameCount = 0;

  constructor(file: FileHandle, walked: WalkedFile, onRecords: OnRecords) {
    this.#file = file;
    this.#walked = walked;
    this.#onRecords = onRecords;
  }

  async run(): Promise<WalkResult> {
    const { nonce, link, baseSeq, end, onRead } = this.#walked;
    let readUpTo = 0;
    const chunks = new ChunkReader({ ownBytes: false });
    let parser = new UnitParser({
      nonce,
      position: FILE_HEADER_BYTES,
      end,
      link,
      nextSeq: baseSeq,
    });
    let chunk = await chunks.read(this.#file, parser.position, parser.needed, end);
    for (;;) {
      const behind = chunk.position + chunk.byteLength;
      if (behind > readUpTo) onRead?.(behind - readUpTo);
      readUpTo = Math.max(readUpTo, behind);
      const step = parser.step(chunk);
      if (step === 'end') return this.#result(parser, undefined);
      if (step === 'failed') {
        const next = await this.#resume(parser);
        if (next === undefined) return this.#result(parser, undefined);
        parser = next;
      }
      if (step === 'more' || step === 'failed') {
        chunk = await chunks.read(this.#file, parser.position, parser.needed, end);
        continue;
      }
      const { unit, at } = parser;
      if (unit === undefined) continue;
      this.#accept(unit);
      if (step === 'seal') return this.#result(parser, unit);
      if (step === 'records') await this.#onRecords(chunk, at, unit);
    }
  }

  #accept(unit: UnitHeader): void {
    this.#witness = Math.max(this.#witness, unit.durableSeq);
    if (unit.magic === FRAME_MAGIC) this.#frameCount++;
    this.#close(unit.position, unit.baseSeq);
  }

  #close(end: number, nextSeq: number | undefined): void {
    if (this.#region !== undefined) this.#regions.push({ ...this.#region, end, nextSeq });
    this.#region = undefined;
  }

  /** A walk from the next unit that verifies. */
  async #resume(failed: UnitParser): Promise<UnitParser | undefined> {
    const { nonce, end } = this.#walked;
    const { position, check, nextSeq } = failed;
    this.#region ??= { position, check, firstSeq: nextSeq };
    const next = await findNextUnit(this.#file, { nonce, position: position + 8, end });
    if (next === undefined) return undefined;
    const from = next.position;
    // What goes back is no part of the log, wherever it comes from.
    return new UnitParser({ nonce, position: from, end, link: undefined, nextSeq });
  }

  #result(parser: UnitParser, seal: UnitHeader | undefined): WalkResult {
    const position = seal === undefined ? this.#walked.end : parser.position;
    this.#close(position, undefined);
    return {
      regions: this.#regions,
      seal,
      position,
      nextSeq: parser.nextSeq,
      witness: this.#witness,
      frameCount: this.#frameCount,
      lastChecksum: parser.link,
    };
  }
}
