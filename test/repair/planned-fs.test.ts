/**
 * The file system that plans are made on: the contract of file systems, over files that are below
 * and over files that are not, and nothing below is ever changed.
 */
import { describe, expect, test } from 'vitest';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { PlannedFs } from '../../src/repair/planned-fs.js';
import { Random } from '../../src/testing/choices.js';
import { fileSystemContract } from '../../src/testing/file-system-contract.js';
import { bytesOf } from '../support/corruption-fs.js';

fileSystemContract(
  { describe, test, expect },
  {
    name: 'PlannedFs',
    make: () => {
      const below = new MemoryFs();
      below.mkdirSync('/root');
      return { fs: new PlannedFs(below, '/root'), root: '/root' };
    },
  },
);

describe('PlannedFs', () => {
  test.each([1, 2, 3, 4])('bytes are those of a file that is changed in place, seed %i', (seed) => {
    const random = new Random(seed);
    const below = new MemoryFs();
    below.mkdirSync('/d');
    const original = Uint8Array.from({ length: 20_000 }, (_, i) => i * 7);
    const file = below.openSync('/d/f', 'create');
    file.writeSync(original, 0, original.length, 0);
    const mirror = new MemoryFs();
    mirror.mkdirSync('/d');
    const twin = mirror.openSync('/d/f', 'create');
    twin.writeSync(original, 0, original.length, 0);
    const planned = new PlannedFs(below, '/d').openSync('/d/f', 'write');
    for (let step = 0; step < 60; step++) {
      const position = random.below(24_000);
      if (random.below(4) === 0) {
        planned.truncateSync(position);
        twin.truncateSync(position);
      } else {
        const bytes = new Uint8Array(random.below(6000)).fill(step + 1);
        planned.writeSync(bytes, 0, bytes.length, position);
        twin.writeSync(bytes, 0, bytes.length, position);
      }
      expect(planned.sizeSync()).toBe(twin.sizeSync());
      const [a, b] = [new Uint8Array(30_000), new Uint8Array(30_000)];
      expect(planned.readSync(a, 0, a.length, 100)).toBe(twin.readSync(b, 0, b.length, 100));
      expect(Buffer.compare(a, b), `seed ${seed}, step ${step}`).toBe(0);
    }
    expect(bytesOf(below, '/d/f')).toEqual(original);
  });

  test('names come, go and move here alone', () => {
    const below = new MemoryFs();
    below.mkdirSync('/d');
    below.mkdirSync('/d/sub');
    below.openSync('/d/sub/f', 'create').closeSync();
    const planned = new PlannedFs(below, '/d');
    planned.renameSync('/d/sub', '/d/other');
    planned.unlinkSync('/d/other/f');
    expect(planned.readDirectorySync('/d')).toEqual([{ name: 'other', kind: 'directory' }]);
    expect(planned.readDirectorySync('/d/other')).toEqual([]);
    expect(below.readDirectorySync('/d/sub')).toEqual([{ name: 'f', kind: 'file' }]);
    expect([...planned.replaced]).toEqual(['/d/other']);
  });
});
