/**
 * Goal: who reads many segments or writes many large frames works in the same few pieces of memory,
 * however long the log is, and no piece is used again while an operation may still write into it.
 * Method: the buffers behind the batches, and those given to write calls, are counted; a reader of
 * chunks over files whose reads end when the test says so.
 */
import { expect, test, vi } from 'vitest';
import type { FileHandle } from '../../src/fs/file-system.js';
import { ChunkReader } from '../../src/segment/chunk.js';
import { Lab, LARGE } from '../support/channel-kit.js';

const KIB = 1024;
/** Sizes that a reader goes through until it reads ahead, with two buffers in turn. */
const MOST_BUFFERS = 7;

test('a scan over many segments does not take new memory for each', async () => {
  const lab = new Lab();
  const channel = await lab.open({ segmentBytes: 2048 * KIB, sync: 'never' });
  const count = 300;
  for (let seq = 0; seq < count; seq++) {
    await lab.done(channel.append(new Uint8Array(64 * KIB).fill(seq % 251)));
  }
  expect((await lab.done(channel.stats())).segments).toBeGreaterThan(8);
  const buffers = new Set<ArrayBufferLike>();
  let seen = 0;
  for await (const batch of channel.readBatches()) {
    for (const { seq, payload } of batch) {
      expect([payload[0], payload.at(-1)]).toEqual([seq % 251, seq % 251]);
      buffers.add(payload.buffer);
      seen++;
    }
  }
  expect(seen).toBe(count);
  expect(buffers.size).toBeLessThanOrEqual(MOST_BUFFERS);
});

/** A file of `length` bytes of one value. Its reads wait until `go` is called for them. */
class HeldFile {
  readonly held: (() => void)[] = [];
  readonly length: number;
  readonly #value: number;

  constructor(length: number, value: number) {
    this.length = length;
    this.#value = value;
  }

  read(buffer: Uint8Array, offset: number, length: number): Promise<number> {
    return new Promise((resolve) => {
      this.held.push(() => {
        buffer.fill(this.#value, offset, offset + length);
        resolve(length);
      });
    });
  }
}

test('memory that a read ahead may still write to is not used for the next file', async () => {
  const reader = new ChunkReader({ ownBytes: false });
  const step = async (file: HeldFile, position: number): Promise<Uint8Array> => {
    const done = reader.read(file as unknown as FileHandle, position, 64, file.length);
    // The oldest first: what is read ahead ends no later than it is needed.
    file.held.shift()?.();
    const { bytes, byteLength } = await done;
    return bytes.subarray(0, byteLength);
  };
  const first = new HeldFile(8192 * KIB, 1);
  let position = 0;
  for (let steps = 0; steps < 8; steps++) position += (await step(first, position)).byteLength;
  expect(first.held).toHaveLength(1);
  reader.restart();
  const second = new HeldFile(8192 * KIB, 2);
  position = 0;
  for (let steps = 0; steps < 4; steps++) {
    const bytes = await step(second, position);
    position += bytes.byteLength;
    // The chunk that was read ahead, in the memory that was spare.
    if (steps === 1) first.held.shift()?.();
    expect(bytes.every((byte) => byte === 2)).toBe(true);
  }
});

test('large frames are written from the same memory, one after the other', async () => {
  const lab = new Lab();
  const buffers = new Set<ArrayBufferLike>();
  let writes = 0;
  const open = lab.watch.openSync.bind(lab.watch);
  vi.spyOn(lab.watch, 'openSync').mockImplementation((path, mode) => {
    const handle = open(path, mode);
    const write = handle.write.bind(handle);
    vi.spyOn(handle, 'write').mockImplementation((bytes, offset, length, position) => {
      writes++;
      buffers.add(bytes.buffer);
      return write(bytes, offset, length, position);
    });
    return handle;
  });
  const channel = await lab.open({ sync: 'never' });
  for (let seq = 0; seq < 30; seq++) {
    await lab.done(channel.append(new Uint8Array(LARGE).fill(seq)));
  }
  expect(writes).toBeGreaterThanOrEqual(30);
  expect(buffers.size).toBeLessThanOrEqual(3);
  for (let seq = 0; seq < 30; seq++) {
    const record = await lab.done(channel.get(seq));
    expect(record?.payload.every((byte) => byte === seq)).toBe(true);
  }
});
