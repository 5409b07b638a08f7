/** Exports of a store as one run of bytes, and what is known of each when it has ended. */
import type { Redex } from '../store/redex.js';
import { archiveBytes } from './archive-writer.js';
import { gzipped } from './compression.js';
import { storeItems, type SkippedDamage, type SourceOptions } from './export-source.js';
import { ndjsonBytes } from './ndjson-writer.js';
import type { ChannelHead, TransferItem, TransferProgress } from './transfer-items.js';

export interface ExportOptions extends SourceOptions {
  /** `archive`: compact and checked chunk by chunk. `ndjson`: lines of JSON. */
  readonly format: 'archive' | 'ndjson';
  /** Default: false. */
  readonly gzip?: boolean | undefined;
  readonly onProgress?: TransferProgress | undefined;
}

export interface ExportedChannel {
  readonly name: string;
  readonly firstSeq: number;
  readonly nextSeq: number;
  readonly records: number;
}

export interface ExportReport {
  readonly channels: readonly ExportedChannel[];
  readonly records: number;
  readonly payloadBytes: number;
  /** Bytes of the export, as they were handed out. */
  readonly bytes: number;
  /** What was left out for `skipDamaged`. */
  readonly skipped: readonly SkippedDamage[];
}

/**
 * An export that runs while its bytes are taken. They may be taken once. Taking them rejects with
 * CORRUPT, OUT_OF_RANGE (a writer has let go of records meanwhile, or lost them in a crash), IO,
 * CLOSED, NOT_FOUND, or the signal's reason; what was taken then has no end, and is refused by
 * every import.
 */
export class StoreExport implements AsyncIterable<Uint8Array> {
  readonly #redex: Redex;
  readonly #options: ExportOptions;
  readonly #channels: ExportedChannel[] = [];
  readonly #skipped: SkippedDamage[] = [];
  #begun = false;
  #records = 0;
  #payloadBytes = 0;
  #bytes = 0;

  constructor(redex: Redex, options: ExportOptions) {
    this.#redex = redex;
    this.#options = options;
  }

  /** So far; final when all bytes were taken. */
  get report(): ExportReport {
    return {
      channels: [...this.#channels],
      records: this.#records,
      payloadBytes: this.#payloadBytes,
      bytes: this.#bytes,
      skipped: [...this.#skipped],
    };
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, undefined> {
    if (this.#begun) throw new TypeError('the bytes of an export can be taken once');
    this.#begun = true;
    const { format, gzip } = this.#options;
    const items = this.#items();
    const plain = format === 'archive' ? archiveBytes(items) : ndjsonBytes(items);
    for await (const piece of gzip === true ? gzipped(plain) : plain) {
      this.#bytes += piece.byteLength;
      yield piece;
    }
  }

  async *#items(): AsyncGenerator<TransferItem, undefined> {
    const { signal, onProgress } = this.#options;
    signal?.throwIfAborted();
    let head: ChannelHead | undefined;
    let start = 0;
    const skip = (skipped: SkippedDamage): void => void this.#skipped.push(skipped);
    for await (const item of storeItems(this.#redex, this.#options, skip)) {
      if (item.kind === 'channel') {
        head = item.head;
        start = this.#records;
      } else if (item.kind === 'records') {
        this.#records += item.records.length;
        for (const { payload } of item.records) this.#payloadBytes += payload.byteLength;
        const { name: channel = '' } = head ?? {};
        onProgress?.({ channel, records: this.#records, payloadBytes: this.#payloadBytes });
      } else if (head !== undefined) {
        const { name, firstSeq, nextSeq } = head;
        this.#channels.push({ name, firstSeq, nextSeq, records: this.#records - start });
      }
      yield item;
    }
  }
}

const FORMATS: ReadonlySet<unknown> = new Set(['archive', 'ndjson']);

/** Nothing is read before the first bytes are asked for. Throws TypeError for an unknown format. */
export function exportStore(redex: Redex, options: ExportOptions): StoreExport {
  if (!FORMATS.has(options.format)) {
    throw new TypeError("the format of an export is 'archive' or 'ndjson'");
  }
  return new StoreExport(redex, options);
}
