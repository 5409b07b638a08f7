/**
 * The common shape of every structure of a fixed place: magic, format version and length first,
 * checksum of all before it last. The first eight bytes keep their meaning in every version, so a
 * newer file is recognised as newer, not as damaged, whatever else has changed in it.
 */
import type { FailedCheck } from '../core/errors.js';
import { checksumOf, readChecksum, sameChecksum, writeChecksum } from './checksum.js';
import { failed, versionFailure, type DecodeFailure } from './decoded.js';
import { viewOf } from './bytes.js';

/** Bytes of magic (u32), version (u16) and a u16 that is the structure's length, or 0. */
const ENVELOPE_HEAD_BYTES = 8;
export const ENVELOPE_TAIL_BYTES = 8;

/** The version of all file formats that this build writes, and the only one that it reads. */
export const FORMAT_VERSION = 1;

/** A magic number from four ASCII letters, as it stands in the file. */
export function magicNumber(letters: string): number {
  let value = 0;
  for (let i = 3; i >= 0; i--) value = value * 256 + letters.charCodeAt(i);
  return value;
}

export function writeEnvelope(bytes: Uint8Array, magic: number): void {
  const view = viewOf(bytes);
  view.setUint32(0, magic, true);
  view.setUint16(4, FORMAT_VERSION, true);
  view.setUint16(6, bytes.byteLength > 0xffff ? 0 : bytes.byteLength, true);
  const end = bytes.byteLength - ENVELOPE_TAIL_BYTES;
  writeChecksum(view, end, checksumOf(bytes, 0, end));
}

/** Why `bytes` is not a whole structure of this kind, or undefined when it is. */
export function envelopeFailure(bytes: Uint8Array, magic: number): DecodeFailure | undefined {
  if (bytes.byteLength < ENVELOPE_HEAD_BYTES) return failed('length');
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== magic) return failed('magic');
  const version = view.getUint16(4, true);
  if (version > FORMAT_VERSION) return versionFailure(version);
  const check = bodyFailure(view, bytes, version);
  return check === undefined ? undefined : failed(check);
}

function bodyFailure(view: DataView, bytes: Uint8Array, version: number): FailedCheck | undefined {
  if (version !== FORMAT_VERSION) return 'fields';
  const length = bytes.byteLength;
  if (length < ENVELOPE_HEAD_BYTES + ENVELOPE_TAIL_BYTES) return 'length';
  if (view.getUint16(6, true) !== (length > 0xffff ? 0 : length)) return 'length';
  const end = length - ENVELOPE_TAIL_BYTES;
  return sameChecksum(readChecksum(view, end), checksumOf(bytes, 0, end)) ? undefined : 'checksum';
}
