/**
 * The binary archive, chunk by chunk: docs/archive.md has every byte of it. A header, chunks with
 * a number and a checksum each, and a last one with the totals. Bytes in, values out, no I/O.
 */
import type { FailedCheck, SeqRange } from '../core/errors.js';
import { readSafeU64, UNSAFE, viewOf, writeSafeU64 } from '../format/bytes.js';
import { checksumOf, readChecksum, sameChecksum, writeChecksum } from '../format/checksum.js';
import type { Checksum } from '../format/checksum.js';
import { decoded, failed, versionFailure, type Decoded } from '../format/decoded.js';
import { magicNumber } from '../format/envelope.js';
import type { ChannelHead, Totals } from './transfer-items.js';
import { headFrom } from './channel-head.js';

export const ARCHIVE_VERSION = 1;
export const ARCHIVE_MAGIC: number = magicNumber('RXAR');
const CHUNK_MAGIC: number = magicNumber('RXAC');
export const ARCHIVE_HEADER_BYTES = 24;
/** In front of the body of a chunk, and behind it. */
export const CHUNK_HEAD_BYTES = 16;
export const CHUNK_TAIL_BYTES = 8;
/** A record of the largest size, and others beside it. */
const MAX_BODY_BYTES: number = 288 * 1024 * 1024;

export const CHANNEL_CHUNK = 1;
export const RECORDS_CHUNK = 2;
export const CHANNEL_END_CHUNK = 3;
export const END_CHUNK = 4;

const END_BODY_BYTES = 32;
const CHANNEL_END_BODY_BYTES = 24;
const CHANNEL_TEXT_AT = 16;

export function encodeArchiveHeader(): Uint8Array {
  const bytes = new Uint8Array(ARCHIVE_HEADER_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, ARCHIVE_MAGIC, true);
  view.setUint16(4, ARCHIVE_VERSION, true);
  view.setUint16(6, ARCHIVE_HEADER_BYTES, true);
  writeChecksum(view, 16, checksumOf(bytes, 0, 16));
  return bytes;
}

/** A version is believed only under its checksum, whose place is the same in all of them. */
export function decodeArchiveHeader(bytes: Uint8Array): Decoded<true> {
  if (bytes.byteLength < ARCHIVE_HEADER_BYTES) return failed('length');
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== ARCHIVE_MAGIC) return failed('magic');
  if (!sameChecksum(readChecksum(view, 16), checksumOf(bytes, 0, 16))) return failed('checksum');
  const version = view.getUint16(4, true);
  if (version > ARCHIVE_VERSION) return versionFailure(version);
  const isOurs = version === ARCHIVE_VERSION && view.getUint16(6, true) === ARCHIVE_HEADER_BYTES;
  return isOurs ? decoded(true) : failed('fields');
}

/** A chunk whose body is still to be filled in, between head and tail, and then sealed. */
export function newChunk(kind: number, number: number, bodyBytes: number): Uint8Array {
  const bytes = new Uint8Array(CHUNK_HEAD_BYTES + bodyBytes + CHUNK_TAIL_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, CHUNK_MAGIC, true);
  view.setUint16(4, kind, true);
  view.setUint32(8, number, true);
  view.setUint32(12, bodyBytes, true);
  return bytes;
}

export function sealChunk(bytes: Uint8Array): Uint8Array {
  const end = bytes.byteLength - CHUNK_TAIL_BYTES;
  writeChecksum(viewOf(bytes), end, checksumOf(bytes, 0, end));
  return bytes;
}

export interface ChunkHead {
  readonly kind: number;
  readonly bodyBytes: number;
}

/** `number` is the one that has to be there; a bound for the body is known before it is read. */
export function decodeChunkHead(bytes: Uint8Array, number: number): Decoded<ChunkHead> {
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== CHUNK_MAGIC) return failed('magic');
  if (view.getUint32(8, true) !== number) return failed('position');
  const bodyBytes = view.getUint32(12, true);
  if (bodyBytes > MAX_BODY_BYTES) return failed('length');
  return decoded({ kind: view.getUint16(4, true), bodyBytes });
}

/** `bytes` is a whole chunk. */
export function isChunkIntact(bytes: Uint8Array): boolean {
  const end = bytes.byteLength - CHUNK_TAIL_BYTES;
  return sameChecksum(readChecksum(viewOf(bytes), end), checksumOf(bytes, 0, end));
}

export function encodeChannelChunk(head: ChannelHead, number: number): Uint8Array {
  const { name, options, firstSeq, nextSeq } = head;
  const text = new TextEncoder().encode(JSON.stringify({ name, options }));
  const chunk = newChunk(CHANNEL_CHUNK, number, CHANNEL_TEXT_AT + text.byteLength);
  const view = viewOf(chunk);
  writeSafeU64(view, CHUNK_HEAD_BYTES, firstSeq);
  writeSafeU64(view, CHUNK_HEAD_BYTES + 8, nextSeq);
  chunk.set(text, CHUNK_HEAD_BYTES + CHANNEL_TEXT_AT);
  return sealChunk(chunk);
}

export function decodeChannelBody(body: Uint8Array): Decoded<ChannelHead> {
  if (body.byteLength < CHANNEL_TEXT_AT) return failed('length');
  const view = viewOf(body);
  const firstSeq = readSafeU64(view, 0);
  const nextSeq = readSafeU64(view, 8);
  let text: unknown;
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    text = JSON.parse(decoder.decode(body.subarray(CHANNEL_TEXT_AT)));
  } catch {
    return failed('fields');
  }
  const head = headFrom(text, firstSeq, nextSeq);
  return head === undefined ? failed('fields') : decoded(head);
}

export interface ChannelEnd {
  readonly records: number;
  readonly payloadBytes: number;
  readonly damaged: readonly SeqRange[];
}

export function encodeChannelEndChunk(end: ChannelEnd, number: number): Uint8Array {
  const bodyBytes = CHANNEL_END_BODY_BYTES + end.damaged.length * 16;
  const chunk = newChunk(CHANNEL_END_CHUNK, number, bodyBytes);
  const view = viewOf(chunk);
  writeSafeU64(view, CHUNK_HEAD_BYTES, end.records);
  writeSafeU64(view, CHUNK_HEAD_BYTES + 8, end.payloadBytes);
  writeSafeU64(view, CHUNK_HEAD_BYTES + 16, end.damaged.length);
  let at = CHUNK_HEAD_BYTES + CHANNEL_END_BODY_BYTES;
  for (const { firstSeq, nextSeq } of end.damaged) {
    writeSafeU64(view, at, firstSeq);
    writeSafeU64(view, at + 8, nextSeq);
    at += 16;
  }
  return sealChunk(chunk);
}

export function decodeChannelEndBody(body: Uint8Array): Decoded<ChannelEnd> {
  if (body.byteLength < CHANNEL_END_BODY_BYTES) return failed('length');
  const view = viewOf(body);
  const records = readSafeU64(view, 0);
  const payloadBytes = readSafeU64(view, 8);
  const count = readSafeU64(view, 16);
  if (body.byteLength !== CHANNEL_END_BODY_BYTES + count * 16) return failed('length');
  const damaged: SeqRange[] = [];
  for (let at = CHANNEL_END_BODY_BYTES; at < body.byteLength; at += 16) {
    const range = { firstSeq: readSafeU64(view, at), nextSeq: readSafeU64(view, at + 8) };
    if (range.firstSeq === UNSAFE || range.nextSeq === UNSAFE) return failed('fields');
    damaged.push(range);
  }
  if (records === UNSAFE || payloadBytes === UNSAFE) return failed('fields');
  return decoded({ records, payloadBytes, damaged });
}

/** `chain` is the checksum of the checksums of all chunks before it. */
export function encodeEndChunk(totals: Totals, chain: Checksum, number: number): Uint8Array {
  const chunk = newChunk(END_CHUNK, number, END_BODY_BYTES);
  const view = viewOf(chunk);
  writeSafeU64(view, CHUNK_HEAD_BYTES, totals.channels);
  writeSafeU64(view, CHUNK_HEAD_BYTES + 8, totals.records);
  writeSafeU64(view, CHUNK_HEAD_BYTES + 16, totals.payloadBytes);
  writeChecksum(view, CHUNK_HEAD_BYTES + 24, chain);
  return sealChunk(chunk);
}

/** Why the end does not fit what came before it, or undefined when it does. */
export function endFailure(
  body: Uint8Array,
  totals: Totals,
  chain: Checksum,
): FailedCheck | undefined {
  if (body.byteLength !== END_BODY_BYTES) return 'length';
  const view = viewOf(body);
  if (!sameChecksum(readChecksum(view, 24), chain)) return 'chain';
  const isSame =
    readSafeU64(view, 0) === totals.channels &&
    readSafeU64(view, 8) === totals.records &&
    readSafeU64(view, 16) === totals.payloadBytes;
  return isSame ? undefined : 'sequence';
}
