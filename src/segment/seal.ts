/** The seal that ends the file of a finished segment. */
import { sharedBytes, viewOf } from '../format/bytes.js';
import type { Checksum } from '../format/checksum.js';
import { FILE_HEADER_BYTES } from '../format/file-header.js';
import {
  decodeUnitHeader,
  SEAL_BYTES,
  SEAL_MAGIC,
  verifyUnit,
  type UnitHeader,
} from '../format/unit.js';
import type { FileHandle } from '../fs/file-system.js';

/** The seal that ends a file of `size` bytes, if it does and is bound to `nonce`. */
export function readSeal(file: FileHandle, nonce: Checksum, size: number): UnitHeader | undefined {
  const position = size - SEAL_BYTES;
  if (position < FILE_HEADER_BYTES) return undefined;
  const bytes = sharedBytes(SEAL_BYTES);
  if (file.readSync(bytes, 0, SEAL_BYTES, position) < SEAL_BYTES) return undefined;
  const unit = decodeUnitHeader(viewOf(bytes), 0, position, SEAL_BYTES);
  if (typeof unit === 'string' || unit.magic !== SEAL_MAGIC) return undefined;
  const failure = verifyUnit(bytes, 0, SEAL_BYTES, unit.checksum, nonce);
  return failure === undefined ? unit : undefined;
}
