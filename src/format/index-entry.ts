/**
 * Entries of the derived files. An idx entry says in which unit of the dat file a record stands;
 * it is a hint where to look and is never believed without the unit it names. A ts entry is the
 * record's time. Entry n of both files belongs to the n-th record of the segment.
 *
 *   idx: 0 u32 seq - base seq   4 u32 unit position   8 u32 unit length   12 u32 unit checksum, low
 *   ts:  0 u64 unix nanoseconds
 */

export const IDX_ENTRY_BYTES = 16;
export const TS_ENTRY_BYTES = 8;

/** How far a seq may lie above the base of its segment. */
export const MAX_SEQ_DELTA = 0xffffffff;

export interface IndexEntry {
  /** Seq minus the segment's base seq. */
  readonly seqDelta: number;
  /** Byte position of the unit (frame or block) that holds the record. */
  readonly position: number;
  /** Bytes of that unit. */
  readonly byteLength: number;
  /** The low half of the unit's checksum: tells a unit from another one at the same place. */
  readonly check: number;
}

export function writeIndexEntry(
  view: DataView,
  at: number,
  seqDelta: number,
  position: number,
  byteLength: number,
  check: number,
): void {
  view.setUint32(at, seqDelta, true);
  view.setUint32(at + 4, position, true);
  view.setUint32(at + 8, byteLength, true);
  view.setUint32(at + 12, check, true);
}

export function readIndexEntry(view: DataView, at: number): IndexEntry {
  return {
    seqDelta: view.getUint32(at, true),
    position: view.getUint32(at + 4, true),
    byteLength: view.getUint32(at + 8, true),
    check: view.getUint32(at + 12, true),
  };
}
