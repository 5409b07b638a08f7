/**
 * Goal: compact drops what it is told and a dry run foretells it; backups are stores; what is
 * interrupted leaves nothing; the scripts for shells complete.
 * Method: the program in this process, and bash for its script.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.js';
import { CliPlace, CliProcess, redex, runHere, START_MS } from '../support/cli-kit.js';
import { commandExists, requires } from '../support/requirements.js';

let place: CliPlace;
let data: string;

beforeEach(() => {
  place = new CliPlace();
  data = place.at('data');
});

afterEach(() => place.remove());

const json = async (args: readonly string[]): Promise<Record<string, unknown>> =>
  JSON.parse(await redex([...args, '--json'])) as Record<string, unknown>;

const lines = async (channel: string): Promise<string> =>
  (await redex(['cat', data, channel])).trimEnd().replaceAll('\n', ' ');

describe('compact', () => {
  const DAY = 86_400_000;
  const records = [
    { text: 'old', type: 1, timestamp: START_MS - 40 * DAY },
    { json: { id: 'a', n: 1 }, timestamp: START_MS - 20 * DAY },
    { json: { id: 'b', n: 2 }, type: 3, timestamp: START_MS - 10 * DAY },
    { json: { id: 'a', n: 3 }, type: 3, timestamp: START_MS - DAY },
    { text: 'new', timestamp: START_MS },
  ];
  const [a1, b2, a3] = ['{"id":"a","n":1}', '{"id":"b","n":2}', '{"id":"a","n":3}'];

  beforeEach(async () => {
    const input = records.map((record) => JSON.stringify(record)).join('\n');
    await redex(['append', data, 'c', '--json'], { input });
  });

  test.each([
    [['--before-seq', '2'], `${b2} ${a3} new`],
    [['--older-than', '15d'], `${b2} ${a3} new`],
    [['--older-than', '100d'], `old ${a1} ${b2} ${a3} new`],
    [['--keep-latest-by-key', '/id'], `old ${b2} ${a3} new`],
    [['--keep-where', 'type=3'], `${b2} ${a3}`],
    [['--where', 'type=3', '--where', '/n>2'], a3],
    [['--drop-where', 'type=3'], `old ${a1} new`],
    [['--drop-where', 'type=3', '--drop-where', '/n>2'], `old ${a1} ${b2} new`],
    [['--keep-where', '/id'], `${a1} ${b2} ${a3}`],
    [['--drop-where', 'seq>=0'], ''],
  ])('%j', async (flags, left) => {
    const before = await lines('c');
    const forecast = await json(['compact', data, 'c', ...flags, '--dry-run']);
    expect(await lines('c')).toBe(before);
    const done = await json(['compact', data, 'c', ...flags]);
    expect(await lines('c')).toBe(left);
    const after = left === '' ? 0 : left.split(' ').length;
    expect(done).toMatchObject({ before: { records: 5 }, after: { records: after } });
    expect(forecast).toMatchObject({ dryRun: true, dropped: { records: 5 - after } });
    // Seqs are never given again.
    expect(await redex(['append', data, 'c'], { input: 'x' })).toContain('seq 5, ');
  });

  test('applies the retention of the channel, which a dry run foretells', async () => {
    const args = ['create', data, 'r', '--segment-bytes', '4KiB', '--retention', 'records=10'];
    await redex(args);
    const input = Array.from({ length: 100 }, () => Buffer.from(`${'x'.repeat(200)}\n`));
    await redex(['append', data, 'r'], { input });
    const forecast = await json(['compact', data, 'r', '--retention', '--dry-run']);
    const done = await json(['compact', data, 'r', '--retention']);
    const { before, after } = done as Record<string, { readonly records: number }>;
    const gone = (before?.records ?? 0) - (after?.records ?? 0);
    expect(forecast['dropped']).toMatchObject({ records: gone });
    expect(after?.records).toBeLessThan(40);
    const { code, stderr } = await runHere(['compact', data, 'c', '--retention']);
    expect(code).toBe(2);
    expect(stderr).toContain("'c' has no retention");
  });

  test('changes nothing when it is interrupted', async () => {
    const args = ['compact', data, 'c', '--before-seq', '3'];
    expect((await runHere(args, { interrupted: true })).code).toBe(130);
    expect((await lines('c')).split(' ')).toHaveLength(5);
  });

  test('changes nothing when it is interrupted on its way', async () => {
    const input = Array.from({ length: 200_000 }, (_, i) => `${i}\n`).join('');
    await redex(['append', data, 'long'], { input });
    const args = ['compact', data, 'long', '--drop-where', 'seq<100000'];
    const next = place.at('data/channels/long/v0000000002');
    const { code } = await runHere(args, { interruptWhen: () => existsSync(next) });
    expect(code).toBe(130);
    expect(await redex(['cat', data, 'long'])).toBe(input);
    expect((await runHere(['verify', data, 'long'])).code).toBe(0);
  });
});

test('a torn tail that is cut is told', async () => {
  const store = place.fixture('v1/torn-tail');
  const names = await json(['inspect', store]);
  const [{ name = '' } = {}] = names['channels'] as { readonly name?: string }[];
  const { code, stderr } = await runHere(['append', store, name], { input: 'x\n' });
  expect(code).toBe(0);
  expect(place.neutral(stderr)).toMatch(
    /^redex: recovered '.*': a torn tail of \d+ B was cut, and kept in \/place\/data\/.*\n$/,
  );
  expect((await runHere(['append', store, name], { input: 'x\n' })).stderr).toBe('');
});

describe('backup', () => {
  beforeEach(() => redex(['append', data, 'c'], { input: '1\n2\n' }));

  test('is a store of its own', async () => {
    const target = place.at('copy');
    expect(await json(['backup', data, target])).toMatchObject({ channels: 1, damaged: [] });
    await redex(['append', data, 'c'], { input: '3\n' });
    expect(await redex(['cat', target, 'c'])).toBe('1\n2\n');
    expect((await runHere(['verify', target])).code).toBe(0);
  });

  test('goes into no directory that holds anything', async () => {
    mkdirSync(place.at('copy'));
    writeFileSync(place.at('copy', 'x'), '');
    const { code, stderr } = await runHere(['backup', data, place.at('copy')]);
    expect(code).toBe(1);
    expect(stderr).toContain('copy is there already: choose a directory that is missing or empty');
    expect(readdirSync(place.at('copy'))).toEqual(['x']);
  });

  test('leaves nothing when it is interrupted, nor inside of the store', async () => {
    const args = ['backup', data, place.at('copy')];
    expect((await runHere(args, { interrupted: true })).code).toBe(130);
    expect(existsSync(place.at('copy'))).toBe(false);
    for (let i = 0; i < 20; i++) await redex(['create', data, `channel ${i}`]);
    const isStarted = (): boolean => existsSync(place.at('copy/channels'));
    expect(await runHere(args, { interruptWhen: isStarted })).toMatchObject({ code: 130 });
    expect(existsSync(place.at('copy'))).toBe(false);
    expect((await runHere(['backup', data, place.at('data/copy')])).code).toBe(2);
    expect(existsSync(place.at('data/copy'))).toBe(false);
  });
});

describe('bench', () => {
  test('leaves nothing behind', async () => {
    mkdirSync(place.at('here'));
    const { figures } = await json(['bench', place.at('here'), '--records', '2000']);
    expect((figures as { readonly name: string }[]).map(({ name }) => name)).toEqual([
      'append, written, 1000 at a time',
      'append, synced, one by one',
      'append, synced, 64 at once',
      'read all',
      'get by seq, anywhere',
      'close',
      'open a store and a channel',
    ]);
    expect(readdirSync(place.at('here'))).toEqual([]);
  });

  test('makes no directory, and none in a store', async () => {
    await redex(['create', data]);
    expect((await runHere(['bench', place.at('nope')])).stderr).toContain('there is no directory');
    expect((await runHere(['bench', data])).stderr).toContain('is a data directory');
    expect(readdirSync(place.path)).toEqual(['data']);
  });
});

test('crash-test repeats a run from its seed', async () => {
  const first = await json(['crash-test', '--images', '1', '--seed', '3']);
  expect(first).toMatchObject({ ok: true, seed: 3, workloads: 1, failure: null });
  const again = await json(['crash-test', '--images', '1', '--seed', '3']);
  expect(again['counters']).toEqual(first['counters']);
});

describe('completion', () => {
  const inBash = async (...words: readonly string[]): Promise<string[]> => {
    const script = await redex(['completion', 'bash']);
    const line = words.map((word) => `'${word}'`).join(' ');
    const run = `${script}\nCOMP_WORDS=(redex ${line}); COMP_CWORD=${words.length}; _redex
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const shell = new CliProcess('bash', ['-c', run], place.path);
    shell.child.stdin.end();
    const { stdout, stderr } = await shell.ended;
    expect(stderr).toBe('');
    return stdout.split('\n').filter((word) => word !== '');
  };

  test('of bash knows commands, options, topics and directories', async () => {
    mkdirSync(place.at('my data'));
    mkdirSync(place.at('other'));
    expect(await inBash('co')).toEqual(['configure', 'compact', 'completion']);
    expect(await inBash('verify', '--j')).toEqual(['--json']);
    expect(await inBash('compact', 'other', 'c', '--keep')).toEqual([
      '--keep-latest-by-key',
      '--keep-where',
    ]);
    expect(await inBash('verify', 'other', '--q')).toEqual(['--quick']);
    expect(await inBash('help', 'du')).toEqual(['durability']);
    expect(await inBash('cat', 'm')).toEqual(['my data']);
    expect(await inBash('cat', 'other', 'x')).toEqual([]);
  });

  test('of fish knows them, and takes no directory for a command', async (context) => {
    requires(context, commandExists('fish'), 'fish is not there');
    writeFileSync(place.at('redex.fish'), await redex(['completion', 'fish']));
    const completed = async (line: string): Promise<string[]> => {
      const run = `source redex.fish; complete -C '${line}'`;
      const shell = new CliProcess('fish', ['--no-config', '-c', run], place.path);
      shell.child.stdin.end();
      const { stdout, stderr } = await shell.ended;
      expect(stderr).toBe('');
      return stdout
        .split('\n')
        .map((row) => row.split('\t')[0] ?? '')
        .filter((word) => word !== '');
    };
    expect(await completed('redex conf')).toEqual(['configure']);
    expect(await completed('redex verify d --q')).toEqual(['--quick']);
    expect(await completed('redex help du')).toEqual(['durability']);
    expect(await completed('redex completion z')).toEqual(['zsh']);
    expect(await completed('redex cat d c --format h')).toEqual(['hex']);
    expect(await completed('redex verify help du')).toEqual([]);
    expect(await completed('redex verify compact --keep')).toEqual([]);
  });

  test('of zsh knows them', async (context) => {
    requires(context, commandExists('zsh'), 'zsh is not there');
    writeFileSync(place.at('_redex'), await redex(['completion', 'zsh']));
    mkdirSync(place.at('my-data'));
    /** What a line has become with a tab, in a terminal of its own. */
    const completed = async (line: string): Promise<string> => {
      const inside =
        'autoload -U compinit; compinit -u -D; source ./_redex; ' +
        'show() { print -r -- "$BUFFER" > line; exit }; zle -N show; bindkey "^P" show';
      const run =
        `zmodload zsh/zpty; zpty z 'TERM=dumb zsh -f -i'; zpty -w z '${inside}'; ` +
        `zpty -w -n z '${line}'$'\\t\\C-P'; while zpty -r z it; do :; done`;
      const shell = new CliProcess('zsh', ['-f', '-c', run], place.path);
      shell.child.stdin.end();
      expect(await shell.ended).toMatchObject({ stderr: '' });
      return readFileSync(place.at('line'), 'utf8').trimEnd();
    };
    expect(await completed('redex conf')).toBe('redex configure');
    expect(await completed('redex verify d --q')).toBe('redex verify d --quick');
    expect(await completed('redex help du')).toBe('redex help durability');
    expect(await completed('redex cat m')).toBe('redex cat my-data/');
    expect(await completed('redex cat d c --format h')).toBe('redex cat d c --format hex');
    expect(await completed('redex cat --limit 5 m')).toBe('redex cat --limit 5 my-data/');
  });

  test.each(['bash', 'zsh', 'fish'])('of %s has all commands', async (shell) => {
    const script = await redex(['completion', shell]);
    for (const { name } of COMMANDS) expect(script).toContain(name);
    expect(await json(['completion', shell])).toEqual({ shell, script });
  });
});
