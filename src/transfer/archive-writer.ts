/** Items as the bytes of a binary archive. */
import { RunningChecksum } from '../format/checksum.js';
import {
  CHUNK_TAIL_BYTES,
  encodeArchiveHeader,
  encodeChannelChunk,
  encodeChannelEndChunk,
  encodeEndChunk,
} from './archive-chunk.js';
import { RecordsChunk } from './records-chunk.js';
import { noTotals, type TransferItem, type TransferRecord } from './transfer-items.js';

class ArchiveEncoder {
  readonly #chain = new RunningChecksum();
  readonly #pending = new RecordsChunk();
  readonly #totals = noTotals();
  #number = 0;
  #records = 0;
  #payloadBytes = 0;

  /** The chunks that are done with this item. */
  add(item: TransferItem): Uint8Array[] {
    const chunks: Uint8Array[] = [];
    if (item.kind === 'records') {
      for (const record of item.records) this.#addRecord(record, chunks);
    } else if (item.kind === 'channel') {
      this.#records = 0;
      this.#payloadBytes = 0;
      this.#totals.channels++;
      chunks.push(this.#linked(encodeChannelChunk(item.head, this.#number)));
    } else {
      this.#flush(chunks);
      const { damaged } = item;
      const end = { records: this.#records, payloadBytes: this.#payloadBytes, damaged };
      chunks.push(this.#linked(encodeChannelEndChunk(end, this.#number)));
    }
    return chunks;
  }

  end(): Uint8Array {
    return encodeEndChunk(this.#totals, this.#chain.value, this.#number);
  }

  #addRecord(record: TransferRecord, chunks: Uint8Array[]): void {
    if (this.#pending.endsBefore(record)) this.#flush(chunks);
    this.#pending.add(record);
    this.#records++;
    this.#payloadBytes += record.payload.byteLength;
    this.#totals.records++;
    this.#totals.payloadBytes += record.payload.byteLength;
  }

  #flush(chunks: Uint8Array[]): void {
    if (!this.#pending.isEmpty) chunks.push(this.#linked(this.#pending.finish(this.#number)));
  }

  #linked(chunk: Uint8Array): Uint8Array {
    this.#chain.add(chunk, chunk.byteLength - CHUNK_TAIL_BYTES, CHUNK_TAIL_BYTES);
    this.#number = (this.#number + 1) >>> 0;
    return chunk;
  }
}

export async function* archiveBytes(
  items: AsyncIterable<TransferItem>,
): AsyncGenerator<Uint8Array, undefined> {
  const encoder = new ArchiveEncoder();
  yield encodeArchiveHeader();
  for await (const item of items) yield* encoder.add(item);
  yield encoder.end();
}
