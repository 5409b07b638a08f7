/** Goal: the documents name all rules, what the test kit exports, and what a compaction reports. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { jsonCodec } from '../../src/index.js';
import * as kit from '../../src/entry-testing.js';
import { repository } from '../support/process-package.js';

const read = (path: string): string => readFileSync(join(repository, path), 'utf8');

test('docs/rules.md has every rule that the source names, once', () => {
  const rows = [...read('docs/rules.md').matchAll(/^\| ([SWCGJN]\d) /gm)].map(([, id]) => id);
  const counts = { S: 7, W: 5, C: 9, G: 6, J: 9, N: 6 };
  const ids = Object.entries(counts).flatMap(([letter, count]) =>
    Array.from({ length: count }, (_, i) => `${letter}${i + 1}`),
  );
  expect(rows).toEqual(ids);
  for (const name of readdirSync(join(repository, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    for (const [, id] of read(`src/${name}`).matchAll(/RULES ([A-Z]\d)/g))
      expect(ids).toContain(id);
  }
});

test('docs/testing-kit.md names all that the kit exports, and failWriteback', () => {
  const text = read('docs/testing-kit.md');
  for (const name of [...Object.keys(kit), 'failWriteback']) expect(text).toContain(name);
});

test('docs/retention.md lists the fields of a CompactReport', () => {
  const report = /interface CompactReport \{(.*?)^\}/ms.exec(
    read('src/channel/compaction.ts'),
  )?.[1];
  const fields = [...(report ?? '').matchAll(/readonly (\w+):/g)].map(([, name]) => name);
  expect(fields.length).toBeGreaterThan(5);
  for (const name of fields) expect(read('docs/retention.md')).toContain(`\`${name}\``);
});

test('jsonCodec encodes as docs/folds.md says', () => {
  const cycle: unknown[] = [];
  cycle.push(cycle);
  for (const value of [undefined, () => 1, 1n, cycle]) {
    expect(() => jsonCodec.encode(value)).toThrow(TypeError);
  }
  expect(jsonCodec.encode([NaN, undefined, new Map([[1, 2]])])).toBe('[null,null,{}]');
});
