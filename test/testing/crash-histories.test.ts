/**
 * Goal: in short histories of any kind, images of the profiles with a journal are among those that
 * the strict one could leave, and their names are those of some moment since the last sync.
 * Method: fast-check draws histories and choices; a model of one file knows every size and every
 * content of each sector that strict allows.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { choicesFrom, type Choose } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { ext4Ordered, xfs } from '../../src/testing/crash-journal.js';
import { strict } from '../../src/testing/crash-profiles.js';
import { put, SECTOR, textOf } from './crash-support.js';

const journals = fc.constantFrom(ext4Ordered, xfs);
const choices = fc.array(fc.nat(65_535), { minLength: 64, maxLength: 64 });

type Step =
  | { readonly kind: 'write'; readonly position: number; readonly length: number }
  | { readonly kind: 'truncate'; readonly size: number }
  | { readonly kind: 'sync' | 'syncOther' };

const place = fc.oneof(fc.nat(9000), fc.constantFrom(0, 512, 4095, 4096, 4097, 8192));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('write'), position: place, length: place }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('truncate'), size: place }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('sync', 'syncOther') }) },
);

/** What strict allows of one file: every size, and for each sector every content. */
class FileModel {
  #visible = '';
  #contents: Set<string>[] = [];
  /** Sizes from the first one up to the second one. */
  #sizes: [number, number][] = [[0, 0]];

  write(text: string, position: number): void {
    const end = position + text.length;
    if (text === '') return;
    const before = this.#visible.length;
    if (end > before) this.#sizes.push([before, end]);
    this.#change((content) => {
      const padded = content.padEnd(position, '.');
      return padded.slice(0, position) + text + padded.slice(end);
    });
  }

  truncate(size: number): void {
    this.#sizes.push([size, size]);
    this.#change((content) => content.slice(0, size));
    this.#visible = this.#visible.padEnd(size, '.');
  }

  sync(): void {
    this.#sizes = [[this.#visible.length, this.#visible.length]];
    this.#contents = sectorsOf(this.#visible).map((sector) => new Set([sector]));
  }

  allows(image: string): boolean {
    const { length } = image;
    if (!this.#sizes.some(([from, to]) => from <= length && length <= to)) return false;
    return sectorsOf(image).every((sector, index) => {
      const valid = Math.min(SECTOR, length - index * SECTOR);
      const known = this.#contents[index] ?? new Set([NOTHING]);
      return [...known].some((content) => content.slice(0, valid) === sector.slice(0, valid));
    });
  }

  /** Each sector is as it was before, or as `effect` makes it. */
  #change(effect: (content: string) => string): void {
    this.#visible = effect(this.#visible);
    for (let index = 0; index * SECTOR < 20_000; index += 1) {
      const before = '.'.repeat(index * SECTOR);
      const known = (this.#contents[index] ??= new Set([NOTHING]));
      const changed = Array.from(known, (content) =>
        effect(before + content).padEnd(before.length + SECTOR, '.'),
      );
      for (const content of changed) {
        known.add(content.slice(before.length, before.length + SECTOR));
      }
    }
  }
}

const NOTHING = '.'.repeat(SECTOR);

function sectorsOf(text: string): string[] {
  const count = Math.ceil(text.length / SECTOR);
  return Array.from({ length: count }, (_, i) =>
    text.slice(i * SECTOR, (i + 1) * SECTOR).padEnd(SECTOR, '.'),
  );
}

describe('images of one file under ext4 and xfs', () => {
  test('are images that the strict profile allows', () => {
    let lossy = 0;
    fc.assert(
      fc.property(
        journals,
        fc.array(step, { minLength: 1, maxLength: 6 }),
        fc.array(choices, { minLength: 4, maxLength: 4 }),
        (profile, steps, draws) => {
          const fs = new CrashFs({ profile });
          const model = new FileModel();
          const handle = fs.openSync('/f', 'create');
          const other = fs.openSync('/g', 'create');
          for (const path of [handle, other]) path.datasyncSync();
          fs.syncDirectorySync('/');
          for (const [index, now] of steps.entries()) {
            if (now.kind === 'write') {
              const text = String.fromCharCode(97 + index).repeat(now.length);
              put(handle, text, now.position);
              model.write(text, now.position);
            } else if (now.kind === 'truncate') {
              handle.truncateSync(now.size);
              model.truncate(now.size);
            } else if (now.kind === 'sync') {
              handle.datasyncSync();
              model.sync();
            } else {
              put(other, 'x');
              other.datasyncSync();
            }
          }
          for (const values of draws) {
            const image = textOf(fs.crash(choicesFrom(values)), '/f') ?? '';
            if (image !== textOf(fs, '/f')) lossy += 1;
            if (!model.allows(image)) throw new Error(`${profile.name}: ${image}`);
          }
        },
      ),
      { numRuns: 150, seed: 11 },
    );
    expect(lossy).toBeGreaterThan(200);
  });
});

const path = fc.constantFrom('/a', '/b', '/d/a', '/d/b');
const nameStep = fc.record({
  kind: fc.constantFrom('create', 'unlink', 'rename', 'link', 'write', 'syncFile', 'syncDirectory'),
  path,
  to: path,
});
type NameStep = typeof nameStep extends fc.Arbitrary<infer S> ? S : never;

/** Does a step; one that fails does nothing. */
function change(fs: CrashFs, { kind, path: from, to }: NameStep): void {
  try {
    if (kind === 'create') fs.openSync(from, 'create').closeSync();
    else if (kind === 'unlink') fs.unlinkSync(from);
    else if (kind === 'rename') fs.renameSync(from, to);
    else if (kind === 'link') fs.linkSync(from, to);
    else if (kind === 'syncDirectory') fs.syncDirectorySync(from.startsWith('/d') ? '/d' : '/');
    else {
      const handle = fs.openSync(from, 'write');
      if (kind === 'write') put(handle, 'text');
      else handle.datasyncSync();
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
  }
}

function namesOf(fs: CrashFs): string {
  return ['/a', '/b', '/d/a', '/d/b'].filter((name) => fs.statSync(name) !== undefined).join(' ');
}

/** Every outcome for the names under the strict profile. */
function strictNames(fs: CrashFs, changes: number): Set<string> {
  const names = new Set<string>();
  for (let mask = 0; mask < 2 ** changes; mask += 1) {
    let asked = 0;
    const choose: Choose = () => (asked < changes ? (mask >> asked++) & 1 : 0);
    names.add(namesOf(fs.crash(choose, { profile: strict })));
  }
  return names;
}

describe('names under ext4 and xfs', () => {
  test('are those of one moment since the last sync, and possible under strict', () => {
    let lossy = 0;
    fc.assert(
      fc.property(
        journals,
        fc.array(nameStep, { minLength: 1, maxLength: 9 }),
        fc.array(choices, { minLength: 4, maxLength: 4 }),
        (profile, steps, draws) => {
          const fs = new CrashFs({ profile });
          fs.mkdirSync('/d');
          fs.syncDirectorySync('/');
          let moments = new Set([namesOf(fs)]);
          for (const now of steps) {
            change(fs, now);
            const { operation, error } = fs.operations.at(-1) ?? {};
            const isSync = operation === 'datasyncSync' || operation === 'syncDirectorySync';
            if (isSync && error === undefined) moments = new Set();
            moments.add(namesOf(fs));
          }
          const possible = strictNames(fs, steps.length);
          for (const values of draws) {
            const names = namesOf(fs.crash(choicesFrom(values)));
            if (names !== namesOf(fs)) lossy += 1;
            expect([...moments]).toContain(names);
            expect([...possible]).toContain(names);
          }
        },
      ),
      { numRuns: 300, seed: 12 },
    );
    expect(lossy).toBeGreaterThan(100);
  });
});
