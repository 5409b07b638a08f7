/** Goal: an idx entry is read back as it was written, at its own place only. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import { IDX_ENTRY_BYTES, readIndexEntry, writeIndexEntry } from '../../src/format/index-entry.js';
import { u32 } from '../support/format-arbitraries.js';

test('an entry is four little-endian u32, read back at any place', () => {
  fc.assert(
    fc.property(u32, u32, u32, u32, fc.nat(5), (seqDelta, position, byteLength, check, at) => {
      const bytes = new Uint8Array(at + IDX_ENTRY_BYTES + 1).fill(0xee);
      const view = viewOf(bytes);
      writeIndexEntry(view, at, seqDelta, position, byteLength, check);
      expect(readIndexEntry(view, at)).toEqual({ seqDelta, position, byteLength, check });
      const words = [0, 4, 8, 12].map((offset) => view.getUint32(at + offset, true));
      expect(words).toEqual([seqDelta, position, byteLength, check]);
      expect(bytes[at + IDX_ENTRY_BYTES]).toBe(0xee);
    }),
  );
});
