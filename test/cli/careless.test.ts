/**
 * Goal: what a careless or a hostile user types is refused with one line that says what to do, or
 * does exactly what it says; nothing that others have named can fake lines of an answer.
 * Method: the program in this process, on stores that it has written itself.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { failureOf } from '../../src/cli/failure.js';
import { printable } from '../../src/cli/printable.js';
import { redexError } from '../../src/core/errors.js';
import { CliPlace, type HereOptions, redex, runHere } from '../support/cli-kit.js';

let place: CliPlace;
let data: string;

beforeEach(() => {
  place = new CliPlace();
  data = place.at('data');
});
afterEach(() => place.remove());

/** The one line of a failure. */
async function refused(
  code: number,
  args: readonly string[],
  options?: HereOptions,
): Promise<string> {
  const result = await runHere(args, options);
  expect([result.code, result.stdout]).toEqual([code, '']);
  const lines = place.neutral(result.stderr).split('\n');
  expect(lines).toHaveLength(2);
  return lines[0] ?? '';
}

describe('names with control characters', () => {
  const NAME = 'new\nline\u001B[2J\u202Eback';
  const SHOWN = String.raw`new\nline\u001b[2J\u202eback`;

  test.each([{ isTerminal: false }, { isTerminal: true }])('%j', async (options) => {
    await redex(['append', data, NAME], { input: 'x\n' });
    for (const args of [
      ['inspect', data],
      ['inspect', data, NAME],
      ['verify', data],
      ['verify', data, '--quick'],
      ['compact', data, NAME, '--where', 'type=0'],
      ['export', data, '-o', place.at('file')],
    ]) {
      const { stdout, stderr } = await runHere(args, { ...options, width: 140 });
      expect(stdout, args[0]).toContain(SHOWN);
      for (const raw of ['\u001B[2J', '\u202E', 'new\n']) {
        expect(stdout + stderr, args[0]).not.toContain(raw);
      }
    }
    const listed = JSON.parse(await redex(['inspect', data, '--json'])) as {
      readonly channels: readonly { readonly name: string }[];
    };
    expect(listed.channels.map(({ name }) => name)).toEqual([NAME]);
    expect(await refused(1, ['cat', data, `${NAME}!`])).toContain(`did you mean '${SHOWN}'?`);
    await redex(['delete', data, NAME]);
  });

  test('with a space at an end are seen in a list', async () => {
    await redex(['append', data, ' '], { input: 'x\n' });
    expect(await redex(['inspect', data])).toMatch(/^' ' /m);
    expect(await redex(['verify', data])).toMatch(/^' ' /m);
  });

  test('are shown as they are but for these', () => {
    expect(printable('a/b ü 日本 🎉')).toBe('a/b ü 日本 🎉');
    expect(printable('\t\r\u0000\u007F\u0085\u2028')).toBe(
      String.raw`\t\r\u0000\u007f\u0085\u2028`,
    );
    expect(printable('\u001B[1m\u001B[5m', true)).toBe('\u001B[1m\\u001b[5m');
  });
});

describe('wrong usage', () => {
  test.each([
    [['foo'], "unknown command 'foo': redex --help lists them"],
    [['inspect', ''], 'data-dir is empty'],
    [['bench', ''], 'dir is empty'],
    [['inspect', 'DATA', 'c', '--prefix', 'c'], '--prefix is for a list of channels'],
    [['cat', 'DATA', 'c', '--json', '--format', 'hex'], '--json is --format ndjson'],
    [['tail', 'DATA', 'c', '--json', '--format', 'text'], '--json is --format ndjson'],
    [['create', 'DATA', 'd', '--retention', 'records=5,records=6'], 'It says records twice.'],
    [['create', 'DATA', 'd', '--sync', 'every=5,every=6'], 'It says every twice.'],
    [['create', 'DATA', '--first-seq', '5'], 'these options are for a channel'],
    [['cat', 'DATA', 'c', '--since', '2026-02-30'], "cannot read the time '2026-02-30'"],
    [['cat', 'DATA', 'c', '--since', '9999-12-31'], "cannot read the time '9999-12-31'"],
    [['compact', 'DATA', 'c', '--where', '/a', '--keep-where', '/b'], 'cannot be combined'],
  ])('%j', async (args, message) => {
    await redex(['append', data, 'c'], { input: 'x\n' });
    const given = args.map((arg) => (arg === 'DATA' ? data : arg));
    expect(await refused(2, given)).toContain(message);
    expect(await redex(['cat', data, 'c', '--json', '--format', 'ndjson'])).toContain('"seq":0');
  });

  test.each([['repair'], ['repair', '--dry-run'], ['inspect'], ['verify', '--quick']])(
    'a file is no data directory: %s %s',
    async (command, ...flags) => {
      writeFileSync(data, '');
      const line = 'redex: /place/data is not a redex data directory: it is no directory';
      expect(await refused(1, [command, data, ...flags])).toBe(line);
      expect(await refused(1, ['bench', data])).toContain('there is no directory /place/data');
    },
  );
});

describe('append', () => {
  test('refuses half a character, which would come back as another one', async () => {
    const input = String.raw`{"text":"\ud800"}`;
    const line = await refused(1, ['append', data, 'c', '--json'], { input });
    expect(line).toContain('its text has half a character');
  });

  test('says what to do about a batch that is too large', async () => {
    const input = Array.from({ length: 700 }, () => Buffer.from(`${'x'.repeat(99_999)}\n`));
    const line = await refused(1, ['append', data, 'c', '--batch', '700'], { input });
    expect(line).toContain('over the limit of');
    expect(line).toContain('choose a smaller --batch');
  });
});

test('what is unreadable is not called damaged, and nobody is told to repair it', async () => {
  place.fixture('v1/config-newer');
  for (const flags of [[], ['--quick']]) {
    const { code, stdout } = await runHere(['verify', data, ...flags], { width: 140 });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^orders +unreadable +1 /m);
    expect(stdout).toContain('use a newer release');
    expect(stdout).not.toContain('repair');
    expect(stdout).toMatch(/ channels, (nothing is damaged|no damage seen), 1 unreadable; /);
  }
});

test('verify does not advise to run verify', async () => {
  place.fixture('v1/generation-missing');
  const { stdout } = await runHere(['verify', data]);
  expect(stdout).toContain('damaged');
  expect(stdout).not.toContain('redex verify');
  place.fixture('v1/journal-flipped', 'other');
  const { stderr } = await runHere(['verify', place.at('other')]);
  expect(stderr).toContain('run redex repair --dry-run to see all of it');
});

test('a full disk is no fault of the input', () => {
  const fields = { what: 'journalBytes', limit: 1, actual: 2 };
  const { exitCode, message } = failureOf(redexError('LIMIT', 'the journal is full', fields));
  expect(exitCode).toBe(1);
  expect(message).toContain('the journal is full, because the disk is full or fails');
});

test.each([true, false])('a backup that fails leaves no half of one (%s)', async (wasThere) => {
  await redex(['append', data, 'orders'], { input: 'x\n' });
  // A path that has room for the copy itself, but not for the files of its channels.
  let parent = place.path;
  while (parent.length < 4096 - 40 - 250) parent += `/${'p'.repeat(200)}`;
  const target = `${parent}/${'t'.repeat(4096 - 40 - parent.length)}`;
  mkdirSync(wasThere ? target : parent, { recursive: true });
  const before = readdirSync(parent);
  const line = await refused(1, ['backup', data, target]);
  expect(line).toContain('ENAMETOOLONG');
  expect(readdirSync(parent)).toEqual(before);
  if (wasThere) expect(readdirSync(target)).toEqual([]);
});

test('names of one letter are not like each other', async () => {
  await redex(['append', data, 'a'], { input: 'x\n' });
  expect(await refused(1, ['cat', data, 'b'])).toContain('lists them');
  expect(await refused(1, ['cat', data, 'A'])).toContain("did you mean 'a'?");
});

test('a store is created once', async () => {
  for (const created of [true, false]) {
    expect(JSON.parse(await redex(['create', data, '--json']))).toMatchObject({ created });
  }
  expect(await redex(['inspect', data])).toContain('\nno channels\n');
  const none = await redex(['inspect', data, '--prefix', 'x/']);
  expect(none).toContain("no channels that begin with 'x/'");
});

describe('an interrupted repair', () => {
  const isKept = (): boolean => existsSync(place.at('data', 'damaged'));

  test('goes on to its end, and says so', async () => {
    place.fixture('v1/block-zeroed');
    const { code, stdout, stderr } = await runHere(['repair', data], { interruptWhen: isKept });
    expect([code, isKept()]).toEqual([1, true]);
    expect(stdout).toContain('kept aside');
    expect(stderr).toBe(
      'redex: the repair goes on to its end; a second signal kills it, and it can be run again\n',
    );
    expect((await runHere(['verify', data])).code).toBe(0);
  });
});
