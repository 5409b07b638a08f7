/**
 * Goal: what export writes import reads, through pipes and files; whoever imports what is damaged,
 * or is there already, is told what to do and has nothing half; logs of RedEX come with a report.
 * Method: the program in this process, on stores that it has written itself.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nodeFs } from '../../src/fs/node-fs.js';
import { CliPlace, type HereOptions, type HereResult, redex, runHere } from '../support/cli-kit.js';
import { putV1, v1Files, v1Records } from '../transfer/redex-v1-kit.js';

let place: CliPlace;
let data: string;

beforeEach(async () => {
  place = new CliPlace();
  data = place.at('data');
  await redex(['append', data, 'orders/eu', '--type', '7'], { input: 'a\nb\nc\n' });
  await redex(['append', data, 'b'], { input: 'x\n' });
});
afterEach(() => place.remove());

const cat = (directory: string, channel: string): Promise<string> =>
  redex(['cat', directory, channel, '--json']);

async function refused(args: readonly string[], options?: HereOptions): Promise<HereResult> {
  const result = await runHere(args, options);
  expect([result.code, result.stdout]).toEqual([1, '']);
  expect(result.stderr.trimEnd().split('\n')).toHaveLength(1);
  return result;
}

test.each(['', '--gzip', '--format ndjson', '--format ndjson --gzip'])(
  'a file, with flags %j',
  async (given) => {
    const flags = given.split(' ').filter((flag) => flag !== '');
    const file = place.at('all.export');
    await redex(['export', data, '-o', file, ...flags]);
    const copy = place.at('copy');
    await redex(['import', copy, file]);
    for (const name of ['orders/eu', 'b'])
      expect(await cat(copy, name)).toBe(await cat(data, name));
    expect(await refused(['import', copy, file])).toMatchObject({
      stderr: expect.stringContaining('--append adds what is new') as string,
    });
    await redex(['append', data, 'b'], { input: 'y\n' });
    const later = place.at('later.export');
    await redex(['export', data, '-o', later, ...flags]);
    await redex(['import', copy, later, '--append']);
    expect(await cat(copy, 'b')).toBe(await cat(data, 'b'));
  },
);

test('one channel, through a pipe, under another name', async () => {
  const bytes = await redex(['export', data, 'orders/eu', '--format', 'ndjson']);
  await redex(['import', place.at('copy'), '-', '--as', 'old'], { input: bytes });
  expect(await cat(place.at('copy'), 'old')).toBe(await cat(data, 'orders/eu'));
  const { stderr } = await refused(['export', data, 'orders/e']);
  expect(stderr).toContain("did you mean 'orders/eu'?");
});

test('what is damaged or missing leaves no store, and no file', async () => {
  const file = place.at('all.export');
  await redex(['export', data, '-o', file]);
  const bytes = readFileSync(file);
  writeFileSync(place.at('short'), bytes.subarray(0, bytes.length - 9));
  const copy = place.at('copy');
  for (const source of ['short', 'nothing']) {
    await refused(['import', copy, place.at(source)]);
    expect(existsSync(copy)).toBe(false);
  }
  expect((await refused(['export', data, '-o', file])).stderr).toContain('is there already');
  const nowhere = await refused(['export', data, '-o', place.at('none', 'x')]);
  expect(nowhere.stderr).toContain('there is no such file or directory');
  expect((await refused(['import', copy, data])).stderr).toContain('is a store of its own');
  expect(existsSync(copy)).toBe(false);
  expect(readFileSync(file)).toEqual(bytes);
  const damaged = place.fixture('v1/block-zeroed', 'damaged');
  await refused(['export', damaged, '-o', place.at('part')]);
  expect(readdirSync(place.path).filter((name) => name.startsWith('part'))).toEqual([]);
  const skipping = ['export', damaged, '-o', place.at('part'), '--skip-damaged'];
  const { code, stderr } = await runHere(skipping);
  expect([code, stderr]).toEqual([1, expect.stringContaining("left out of 'orders'")]);
});

test('logs of RedEX, below a directory and one of them', async () => {
  const legacy = place.at('legacy');
  for (const [name, count] of [
    ['sensors/lidar', 4],
    ['sensors/front', 3],
  ] as const) {
    mkdirSync(join(legacy, name), { recursive: true });
    putV1(nodeFs, join(legacy, name), { ...v1Files(v1Records(count)) });
  }
  const all = place.at('all');
  const text = await redex(['import', all, legacy]);
  expect(text).toContain('sensors/lidar, a log of RedEX');
  expect(text).toContain('7 records imported');
  const one = place.at('one');
  await redex(['import', one, join(legacy, 'sensors/lidar'), '--as', 'lidar']);
  expect(await cat(one, 'lidar')).toBe(await cat(all, 'sensors/lidar'));
  expect((await cat(all, 'sensors/front')).trimEnd().split('\n')).toHaveLength(3);
});
