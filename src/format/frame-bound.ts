/** How large a frame can become, before it is encoded: room is made for it first. */
import { BLOCK_HEADER_BYTES, BLOCK_LIST_AT, tableBytes } from './unit.js';

/** All columns that a record table can have. */
const ALL_COLUMNS = 0xffff;
/** Two blocks next to each other have more than this together. */
const TWO_BLOCKS_BYTES = 8 * 1024;
/** Header, place in the list, and what fills up to a multiple of 8. */
const BYTES_PER_BLOCK = BLOCK_HEADER_BYTES + 16;

/** At most so many bytes for these records. */
export function frameBound(recordCount: number, payloadBytes: number): number {
  const table = tableBytes(recordCount, ALL_COLUMNS);
  const blocks = 2 * Math.ceil((table + payloadBytes) / TWO_BLOCKS_BYTES) + 1;
  return BLOCK_LIST_AT + table + payloadBytes + blocks * BYTES_PER_BLOCK + 8;
}
