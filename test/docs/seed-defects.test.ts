/**
 * Goal: the list of the seed's defects is whole, and what it says holds each of them exists.
 * Method: the table is read from the Markdown; the names of tests are looked for, quoted, in the
 * files that it names.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { repository } from '../support/process-package.js';

interface Row {
  readonly id: string;
  readonly there: string;
  readonly here: string;
  readonly heldBy: string;
}

const rows = rowsOf(readFileSync(join(repository, 'docs/seed-defects.md'), 'utf8'));

function rowsOf(text: string): Row[] {
  return text
    .split('\n')
    .filter((line) => /^\| [A-Z]\d+ /.test(line))
    .map((line) => {
      const cells = line.split('|').map((cell) => cell.trim());
      const [, id = '', there = '', here = '', heldBy = ''] = cells;
      expect(cells, line).toHaveLength(6);
      return { id, there, here, heldBy };
    });
}

/** Files and names of tests that a row refers to. */
function referencesOf({ heldBy }: Row): { readonly path: string; readonly name: string }[] {
  return [...heldBy.matchAll(/`([^`›]+) › ([^`]+)`/g)].map(([, path = '', name = '']) => ({
    path,
    name,
  }));
}

/** Why a row has no test, or has one for a part only. */
const reasonOf = ({ heldBy }: Row): string =>
  /not (?:yet|applicable): (.*)$/.exec(heldBy)?.[1] ?? '';

/** Whether a file gives a test exactly this name. */
function names(source: string, name: string): boolean {
  return [`'${name}'`, `"${name}"`, `\`${name}\``].some((quoted) => source.includes(quoted));
}

/** `W1`, `W2` and so on. */
const ids = (letter: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${letter}${i + 1}`);

describe('docs/seed-defects.md', () => {
  test('lists each defect once, in order', () => {
    expect(rows.map(({ id }) => id)).toEqual([...ids('W', 30), ...ids('D', 32)]);
  });

  test.each(rows)('$id says what went wrong there and why it cannot here', (row) => {
    expect(row.there.length).toBeGreaterThan(20);
    expect(row.here).not.toBe('');
  });

  test.each(rows)('$id is held by tests that exist, or says why not', (row) => {
    const references = referencesOf(row);
    expect(references.length > 0 || reasonOf(row).length > 15, row.heldBy).toBe(true);
    if (row.heldBy.includes('not yet')) expect(reasonOf(row).length).toBeGreaterThan(15);
    for (const { path, name } of references) {
      expect(existsSync(join(repository, path)), path).toBe(true);
      expect(names(readFileSync(join(repository, path), 'utf8'), name), name).toBe(true);
    }
    const rest = row.heldBy.replaceAll(/`[^`]*`|<br>/g, '').trim();
    expect(rest === '' || /not (?:yet|applicable): /.test(rest), rest).toBe(true);
  });
});

test('a name that is only part of another one is not found', () => {
  expect(names("test('a whole name', run);", 'a whole name')).toBe(true);
  expect(names("test('a whole name', run);", 'a whole')).toBe(false);
});
