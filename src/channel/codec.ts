/**
 * How values become bytes and come back. What a codec throws is its user's to know: it is told as
 * the cause of a DecodeError that names the record, and nothing else is touched by it.
 */
import { types } from 'node:util';
import { payloadOf } from './record-input.js';
import { synchronous } from '../core/late-rejection.js';

/** Both methods answer at once: an async one is a TypeError. */
export interface Codec<T> {
  encode(value: T): Uint8Array | string;
  /** The bytes live as long as what they were read for; a value that keeps them copies them. */
  decode(bytes: Uint8Array): T;
}

/** JSON decodes to whatever it was: who says what type that is has to know it. */
export interface JsonCodec extends Codec<unknown> {
  readonly mediaType: 'application/json';
}

/** A record that its codec does not decode. What the codec threw is the `cause`. */
export class DecodeError extends Error {
  readonly seq: number;

  constructor(seq: number, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`record ${seq} does not decode: ${reason}`, { cause });
    this.seq = seq;
  }
}
Object.defineProperty(DecodeError.prototype, 'name', { value: 'DecodeError' });

function textOf(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
}

/**
 * JSON as UTF-8, by the rules of JSON.stringify. What has no form at all (undefined, a function, a
 * bigint, a cycle) is a TypeError; the rest becomes what JSON makes of it: NaN, and undefined in an
 * array, null; a Map an empty object; a Date a string.
 */
export const jsonCodec: JsonCodec = {
  mediaType: 'application/json',
  encode(value) {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) throw new TypeError('JSON has no form for this value');
    return text;
  },
  decode: (bytes) => JSON.parse(textOf(bytes)) as unknown,
};

/** Strings as UTF-8. A string with a lone surrogate is a TypeError: it has no such form. */
export const utf8Codec: Codec<string> = {
  encode(value) {
    if (typeof value !== 'string') throw new TypeError('utf8Codec takes strings');
    if (/\p{Surrogate}/u.test(value)) throw new TypeError('the string is not well-formed');
    return value;
  },
  decode: textOf,
};

/** Throws TypeError for what is no codec. */
export function checkCodec(codec: Codec<unknown>): void {
  if (typeof codec !== 'object' || codec === null) throw new TypeError('a codec is an object');
  for (const method of ['encode', 'decode'] as const) {
    if (typeof codec[method] !== 'function') {
      throw new TypeError(`a codec must have a method ${method}`);
    }
    if (types.isAsyncFunction(codec[method])) throw new TypeError(`${method} may not be async`);
  }
}

/** What the codec makes of a value, as bytes. */
export function encodedBytes<T>(codec: Codec<T>, value: T): Uint8Array {
  return payloadOf(encoded(codec, value));
}

/** What the codec makes of a value. Throws TypeError for a promise. */
export function encoded<T>(codec: Codec<T>, value: T): Uint8Array | string {
  return synchronous('encode', codec.encode(value));
}

/** The value that these bytes stand for. Throws TypeError for a promise. */
export function decodedValue<T>(codec: Codec<T>, bytes: Uint8Array): T {
  return synchronous('decode', codec.decode(bytes));
}
