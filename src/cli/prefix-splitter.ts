/** Records of a stream of bytes that have their length in front, as u32, big endian. */
import { Problem } from './failure.js';
import { RecordTooLong, type Splitter } from './line-splitter.js';

const PREFIX_BYTES = 4;

export class PrefixSplitter implements Splitter {
  readonly #maxBytes: number;
  #rest: Uint8Array = new Uint8Array(0);
  /** Pieces behind `#rest`, not joined before a record can be whole. */
  #more: Uint8Array[] = [];
  #moreBytes = 0;
  #needed = PREFIX_BYTES;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(piece: Uint8Array): Uint8Array[] {
    this.#more.push(piece);
    this.#moreBytes += piece.byteLength;
    if (this.#rest.byteLength + this.#moreBytes < this.#needed) return [];
    const bytes = this.#joined();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const records: Uint8Array[] = [];
    let at = 0;
    this.#needed = PREFIX_BYTES;
    while (at + PREFIX_BYTES <= bytes.byteLength) {
      const length = view.getUint32(at);
      if (length > this.#maxBytes) throw new RecordTooLong();
      const end = at + PREFIX_BYTES + length;
      this.#needed = PREFIX_BYTES + length;
      if (end > bytes.byteLength) break;
      records.push(bytes.subarray(at + PREFIX_BYTES, end));
      at = end;
      this.#needed = PREFIX_BYTES;
    }
    this.#rest = bytes.subarray(at);
    return records;
  }

  #joined(): Uint8Array {
    const [only] = this.#more;
    const isAlone = this.#rest.byteLength === 0 && this.#more.length === 1;
    const bytes = isAlone && only !== undefined ? only : Buffer.concat([this.#rest, ...this.#more]);
    this.#more = [];
    this.#moreBytes = 0;
    return bytes;
  }

  end(): Uint8Array[] {
    const left = this.#rest.byteLength + this.#moreBytes;
    if (left === 0) return [];
    throw new Problem(`the input ends within a record: ${left} bytes of ${this.#needed} are there`);
  }
}
