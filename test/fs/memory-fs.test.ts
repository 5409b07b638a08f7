/** The file system in memory: the contract, its bytes against a plain array, and its paths. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ChunkedBytes } from '../../src/fs/chunked-bytes.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { codeOf, writeFile } from '../../src/testing/contract-support.js';
import { fileSystemContract } from '../../src/testing/file-system-contract.js';

fileSystemContract(
  { describe, test, expect },
  {
    name: 'MemoryFs',
    make: () => {
      const fs = new MemoryFs();
      fs.mkdirSync('/root');
      return { fs, root: '/root' };
    },
  },
);

describe('MemoryFs', () => {
  test('relative paths start at the root, which cannot be moved or removed', () => {
    const fs = new MemoryFs();
    fs.mkdirSync('d');
    writeFile(fs, 'd/./../d//a', 'text');
    expect(fs.realpathSync('d/a')).toBe('/d/a');
    expect(fs.statSync('/')).toEqual({ kind: 'directory', size: 0 });
    expect(codeOf(() => fs.rmdirSync('/'))).toBe('EBUSY');
    expect(codeOf(() => fs.renameSync('/', '/e'))).toBe('EBUSY');
  });

  test('wrong ranges are RangeErrors', () => {
    const fs = new MemoryFs();
    const handle = fs.openSync('a', 'create');
    const bytes = new Uint8Array(4);
    expect(() => handle.writeSync(bytes, 2, 3, 0)).toThrow(RangeError);
    expect(() => handle.readSync(bytes, 0, 4, -1)).toThrow(RangeError);
    expect(() => handle.truncateSync(0.5)).toThrow(RangeError);
  });
});

type Step =
  | { readonly kind: 'write'; readonly position: number; readonly length: number }
  | { readonly kind: 'truncate'; readonly size: number }
  | { readonly kind: 'copy' };

const place = fc.oneof(fc.nat(300), fc.nat(50_000));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), position: place, length: place }),
  fc.record({ kind: fc.constant('truncate' as const), size: place }),
  fc.record({ kind: fc.constant('copy' as const) }),
);

/** The same steps on one plain array. */
function apply(bytes: Uint8Array, { kind, ...rest }: Step, fill: number): Uint8Array {
  const {
    position = 0,
    length = 0,
    size = bytes.length,
  } = rest as Partial<Record<'position' | 'length' | 'size', number>>;
  if (kind === 'copy') return bytes;
  const end = kind === 'truncate' ? size : Math.max(bytes.length, length && position + length);
  const result = new Uint8Array(end);
  result.set(bytes.subarray(0, end));
  if (kind === 'write') result.fill(fill, position, position + length);
  return result;
}

describe('ChunkedBytes', () => {
  test('are a plain array of bytes, and so is every copy', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const subject = new ChunkedBytes();
        let model: Uint8Array = new Uint8Array(0);
        const copies: { bytes: ChunkedBytes; model: Uint8Array }[] = [];
        for (const [index, current] of steps.entries()) {
          if (current.kind === 'copy') copies.push({ bytes: subject.copy(), model });
          else if (current.kind === 'truncate') subject.truncate(current.size);
          else {
            const buffer = new Uint8Array(current.length).fill(index + 1);
            subject.write(buffer, 0, current.length, current.position);
          }
          model = apply(model, current, index + 1);
        }
        for (const copy of copies) {
          copy.bytes.write(new Uint8Array(20).fill(255), 0, 20, 100);
          copy.model = apply(copy.model, { kind: 'write', position: 100, length: 20 }, 255);
        }
        for (const { bytes, model: expected } of [{ bytes: subject, model }, ...copies]) {
          if (Buffer.compare(bytes.toBytes(), expected) !== 0) throw new Error('bytes differ');
        }
      }),
      { numRuns: 300 },
    );
  });
});
