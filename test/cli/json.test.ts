/**
 * Goal: what programs read is as docs/cli.md promises, field by field.
 * Method: the tables of the document against what each command answers.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.js';
import { Redex } from '../../src/store/redex.js';
import { CliPlace, runHere } from '../support/cli-kit.js';
import { repository } from '../support/process-package.js';

const text = readFileSync(join(repository, 'docs/cli.md'), 'utf8');

/** Cells of the rows of the tables under `## JSON`, as text between backticks. */
const rows = text
  .slice(text.indexOf('## JSON'), text.indexOf('## What'))
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => {
    const [, name = '', fields = ''] = line.split('|');
    const codes = [...fields.replace(/^.*?:/, '').matchAll(/`([^`]+)`/g)].map(
      ([, code = '']) => code,
    );
    return { name: name.trim(), said: fields.trim(), codes };
  });

function fieldsOf(name: string, beginning = ''): readonly string[] {
  const row = rows.find((each) => each.name === name && each.said.startsWith(beginning));
  expect(row, name).toBeDefined();
  return row?.codes ?? [];
}

let place: CliPlace;
let data: string;

beforeAll(async () => {
  place = new CliPlace();
  data = place.at('data');
  for (const channel of ['a', 'b']) {
    await runHere(['append', data, channel], { input: '1\n2\n' });
  }
});

afterAll(() => place.remove());

type Json = Readonly<Record<string, unknown>>;

async function answer(args: readonly string[], input = ''): Promise<Json> {
  const { stdout, stderr } = await runHere([...args, '--json'], { input });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as Json;
}

const first = (value: unknown): Json => (value as readonly Json[])[0] ?? {};

describe('docs/cli.md', () => {
  test('has every command', () => {
    const named = new Set(rows.map(({ name }) => name.replaceAll('`', '')));
    for (const { name } of COMMANDS) expect([...named]).toContain(name);
  });

  test.each([
    ['append', ['append', 'DATA', 'a'], '{"text":"3"}\n'],
    ['create', ['create', 'DATA', 'c'], ''],
    ['configure', ['configure', 'DATA', 'c'], ''],
    ['delete', ['delete', 'DATA', 'c'], ''],
    ['verify', ['verify', 'DATA'], ''],
    ['compact', ['compact', 'DATA', 'b', '--drop-where', 'seq=0'], ''],
    ['repair', ['repair', 'DATA'], ''],
    ['backup', ['backup', 'DATA', 'COPY'], ''],
    ['export', ['export', 'DATA', '-o', 'FILE'], ''],
    ['import', ['import', 'NEW', 'FILE'], ''],
    ['bench', ['bench', 'HERE', '--records', '100'], ''],
    ['crash-test', ['crash-test', '--images', '1'], ''],
    ['completion', ['completion', 'bash'], ''],
  ])('%s', async (name, args, input) => {
    const paths: Readonly<Record<string, string>> = {
      DATA: data,
      COPY: place.at('copy'),
      FILE: place.at('all.rxar'),
      NEW: place.at('imported'),
      HERE: place.path,
    };
    const document = await answer(
      args.map((arg) => paths[arg] ?? arg),
      input,
    );
    expect(Object.keys(document).toSorted()).toEqual(fieldsOf(`\`${name}\``).toSorted());
    if (name === 'verify') {
      const fields = fieldsOf('`channels` of `verify`');
      expect(Object.keys(first(document['channels'])).toSorted()).toEqual(fields.toSorted());
    }
    if (name === 'export' || name === 'import') {
      const fields = fieldsOf(`\`channels\` of \`${name}\``);
      expect(Object.keys(first(document['channels'])).toSorted()).toEqual(fields.toSorted());
    }
    if (name === 'compact') {
      const fields = fieldsOf('`before`, `after`');
      expect(Object.keys(document['before'] as Json)).toEqual(fields);
      expect(Object.keys(document['after'] as Json)).toEqual(fields);
    }
    if (name === 'bench') {
      const fields = fieldsOf('`figures`');
      expect(Object.keys(first(document['figures'])).toSorted()).toEqual(fields.toSorted());
    }
  });

  test('compact --dry-run', async () => {
    const document = await answer(['compact', data, 'a', '--before-seq', '1', '--dry-run']);
    expect(Object.keys(document)).toEqual(fieldsOf('`compact`', 'with `--dry-run`'));
    expect(Object.keys(document['dropped'] as Json)).toEqual(fieldsOf('`dropped`'));
  });

  test('repair, of damage', async () => {
    const { stdout } = await runHere([
      'repair',
      place.fixture('v1/block-zeroed', 'damaged'),
      '--dry-run',
      '--json',
    ]);
    const plan = JSON.parse(stdout) as Json;
    expect(plan['dryRun']).toBe(true);
    for (const name of ['steps', 'losses', 'kept'] as const) {
      expect(fieldsOf(`\`${name}\``)).toEqual(
        expect.arrayContaining(Object.keys(first(plan[name]))),
      );
    }
  });

  test.each(['cat', 'tail'])('%s', async (name) => {
    const { stdout } = await runHere([name, data, 'a', '--json']);
    const record = JSON.parse(stdout.split('\n')[0] ?? '') as Json;
    expect(Object.keys(record)).toEqual(fieldsOf(`\`${name}\``));
  });

  test('inspect, of a store that is open, and of a channel', async () => {
    const redex = await Redex.open(data);
    try {
      const store = await answer(['inspect', data]);
      expect(Object.keys(store)).toEqual(fieldsOf('`inspect`', 'of a store'));
      for (const name of ['lock', 'journal'] as const) {
        expect(Object.keys(store[name] as Json)).toEqual(fieldsOf(`\`${name}\``));
      }
      const listed = fieldsOf('`channels` of `inspect`');
      expect(Object.keys(first(store['channels']))).toEqual(listed);
      const channel = await answer(['inspect', data, 'a']);
      expect(Object.keys(channel)).toEqual(fieldsOf('`inspect`', 'of a channel'));
      expect(Object.keys(channel['stats'] as Json)).toEqual(fieldsOf('`stats`'));
      const generation = first(channel['generations']);
      expect(Object.keys(generation)).toEqual(fieldsOf('`generations`'));
      expect(Object.keys(first(generation['segments']))).toEqual(fieldsOf('`segments`'));
    } finally {
      await redex.close();
    }
  });

  test('inspect, of checkpoints', async () => {
    const view = await answer(['inspect', place.fixture('v1/checkpoints', 'folds'), 'orders']);
    expect(Object.keys(first(view['checkpoints']))).toEqual(fieldsOf('`checkpoints`'));
  });
});
