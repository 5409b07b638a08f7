/**
 * The manifest of a data directory, `redex.json`: it says that the directory is one, and of which
 * format version. It is JSON, so that people and their tools can read it, but only one text is
 * good for each content: what is not exactly as it is written here was not written by redex.
 *
 * The checksum is that of the same text without the line of the checksum and without the comma
 * before it, as 16 hex digits, the most significant first.
 */
import { assert } from '../core/assert.js';
import { checksumOf } from './checksum.js';
import { decoded, failed, versionFailure, type Decoded } from './decoded.js';
import { FORMAT_VERSION } from './envelope.js';
import { utf8Bytes, utf8Text } from './text.js';

/** A manifest that is larger is refused before it is read, one of a newer version too. */
export const MAX_STORE_MANIFEST_BYTES = 4096;

const FORMAT = 'redex';

export interface StoreManifest {
  /** Random, new for each data directory; 32 lower-case hex digits. */
  readonly storeId: string;
  /** Unix milliseconds. */
  readonly created: number;
}

export function encodeStoreManifest(manifest: StoreManifest): Uint8Array {
  const { storeId, created } = manifest;
  assert(isStoreId(storeId) && isTime(created), 'a store manifest has an id and a time');
  return utf8Bytes(textOf({ ...fieldsOf(manifest), checksum: sumOf(manifest) }));
}

export function decodeStoreManifest(bytes: Uint8Array): Decoded<StoreManifest> {
  if (bytes.byteLength === 0 || bytes.byteLength > MAX_STORE_MANIFEST_BYTES) {
    return failed('length');
  }
  const text = utf8Text(bytes);
  const json = text === undefined ? undefined : jsonObject(text);
  const isRedex = json?.['format'] === FORMAT;
  const version = json?.['formatVersion'];
  if (isRedex && isNewer(version)) return versionFailure(version);
  if (bytes.byteLength < SHORTEST_BYTES) return failed('length');
  if (!isRedex) return failed('magic');
  const { storeId, created, checksum } = json;
  if (version !== FORMAT_VERSION || !isStoreId(storeId) || !isTime(created)) {
    return failed('fields');
  }
  const manifest = { storeId, created };
  if (checksum !== sumOf(manifest)) return failed('checksum');
  const written = textOf({ ...fieldsOf(manifest), checksum });
  if (text === written) return decoded(manifest);
  return failed(text?.length === written.length ? 'fields' : 'length');
}

function fieldsOf({ storeId, created }: StoreManifest): Readonly<Record<string, unknown>> {
  return { format: FORMAT, formatVersion: FORMAT_VERSION, storeId, created };
}

function textOf(json: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify(json, undefined, 2)}\n`;
}

function sumOf(manifest: StoreManifest): string {
  const bytes = utf8Bytes(textOf(fieldsOf(manifest)));
  const { hi, lo } = checksumOf(bytes, 0, bytes.byteLength);
  return [hi, lo].map((half) => half.toString(16).padStart(8, '0')).join('');
}

/** A truncated manifest is shorter, unless its time was a longer one. */
const SHORTEST_BYTES: number = encodeStoreManifest({
  storeId: '0'.repeat(32),
  created: 0,
}).byteLength;

function isNewer(version: unknown): version is number {
  return Number.isSafeInteger(version) && Number(version) > FORMAT_VERSION;
}

function isStoreId(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function jsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  // An array has no `format`, so it needs no check of its own.
  return typeof json === 'object' && json !== null ? { ...json } : undefined;
}
