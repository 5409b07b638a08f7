/**
 * Goal: what cannot be read, or is of a newer version, or is not there, is an error and never an
 * empty log; and nothing is changed because of it (the seed: W1, W26, W28, D10, D13 to D17, D28,
 * D29).
 * Method: files are removed, damaged and replaced; each operation of an open fails in turn; all
 * files are compared with what they were.
 */
import { describe, expect, test } from 'vitest';
import { RedexError } from '../../src/core/errors.js';
import { FORMAT_VERSION } from '../../src/format/envelope.js';
import { worst } from '../../src/testing/choices.js';
import {
  DIRECTORY,
  GENERATION,
  type Lab,
  outcomeOf,
  readFile,
  rejection,
  requireCode,
} from '../support/channel-kit.js';
import {
  appendNext,
  CLEAN,
  CONFIG,
  DAT,
  ENDINGS,
  flipBit,
  MANIFEST,
  picture,
  put,
  replaceFile,
  resize,
  shown,
  upTo,
  writtenLog,
} from '../support/seed-damage.js';

const COUNT = 4;
const ERRNOS = ['EACCES', 'EIO', 'EMFILE'] as const;

describe('errors of the file system', () => {
  test.each(ERRNOS)('a file that cannot be opened (%s) is not an empty log', async (code) => {
    for (const ending of ENDINGS) {
      for (const path of [CONFIG, MANIFEST, CLEAN, DAT]) {
        const lab = await writtenLog({ count: COUNT, ending });
        const before = picture(lab.disk);
        const fault = lab.fail('openSync', new RegExp(`${path}$`), code, { times: Infinity });
        expect(await rejection(lab.open(), 'IO')).toMatchObject({ systemCode: code });
        expect(picture(lab.disk), path).toEqual(before);
        fault.remove();
        expect(await shown(await lab.open())).toEqual(upTo(COUNT));
      }
    }
  });

  test('EACCES on a file is not an empty log', async () => {
    // Every operation of an open fails in turn, until an open has as many that none does.
    for (const ending of ENDINGS) {
      for (const times of [1, Infinity]) {
        for (let nth = 1, fired = 1; fired > 0; nth += 1) {
          const lab = await writtenLog({ count: COUNT, ending, options: { sync: 'never' } });
          const fault = lab.fail('any', /./, 'EACCES', { nth, times });
          const opening = lab.open();
          const opened = outcomeOf(opening);
          await opening.catch(() => undefined);
          fired = fault.fired;
          fault.remove();
          if (opened.error !== undefined) {
            expect(requireCode(opened.error, 'IO').systemCode, `operation ${nth}`).toBe('EACCES');
          }
          const channel = opened.value ?? (await lab.open());
          expect(await shown(channel), `operation ${nth}`).toEqual(upTo(COUNT));
          expect(channel.nextSeq).toBe(COUNT);
        }
      }
    }
  });

  test('a listing that fails does not hide a segment', async () => {
    for (const ending of ENDINGS) {
      const lab = await writtenLog({
        count: COUNT,
        ending,
        options: { segmentBytes: 4096 },
        size: 3000,
      });
      const before = picture(lab.disk);
      lab.fail('readDirectorySync', new RegExp(`${GENERATION}$`), 'EIO');
      expect(await rejection(lab.open(), 'IO')).toMatchObject({ systemCode: 'EIO' });
      expect(picture(lab.disk)).toEqual(before);
      expect(await shown(await lab.open())).toEqual(upTo(COUNT));
    }
  });

  test('a manifest whose new name may not last is not acted upon', async () => {
    const lab = await writtenLog({ count: COUNT, ending: 'kill' });
    const { byteLength } = readFile(lab.disk, DAT);
    resize(lab.disk, DAT, byteLength + 20);
    lab.fail('syncDirectorySync', /\/log$/, 'EIO');
    expect(await rejection(lab.open(), 'IO')).toMatchObject({ systemCode: 'EIO' });
    expect(readFile(lab.disk, DAT).byteLength).toBe(byteLength + 20);
    const cut = lab.cut(worst);
    const channel = await cut.open();
    expect(await shown(channel)).toEqual(upTo(COUNT));
    expect(await appendNext(channel, COUNT)).toBe(COUNT);
  });
});

describe('newer versions', () => {
  test('a newer manifest is not overwritten', async () => {
    for (const ending of ENDINGS) {
      const paths = [MANIFEST, CONFIG, DAT, ...(ending === 'close' ? [CLEAN] : [])];
      for (const path of paths) {
        const lab = await writtenLog({ count: COUNT, ending });
        // The first clean mark is in the second slot.
        const at = path === CLEAN ? 512 : 0;
        put(lab.disk, path, at + 4, Uint8Array.of(FORMAT_VERSION + 1, 0));
        const before = picture(lab.disk);
        const error = await rejection(lab.open(), 'FORMAT_VERSION');
        expect(error).toMatchObject({ path, found: FORMAT_VERSION + 1 });
        expect(picture(lab.disk)).toEqual(before);
      }
    }
  });
});

describe('metadata', () => {
  const damages: [string, (lab: Lab, path: string) => void][] = [
    ['missing', (lab, path) => lab.disk.unlinkSync(path)],
    ['empty', (lab, path) => resize(lab.disk, path, 0)],
    ['cut', (lab, path) => resize(lab.disk, path, 60)],
    ['longer', (lab, path) => resize(lab.disk, path, readFile(lab.disk, path).byteLength + 1)],
    ['zeros', (lab, path) => replaceFile(lab.disk, path, new Uint8Array(128))],
    ['one bit', (lab, path) => flipBit(lab.disk, path, 41, 2)],
  ];

  test.each(damages)('a manifest or config (%s) is not a new log', async (_name, damage) => {
    for (const ending of ENDINGS) {
      for (const path of [MANIFEST, CONFIG]) {
        const lab = await writtenLog({ count: COUNT, ending });
        damage(lab, path);
        const before = picture(lab.disk);
        expect(await rejection(lab.open(), 'CORRUPT')).toMatchObject({ path });
        await rejection(lab.open({ createIfMissing: true, firstSeq: 9 }), 'CORRUPT');
        expect(picture(lab.disk)).toEqual(before);
      }
    }
  });

  test('a missing generation is not an empty log', async () => {
    for (const ending of ENDINGS) {
      const lab = await writtenLog({ count: COUNT, ending });
      lab.disk.renameSync(GENERATION, `${DIRECTORY}/elsewhere`);
      const before = picture(lab.disk);
      const error = await rejection(lab.open(), 'CORRUPT');
      expect(error).toMatchObject({ path: GENERATION, check: 'missing' });
      expect(picture(lab.disk)).toEqual(before);
    }
  });

  test('a lost dat file does not make the log empty or its seqs begin anew', async () => {
    for (const lost of [[0], [1], [0, 1], [0, 1, 2, 3]]) {
      const options = { segmentBytes: 4096 };
      const lab = await writtenLog({ count: COUNT, ending: 'close', options, size: 3000 });
      const paths = lab.datPaths;
      expect(paths).toHaveLength(COUNT);
      for (const index of lost) lab.disk.unlinkSync(paths[index] ?? '');
      const before = picture(lab.disk);
      const channel = await lab.open();
      await rejection(channel.readBatch(), 'CORRUPT');
      await rejection(channel.get(lost[0] ?? 0), 'CORRUPT');
      const append = await outcomeOfAppend(channel.append('x'));
      // With the last segment gone nobody knows where the log goes on.
      if (lost.length === COUNT) requireCode(append, 'CORRUPT');
      else expect(append).toBe(COUNT);
      for (const [path, bytes] of Object.entries(picture(lab.disk))) {
        if (path.endsWith('.dat') && path !== paths.at(-1)) expect(bytes).toBe(before[path]);
      }
    }
  });

  async function outcomeOfAppend(append: Promise<number>): Promise<unknown> {
    return append.catch((error: unknown) => error);
  }

  test('foreign files are neither taken nor removed, nor is another generation taken', async () => {
    const foreign = [
      `${DIRECTORY}/v0000000002/notes.txt`,
      `${DIRECTORY}/v0000000007/idx`,
      `${DIRECTORY}/idx`,
      `${DIRECTORY}/dat`,
      `${DIRECTORY}/ts`,
      `${GENERATION}/notes.txt`,
      `${GENERATION}/1.dat`,
    ];
    for (const ending of ENDINGS) {
      const lab = await writtenLog({ count: COUNT, ending });
      const other = await writtenLog({ count: COUNT + 3, ending: 'close' });
      lab.disk.mkdirSync(`${DIRECTORY}/v0000000002`);
      lab.disk.mkdirSync(`${DIRECTORY}/v0000000007`);
      const bytes = readFile(other.disk, DAT);
      for (const path of foreign) replaceFile(lab.disk, path, bytes);
      replaceFile(lab.disk, `${DIRECTORY}/v0000000002/00000000000000000000.dat`, bytes);
      const channel = await lab.open();
      expect(await shown(channel)).toEqual(upTo(COUNT));
      await channel.close();
      for (const path of foreign) expect(readFile(lab.disk, path), path).toEqual(bytes);
    }
  });
});

test('an open that failed has left no descriptor behind', async () => {
  const lab = await writtenLog({ count: COUNT, ending: 'kill' });
  const fault = lab.fail('anyRead', /\.dat$/, 'EIO', { times: Infinity });
  const error: unknown = await lab.open().catch((reason: unknown) => reason);
  expect(RedexError.is(error, 'IO')).toBe(true);
  expect(lab.faults.openPaths).toEqual([]);
  fault.remove();
  expect(await shown(await lab.open())).toEqual(upTo(COUNT));
});
