/**
 * Goal: whatever goes wrong is told in one line that says what to do, with the exit code that fits,
 * and nothing is created or changed by it.
 * Method: the program in this process, on directories that are wrong in every way.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.js';
import { failureOf, Interrupted, OutputClosed, Problem } from '../../src/cli/failure.js';
import { HELP_TOPICS } from '../../src/cli/help-topics.js';
import { VERSION } from '../../src/cli/version.js';
import { redexError } from '../../src/core/errors.js';
import { nodeFs } from '../../src/fs/node-fs.js';
import { Redex } from '../../src/store/redex.js';
import { CliPlace, runHere, type HereOptions } from '../support/cli-kit.js';
import { repository } from '../support/process-package.js';
import { treeOf } from '../support/tree.js';

let place: CliPlace;
let data: string;

beforeEach(() => {
  place = new CliPlace();
  data = place.at('data');
});

afterEach(() => place.remove());

/** The one line of a failure, without the name of the program. */
async function failure(
  code: number,
  args: readonly string[],
  options?: HereOptions,
): Promise<string> {
  const result = await runHere(args, options);
  expect(result.code).toBe(code);
  expect(result.stdout).toBe('');
  const [line = '', ...more] = place.neutral(result.stderr).trimEnd().split('\n');
  expect(more).toEqual([]);
  expect(line).toMatch(/^redex: /);
  return line.slice('redex: '.length);
}

/** Commands that look at a channel, or change one that is there. */
const USES: readonly (readonly string[])[] = [
  ['cat', 'x'],
  ['tail', 'x'],
  ['inspect', 'x'],
  ['verify', 'x'],
  ['configure', 'x'],
  ['configure', 'x', '--sync', 'never'],
  ['compact', 'x', '--before-seq', '1'],
  ['compact', 'x', '--before-seq', '1', '--dry-run'],
  ['delete', 'x'],
  ['append', 'x', '--no-create'],
];

const called = ([name = '', channel = '', ...flags]: readonly string[]): string[] => [
  name,
  data,
  channel,
  ...flags,
];

describe('a directory that is no store', () => {
  test.each(USES)('that is missing is not created by %s %s %s', async (...use) => {
    const message = await failure(1, called(use));
    expect(message).toBe(
      '/place/data is not a redex data directory: there is nothing of that name ' +
        '(redex create or append makes one)',
    );
    expect(readdirSync(place.path)).toEqual([]);
  });

  test.each(USES)('that is empty stays so with %s %s %s', async (...use) => {
    mkdirSync(data);
    expect(await failure(1, called(use))).toContain('is not a redex data directory: it is empty');
    expect(readdirSync(data)).toEqual([]);
  });

  test.each([...USES, ['append', 'x'], ['create', 'x']])(
    'that holds other files is left alone by %s %s %s',
    async (...use) => {
      mkdirSync(data);
      writeFileSync(place.at('data', 'letter.txt'), 'dear');
      const message = await failure(1, called(use), { input: 'x\n' });
      expect(message).toContain('/place/data is not a redex data directory: it holds other files');
      expect(readdirSync(data)).toEqual(['letter.txt']);
    },
  );

  test.each([...USES, ['append', 'x']])('that is a file: %s %s %s', async (...use) => {
    writeFileSync(data, '');
    expect(await failure(1, called(use))).toContain('it is no directory');
  });
});

describe('a channel that is not there', () => {
  beforeEach(async () => {
    for (const name of ['orders', 'users', 'sensors/lidar/front']) {
      expect((await runHere(['append', data, name], { input: 'x\n' })).code).toBe(0);
    }
  });

  test.each(USES)('is not created by %s %s %s', async (...use) => {
    const [command = '', , ...flags] = use;
    const before = treeOf(nodeFs, data).filter((path) => !path.includes('LOCK'));
    const message = await failure(1, called([command, 'ordes', ...flags]));
    expect(message).toBe("there is no channel 'ordes' in /place/data: did you mean 'orders'?");
    const after = treeOf(nodeFs, data).filter((path) => !path.includes('LOCK'));
    const paths = (tree: readonly string[]): string[] =>
      tree.filter((path) => path.startsWith(`${data}/channels`));
    expect(paths(after)).toEqual(paths(before));
  });

  test('that is like no other', async () => {
    expect(await failure(1, ['cat', data, 'zebra-crossing'])).toBe(
      "there is no channel 'zebra-crossing' in /place/data: redex inspect /place/data lists them",
    );
    expect(await failure(1, ['cat', data, 'lidar'])).toContain("'sensors/lidar/front'");
  });

  test('a name that none can have is wrong usage', async () => {
    expect(await failure(2, ['cat', data, ''])).toContain('a channel name must be well-formed');
    expect(await failure(2, ['append', data, 'x'.repeat(1025)])).toContain('1,024 bytes');
  });
});

describe('a store that is in use', () => {
  test('is locked for who writes, and open to who looks', async () => {
    const redex = await Redex.open(data);
    try {
      await (await redex.channel('a')).append('x');
      for (const use of [
        ['append', 'a'],
        ['create', 'b'],
        ['delete', 'a'],
        ['configure', 'a', '--sync', 'never'],
        ['compact', 'a', '--before-seq', '1'],
        ['backup', place.at('copy')],
      ]) {
        expect(await failure(1, called(use)), use[0]).toContain(
          `/place/data is open for writing in process ${process.pid}: stop it first ` +
            '(inspect, verify, cat and tail work beside it)',
        );
      }
      for (const use of [
        ['cat', 'a'],
        ['tail', 'a'],
        ['inspect', 'a'],
        ['verify', 'a'],
      ]) {
        expect((await runHere(called(use))).code, use[0]).toBe(0);
      }
      const { stdout } = await runHere(['inspect', data, '--json']);
      const { lock } = JSON.parse(stdout) as { lock: unknown };
      expect(lock).toMatchObject({ pid: process.pid, host: hostname(), alive: true });
    } finally {
      await redex.close();
    }
    expect(readdirSync(place.path)).toEqual(['data']);
  });

  test('shows segments whose bytes only the journal has', async () => {
    const redex = await Redex.open(data);
    try {
      const channel = await redex.channel('a', { segmentBytes: 4096 });
      for (let i = 0; i < 40; i++) await channel.append('x'.repeat(300));
      const { code, stdout } = await runHere(['inspect', data, 'a', '--json']);
      expect(code).toBe(0);
      const view = JSON.parse(stdout) as {
        readonly journalBytes: number;
        readonly generations: readonly { readonly segments: readonly { recordCount: number }[] }[];
      };
      expect(view).toMatchObject({ problems: [], stats: { count: 40, nextSeq: 40 } });
      const segments = view.generations[0]?.segments ?? [];
      expect(segments.length).toBeGreaterThan(3);
      expect(segments.reduce((sum, { recordCount }) => sum + recordCount, 0)).toBe(40);
      expect(view.journalBytes).toBeGreaterThan(40 * 300);
    } finally {
      await redex.close();
    }
    const { stdout } = await runHere(['inspect', data, 'a', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ problems: [], journalBytes: 0 });
  });
});

describe('damage', () => {
  test('is told where a read meets it, behind what can be read', async () => {
    const store = place.fixture('v1/block-zeroed');
    const args = ['cat', store, 'orders'];
    const { code, stdout, stderr } = await runHere(args);
    expect(code).toBe(1);
    expect(stdout).not.toBe('');
    expect(place.neutral(stderr)).toMatch(
      /^redex: \/place\/data\/channels\/.*\.dat is damaged at byte \d+ .*: run redex verify to see/,
    );
  });

  test.each([
    ['v1/manifest-newer', 'has format version'],
    ['v1/config-newer', 'has format version'],
    ['v1/store-newer', 'has format version'],
  ])('%s: %s', async (name, message) => {
    const store = place.fixture(name);
    expect(await failure(1, ['cat', store, 'orders'])).toContain(message);
    const shown = await runHere(['inspect', store, 'orders']);
    expect(shown.code).toBe(1);
    expect(shown.stdout).toContain('problem');
  });

  test('of a link to nothing', async () => {
    symlinkSync(place.at('nowhere'), data);
    expect((await runHere(['cat', data, 'a'])).code).toBe(1);
    expect((await runHere(['inspect', data])).code).toBe(1);
  });

  test('of a manifest does not hide the files of the channel', async () => {
    const store = place.fixture('v1/closed');
    rmSync(place.at('data/channels/orders/manifest'));
    const { code, stdout } = await runHere(['inspect', store, 'orders', '--json']);
    expect(code).toBe(1);
    const view = JSON.parse(stdout) as Record<string, unknown>;
    expect(view['stats']).toBeNull();
    expect(view['problems']).toContain('manifest: missing');
    expect(view['generations']).toMatchObject([
      { generation: 1, live: false, segments: [{ baseSeq: 0, recordCount: 4 }] },
    ]);
  });
});

describe('errors of the system', () => {
  const io = (systemCode: string): string =>
    failureOf(
      redexError('IO', 'x', { operation: 'write', path: '/d/f', systemCode, outcome: 'absent' }),
    ).message ?? '';

  test.each([
    ['ENOSPC', 'cannot write /d/f (ENOSPC): the disk is full; make room and run it again'],
    ['EACCES', 'cannot write /d/f (EACCES): you may not read or write it; run as its owner'],
    ['EROFS', 'cannot write /d/f (EROFS): the file system is read-only'],
    ['EMFILE', 'cannot write /d/f (EMFILE): too many files are open; raise the limit (ulimit -n)'],
    ['EXOTIC', 'cannot write /d/f (EXOTIC)'],
  ])('%s', (code, message) => expect(io(code)).toContain(message));

  test('have exit codes', () => {
    expect(failureOf(new Problem('p'))).toEqual({ exitCode: 1, message: 'p' });
    expect(failureOf(new RangeError('r'))).toEqual({ exitCode: 2, message: 'r' });
    expect(failureOf(new Interrupted()).exitCode).toBe(130);
    expect(failureOf(new OutputClosed())).toEqual({ exitCode: 0, message: undefined });
    expect(failureOf(new Error('odd')).message).toContain('unexpected: Error: odd');
  });
});

describe('wrong usage', () => {
  test.each([
    [['veryfy', 'd'], "unknown command 'veryfy' (Did you mean verify?)"],
    [['verify', 'd', '--jsn'], "unknown option '--jsn' (Did you mean --json?)"],
    [['verify'], "missing required argument 'data-dir'"],
    [['cat', 'd'], "missing required argument 'channel'"],
    [['cat', 'd', 'c', 'x'], 'too many arguments'],
    [['cat', 'd', 'c', '--from', 'x'], 'Write a whole number from 0 on.'],
    [['cat', 'd', 'c', '--limit', '0'], 'Write a whole number from 1 on.'],
    [['cat', 'd', 'c', '--format', 'xml'], 'Allowed choices are text, hex, base64, ndjson.'],
    [['create', 'd', 'c', '--sync', 'often'], 'Write always, never, or arms such as'],
    [['create', 'd', 'c', '--sync', 'every=0'], 'Write a whole number from 1 on.'],
    [['create', 'd', 'c', '--segment-bytes', '1ZB'], 'Write a number of bytes'],
    [['create', 'd', 'c', '--segment-bytes', '1KiB'], 'segmentBytes must be'],
    [['create', 'd', 'c', '--retention', 'age=7'], 'Write a number with a unit'],
    [['create', 'd', 'c', '--retention', 'wait-for=f'], 'retention without a limit'],
    [['append', 'd', 'c', '--hex', '--base64'], 'choose one of'],
    [['append', 'd', 'c', '--keep-seqs'], "option '--keep-seqs' needs --json"],
    [['append', 'd', 'c', '--type', '70000'], 'Write a whole number from 0 to 65535.'],
    [['compact', 'd', 'c'], 'say what is to go, with one of --retention'],
    [['compact', 'd', 'c', '--retention', '--before-seq', '1'], 'cannot be combined'],
    [['compact', 'd', 'c', '--drop-where', 'process.exit()'], 'Write type=3'],
    [['help', 'exit-code'], 'did you mean exit-codes?'],
  ])('%j', async (args, message) => {
    process.chdir(place.path);
    const result = await failure(2, args, { input: 'x\n' });
    expect(result).toContain(message);
  });

  test('leaves no store behind when the options cannot be right', async () => {
    await failure(2, ['create', data, 'c', '--segment-bytes', '1KiB']);
    await failure(2, ['append', data, 'c', '--type', '70000'], { input: 'x' });
    await failure(2, ['append', data, 'x'.repeat(1025)], { input: 'x' });
    expect(readdirSync(place.path)).toEqual([]);
  });

  test('no command shows the help on standard error', async () => {
    const { code, stdout, stderr } = await runHere([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Usage: redex');
  });
});

describe('help', () => {
  test.each(COMMANDS.map(({ name }) => name))('of %s has examples and --json', async (name) => {
    const { code, stdout } = await runHere([name, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(`\nExamples:\n  `);
    expect(stdout).toContain('--json');
    expect((await runHere(['help', name])).stdout).toBe(stdout);
  });

  test.each([...HELP_TOPICS.keys()])('topic %s is written for 80 columns', async (name) => {
    const { code, stdout } = await runHere(['help', name]);
    expect(code).toBe(0);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  test('the version is that of the package', async () => {
    const text = readFileSync(`${repository}/package.json`, 'utf8');
    const { version } = JSON.parse(text) as { version: string };
    expect(VERSION).toBe(version);
    expect((await runHere(['--version'])).stdout).toBe(`${version}\n`);
  });
});

test('an interrupted command exits with 130 and leaves nothing', async () => {
  expect(await failure(130, ['append', data, 'a'], { input: 'x', interrupted: true })).toBe(
    'interrupted',
  );
  expect(readdirSync(place.path)).toEqual([]);
});
