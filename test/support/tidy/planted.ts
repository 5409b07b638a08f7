/** For each tidy rule, files that break it in one place. */
/** Joins `a|b`, so that this file does not contain what it plants. */
const glue = (parts: string): string => parts.split('|').join('');

const lines = (count: number, line: string): string => `${line}\n`.repeat(count);
const body = (count: number): string => `{\n${lines(count - 2, '  step();')}}`;
const wide = (columns: number): string => `// ${'x'.repeat(columns - 3)}\n`;
export const at = (path: string, ...content: string[]): [string, string] => [
  path,
  content.join('\n'),
];

export interface Planted {
  readonly rule: string;
  /** Files that the rule accepts, as long as `broken` is not among them. */
  readonly around?: readonly [path: string, text: string][];
  readonly broken: readonly [path: string, text: string];
  /** How each reported violation begins. */
  readonly found: string;
}

const plant = (
  rule: string,
  broken: [string, string],
  found: string,
  ...around: [string, string][]
): Planted => ({ rule, broken, found, around });

const plantedImports: readonly Planted[] = [
  plant(
    'layers',
    at('src/format/a.ts', "import { b } from '../fs/b.js';"),
    'src/format/a.ts:1 layers: format may not import (other than types) from fs (src/fs/b.ts)',
    at('src/fs/b.ts', ''),
  ),
  plant(
    'layers',
    at('src/core/a.ts', '', "import type { B } from '../fs/b.js';"),
    'src/core/a.ts:2 layers: core may not import fs',
    at('src/fs/b.ts', ''),
  ),
  plant(
    'layers',
    at('src/streams/a.ts', "type B = import('../segment/b.js').B;"),
    'src/streams/a.ts:1 layers: streams may not import segment',
    at('src/segment/b.ts', ''),
  ),
  plant(
    'layers',
    at('src/queues/a.ts', "export * from '../streams/b.js';"),
    'src/queues/a.ts:1 layers: queues may not import',
    at('src/streams/b.ts', ''),
  ),
  plant(
    'layers',
    at('src/http/a.ts', "const b = await import('../store/b.js');"),
    'src/http/a.ts:1 layers: http may not import',
    at('src/store/b.ts', ''),
  ),
  plant(
    'layers',
    at('src/testing/a.ts', "import { type B } from '../store/b.js';"),
    'src/testing/a.ts:1 layers: testing may not import (other than types) from store',
    at('src/store/b.ts', ''),
    at('src/testing/c.ts', "import type { B } from '../store/b.js';"),
  ),
  plant(
    'layers',
    at('src/cli/a.ts', "import { b } from '../store/b.js';"),
    'src/cli/a.ts:1 layers: cli may not import',
    at('src/store/b.ts', ''),
    at('src/cli/c.ts', "import { b } from '../index.js';"),
    at('src/index.ts', "export { b } from './store/b.js';"),
  ),
  plant(
    'layers',
    at('src/store/a.ts', "import { b } from '../index.js';"),
    'src/store/a.ts:1 layers: store may not import (other than types) from root',
    at('src/index.ts', ''),
  ),
  plant(
    'layers',
    at('src/log.ts', "import type { B } from './channel/b.js';"),
    'src/log.ts:1 layers: log may not import channel',
    at('src/channel/b.ts', ''),
  ),
  plant(
    'layers',
    at('src/entry-http.ts', "export { b } from './index.js';"),
    'src/entry-http.ts:1 layers: root may not import',
    at('src/index.ts', ''),
  ),
  plant('layers', at('src/util/a.ts', ''), 'src/util/a.ts:1 layers: not in a folder of the table'),
  plant('layers', at('src/a.ts', ''), 'src/a.ts:1 layers: not in a folder of the table'),
  plant('layers', at('src/root/a.ts', ''), 'src/root/a.ts:1 layers: not in a folder'),
  plant(
    'layers',
    at('src/core/a.ts', "import '../../test/b.js';"),
    "src/core/a.ts:1 layers: no source file for '../../test/b.js'",
    at('test/b.ts', ''),
  ),
  plant(
    'layers',
    at('src/core/a.ts', "import './b.ts';"),
    "src/core/a.ts:1 layers: no source file for './b.ts'",
    at('src/core/b.ts', ''),
  ),
  plant(
    'layers',
    at('src/core/a.ts', 'await import(name);'),
    'src/core/a.ts:1 layers: import of a computed name',
  ),
  plant(
    'cycles',
    at('src/core/c.ts', "import type { A } from './a.js';"),
    'src/core/c.ts:1 cycles: src/core/a.ts -> src/core/b.ts -> src/core/c.ts -> src/core/a.ts',
    at('src/core/a.ts', "import './b.js';"),
    at('src/core/b.ts', "import './c.js';"),
  ),
  plant(
    'cycles',
    at('src/core/a.ts', "export * from './a.js';"),
    'src/core/a.ts:1 cycles: src/core/a.ts -> src/core/a.ts',
  ),
  plant(
    'modules',
    at('src/channel/a.ts', "import { open } from 'node:fs/promises';"),
    "src/channel/a.ts:1 modules: 'node:fs/promises' may be imported in src/fs/ only",
  ),
  plant(
    'modules',
    at('src/fs/z.ts', "import type { Stats } from 'node:fs';"),
    "src/fs/z.ts:1 modules: 'node:fs' already belongs to src/fs/node.ts",
    at('src/fs/node.ts', "import { openSync } from 'node:fs';", "import 'node:fs/promises';"),
  ),
  ...(
    [
      ['src/fs/a.ts', 'fs', "write 'node:fs'"],
      [
        'src/format/a.ts',
        'xxhash-addon',
        "'xxhash-addon' may be imported in src/format/checksum.ts",
      ],
      ['src/core/a.ts', 'commander', "'commander' may be imported in src/cli/ only"],
      ['src/streams/a.ts', 'node:http', "'node:http' may be imported in src/http/ only"],
      [
        'src/core/a.ts',
        'node:crypto',
        "'node:crypto' may be imported in src/core/runtime.ts and src/core/digest.ts only",
      ],
      ['src/core/a.ts', 'node:timers/promises', "'node:timers/promises' may be imported in"],
      ['src/core/a.ts', 'node:process', "'node:process' may be imported in src/cli/ only"],
      ['src/core/a.ts', 'node:vm', "'node:vm' may be imported in nowhere only"],
      ['src/fs/a.ts', 'node:module', "'node:module' may be imported in src/fs/native-lock.ts only"],
      ['src/testing/a.ts', 'vitest', "'vitest' is not a package that src may import"],
      ['src/testing/a.ts', 'fast-check', "'fast-check' is not a package that src may import"],
    ] as const
  ).map(([path, name, found]) =>
    plant('modules', at(path, `import x from '${name}';`), `${path}:1 modules: ${found}`),
  ),
  plant(
    'modules',
    at('src/fs/a.ts', "const a = require('fs-native-extensions');"),
    "src/fs/a.ts:1 modules: 'fs-native-extensions' may be imported in src/fs/native-lock.ts only",
    at('src/fs/native-lock.ts', "const a = require('fs-native-extensions');"),
  ),
  plant('roots', at('src/index.ts', 'export class A {}'), 'src/index.ts:1 roots: '),
  plant('roots', at('src/entry-http.ts', 'for (;;) step();'), 'src/entry-http.ts:1 roots: '),
];

const plantedUses: readonly Planted[] = [
  ...[
    'const t = Date.now();',
    "const t = Date['now']();",
    'const t = new Date();',
    'const t = new Date;',
    'const t = Date();',
    'const { now } = Date;',
    'const t = performance.now();',
    'const t = globalThis.performance.now();',
    'const later = setTimeout;',
    'globalThis.setInterval(step, 1);',
    'setImmediate(step);',
    'const parts = { queueMicrotask };',
    'process.nextTick(step);',
    'const t = process.hrtime.bigint();',
    'const r = Math.random();',
    'const id = crypto.randomUUID();',
    'const s = AbortSignal.timeout(1);',
  ].map((line) => plant('runtime', at('src/core/a.ts', '', line), 'src/core/a.ts:2 runtime: ')),
  ...[
    "console.log('x');",
    'const logger = console.warn;',
    'const level = process.env.LEVEL;',
    'const { env } = process;',
    'process.exit(1);',
    "process.stdout.write('x');",
  ].map((line) => plant('output', at('src/store/a.ts', '', line), 'src/store/a.ts:2 output: ')),
  ...['const a = b as any;', 'let a: any;', 'const a: any[] = [];', 'const a = <any>b;'].map(
    (line) => plant('noAny', at('test/a.ts', line), 'test/a.ts:1 noAny: '),
  ),
  ...[
    "test.only('a', run);",
    "describe.skip('a', run);",
    "test.todo('a');",
    "test.skipIf(windows)('a', run);",
    "describe.only.each([1])('a', run);",
    "test('a', (context) => context.skip());",
    "test('a', ({ skip }) => skip());",
    "test('a', { skip: true }, run);",
  ].map((line) =>
    plant('everyTestRuns', at('test/a.test.ts', line), 'test/a.test.ts:1 everyTestRuns: '),
  ),
];

const plantedText: readonly Planted[] = [
  plant(
    'functionLength',
    at('src/core/a.ts', `function a() ${body(70)}`),
    'src/core/a.ts:1 functionLength: 70 lines',
    at('src/core/b.ts', `function a() ${body(69)}`),
  ),
  plant(
    'functionLength',
    at('test/a.test.ts', `describe('a', () => {`, `test('b', async () => ${body(70)});`, '});'),
    'test/a.test.ts:2 functionLength: 70 lines',
    at('test/b.test.ts', `describe('a', () => {`, `test('b', () => ${body(69)});`, '', '});'),
  ),
  plant(
    'functionLength',
    at('src/core/a.ts', 'class A {', `  get a() ${body(70)}`, `  b = () => ${body(60)};`, '}'),
    'src/core/a.ts:2 functionLength: 70 lines',
  ),
  plant(
    'fileLength',
    at('scripts/long', lines(400, 'true')),
    'scripts/long:400 fileLength: 400 lines',
    at('src/core/a.ts', lines(399, 'step();')),
    at('docs/long.md', lines(400, 'words')),
  ),
  plant(
    'lineLength',
    at('bench/a.mjs', `\n${wide(101)}`),
    'bench/a.mjs:2 lineLength: 101 columns',
    at('src/core/a.ts', wide(100)),
    at('docs/a.md', wide(101)),
  ),
  ...[
    'TO|DO',
    'FIX|ME',
    'XX|X',
    '@ts-|ignore',
    '@ts-|nocheck',
    'eslint-|disable',
    'oxlint-|disable',
  ]
    .map(glue)
    .map((word) =>
      plant(
        'markers',
        at('examples/a.ts', '', `// ${word} later`),
        `examples/a.ts:2 markers: '${word}'`,
      ),
    ),
  ...['/wo|rk/main', '/tmp/bash_|jobs/1', '/ho|me/ann', '/Us|ers/ann', '/ro|ot/.cache']
    .map(glue)
    .map((path) => plant('leaks', at('docs/a.md', '', `see ${path}\n`), 'docs/a.md:2 leaks: ')),
  ...['\t', '\r', '\u0000', '\u001b', '\u0085', '\u200b', '\u202e', '\ufeff', '\ufffd'].map((bad) =>
    plant('characters', at('docs/a.md', `a${bad}b\n`), 'docs/a.md:1 characters: U+'),
  ),
  plant('characters', at('LICENSE', 'a \nb\n'), 'LICENSE:1 characters: trailing space'),
  plant('characters', at('a.json', '{}'), 'a.json:1 characters: does not end in one newline'),
  plant('characters', at('a.json', '{}\n\n'), 'a.json:1 characters: does not end in one newline'),
  plant('header', at('src/core/a.ts', 'export {};'), 'src/core/a.ts:1 header: '),
  plant('header', at('src/core/a.ts', '/** */', 'export {};'), 'src/core/a.ts:1 header: '),
  plant(
    'barrels',
    at('src/core/index.ts', ''),
    'src/core/index.ts:1 barrels: ',
    at('src/index.ts', ''),
  ),
];

export const lock = (packages: Record<string, object>): string =>
  JSON.stringify({ packages }, null, 1);
export const native: object = { optionalDependencies: { 'b-mac': '1.0.0' } };

const plantedLocks: readonly Planted[] = [
  plant(
    'lockfile',
    at('package-lock.json', lock({ '': {}, 'node_modules/b': native })),
    "package-lock.json:4 lockfile: 'b-mac' of 'node_modules/b' is missing",
  ),
  plant(
    'lockfile',
    at('package-lock.json', lock({ 'node_modules/b': { resolved: 'https://host/b.tgz' } })),
    "package-lock.json:3 lockfile: 'node_modules/b' names a registry",
  ),
];

export const planted: readonly Planted[] = [
  ...plantedImports,
  ...plantedUses,
  ...plantedText,
  ...plantedLocks,
];
