/**
 * A checkpoint: the state of a fold after all records below a seq. The header has a checksum of its
 * own, so that its seq can be used as a witness without reading the state behind it.
 *
 *   0 u32 magic  4 u16 version  6 u16 length of the header  8 channel id (16)  24 u64 seq
 *  32 u64 fold version  40 u64 state length  48 u64 state checksum  56 u32 kind  60 zeros (4)
 *  64 u64 from seq  72 name, UTF-8  (then) u64 checksum of the header  (then) the state, to the end
 *  of the file
 */
import { assert } from '../core/assert.js';
import { readSafeU64, UNSAFE, viewOf, writeSafeU64 } from './bytes.js';
import { checksumOf, readChecksum, writeChecksum, type Checksum } from './checksum.js';
import { decoded, failed, type Decoded } from './decoded.js';
import { ENVELOPE_TAIL_BYTES, envelopeFailure, magicNumber, writeEnvelope } from './envelope.js';
import { CHANNEL_ID_BYTES } from './file-header.js';
import { utf8Bytes, utf8Text } from './text.js';

export const CHECKPOINT_MAGIC: number = magicNumber('RXCP');
const MAX_FOLD_NAME_BYTES = 1024;
/** Where the name begins. */
const CHECKPOINT_NAME_AT = 72;
export const MAX_CHECKPOINT_HEADER_BYTES: number =
  CHECKPOINT_NAME_AT + MAX_FOLD_NAME_BYTES + ENVELOPE_TAIL_BYTES;

/** What a state is: of a fold, encoded by its user, or of an index, a table of keys. */
export const CHECKPOINT_OF_FOLD = 1;
export const CHECKPOINT_OF_INDEX = 2;

export interface CheckpointHeader {
  readonly channelId: Uint8Array;
  /** The state has seen every record below it. A witness: all of them were synced. */
  readonly seq: number;
  /** The state has seen every record from it on: where its fold began. */
  readonly fromSeq: number;
  readonly foldVersion: number;
  readonly kind: number;
  readonly name: string;
  readonly stateLength: number;
  readonly stateChecksum: Checksum;
}

/** A whole file. */
export function encodeCheckpoint(
  header: Omit<CheckpointHeader, 'stateLength' | 'stateChecksum'>,
  state: Uint8Array,
): Uint8Array {
  const name = utf8Bytes(header.name);
  assert(name.byteLength <= MAX_FOLD_NAME_BYTES, 'the name of a fold is bounded');
  const headerLength = CHECKPOINT_NAME_AT + name.byteLength + ENVELOPE_TAIL_BYTES;
  const bytes = new Uint8Array(headerLength + state.byteLength);
  const view = viewOf(bytes);
  bytes.set(header.channelId, 8);
  writeSafeU64(view, 24, header.seq);
  writeSafeU64(view, 32, header.foldVersion);
  writeSafeU64(view, 40, state.byteLength);
  writeChecksum(view, 48, checksumOf(state, 0, state.byteLength));
  view.setUint32(56, header.kind, true);
  writeSafeU64(view, 64, header.fromSeq);
  bytes.set(name, CHECKPOINT_NAME_AT);
  writeEnvelope(bytes.subarray(0, headerLength), CHECKPOINT_MAGIC);
  bytes.set(state, headerLength);
  return bytes;
}

/** The header of a file that begins with `bytes`, and how long it is. */
export function decodeCheckpointHeader(
  bytes: Uint8Array,
): Decoded<{ readonly header: CheckpointHeader; readonly byteLength: number }> {
  const said = bytes.byteLength < 8 ? 0 : viewOf(bytes).getUint16(6, true);
  const head = bytes.subarray(0, Math.max(8, said));
  const failure = envelopeFailure(head, CHECKPOINT_MAGIC);
  if (failure !== undefined) return failure;
  const nameLength = head.byteLength - CHECKPOINT_NAME_AT - ENVELOPE_TAIL_BYTES;
  if (nameLength <= 0 || nameLength > MAX_FOLD_NAME_BYTES) return failed('length');
  const view = viewOf(head);
  const name = utf8Text(head.subarray(CHECKPOINT_NAME_AT, CHECKPOINT_NAME_AT + nameLength));
  const seq = readSafeU64(view, 24);
  const foldVersion = readSafeU64(view, 32);
  const stateLength = readSafeU64(view, 40);
  const fromSeq = readSafeU64(view, 64);
  if (name === undefined || [seq, foldVersion, stateLength, fromSeq].includes(UNSAFE)) {
    return failed('fields');
  }
  const header: CheckpointHeader = {
    channelId: head.slice(8, 8 + CHANNEL_ID_BYTES),
    seq,
    fromSeq,
    foldVersion,
    kind: view.getUint32(56, true),
    name,
    stateLength,
    stateChecksum: readChecksum(view, 48),
  };
  return decoded({ header, byteLength: head.byteLength });
}
