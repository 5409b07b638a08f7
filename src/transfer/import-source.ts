/** Which kind of export some bytes are, and its items. */
import { ARCHIVE_MAGIC } from './archive-chunk.js';
import { archiveDamage } from './archive-error.js';
import { archiveItems } from './archive-reader.js';
import { ByteReader } from './byte-reader.js';
import { viewOf } from '../format/bytes.js';
import { GZIP_MAGIC, gunzipped } from './compression.js';
import { ndjsonItems } from './ndjson-reader.js';
import type { TransferItem } from './transfer-items.js';

const OPENING_BRACE = 0x7b;

/**
 * Items of an archive or of lines of JSON, compressed or not, as the first bytes say. A piece of
 * `bytes` may not be written to any more when it was handed out. `path` is for errors.
 */
export async function* itemsOf(
  bytes: AsyncIterable<Uint8Array>,
  path: string,
  signal?: AbortSignal,
): AsyncGenerator<TransferItem, undefined> {
  const outer = new ByteReader(bytes, path, signal);
  try {
    const start = await outer.peek(GZIP_MAGIC.byteLength);
    if (Buffer.compare(start, GZIP_MAGIC) !== 0) {
      yield* await plainItems(outer);
      return;
    }
    const inner = new ByteReader(gunzipped(outer.rest(), path), path, signal);
    try {
      yield* await plainItems(inner);
    } finally {
      await inner.close();
    }
  } finally {
    await outer.close();
  }
}

async function plainItems(reader: ByteReader): Promise<AsyncGenerator<TransferItem, undefined>> {
  const start = await reader.peek(4);
  if (start[0] === OPENING_BRACE) return ndjsonItems(reader);
  const isArchive = start.byteLength === 4 && viewOf(start).getUint32(0, true) === ARCHIVE_MAGIC;
  if (isArchive) return archiveItems(reader);
  throw archiveDamage(reader.path, 0, 'magic', 'this is no export of redex');
}
