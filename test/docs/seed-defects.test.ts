/**
 * Goal: the list of the defects and tests of the seed is whole, and what it says holds each exists.
 * Method: the tables are read from the Markdown; the names of tests are looked for, quoted, in the
 * files that it names.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { repository } from '../support/process-package.js';

interface Row {
  /** Of a defect its number, of a test of the seed its name. */
  readonly id: string;
  readonly there: string | undefined;
  readonly here: string;
  readonly heldBy: string;
}

const text = readFileSync(join(repository, 'docs/seed-defects.md'), 'utf8');
const [defectsText = '', suiteText = '', otherText = '', queuesText = '', queueTestsText = ''] =
  text.split(/^## .*$/m);
const defects = defectsOf(defectsText);
const queueDefects = defectsOf(queuesText);
const suite = testsOf(suiteText);
const others = testsOf(otherText);
const queueTests = testsOf(queueTestsText);
const rows = [...defects, ...queueDefects, ...suite, ...others, ...queueTests];

/** The rows that no test holds: limits of a system, and what is done on purpose. */
const NOT_APPLICABLE = [
  'W20',
  'D32',
  'fsync_dir_no_op_on_non_unix_returns_ok_even_for_nonexistent_paths',
];

function cellsOf(table: string, row: RegExp, count: number): string[][] {
  return table
    .split('\n')
    .filter((line) => row.test(line))
    .map((line) => {
      const cells = line.split('|').map((cell) => cell.trim());
      expect(cells, line).toHaveLength(count + 2);
      return cells.slice(1, -1);
    });
}

function defectsOf(table: string): Row[] {
  return cellsOf(table, /^\| [A-Z]\d+ /, 4).map(([id = '', there = '', here = '', heldBy = '']) => {
    return { id, there, here, heldBy };
  });
}

function testsOf(table: string): Row[] {
  return cellsOf(table, /^\| `/, 3).map(([name = '', here = '', heldBy = '']) => {
    return { id: name.replaceAll('`', ''), there: undefined, here, heldBy };
  });
}

/** Files and names of tests that a row refers to. */
function referencesOf({ heldBy }: Row): { readonly path: string; readonly name: string }[] {
  return [...heldBy.matchAll(/`([^`›]+) › ([^`]+)`/g)].map(([, path = '', name = '']) => ({
    path,
    name,
  }));
}

/** Why a row has no test; empty when it has some. */
const reasonOf = ({ heldBy }: Row): string => /^not applicable: (.*)$/.exec(heldBy)?.[1] ?? '';

/** Whether a file gives a test exactly this name. */
function names(source: string, name: string): boolean {
  const quotes = [`'${name}'`, `"${name}"`, `\`${name}\``];
  return quotes.some((quoted) => source.includes(`(${quoted},`) || source.includes(` ${quoted},`));
}

/** `W1`, `W2` and so on. */
const ids = (letter: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${letter}${i + 1}`);

describe('docs/seed-defects.md', () => {
  test('lists each defect once, in order', () => {
    expect(defects.map(({ id }) => id)).toEqual([...ids('W', 30), ...ids('D', 32)]);
    expect(queueDefects.map(({ id }) => id)).toEqual([...ids('Q', 12), ...ids('E', 10)]);
  });

  test('lists each test of the seed once', () => {
    expect(suite).toHaveLength(41);
    expect(others.length).toBeGreaterThan(5);
    expect(queueTests).toHaveLength(33);
    const tests = [...suite, ...others, ...queueTests].map(({ id }) => id);
    expect(new Set(tests).size).toBe(tests.length);
    for (const name of tests) expect(name).toMatch(/^[a-z][a-z0-9_]+$/);
  });

  test.each(rows)('$id says what went wrong there and why it cannot here', ({ there, here }) => {
    expect((there ?? `${here} of a test`).length).toBeGreaterThan(20);
    expect(here).not.toBe('');
  });

  test('everything but what is listed here is held by a test, now', () => {
    expect(text).not.toMatch(/not yet/i);
    const without = rows.filter((row) => referencesOf(row).length === 0);
    expect(without.map(({ id }) => id)).toEqual(NOT_APPLICABLE);
    for (const row of without) expect(reasonOf(row).length, row.id).toBeGreaterThan(15);
  });

  test.each(rows)('$id is held by tests that exist, or says why not', (row) => {
    for (const { path, name } of referencesOf(row)) {
      expect(existsSync(join(repository, path)), path).toBe(true);
      expect(names(readFileSync(join(repository, path), 'utf8'), name), name).toBe(true);
    }
    const rest = row.heldBy.replaceAll(/`[^`]*`|<br>/g, '').trim();
    expect(rest === '' || reasonOf(row) !== '', rest).toBe(true);
  });
});

test('a name that is only part of another one is not found', () => {
  expect(names("test('a whole name', run);", 'a whole name')).toBe(true);
  expect(names("test('a whole name', run);", 'a whole')).toBe(false);
  expect(names("expect(text).toBe('a whole name');", 'a whole name')).toBe(false);
});
