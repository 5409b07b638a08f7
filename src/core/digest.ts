/**
 * SHA-256, for bytes that somebody may have chosen so that they collide. The checksums of the
 * format (src/format/checksum.ts) are much cheaper, but find accidents only.
 */
import { hash } from 'node:crypto';

/** The SHA-256 of `bytes` as 64 lower-case hex digits. */
export function sha256Hex(bytes: Uint8Array): string {
  return hash('sha256', bytes);
}
