/**
 * Goal: two images have the same key exactly when they have the same names, sizes and bytes.
 * Method: the same random changes in two file systems of which one is copied on the way, with keys
 * taken at any time; and the smallest differences that there are.
 */
import { expect, test } from 'vitest';
import { imageKey } from '../../src/crash-test/image-key.js';
import { filesBelow } from '../../src/crash-test/scene.js';
import { Random } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';

function change(fs: CrashFs, random: Random): void {
  const path = `/f${random.below(3)}`;
  const file = fs.openSync(path, fs.statSync(path) === undefined ? 'create' : 'write');
  const bytes = new Uint8Array(random.below(6000)).fill(random.below(3));
  if (random.below(4) === 0) file.truncateSync(random.below(10_000));
  else file.writeSync(bytes, 0, bytes.length, random.below(9000));
  file.closeSync();
}

/** What is there, in full, to be compared; without a copy, which would stop sharing bytes. */
function textOf(fs: CrashFs): string {
  const files = [...filesBelow(fs, '/')].map(([path, bytes]) => {
    return `${path} ${bytes === undefined ? '' : Buffer.from(bytes).toString('latin1')}`;
  });
  return files.join('\n');
}

test('keys are the same exactly for the same contents, whoever shares bytes with whom', () => {
  const contents = new Map<string, string>();
  let repeated = 0;
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = new Random(seed);
    let fs = new CrashFs();
    const others: CrashFs[] = [];
    for (let step = 0; step < 30; step += 1) {
      change(fs, random);
      if (random.below(3) === 0) others.push(fs.kill());
      const other = others[random.below(Math.max(1, others.length))];
      if (other !== undefined && random.below(3) === 0) change(other, random);
      if (other !== undefined && random.below(6) === 0) fs = other.kill();
      for (const each of [fs, ...others.slice(-2)]) {
        const [key, text] = [imageKey(each), textOf(each)];
        if (contents.has(key)) repeated += 1;
        expect(contents.get(key) ?? text, `seed ${seed}`).toBe(text);
        contents.set(key, text);
      }
    }
  }
  expect(repeated).toBeGreaterThan(100);
  expect(new Set(contents.values()).size).toBe(contents.size);
});

test('the order in which names came does not count, and where they are does', () => {
  const made = (...paths: string[]): string => {
    const fs = new CrashFs();
    fs.mkdirSync('/d');
    for (const path of paths) fs.openSync(path, 'create').closeSync();
    return imageKey(fs);
  };
  expect(made('/a', '/d/b')).toBe(made('/d/b', '/a'));
  const all = [made(), made('/a'), made('/d/a'), made('/a', '/b'), made('/d/a', '/b')];
  expect(new Set(all).size).toBe(all.length);
});

test('where bytes are in a file counts', () => {
  const made = (size: number, ...places: number[]): string => {
    const fs = new CrashFs();
    const file = fs.openSync('/a', 'create');
    file.truncateSync(size);
    for (const place of places) file.writeSync(new Uint8Array([7]), 0, 1, place);
    return imageKey(fs);
  };
  const all = [made(9000, 0), made(9000, 4096), made(9000, 8192), made(9001, 0), made(9000)];
  expect(new Set(all).size).toBe(all.length);
});

test('names of one file are not those of two with the same bytes', () => {
  const made = (...links: readonly (readonly [from: string, to: string])[]): string => {
    const fs = new CrashFs();
    const linked = new Set(links.map(([, to]) => to));
    for (const path of ['/a', '/b', '/c', '/d']) {
      if (!linked.has(path)) fs.openSync(path, 'create').closeSync();
    }
    for (const [from, to] of links) fs.linkSync(from, to);
    return imageKey(fs);
  };
  const [ab, cd] = [
    ['/a', '/b'],
    ['/c', '/d'],
  ] as const;
  const all = [
    made(),
    made(ab),
    made(cd),
    made(ab, cd),
    made(['/a', '/c'], ['/b', '/d']),
    made(ab, ['/a', '/c']),
  ];
  expect(new Set(all).size).toBe(all.length);
  expect(made(['/b', '/a'])).toBe(made(ab));
});
