/**
 * Tells the beginning of a write that never returned from a frame that was damaged later. Only the
 * first was certainly never acknowledged, so the answer is yes only when the frame is too long for
 * the file by two independent statements: one damaged field alone cannot make it so.
 */
import { readSafeU64, viewOf } from '../format/bytes.js';
import { readChecksum, sameChecksum, type Checksum } from '../format/checksum.js';
import {
  coveredBytes,
  decodeUnitHeader,
  FLAG_BLOCKS,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  LENGTH_MASK,
  tableBytes,
  verifyUnit,
  type UnitHeader,
} from '../format/unit.js';
import { lengthsAt } from '../format/unit-records.js';
import type { FileHandle } from '../fs/file-system.js';

/** The place where the next frame of a segment would stand. */
export interface FramePosition {
  readonly position: number;
  readonly nextSeq: number;
  readonly link: Checksum;
  readonly nonce: Checksum;
}

/** Whether the `remaining` bytes of the file are the beginning of the next frame, cut short. */
export function isUnfinishedWrite(
  file: FileHandle,
  place: FramePosition,
  remaining: number,
): boolean {
  // Shorter than any frame is.
  if (remaining < FRAME_HEADER_BYTES) return true;
  const head = new Uint8Array(FRAME_HEADER_BYTES + 8);
  const length = file.readSync(head, 0, Math.min(head.byteLength, remaining), place.position);
  const view = viewOf(head);
  const isNext =
    view.getUint32(8, true) === FRAME_MAGIC &&
    view.getUint32(32, true) === place.position &&
    readSafeU64(view, 16) >= place.nextSeq &&
    sameChecksum(readChecksum(view, 48), place.link);
  const byteLength = view.getUint32(12, true);
  if (!isNext || byteLength <= remaining) return false;
  const unit = decodeUnitHeader(view, 0, place.position, byteLength);
  if (typeof unit === 'string') return false;
  if ((unit.flags & FLAG_BLOCKS) !== 0) {
    return length === head.byteLength && headVerifies(file, unit, view, place, remaining);
  }
  return tableAgrees(file, unit, place, remaining);
}

/** A frame of blocks: its head, which says how long it is, is whole. */
function headVerifies(
  file: FileHandle,
  unit: UnitHeader,
  view: DataView,
  place: FramePosition,
  remaining: number,
): boolean {
  const covered = coveredBytes(view, 0, unit);
  if (covered === undefined || covered > remaining) return false;
  const bytes = new Uint8Array(covered);
  if (file.readSync(bytes, 0, covered, place.position) < covered) return false;
  return verifyUnit(bytes, 0, covered, unit.checksum, place.nonce) === undefined;
}

/** Another frame: its record table, as far as it is there, needs the length that is stated. */
function tableAgrees(
  file: FileHandle,
  unit: UnitHeader,
  place: FramePosition,
  remaining: number,
): boolean {
  const headBytes = FRAME_HEADER_BYTES + tableBytes(unit.recordCount, unit.flags);
  if (headBytes > remaining) return headBytes <= unit.byteLength;
  const bytes = new Uint8Array(headBytes);
  if (file.readSync(bytes, 0, headBytes, place.position) < headBytes) return false;
  const view = viewOf(bytes);
  const lengths = lengthsAt(unit, 0);
  let total = headBytes;
  for (let i = 0; i < unit.recordCount; i++) {
    total += view.getUint32(lengths + 4 * i, true) & LENGTH_MASK;
  }
  return total <= unit.byteLength && unit.byteLength - total < 8;
}
