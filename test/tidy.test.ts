/**
 * Goal: the rules of this code base hold, and each of them can fail.
 * Method: every rule is a function from files to violations. It is run over the whole repository,
 * and over planted files that break it.
 */
import { describe, expect, test } from 'vitest';
import { LAYERS, layerOf } from './support/tidy/imports.js';
import { at, lock, native, planted } from './support/tidy/planted.js';
import { ruleNames, violationsOf } from './support/tidy/rules.js';
import { isCode, isSource, readTree } from './support/tidy/source.js';

describe('the repository', () => {
  const tree = readTree(new URL('..', import.meta.url));
  const sources = tree.filter(({ path }) => isSource(path));

  test('was seen', () => {
    const paths = tree.map(({ path }) => path);
    expect(sources.length).toBeGreaterThanOrEqual(10);
    expect(paths).toEqual(expect.arrayContaining(['package.json', 'scripts/test', '.ci/run']));
    expect(paths.filter(isCode)).toContain('scripts/test');
    expect(paths.filter((path) => path.startsWith('node_modules/'))).toEqual([]);
    const seen = new Set(sources.map(({ path }) => layerOf(path)));
    expect([...seen]).toEqual(expect.arrayContaining(['core', 'format', 'fs']));
  });

  test('every folder of src that exists holds source files', () => {
    const folders = new Set(tree.flatMap(({ path }) => /^src\/([^/]+)\//.exec(path)?.[1] ?? []));
    for (const folder of folders) {
      const inside = sources.filter(({ path }) => layerOf(path) === folder);
      expect.soft(inside.length, `source files in src/${folder}`).toBeGreaterThan(0);
    }
  });

  test.each(ruleNames)('keeps %s', (name) => {
    expect(violationsOf(name, tree)).toEqual([]);
  });
});

describe('each rule can fail', () => {
  const files = (pairs: readonly (readonly [string, string])[]): { path: string; text: string }[] =>
    pairs.map(([path, content]) => ({ path, text: content }));

  test.each(planted)('$rule %#: $found', ({ rule, around = [], broken, found }) => {
    const violations = violationsOf(rule, files([...around, broken]));
    expect(violations.length).toBeGreaterThan(0);
    for (const each of violations) expect(each.slice(0, found.length)).toBe(found);
    expect(violationsOf(rule, files(around))).toEqual([]);
  });

  test('there is a planted violation of every rule', () => {
    expect([...new Set(planted.map(({ rule }) => rule))].toSorted()).toEqual(ruleNames.toSorted());
  });

  test('every layer of the table is known by its path', () => {
    const pathOf = (layer: string): string =>
      ({ root: 'src/index.ts', log: 'src/log.ts' })[layer] ?? `src/${layer}/a.ts`;
    for (const layer of Object.keys(LAYERS)) expect(layerOf(pathOf(layer))).toBe(layer);
  });

  test('what is allowed is not reported', () => {
    const there = { 'node_modules/a/node_modules/b-mac': {} };
    const allowed = files([
      at('src/core/runtime.ts', "// Time.\nimport 'node:crypto';", 'Date.now(); setTimeout(a);'),
      at('src/core/digest.ts', '// Digests.', "import { createHash } from 'node:crypto';"),
      at('src/cli/main.ts', '#!/usr/bin/env node', '// Starts.', 'process.exit(console.log());'),
      at('src/core/a.ts', '/** A. */', 'new Date(0); Date.parse(a); socket.setTimeout(1);'),
      at('src/core/b.ts', '// B.', 'const b = { setTimeout: 1, console: 2 }; Math.max(1);'),
      at('src/format/checksum.ts', '// Sums.', "import x from 'xxhash-addon';"),
      at('test/support/requirements.ts', 'context.skip(reason);'),
      at('package-lock.json', lock({ 'node_modules/a/node_modules/b': native, ...there })),
      at('test/a.test.ts', 'read({ skip: 1 }); setTimeout(run);', "// 'as any' in words"),
    ]).map(({ path, text: content }) => ({ path, text: `${content}\n` }));
    expect(ruleNames.flatMap((name) => violationsOf(name, allowed))).toEqual([]);
  });
});
