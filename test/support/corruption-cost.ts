/**
 * What a damage may cost: the records whose bytes it has hit, and no other. Read off the healthy
 * files. In segments that an open scans after a crash, what is behind the damage is out of reach
 * too; it may be cut as well, but only above everything that still proves what was synced.
 */
import { viewOf } from '../../src/format/bytes.js';
import { decodeCheckpointHeader } from '../../src/format/checkpoint.js';
import { CLEAN_SLOT_BYTES, decodeCleanMark } from '../../src/format/clean-mark.js';
import {
  DAT_MAGIC,
  decodeFileHeader,
  FILE_HEADER_BYTES,
  IDX_MAGIC,
  TS_MAGIC,
} from '../../src/format/file-header.js';
import { parseSegmentFileName } from '../../src/format/file-name.js';
import { decodeManifest } from '../../src/format/manifest.js';
import {
  BLOCK_LIST_AT,
  BLOCK_MAGIC,
  coveredBytes,
  decodeUnitHeader,
  FLAG_BLOCKS,
  SEAL_MAGIC,
} from '../../src/format/unit.js';
import { visitRecordKeys } from '../../src/format/unit-records.js';
import { kindOfFile, type Damage, type Files } from './corruption-fs.js';
import { journalSuffix } from './corruption-journal.js';
import type { Image, Name } from './corruption-store.js';
import { channelPath } from './store-kit.js';

const NONCE_AT = 32;

interface Piece {
  readonly at: number;
  readonly end: number;
  readonly seqs: readonly number[];
  /** Of a block, that of its frame: a scan after a crash takes a frame as a whole or not at all. */
  readonly frameSeq: number;
  readonly durableSeq: number;
}

/** The header and the units of a dat file, as far as there are any. */
function piecesOf(bytes: Uint8Array): Piece[] {
  const header = decodeFileHeader(DAT_MAGIC, bytes.subarray(0, FILE_HEADER_BYTES));
  if (!header.ok) return [];
  const { baseSeq, durableSeq } = header.value;
  const pieces: Piece[] = [
    { at: 0, end: FILE_HEADER_BYTES, seqs: [], frameSeq: baseSeq, durableSeq },
  ];
  let frameSeq = baseSeq;
  const view = viewOf(bytes);
  for (let at = FILE_HEADER_BYTES; at + 48 <= bytes.byteLength;) {
    const unit = decodeUnitHeader(view, at, at, bytes.byteLength - at);
    if (typeof unit === 'string') return pieces;
    const end = at + (coveredBytes(view, at, unit) ?? BLOCK_LIST_AT);
    const seqs: number[] = [];
    if (unit.magic !== SEAL_MAGIC && (unit.flags & FLAG_BLOCKS) === 0) {
      visitRecordKeys(view, at, unit, (seq) => seqs.push(seq));
    }
    if (unit.magic !== BLOCK_MAGIC) frameSeq = unit.baseSeq;
    pieces.push({ at, end, seqs, frameSeq, durableSeq: unit.durableSeq });
    at = end;
  }
  return pieces;
}

const PIECES = new WeakMap<Uint8Array, Piece[]>();

function knownPieces(bytes: Uint8Array): Piece[] {
  const known = PIECES.get(bytes);
  if (known !== undefined) return known;
  const pieces = piecesOf(bytes);
  PIECES.set(bytes, pieces);
  return pieces;
}

export interface Cost {
  /** The channel, or the store, may refuse to open. */
  readonly mayRefuse: boolean;
  /** Records that it may cost. */
  readonly lost: ReadonlySet<number>;
  /** From here on records of a suffix may be out of reach; Infinity: none. */
  readonly suffixFrom: number;
  /** Below it nothing may be cut. */
  readonly proven: number;
  /** Where an error may say that the damage is. */
  readonly positions: ReadonlySet<number>;
}

export function touched({ path, other }: Damage): string[] {
  return other === undefined ? [path] : [path, other];
}

export function costOf(image: Image, name: Name, damage: Damage): Cost {
  const { files, channels } = image;
  const lost = new Set<number>();
  const positions = new Set<number>();
  let suffixFrom = Infinity;
  let mayRefuse = false;
  const directory = `${channelPath(name)}/`;
  const journaled = journalSuffix(files, name, damage);
  if (journaled !== undefined) mayRefuse = true;
  for (const path of touched(damage)) {
    const kind = kindOfFile(path);
    if (['config', 'manifest', 'redex.json'].includes(kind)) mayRefuse = true;
    if (isVersion(damage, kind)) mayRefuse = true;
    if (kind !== 'dat' || !path.startsWith(directory)) continue;
    const bytes = files.get(path) ?? new Uint8Array(0);
    const pieces = knownPieces(bytes);
    const hit = pieces.filter(({ at, end }) => at < damage.to && end > damage.from);
    for (const { at } of hit) positions.add(at);
    const isSuffix = isInSuffix(image, name, path);
    // Nothing in a file can be checked without the nonce in its header.
    const isKnown = !isSuffix && damage.kind !== 'swap' && isKnownElsewhere(files, path, hit);
    const gone = damage.from < FILE_HEADER_BYTES && !isKnown ? pieces : hit;
    for (const { seqs } of gone) for (const seq of seqs) lost.add(seq);
    if (isSuffix) {
      suffixFrom = Math.min(suffixFrom, hit[0]?.frameSeq ?? Infinity);
    }
  }
  const { firstSeq } = channels[name];
  return {
    mayRefuse,
    lost: new Set([...lost].filter((seq) => seq >= firstSeq)),
    suffixFrom: Math.min(suffixFrom, journaled?.suffixFrom ?? Infinity),
    proven: provenBeside(image, name, damage),
    positions,
  };
}

/** Whether idx or ts have the nonce too, and the seal or the first unit is there to confirm it. */
function isKnownElsewhere(files: Files, path: string, hit: readonly Piece[]): boolean {
  const bytes = files.get(path) ?? new Uint8Array(0);
  const pieces = knownPieces(bytes);
  const [, first] = pieces;
  const last = pieces.at(-1);
  if (first === undefined || last === undefined) return false;
  if (hit.includes(first) && hit.includes(last)) return false;
  const nonce = bytes.subarray(NONCE_AT, NONCE_AT + 8);
  return (['idx', 'ts'] as const).some((kind) => {
    const derived = files.get(path.replace(/dat$/, kind)) ?? new Uint8Array(0);
    const magic = kind === 'idx' ? IDX_MAGIC : TS_MAGIC;
    const isGood = decodeFileHeader(magic, derived.subarray(0, FILE_HEADER_BYTES)).ok;
    return isGood && Buffer.compare(derived.subarray(NONCE_AT, NONCE_AT + 8), nonce) === 0;
  });
}

/** The version of an envelope: what a newer version has written is refused. */
function isVersion({ from, kind }: Damage, of: string): boolean {
  if (kind !== 'bit' || of === 'idx' || of === 'ts' || of === 'checkpoint') return false;
  const at = of === 'clean' ? from % CLEAN_SLOT_BYTES : from;
  return at === 4 || at === 5;
}

/** Base seqs of the dat files of a channel. */
function basesOf({ files }: Image, name: Name): number[] {
  const directory = `${channelPath(name)}/`;
  return [...files.keys()]
    .filter((path) => path.startsWith(directory) && path.endsWith('.dat'))
    .map((path) => baseOf(path))
    .toSorted((a, b) => a - b);
}

function baseOf(path: string): number {
  return parseSegmentFileName(path.slice(path.lastIndexOf('/') + 1))?.baseSeq ?? 0;
}

/** Whether an open may scan the segment: one of the last ones. */
function isInSuffix(image: Image, name: Name, path: string): boolean {
  const bases = basesOf(image, name);
  const count = Math.max(1, image.channels[name].scanned);
  return bases.slice(-count).includes(baseOf(path));
}

/** The highest witness that the damage has not touched. */
function provenBeside({ files }: Image, name: Name, damage: Damage): number {
  const directory = `${channelPath(name)}/`;
  const hit = touched(damage);
  let proven = 0;
  for (const [path, bytes] of files) {
    if (bytes === undefined || !path.startsWith(directory)) continue;
    const isHit = hit.includes(path);
    if (path.endsWith('.dat')) {
      // Without its header a file with one unit proves nothing.
      if (isHit && (damage.from < FILE_HEADER_BYTES || damage.kind === 'swap')) continue;
      for (const { at, end, durableSeq } of knownPieces(bytes)) {
        if (!isHit || at >= damage.to || end <= damage.from) proven = Math.max(proven, durableSeq);
      }
    } else if (!isHit) proven = Math.max(proven, stated(path, bytes));
  }
  return proven;
}

/** What a file beside the segments states about what was synced. */
function stated(path: string, bytes: Uint8Array): number {
  const kind = kindOfFile(path);
  if (kind === 'manifest') {
    const manifest = decodeManifest(bytes);
    if (!manifest.ok) return 0;
    const { firstSeq, redoSeq, nextSeqFloor } = manifest.value;
    return Math.max(firstSeq, redoSeq, nextSeqFloor);
  }
  if (kind === 'checkpoint') {
    const header = decodeCheckpointHeader(bytes);
    return header.ok ? header.value.header.seq : 0;
  }
  if (kind !== 'clean') return 0;
  const seqs = [0, CLEAN_SLOT_BYTES].map((at) => {
    const mark = decodeCleanMark(bytes.subarray(at, at + 128));
    return mark.ok ? mark.value.nextSeq : 0;
  });
  return Math.max(...seqs);
}
