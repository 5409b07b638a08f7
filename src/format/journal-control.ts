/**
 * The control block of the journal says from which group on a redo begins, and which epoch has
 * written last. Two slots of one sector each, written in turn and in place, as the clean mark's.
 *
 *   slot:  0 u32 magic  4 u16 version  6 u16 length  8 store id (16)  24 u64 counter
 *  32 u64 epoch  40 u64 segment  48 u64 position  56 u64 number of the next group
 *  64 u64 checksum of the group before it  72 u64 1 when closed  80 zeros (40)  120 u64 checksum
 *
 * And the first bytes of each segment of the journal, written once, when its space is allocated:
 *
 *   0 u32 magic  4 u16 version  6 u16 length  8 store id (16)  24 u64 segment  32 u64 bytes
 *  40 zeros (16)  56 u64 checksum
 */
import { readSafeU64, UNSAFE, viewOf, writeSafeU64 } from './bytes.js';
import { readChecksum, writeChecksum, type Checksum } from './checksum.js';
import { decoded, failed, type Decoded } from './decoded.js';
import { envelopeFailure, magicNumber, writeEnvelope } from './envelope.js';

export const CONTROL_BYTES = 128;
export const CONTROL_SLOT_BYTES = 512;
export const CONTROL_FILE_BYTES: number = 2 * CONTROL_SLOT_BYTES;
export const CONTROL_MAGIC: number = magicNumber('RXJC');
export const JOURNAL_SEGMENT_HEADER_BYTES = 64;
export const JOURNAL_SEGMENT_MAGIC: number = magicNumber('RXJS');
export const STORE_ID_BYTES = 16;

/** Where a group stands or will stand, and what binds it to the one before. */
export interface GroupPlace {
  /** Number in the name of the journal's segment. */
  readonly segment: number;
  readonly position: number;
  readonly number: number;
  /** Checksum of the group before. */
  readonly link: Checksum;
}

export interface JournalControl {
  readonly storeId: Uint8Array;
  /** Counts the writes; the higher one of two slots is the newer. */
  readonly counter: number;
  readonly epoch: number;
  /** The first group that a recovery has to redo. */
  readonly redoFrom: GroupPlace;
  /** Nothing has been written behind `redoFrom`: the store was closed. */
  readonly isClosed: boolean;
}

export interface JournalSegmentHeader {
  readonly storeId: Uint8Array;
  readonly segment: number;
  /** Bytes that are allocated, these included. */
  readonly byteLength: number;
}

export function encodeControl(control: JournalControl): Uint8Array {
  const bytes = new Uint8Array(CONTROL_BYTES);
  const view = viewOf(bytes);
  const { segment, position, number, link } = control.redoFrom;
  bytes.set(control.storeId, 8);
  writeSafeU64(view, 24, control.counter);
  writeSafeU64(view, 32, control.epoch);
  writeSafeU64(view, 40, segment);
  writeSafeU64(view, 48, position);
  writeSafeU64(view, 56, number);
  writeChecksum(view, 64, link);
  writeSafeU64(view, 72, control.isClosed ? 1 : 0);
  writeEnvelope(bytes, CONTROL_MAGIC);
  return bytes;
}

function decodeControl(bytes: Uint8Array): Decoded<JournalControl> {
  const failure = envelopeFailure(bytes, CONTROL_MAGIC);
  if (failure !== undefined) return failure;
  const view = viewOf(bytes);
  const redoFrom: GroupPlace = {
    segment: readSafeU64(view, 40),
    position: readSafeU64(view, 48),
    number: readSafeU64(view, 56),
    link: readChecksum(view, 64),
  };
  const counter = readSafeU64(view, 24);
  const epoch = readSafeU64(view, 32);
  const closed = readSafeU64(view, 72);
  const numbers = [counter, epoch, redoFrom.segment, redoFrom.position, redoFrom.number];
  if (numbers.includes(UNSAFE) || closed > 1) return failed('fields');
  const storeId = bytes.slice(8, 8 + STORE_ID_BYTES);
  return decoded({ storeId, counter, epoch, redoFrom, isClosed: closed === 1 });
}

/** What the two slots of a control file say. */
export interface ControlSlots {
  readonly newest: JournalControl;
  /** The other slot is not whole: it may have been the newer one, or never written. */
  readonly isAlone: boolean;
}

/** The newer of the two slots, or why there is none. */
export function decodeControlFile(bytes: Uint8Array): Decoded<ControlSlots> {
  let newest: JournalControl | undefined;
  let failure: Decoded<ControlSlots> = failed('length');
  let wholeCount = 0;
  for (let at = 0; at + CONTROL_BYTES <= bytes.byteLength; at += CONTROL_SLOT_BYTES) {
    const slot = decodeControl(bytes.slice(at, at + CONTROL_BYTES));
    if (slot.ok) {
      wholeCount += 1;
      if (newest === undefined || slot.value.counter > newest.counter) newest = slot.value;
    } else if (slot.check === 'version') return slot;
    else failure = slot;
  }
  return newest === undefined ? failure : decoded({ newest, isAlone: wholeCount === 1 });
}

/** The byte position of the slot that a control block with this counter is written to. */
export function controlSlotPosition(counter: number): number {
  return (counter % 2) * CONTROL_SLOT_BYTES;
}

export function encodeJournalSegmentHeader(header: JournalSegmentHeader): Uint8Array {
  const bytes = new Uint8Array(JOURNAL_SEGMENT_HEADER_BYTES);
  const view = viewOf(bytes);
  bytes.set(header.storeId, 8);
  writeSafeU64(view, 24, header.segment);
  writeSafeU64(view, 32, header.byteLength);
  writeEnvelope(bytes, JOURNAL_SEGMENT_MAGIC);
  return bytes;
}

export function decodeJournalSegmentHeader(bytes: Uint8Array): Decoded<JournalSegmentHeader> {
  const failure = envelopeFailure(bytes, JOURNAL_SEGMENT_MAGIC);
  if (failure !== undefined) return failure;
  const view = viewOf(bytes);
  const segment = readSafeU64(view, 24);
  const byteLength = readSafeU64(view, 32);
  if (segment === UNSAFE || byteLength === UNSAFE) return failed('fields');
  return decoded({ storeId: bytes.slice(8, 8 + STORE_ID_BYTES), segment, byteLength });
}
