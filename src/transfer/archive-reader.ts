/**
 * Items from the bytes of a binary archive. Each chunk is checked before anything in it is used;
 * the items end only behind a last chunk that fits all that came before it.
 */
import type { FailedCheck } from '../core/errors.js';
import { RunningChecksum } from '../format/checksum.js';
import type { Decoded } from '../format/decoded.js';
import {
  ARCHIVE_HEADER_BYTES,
  ARCHIVE_VERSION,
  CHANNEL_CHUNK,
  CHANNEL_END_CHUNK,
  CHUNK_HEAD_BYTES,
  CHUNK_TAIL_BYTES,
  decodeArchiveHeader,
  decodeChannelBody,
  decodeChannelEndBody,
  decodeChunkHead,
  END_CHUNK,
  endFailure,
  isChunkIntact,
  RECORDS_CHUNK,
} from './archive-chunk.js';
import { archiveDamage, archiveTooNew } from './archive-error.js';
import type { ByteReader } from './byte-reader.js';
import { ItemOrder } from './item-order.js';
import { decodeRecordsBody } from './records-chunk.js';
import type { TransferItem } from './transfer-items.js';

export async function* archiveItems(reader: ByteReader): AsyncGenerator<TransferItem, undefined> {
  const header = decodeArchiveHeader((await reader.take(ARCHIVE_HEADER_BYTES)) ?? new Uint8Array());
  unwrap(reader.path, 0, header);
  const chunks = new ChunkReader(reader);
  for (;;) {
    const item = await chunks.next();
    if (item === undefined) return;
    yield item;
  }
}

function unwrap<T>(path: string, position: number, value: Decoded<T>): T {
  if (value.ok) return value.value;
  if (value.check === 'version') throw archiveTooNew(path, value.found, ARCHIVE_VERSION);
  throw archiveDamage(path, position, value.check, 'what stands here is not what was written');
}

class ChunkReader {
  readonly #reader: ByteReader;
  readonly #order = new ItemOrder();
  readonly #chain = new RunningChecksum();
  #number = 0;
  /** Where the chunk begins that is being read. */
  #position = 0;

  constructor(reader: ByteReader) {
    this.#reader = reader;
  }

  /** Undefined at the end, which was checked. */
  async next(): Promise<TransferItem | undefined> {
    this.#position = this.#reader.position;
    const { kind, chunk } = await this.#chunk();
    const body = chunk.subarray(CHUNK_HEAD_BYTES, chunk.byteLength - CHUNK_TAIL_BYTES);
    if (kind === END_CHUNK) {
      await this.#end(body);
      return undefined;
    }
    this.#chain.add(chunk, chunk.byteLength - CHUNK_TAIL_BYTES, CHUNK_TAIL_BYTES);
    this.#number = (this.#number + 1) >>> 0;
    return this.#item(kind, body);
  }

  async #chunk(): Promise<{ readonly kind: number; readonly chunk: Uint8Array }> {
    const start = await this.#reader.peek(CHUNK_HEAD_BYTES);
    if (start.byteLength < CHUNK_HEAD_BYTES) throw this.#cutOff();
    const head = unwrap(this.#reader.path, this.#position, decodeChunkHead(start, this.#number));
    const length = CHUNK_HEAD_BYTES + head.bodyBytes + CHUNK_TAIL_BYTES;
    const chunk = await this.#reader.take(length);
    if (chunk === undefined) throw this.#cutOff();
    if (!isChunkIntact(chunk)) throw this.#damage('checksum', 'the checksum of this chunk');
    return { kind: head.kind, chunk };
  }

  #item(kind: number, body: Uint8Array): TransferItem {
    const { path } = this.#reader;
    if (kind === CHANNEL_CHUNK) {
      const head = unwrap(path, this.#position, decodeChannelBody(body));
      this.#require(this.#order.begin(head));
      return { kind: 'channel', head };
    }
    if (kind === RECORDS_CHUNK) {
      const records = unwrap(path, this.#position, decodeRecordsBody(body));
      for (const record of records) this.#require(this.#order.add(record));
      return { kind: 'records', records };
    }
    if (kind !== CHANNEL_END_CHUNK) throw this.#damage('fields', `a chunk of kind ${kind}`);
    const end = unwrap(path, this.#position, decodeChannelEndBody(body));
    this.#require(this.#order.end(end.records, end.payloadBytes, end.damaged));
    return { kind: 'channelEnd', damaged: end.damaged };
  }

  async #end(body: Uint8Array): Promise<void> {
    this.#require(this.#order.finish());
    const check = endFailure(body, this.#order.totals, this.#chain.value);
    if (check !== undefined) throw this.#damage(check, 'the end does not fit what is before it');
    this.#position = this.#reader.position;
    if (await this.#reader.isAtEnd()) return;
    throw this.#damage('length', 'there are bytes behind the end');
  }

  #require(problem: string | undefined): void {
    if (problem !== undefined) throw this.#damage('sequence', problem);
  }

  #cutOff(): Error {
    return this.#damage('length', 'the archive is cut off here');
  }

  #damage(check: FailedCheck, detail: string): Error {
    return archiveDamage(this.#reader.path, this.#position, check, detail);
  }
}
