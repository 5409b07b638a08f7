/**
 * Looks behind damage for the next unit that verifies: by magic, a length within the file, and a
 * checksum that binds segment and position. A copy of a frame inside a payload stands at another
 * position, so it is never taken for one.
 */
import { viewOf } from '../format/bytes.js';
import { bindToNonce, checksumOf, sameChecksum, type Checksum } from '../format/checksum.js';
import {
  BLOCK_HEADER_BYTES,
  BLOCK_LIST_AT,
  BLOCK_MAGIC,
  coveredBytes,
  decodeUnitHeader,
  FLAG_BLOCKS,
  FRAME_MAGIC,
  SEAL_MAGIC,
  type UnitHeader,
} from '../format/unit.js';
import type { FileHandle } from '../fs/file-system.js';

const WINDOW_BYTES = 256 * 1024;
const MAGIC_AT = 8;
const MAX_GUESSES = 4096;

export interface ResyncRequest {
  /**
   * The segment's nonce. Undefined where the file header that holds it is lost: a unit then counts
   * when another one before it is bound to the same nonce as it is.
   */
  readonly nonce: Checksum | undefined;
  /** Only units that start at or after this position are considered. */
  readonly position: number;
  readonly end: number;
  /** Called before each piece that is read; what it throws ends the search. */
  readonly onPiece?: (position: number) => void;
}

/** Calls `visit` for each verified unit at or after a position until it returns false. */
async function visitUnits(
  file: FileHandle,
  request: ResyncRequest,
  visit: (unit: UnitHeader) => boolean,
): Promise<void> {
  const { end } = request;
  const search: Search = { end, nonce: request.nonce, seen: new Set() };
  const window = new Uint8Array(Math.min(WINDOW_BYTES, Math.max(0, end - request.position)));
  const view = viewOf(window);
  let start = Math.ceil(request.position / 8) * 8;
  while (start + BLOCK_HEADER_BYTES <= end) {
    request.onPiece?.(start);
    const length = await file.read(window, 0, Math.min(window.byteLength, end - start), start);
    let at = 0;
    while (at + MAGIC_AT + 4 <= length) {
      const magic = view.getUint32(at + MAGIC_AT, true);
      let skip = 8;
      if (magic === FRAME_MAGIC || magic === BLOCK_MAGIC || magic === SEAL_MAGIC) {
        const found =
          verifiedUnit(window, at, start + at, length - at, search) ??
          (await readVerifiedUnit(file, start + at, search));
        if (found !== undefined) {
          if (!visit(found.unit)) return;
          skip = found.covered;
        }
      }
      at += skip;
    }
    if (at === 0) return;
    start += at;
  }
}

interface Search {
  readonly end: number;
  nonce: Checksum | undefined;
  /** Nonces that single units would be bound to, while the nonce is not known. */
  readonly seen: Set<string>;
}

/** Whether a unit is bound to the nonce; the first two that agree on one settle it. */
function isBound(implied: Checksum, search: Search): boolean {
  if (search.nonce !== undefined) return sameChecksum(implied, search.nonce);
  const key = `${implied.hi}:${implied.lo}`;
  if (search.seen.has(key)) search.nonce = implied;
  else if (search.seen.size < MAX_GUESSES) search.seen.add(key);
  return search.nonce !== undefined;
}

interface VerifiedUnit {
  readonly unit: UnitHeader;
  /** Bytes under the unit's own checksum: nothing inside of them is a unit. */
  readonly covered: number;
}

/** The unit at `at` of `bytes`, when all that its checksum covers is there and verifies. */
function verifiedUnit(
  bytes: Uint8Array,
  at: number,
  position: number,
  filled: number,
  search: Search,
): VerifiedUnit | undefined {
  const available = search.end - position;
  if (filled < Math.min(BLOCK_LIST_AT, available)) return undefined;
  const view = viewOf(bytes);
  const unit = decodeUnitHeader(view, at, position, available);
  if (typeof unit === 'string') return undefined;
  const covered = coveredBytes(view, at, unit);
  if (covered === undefined || covered > filled) return undefined;
  const implied = bindToNonce(checksumOf(bytes, at + 8, covered - 8), unit.checksum);
  return isBound(implied, search) ? { unit, covered } : undefined;
}

/** The same for a unit that the window does not hold whole. */
async function readVerifiedUnit(
  file: FileHandle,
  position: number,
  search: Search,
): Promise<VerifiedUnit | undefined> {
  const available = search.end - position;
  const head = new Uint8Array(Math.min(BLOCK_LIST_AT, available));
  const headLength = await file.read(head, 0, head.byteLength, position);
  if (headLength < head.byteLength) return undefined;
  const unit = decodeUnitHeader(viewOf(head), 0, position, available);
  if (typeof unit === 'string') return undefined;
  const covered = coveredBytes(viewOf(head), 0, unit);
  if (covered === undefined) return undefined;
  const bytes = new Uint8Array(covered);
  const length = await file.read(bytes, 0, covered, position);
  return length < covered ? undefined : verifiedUnit(bytes, 0, position, covered, search);
}

/** The next verified unit at or after a position, or undefined when there is none. */
export async function findNextUnit(
  file: FileHandle,
  request: ResyncRequest,
): Promise<UnitHeader | undefined> {
  let next: UnitHeader | undefined;
  await visitUnits(file, request, (unit) => {
    next = unit;
    return false;
  });
  return next;
}

export interface Remains {
  /** The highest `durableSeq` that a frame or seal states: evidence of what was synced. */
  readonly durableSeq: number;
  /** Records of the frames and blocks that still verify. */
  readonly recordCount: number;
}

/** What can still be read at or after a position, whatever has happened to the bytes before it. */
export async function surveyRemains(file: FileHandle, request: ResyncRequest): Promise<Remains> {
  let durableSeq = 0;
  let recordCount = 0;
  await visitUnits(file, request, (unit) => {
    durableSeq = Math.max(durableSeq, unit.durableSeq);
    // The records of a frame of blocks are counted with the blocks.
    const countsItself = unit.magic !== SEAL_MAGIC && (unit.flags & FLAG_BLOCKS) === 0;
    if (countsItself) recordCount += unit.recordCount;
    return true;
  });
  return { durableSeq, recordCount };
}
