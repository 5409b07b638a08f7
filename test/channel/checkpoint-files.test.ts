/**
 * Goal: a checkpoint of any size can be checked without its state in memory, and one whose header
 * alone is good does not count.
 * Method: a state of several pieces on a disk that notes which buffers it reads into.
 */
import { expect, test } from 'vitest';
import { checkCheckpoint, readCheckpoint } from '../../src/channel/checkpoint-files.js';
import { CHECKPOINT_OF_FOLD, encodeCheckpoint } from '../../src/format/checkpoint.js';
import type { FileHandle, OpenMode } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { putFile } from '../support/recovery-lab.js';

const MIB = 1024 * 1024;
const PATH = '/checkpoint';

class NotingFs extends MemoryFs {
  readonly buffers = new Set<Uint8Array>();

  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = super.openSync(path, mode);
    const read = handle.read.bind(handle);
    handle.read = (buffer, offset, length, position): Promise<number> => {
      this.buffers.add(buffer);
      return read(buffer, offset, length, position);
    };
    return handle;
  }
}

const wanted = (): undefined => undefined;

test('a large state is checked in one buffer of a piece, and read into its own', async () => {
  const state = new Uint8Array(10 * MIB + 7).map((_byte, i) => i >> 12);
  const channelId = new Uint8Array(16);
  const kind = CHECKPOINT_OF_FOLD;
  const given = { channelId, seq: 9, fromSeq: 0, foldVersion: 1, kind, name: 'seen' };
  const bytes = encodeCheckpoint(given, state);
  for (const damagedAt of [undefined, 1, 5 * MIB, 10 * MIB]) {
    const fs = new NotingFs();
    const written = bytes.slice();
    const place = written.byteLength - (damagedAt ?? 0);
    if (damagedAt !== undefined) written[place] = (written[place] ?? 0) ^ 1;
    putFile(fs, PATH, written);
    const checked = await checkCheckpoint(fs, PATH, wanted);
    expect([...fs.buffers].map(({ byteLength }) => byteLength)).toEqual([4 * MIB]);
    const read = await readCheckpoint(fs, PATH, wanted);
    if (damagedAt === undefined) {
      expect(checked).toMatchObject({ ok: true, value: { ...given, channelId } });
      expect(read.ok && Buffer.compare(read.value.state, state)).toBe(0);
    } else {
      expect(checked).toEqual({ ok: false, check: 'checksum' });
      expect(read).toEqual(checked);
    }
  }
});
