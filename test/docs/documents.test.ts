/**
 * Goal: what the documents state about the code is so, and their links lead somewhere.
 * Method: tables are read from the Markdown, and names and members from the syntax trees of src.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { checkStored, DEFAULT_STORED, MAX_SEQ } from '../../src/channel/options.js';
import { MAX_SEGMENT_FRAMES } from '../../src/channel/segment-roll.js';
import { checkSettings, settingsOf } from '../../src/channel/settings.js';
import { ERROR_CODES } from '../../src/core/errors.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { repository } from '../support/process-package.js';
import { LAYERS, layerOf } from '../support/tidy/imports.js';

const read = (path: string): string => readFileSync(join(repository, path), 'utf8');
const SEARCHED = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md'];
const documents = [...SEARCHED, 'CHANGELOG.md', ...markdownOf('docs'), 'src/format/FORMAT.md'];

function markdownOf(folder: string): string[] {
  return readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`);
}

/** What stands between backticks, outside of blocks of code. */
const codesIn = (text: string): string[] =>
  [...text.replaceAll(/^```.*?^```$/gms, '').matchAll(/`([^`]+)`/g)].map(([, a]) => a ?? '');

/** Rows of the table with this first heading, below `section` if given; cells by heading. */
function table(path: string, heading: string, section = ''): Map<string, string>[] {
  const text = read(path);
  const lines = text.slice(text.indexOf(section)).split('\n');
  const start = lines.findIndex((line) => cellsOf(line)[0] === heading);
  expect(start, `table ${heading} of ${path}`).toBeGreaterThanOrEqual(0);
  const headings = cellsOf(lines[start] ?? '');
  const rows: Map<string, string>[] = [];
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith('|')) break;
    rows.push(new Map(cellsOf(line).map((cell, i) => [headings[i] ?? '', cell])));
  }
  return rows;
}

function cellsOf(line: string): string[] {
  return line.startsWith('|')
    ? line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim())
    : [];
}

const cell = (row: Map<string, string> | undefined, heading: string): string =>
  row?.get(heading) ?? '';
const column = (rows: readonly Map<string, string>[], heading: string): string[] =>
  rows.map((row) => codesIn(cell(row, heading))[0] ?? '');

/** The syntax tree of the named interface or type of a source file. */
function declaration(path: string, name: string): ts.Node {
  const tree = ts.createSourceFile(path, read(path), ts.ScriptTarget.ES2023, true);
  const found = tree.statements.find(
    (node) =>
      (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) &&
      node.name.text === name,
  );
  if (found === undefined) throw new Error(`${path} declares no ${name}`);
  return found;
}

function membersOf(node: ts.Node): string[] {
  const members = ts.isInterfaceDeclaration(node) || ts.isTypeLiteralNode(node) ? node.members : [];
  return members.map((member) => member.name?.getText() ?? '');
}

const interfaceOf = (path: string, name: string): string[] => membersOf(declaration(path, name));

describe('README.md', () => {
  const errors = 'src/core/errors.ts';

  test('lists the error codes in the order of the code', () => {
    expect(column(table('README.md', 'code'), 'code')).toEqual(ERROR_CODES);
  });

  test.each(table('README.md', 'code'))('lists the fields of row %#', (row) => {
    const fields = declaration(errors, 'ErrorFields') as ts.InterfaceDeclaration;
    const member = fields.members.find(
      (each) => `\`${each.name?.getText()}\`` === cell(row, 'code'),
    );
    expect(member !== undefined && ts.isPropertySignature(member)).toBe(true);
    const type = (member as ts.PropertySignature).type as ts.TypeNode;
    expect(codesIn(cell(row, 'fields'))).toEqual(membersOf(type));
    expect(cell(row, 'means')).not.toBe('');
    expect(cell(row, 'what to do')).not.toBe('');
  });

  test('says of exactly those codes that are never thrown that they are not yet', () => {
    const thrown = new Set<string>();
    for (const name of readdirSync(join(repository, 'src'), {
      recursive: true,
      encoding: 'utf8',
    })) {
      if (!name.endsWith('.ts') || name === 'core/errors.ts') continue;
      const made = read(`src/${name}`).matchAll(/redexError\(\s*'([A-Z_]+)'/g);
      for (const [, code] of made) thrown.add(code ?? '');
    }
    const rows = table('README.md', 'code');
    const notYet = rows.filter((row) => cell(row, 'means').includes('not thrown yet'));
    expect(column(notYet, 'code')).toEqual(ERROR_CODES.filter((code) => !thrown.has(code)));
  });

  test('has limits as the code has them', () => {
    const text = read('README.md');
    const settings = settingsOf({ fs: new MemoryFs() });
    expect(text).toContain(`${settings.maxRecordBytes / 2 ** 20} MiB (\`maxRecordBytes\``);
    expect(text).toContain(`${DEFAULT_STORED.segmentBytes / 2 ** 20} MiB (\`segmentBytes\``);
    expect(text).toContain(`${settings.maxOpenFiles} for all channels (\`maxOpenFiles\`)`);
    expect(text).toContain(`${MAX_SEGMENT_FRAMES.toLocaleString('en-US')} frames`);
  });

  test('names the version of Node.js that package.json asks for', () => {
    const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } };
    expect(read('README.md')).toContain(`Node.js ${engines.node.replace('>=', '')} or newer`);
  });
});

describe('docs/options.md', () => {
  const store = table('docs/options.md', 'option', '## `Redex.open');
  const channel = table('docs/options.md', 'option', '## `redex.channel');
  const all = [...store, ...channel];
  const members = (...names: readonly (readonly [string, string])[]): string[] =>
    names.flatMap(([path, name]) => interfaceOf(`src/${path}`, name)).toSorted();
  const stored = ['channel/options.ts', 'ConfigureOptions'] as const;

  test('lists every option of a store', () => {
    const settings = ['channel/settings.ts', 'SettingsOptions'] as const;
    const own = ['store/store-options.ts', 'RedexOptions'] as const;
    expect(column(store, 'option').toSorted()).toEqual(members(own, stored, settings));
  });

  test('lists every option of a channel', () => {
    const own = ['channel/options.ts', 'ChannelOptions'] as const;
    expect(column(channel, 'option').toSorted()).toEqual(members(own, stored));
  });

  test('marks the stored ones', () => {
    const marked = channel.filter((row) => cell(row, 'stored') === 'yes');
    expect(column(marked, 'option')).toEqual(Object.keys(DEFAULT_STORED));
    expect(column(marked, 'option').toSorted()).toEqual(members(stored));
  });

  test('has the defaults of the code', () => {
    const defaults = { ...DEFAULT_STORED, ...settingsOf({ fs: new MemoryFs() }) };
    let compared = 0;
    for (const [option, value] of Object.entries(defaults)) {
      if (typeof value !== 'number') continue;
      const rows = all.filter((each) => cell(each, 'option') === `\`${option}\``);
      const written = rows.map((row) => cell(row, 'default'));
      expect(written, option).toContain(String(value));
      compared++;
    }
    expect(compared).toBe(7);
  });

  test('has the ranges of the code', () => {
    let compared = 0;
    for (const row of all) {
      const [, low, high] = /^(\d+) to (\d+)$/.exec(cell(row, 'range')) ?? [];
      if (low === undefined || high === undefined) continue;
      const name = codesIn(cell(row, 'option'))[0] ?? '';
      const check = (value: number) => (): void => {
        checkStored({ [name]: value });
        checkSettings({ [name]: value });
      };
      for (const value of [low, high]) expect(check(Number(value)), name).not.toThrow();
      expect(check(Number(low) - 1), name).toThrow(RangeError);
      expect(check(Number(high) + 1), name).toThrow(RangeError);
      compared++;
    }
    // `segmentBytes` is in both tables.
    expect(compared).toBe(7);
    const firstSeq = channel.find((row) => cell(row, 'option') === '`firstSeq`');
    expect(cell(firstSeq, 'range')).toBe('0 to 2^53 − 2');
    expect(MAX_SEQ).toBe(2 ** 53 - 2);
  });

  test('lists the arms of the sync policy, and what appends and reads take', () => {
    const named = codesIn(read('docs/options.md'));
    for (const [path, name] of [
      ['src/channel/options.ts', 'SyncArms'],
      ['src/channel/record-input.ts', 'AppendBatchOptions'],
      ['src/channel/record-input.ts', 'RecordInput'],
      ['src/channel/read-options.ts', 'ReadBatchOptions'],
      ['src/channel/read-options.ts', 'ReadOptions'],
    ] as const) {
      for (const member of interfaceOf(path, name)) expect(named, name).toContain(member);
    }
  });
});

test('docs/reading.md lists what tails take', () => {
  const rows = table('docs/reading.md', 'option');
  expect(column(rows, 'option')).toEqual(interfaceOf('src/channel/tail-options.ts', 'TailOptions'));
});

describe('docs/recovery.md', () => {
  const path = 'src/channel/recovery-report.ts';
  const doc = 'docs/recovery.md';

  test.each([
    ['RecoveryReport', '## The report'],
    ['TornTail', '## A torn tail'],
    ['SuffixDamage', '## Damage'],
  ])('lists the fields of %s', (name, section) => {
    expect(column(table(doc, 'field', section), 'field')).toEqual(interfaceOf(path, name));
  });

  test('lists the fields of a region', () => {
    const row = table(doc, 'field', '## A torn tail').find(
      (each) => cell(each, 'field') === '`regions`',
    );
    const fields = codesIn(cell(row, 'meaning'));
    expect(fields).toEqual(interfaceOf(path, 'CutRegion'));
  });

  test('lists the checks', () => {
    const { type } = declaration('src/core/errors.ts', 'FailedCheck') as ts.TypeAliasDeclaration;
    const checks = ts.isUnionTypeNode(type) ? type.types.map((each) => each.getText()) : [];
    expect(column(table(doc, 'check'), 'check').map((name) => `'${name}'`)).toEqual(checks);
  });
});

describe('docs/repair.md', () => {
  const path = 'src/repair/repair-report.ts';
  const doc = 'docs/repair.md';

  test('lists the options and the fields of a report', () => {
    const options = interfaceOf('src/repair/repair.ts', 'RepairOptions');
    expect(column(table(doc, 'option'), 'option')).toEqual(options);
    const fields = [...interfaceOf(path, 'RepairPlan'), ...interfaceOf(path, 'RepairReport')];
    expect(column(table(doc, 'field'), 'field')).toEqual(fields);
  });

  test.each([
    ['RepairStep', 'steps'],
    ['RepairLoss', 'losses'],
    ['KeptAside', 'kept'],
  ])('lists the fields of %s', (name, field) => {
    const row = table(doc, 'field').find((each) => cell(each, 'field') === `\`${field}\``);
    const named = codesIn(cell(row, 'meaning')).toSorted();
    expect(named).toEqual(interfaceOf(path, name).toSorted());
  });
});

describe('ARCHITECTURE.md', () => {
  const rows = table('ARCHITECTURE.md', 'layer');

  test('has the table of layers that the tidy test enforces', () => {
    expect(column(rows, 'layer')).toEqual(Object.keys(LAYERS));
    for (const row of rows) {
      const name = codesIn(cell(row, 'layer'))[0] ?? '';
      expect(codesIn(cell(row, 'may import')), name).toEqual(LAYERS[name]?.any);
      expect(codesIn(cell(row, 'types of')), name).toEqual(LAYERS[name]?.typeOnly ?? []);
    }
  });

  test('says which layers are there: those that an entry reaches', () => {
    const seen = new Set<string>();
    const visit = (path: string): void => {
      if (seen.has(path)) return;
      seen.add(path);
      for (const [, target = ''] of read(path).matchAll(/ from '(\.[^']+)\.js'/g)) {
        visit(`${normalize(join(dirname(path), target))}.ts`);
      }
    };
    for (const name of readdirSync(join(repository, 'src'))) {
      if (layerOf(`src/${name}`) === 'root') visit(`src/${name}`);
    }
    visit('src/cli/main.ts');
    const reached = new Set([...seen].map(layerOf));
    for (const row of rows) {
      const name = codesIn(cell(row, 'layer'))[0] ?? '';
      expect(cell(row, 'is'), name).toBe(reached.has(name) ? 'there' : 'later');
    }
  });
});

describe('links', () => {
  /** The anchors of the headings of a document. */
  const anchorsOf = (path: string): string[] =>
    [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\d _-]/gu, '')
        .replaceAll(' ', '-'),
    );

  test.each(documents)('of %s lead to a file and a heading', (document) => {
    for (const [, target = ''] of read(document).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (target.startsWith('https:')) continue;
      const [file = '', anchor] = target.split('#');
      const path = file === '' ? document : normalize(join(dirname(document), file));
      expect(existsSync(join(repository, path)), target).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(path), target).toContain(anchor);
    }
  });

  test.each(documents)('paths that %s names are there', (document) => {
    const named = codesIn(read(document)).flatMap(
      (code) =>
        /^(?:node )?(?:\.\/)?((?:src|test|scripts|docs|bench|examples)\/[\w./-]*)/.exec(
          code,
        )?.[1] ?? [],
    );
    for (const path of named) expect(existsSync(join(repository, path)), path).toBe(true);
  });
});

describe('docs/decisions', () => {
  const names = readdirSync(join(repository, 'docs/decisions'));

  test.each(names)('%s is short and has the three parts', (name) => {
    expect(statSync(join(repository, 'docs/decisions', name)).isFile()).toBe(true);
    const text = read(`docs/decisions/${name}`);
    const number = /^(\d{4})-[a-z0-9-]+\.md$/.exec(name)?.[1];
    expect(text.startsWith(`# ${number} `)).toBe(true);
    expect([...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title)).toEqual([
      'Context',
      'Decision',
      'Consequences',
    ]);
    expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(40);
  });

  test('are numbered without gaps', () => {
    const numbers = names.map((name) => Number(name.slice(0, 4))).toSorted((a, b) => a - b);
    expect(numbers).toEqual(names.map((_, i) => i + 1));
  });
});
