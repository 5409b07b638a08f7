/**
 * Items as lines of JSON, for people and other programs: a header, for each channel its head, its
 * records and its end, and a last line with totals and a checksum, without which it is not whole.
 */
import { isUtf8 } from 'node:buffer';
import { RunningChecksum, type Checksum } from '../format/checksum.js';
import { noTotals, type TransferItem, type TransferRecord } from './transfer-items.js';

export const NDJSON_FORMAT = 'redex-export';
export const NDJSON_VERSION = 1;

/** 16 hex digits, the number as people write it. */
export function hexOf({ hi, lo }: Checksum): string {
  return `${hi.toString(16).padStart(8, '0')}${lo.toString(16).padStart(8, '0')}`;
}

class NdjsonEncoder {
  readonly #checksum = new RunningChecksum();
  readonly #totals = noTotals();
  #channel = '';
  #records = 0;
  #payloadBytes = 0;

  header(): Uint8Array {
    return this.#lines(line({ format: NDJSON_FORMAT, version: NDJSON_VERSION }));
  }

  add(item: TransferItem): Uint8Array {
    if (item.kind === 'records') return this.#lines(this.#recordLines(item.records));
    if (item.kind === 'channel') {
      const { name, options, firstSeq, nextSeq } = item.head;
      this.#channel = name;
      this.#records = 0;
      this.#payloadBytes = 0;
      this.#totals.channels++;
      return this.#lines(line({ kind: 'channel', name, options, firstSeq, nextSeq }));
    }
    const end = {
      kind: 'channelEnd',
      channel: this.#channel,
      records: this.#records,
      payloadBytes: this.#payloadBytes,
      damaged: item.damaged,
    };
    return this.#lines(line(end));
  }

  /** Covers every byte before it. */
  end(): Uint8Array {
    const checksum = hexOf(this.#checksum.value);
    return Buffer.from(line({ kind: 'end', ...this.#totals, checksum }));
  }

  #recordLines(records: readonly TransferRecord[]): string {
    let text = '';
    const channel = JSON.stringify(this.#channel);
    for (const { seq, timestampNs, type, payload } of records) {
      text += `{"channel":${channel},"seq":${seq},"timestampNs":"${timestampNs}",`;
      text += `"type":${type},${payloadField(payload)}}\n`;
      this.#records++;
      this.#payloadBytes += payload.byteLength;
      this.#totals.records++;
      this.#totals.payloadBytes += payload.byteLength;
    }
    return text;
  }

  #lines(text: string): Uint8Array {
    const bytes = Buffer.from(text);
    this.#checksum.add(bytes, 0, bytes.byteLength);
    return bytes;
  }
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

/** As text when the text has exactly these bytes. */
function payloadField(payload: Uint8Array): string {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  if (isUtf8(bytes)) return `"payload":${JSON.stringify(bytes.toString('utf8'))}`;
  return `"payloadBase64":"${bytes.toString('base64')}"`;
}

export async function* ndjsonBytes(
  items: AsyncIterable<TransferItem>,
): AsyncGenerator<Uint8Array, undefined> {
  const encoder = new NdjsonEncoder();
  yield encoder.header();
  for await (const item of items) yield encoder.add(item);
  yield encoder.end();
}
