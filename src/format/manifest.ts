/**
 * The manifest names a channel's live generation. 128 bytes, replaced as a whole (RULES G5).
 *
 *   0 u32 magic  4 u16 version  6 u16 length   8 channel id (16)  24 u64 generation
 *  32 u64 firstSeq  40 u64 redoSeq  48 u64 nextSeqFloor  56 u64 recovery epoch
 *  64 u64 segment  72 u64 position  80 zeros (40)  120 u64 checksum
 */
import { readSafeU64, UNSAFE, viewOf, writeSafeU64 } from './bytes.js';
import { decoded, failed, type Decoded } from './decoded.js';
import { envelopeFailure, magicNumber, writeEnvelope } from './envelope.js';
import { CHANNEL_ID_BYTES } from './file-header.js';

export const MANIFEST_BYTES = 128;
export const MANIFEST_MAGIC: number = magicNumber('RXMF');

export interface Manifest {
  readonly channelId: Uint8Array;
  /** The number in the name of the live generation's directory; at least 1. */
  readonly generation: number;
  /** No record below it is in the channel. A witness. */
  readonly firstSeq: number;
  /** Records below it need no redo from the journal: they are synced in dat. A witness. */
  readonly redoSeq: number;
  /** The same as a place in the log: base seq of a segment, and bytes of its dat file. */
  readonly redoSegment: number;
  readonly redoPosition: number;
  /** The next seq is never below it, whatever the segments hold. A witness. */
  readonly nextSeqFloor: number;
  /** Raised before each cut of a torn tail, so that who remembers seqs can see that some went. */
  readonly recoveryEpoch: number;
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const bytes = new Uint8Array(MANIFEST_BYTES);
  const view = viewOf(bytes);
  bytes.set(manifest.channelId, 8);
  writeSafeU64(view, 24, manifest.generation);
  writeSafeU64(view, 32, manifest.firstSeq);
  writeSafeU64(view, 40, manifest.redoSeq);
  writeSafeU64(view, 48, manifest.nextSeqFloor);
  writeSafeU64(view, 56, manifest.recoveryEpoch);
  writeSafeU64(view, 64, manifest.redoSegment);
  writeSafeU64(view, 72, manifest.redoPosition);
  writeEnvelope(bytes, MANIFEST_MAGIC);
  return bytes;
}

export function decodeManifest(bytes: Uint8Array): Decoded<Manifest> {
  const failure = envelopeFailure(bytes, MANIFEST_MAGIC);
  if (failure !== undefined) return failure;
  if (bytes.byteLength !== MANIFEST_BYTES) return failed('length');
  const view = viewOf(bytes);
  const manifest: Manifest = {
    channelId: bytes.slice(8, 8 + CHANNEL_ID_BYTES),
    generation: readSafeU64(view, 24),
    firstSeq: readSafeU64(view, 32),
    redoSeq: readSafeU64(view, 40),
    nextSeqFloor: readSafeU64(view, 48),
    recoveryEpoch: readSafeU64(view, 56),
    redoSegment: readSafeU64(view, 64),
    redoPosition: readSafeU64(view, 72),
  };
  const { channelId, ...numbers } = manifest;
  const isWhole = !Object.values(numbers).includes(UNSAFE);
  if (channelId.byteLength === 0 || manifest.generation === 0 || !isWhole) return failed('fields');
  return decoded(manifest);
}
