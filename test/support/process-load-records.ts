/**
 * Records that say themselves what they have to be: seq, and which seqs were appended with them in
 * one batch. So a log can be checked without a word from the process that wrote it.
 */
import { Buffer } from 'node:buffer';

export const LOAD_CHANNEL = 'load';

/** Sizes: most are small, some need a frame of their own, few are written asynchronously. */
function fillBytes(seq: number): number {
  if (seq % 3001 === 3000) return 700_000;
  return seq % 397 === 396 ? 20_000 : (seq * 7919) % 300;
}

export function loadPayload(seq: number, batchFirst: number, batchSize: number): Buffer {
  const head = Buffer.from(`${seq} ${batchFirst} ${batchSize} `);
  return Buffer.concat([head, Buffer.alloc(fillBytes(seq), (seq * 31) % 251)]);
}

/** How many records are appended together from this seq on; 1 for a plain append. */
export function batchSizeAt(seq: number): number {
  return seq % 11 === 0 ? 2 + (seq % 5) : 1;
}

/** The end of the batch that a record says it belongs to; undefined for wrong bytes. */
export function batchEndOf(seq: number, payload: Uint8Array): number | undefined {
  const text = Buffer.from(payload.subarray(0, 64)).toString('latin1');
  const [, own, first, size] = /^(\d+) (\d+) (\d+) /.exec(text)?.map(Number) ?? [];
  if (own !== seq || first === undefined || size === undefined) return undefined;
  if (seq < first || seq >= first + size || size !== batchSizeAt(first)) return undefined;
  return loadPayload(seq, first, size).equals(payload) ? first + size : undefined;
}
