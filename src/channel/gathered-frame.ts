/** What both writers of segments do alike: draw what a segment is bound to, and encode frames. */
import type { Checksum } from '../format/checksum.js';
import type { FrameContent, FrameEncoder, FramePlace } from '../format/frame-encoder.js';
import type { Runtime } from '../core/runtime.js';
import type { EncodedFrame } from '../segment/segment-writer.js';
import type { Gather } from './gather.js';

/** The nonce of a new segment, and the attempt number that it begins with. */
export function drawSegment(runtime: Runtime): {
  readonly nonce: Checksum;
  readonly attempt: number;
} {
  const random = runtime.random(new Uint8Array(12));
  const view = new DataView(random.buffer, random.byteOffset, 12);
  return { nonce: { hi: view.getUint32(0), lo: view.getUint32(4) }, attempt: view.getUint32(8) };
}

/** Encodes a frame of gathered records. The bytes live until the encoder is used again. */
export function encodeGathered(
  encoder: FrameEncoder,
  gather: Gather,
  content: FrameContent,
  place: FramePlace,
): EncodedFrame {
  encoder.encode(content, place);
  const last = content.first + content.recordCount - 1;
  const { bytes, byteLength, checksum, units } = encoder;
  return {
    bytes,
    byteLength,
    checksum,
    units,
    recordCount: content.recordCount,
    keys: content,
    nextSeq: gather.seqOf(last) + 1,
    lastTimestamp: gather.timeOf(last),
  };
}
