/**
 * What the journal has for a channel and could not be written to its files, shown in its place: the
 * file counts where it has a unit that verifies, whatever the journal says.
 */
import { viewOf } from '../format/bytes.js';
import { sameChecksum, type Checksum } from '../format/checksum.js';
import { DAT_MAGIC, decodeFileHeader, FILE_HEADER_BYTES } from '../format/file-header.js';
import { segmentFileName } from '../format/file-name.js';
import type { Manifest } from '../format/manifest.js';
import { BLOCK_LIST_AT, coveredBytes, decodeUnitHeader, verifyUnit } from '../format/unit.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { readAt, writeAllSync } from '../fs/whole-file.js';
import { leftToRedo, type RedoWrite } from '../journal/redo-plan.js';
import { PlannedFs } from './planned-fs.js';
import type { IndexOwner } from '../segment/segment-index.js';
import { nonceIn } from './segment-identity.js';
import { findSegments, type FoundSegment } from './segment-survey.js';

/** A generation with what waits for it. */
export interface WaitingView {
  readonly fs: FileSystem;
  /** Files that the writes change, or make. */
  readonly changed: ReadonlySet<string>;
}

/** A view of a generation with the writes in it; undefined when they change nothing. */
export function withWaiting(
  owner: IndexOwner,
  generation: string,
  writes: readonly RedoWrite[],
  manifest: Manifest,
): WaitingView | undefined {
  const left = leftToRedo(writes, manifest);
  if (left.length === 0) return undefined;
  const view = new PlannedFs(owner.fs, generation);
  const found = findSegments(owner, generation);
  const changed = new Set<string>();
  for (const write of left) {
    const { baseSeq, position, data } = write;
    if (found.some((each) => isOfAnother(write, each))) continue;
    const path = placeOf(view, generation, found, baseSeq);
    if (path === undefined) continue;
    const isThere = view.statSync(path) !== undefined;
    const file = view.openSync(path, isThere ? 'write' : 'create');
    try {
      if (holdsAnything(file, position, data)) continue;
      writeAllSync(file, data, data.byteLength, position);
      changed.add(path);
    } finally {
      file.closeSync();
    }
  }
  return changed.size === 0 ? undefined : { fs: view, changed };
}

/**
 * Whether a write is for an earlier segment with the same base seq as this one: a compaction has
 * written it anew since, with another nonce, and at the same place there is something else now.
 */
export function isOfAnother(write: RedoWrite, { identity, baseSeq }: FoundSegment): boolean {
  if (typeof identity === 'string' || baseSeq !== write.baseSeq) return false;
  const nonce = nonceOf(write);
  return nonce !== undefined && !sameChecksum(nonce, identity.nonce);
}

/** What the unit of a write is bound to, or the segment whose header it is. */
function nonceOf({ position, data }: RedoWrite): Checksum | undefined {
  const header = position === 0 ? decodeFileHeader(DAT_MAGIC, data) : undefined;
  return header?.ok === true ? header.value.nonce : nonceIn(data, position);
}

/** Where a segment is, whatever its name; nowhere when another one stands in its place. */
function placeOf(
  view: FileSystem,
  generation: string,
  found: readonly FoundSegment[],
  baseSeq: number,
): string | undefined {
  const known = found.find((each) => each.baseSeq === baseSeq && isKnown(each));
  if (known !== undefined) return known.path;
  const path = `${generation}/${segmentFileName(baseSeq, 'dat')}`;
  const other = found.find((each) => each.path === path);
  if (other === undefined) return path;
  if (isKnown(other)) return undefined;
  if (other.identity === 'identity' && view.statSync(path)?.size === other.size) {
    // A file of another channel: of this one there is nothing in it.
    const file = view.openSync(path, 'write');
    file.truncateSync(0);
    file.closeSync();
  }
  return path;
}

function isKnown({ identity }: FoundSegment): boolean {
  return typeof identity !== 'string';
}

/** What the units are bound to that the journal has, or had, for a channel. */
export function noncesOf(writes: readonly RedoWrite[]): Map<number, Checksum> {
  const nonces = new Map<number, Checksum>();
  for (const write of writes) {
    const nonce = nonceOf(write);
    if (nonce !== undefined) nonces.set(write.baseSeq, nonce);
  }
  return nonces;
}

/** Whether the same bytes stand at a place, or others that verify. */
function holdsAnything(file: FileHandle, position: number, data: Uint8Array): boolean {
  const present = readAt(file, position, data.byteLength);
  if (Buffer.compare(present, data) === 0) return true;
  const header = decodeFileHeader(DAT_MAGIC, readAt(file, 0, FILE_HEADER_BYTES));
  if (position === 0) return header.ok;
  if (!header.ok) return false;
  const available = file.sizeSync() - position;
  const head = readAt(file, position, Math.min(BLOCK_LIST_AT, available));
  if (head.byteLength < BLOCK_LIST_AT) return false;
  const unit = decodeUnitHeader(viewOf(head), 0, position, available);
  if (typeof unit === 'string') return false;
  const covered = coveredBytes(viewOf(head), 0, unit);
  if (covered === undefined) return false;
  const bytes = readAt(file, position, covered);
  return verifyUnit(bytes, 0, covered, unit.checksum, header.value.nonce) === undefined;
}
