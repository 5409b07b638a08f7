/** gzip around an export, and off again. */
import { pipeline } from 'node:stream';
import { createGunzip, createGzip } from 'node:zlib';
import { archiveDamage } from './archive-error.js';

const PIECE_BYTES = 64 * 1024;
/** The first two bytes of every gzip file. */
export const GZIP_MAGIC: Uint8Array = new Uint8Array([0x1f, 0x8b]);

export async function* gzipped(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, undefined> {
  const gzip = createGzip({ chunkSize: PIECE_BYTES });
  // What fails in the source ends the stream, and so the loop, with its error.
  pipeline(source, gzip, ignored);
  for await (const piece of gzip) yield piece as Uint8Array;
}

/**
 * What no gzip file has is CORRUPT at the compressed byte up to which it was read, and so is what
 * stands behind one, zeros too.
 */
export async function* gunzipped(
  source: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array, undefined> {
  const gunzip = createGunzip({ chunkSize: PIECE_BYTES });
  let given = 0;
  async function* counted(): AsyncGenerator<Uint8Array, undefined> {
    for await (const piece of source) {
      given += piece.byteLength;
      yield piece;
    }
  }
  pipeline(counted(), gunzip, ignored);
  try {
    for await (const piece of gunzip) yield piece as Uint8Array;
  } catch (error) {
    const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
    if (typeof code !== 'string' || !code.startsWith('Z_')) throw error;
    const detail = error instanceof Error ? error.message : code;
    throw archiveDamage(path, gunzip.bytesWritten, 'checksum', `gzip: ${detail}`);
  }
  if (given === gunzip.bytesWritten) return;
  throw archiveDamage(path, gunzip.bytesWritten, 'length', 'there are bytes behind the end');
}

const ignored = (): void => {};
