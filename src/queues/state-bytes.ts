/**
 * The state of a queue as bytes: values one after the other without names, little-endian, read in
 * the order in which they were written. Arrays of numbers are copied as they lie in memory: a host
 * has to be little-endian, as all are that Node.js runs on but for s390x.
 */
import { utf8Bytes, utf8Text } from '../format/text.js';

const FIRST_BYTES = 1024;
const MOST_BYTES = 1024 * 1024;
/** In the length of a text: it is UTF-16, as a lone surrogate has no UTF-8 form. */
const UTF16 = 0x80000000;
const LENGTH_MASK = 0x7fffffff;

export class StateWriter {
  readonly #full: Uint8Array[] = [];
  #bytes: Uint8Array = new Uint8Array(FIRST_BYTES);
  #view: DataView = new DataView(this.#bytes.buffer);
  #used = 0;

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#view.setUint8(at, value);
  }

  bool(value: boolean): void {
    this.u8(value ? 1 : 0);
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }

  f64(value: number): void {
    const at = this.#reserve(8);
    this.#view.setFloat64(at, value, true);
  }

  /** Any string is read as it was written, also one that is no well-formed Unicode. */
  string(value: string): void {
    const isUtf16 = /\p{Surrogate}/u.test(value);
    const bytes = isUtf16 ? Buffer.from(value, 'utf16le') : utf8Bytes(value);
    if (bytes.byteLength > LENGTH_MASK) throw new Error('a text is too long for the state');
    this.u32((isUtf16 ? UTF16 : 0) + bytes.byteLength);
    this.#copy(bytes);
  }

  /** The bytes are copied at once. Throws for 4 GiB and more. */
  bytes(value: Uint8Array): void {
    if (value.byteLength > 0xffffffff) throw new Error('bytes are too long for the state');
    this.u32(value.byteLength);
    this.#copy(value);
  }

  /** The numbers are copied at once. */
  float64s(values: Float64Array): void {
    if (values.length > 0xffffffff) throw new Error('an array is too long for the state');
    this.u32(values.length);
    this.#copy(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }

  /** All that was written, in memory of its own. */
  finish(): Uint8Array {
    let length = this.#used;
    for (const part of this.#full) length += part.byteLength;
    const all = new Uint8Array(length);
    let at = 0;
    for (const part of this.#full) {
      all.set(part, at);
      at += part.byteLength;
    }
    all.set(this.#bytes.subarray(0, this.#used), at);
    return all;
  }

  #copy(value: Uint8Array): void {
    const at = this.#reserve(value.byteLength);
    this.#bytes.set(value, at);
  }

  /** Takes `length` bytes in a row, and returns where they begin. */
  #reserve(length: number): number {
    const at = this.#used;
    if (at + length <= this.#bytes.byteLength) {
      this.#used = at + length;
      return at;
    }
    if (at > 0) this.#full.push(this.#bytes.subarray(0, at));
    const next = Math.min(2 * this.#bytes.byteLength, MOST_BYTES);
    this.#bytes = new Uint8Array(Math.max(length, next));
    this.#view = new DataView(this.#bytes.buffer);
    this.#used = length;
    return 0;
  }
}

/**
 * Reads what a StateWriter wrote. Throws an Error for what is short or cannot be: no value that was
 * not written is ever returned in its place.
 */
export class StateReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  /** The bytes may not change while they are read. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  bool(): boolean {
    const value = this.u8();
    if (value > 1) throw new Error(`a state has ${value} where true or false has to be`);
    return value === 1;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  string(): string {
    const word = this.u32();
    const bytes = this.#next(word & LENGTH_MASK);
    if (word < UTF16) {
      const text = utf8Text(bytes);
      if (text === undefined) throw new Error('a text of a state is no UTF-8');
      return text;
    }
    if (bytes.byteLength % 2 !== 0) throw new Error('a text of a state ends in half a character');
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf16le');
  }

  /** A view of the bytes that are read: as long as those live. */
  bytes(): Uint8Array {
    return this.#next(this.u32());
  }

  /** Numbers in memory of their own. */
  float64s(): Float64Array<ArrayBuffer> {
    const length = this.u32();
    const bytes = this.#next(8 * length);
    const values = new Float64Array(length);
    new Uint8Array(values.buffer).set(bytes);
    return values;
  }

  /** There is more. */
  get hasMore(): boolean {
    return this.#at < this.#bytes.byteLength;
  }

  /** Throws when there is more. */
  done(): void {
    const left = this.#bytes.byteLength - this.#at;
    if (left > 0) throw new Error(`a state has ${left} more bytes than it should`);
  }

  #next(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  #take(length: number): number {
    const at = this.#at;
    const left = this.#bytes.byteLength - at;
    if (length > left) throw new Error(`a state needs ${length} more bytes and has ${left}`);
    this.#at = at + length;
    return at;
  }
}
