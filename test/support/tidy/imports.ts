/** Rules about imports: the layers, cycles, and who may use which module. */
import { posix } from 'node:path';
import { builtinModules } from 'node:module';
import ts from 'typescript';
import { isSource, lineOf, nodeRule, parse, violation, walk } from './source.js';
import type { Rule, SourceText } from './source.js';

interface Allowed {
  readonly any: readonly string[];
  /** May be imported with `import type` (or `export type`) only. */
  readonly typeOnly?: readonly string[];
}

/**
 * Which layer may import which others; itself always. A closed list: a folder that is not in it
 * is a violation. `log` is src/log.ts, `root` the composition roots src/index.ts and
 * src/entry-*.ts.
 */
export const LAYERS: Readonly<Record<string, Allowed>> = {
  core: { any: [] },
  format: { any: ['core'] },
  fs: { any: ['core'] },
  segment: { any: ['core', 'format', 'fs'] },
  journal: { any: ['core', 'format', 'fs'] },
  channel: { any: ['core', 'format', 'fs', 'segment', 'journal'] },
  store: { any: ['core', 'format', 'fs', 'segment', 'journal', 'channel'] },
  repair: { any: ['core', 'format', 'fs', 'segment', 'journal', 'channel', 'store'] },
  log: { any: ['core'] },
  streams: { any: ['core', 'fs', 'channel', 'store'] },
  queues: { any: ['core', 'format', 'fs', 'channel', 'store'] },
  http: { any: ['core', 'streams'] },
  testing: {
    any: ['core', 'fs', 'log'],
    typeOnly: ['store', 'channel', 'streams', 'queues'],
  },
  // Drives the public API alone: what it knows of the engine are types and option rules, and what
  // the journal of an image has to redo, which it counts.
  'crash-test': {
    any: ['core', 'format', 'fs', 'store', 'channel', 'journal', 'queues', 'streams', 'testing'],
  },
  root: {
    any: [
      'crash-test',
      'core',
      'format',
      'fs',
      'segment',
      'channel',
      'store',
      'repair',
      'log',
      'streams',
      'queues',
      'http',
      'testing',
    ],
  },
  // Exports and imports: what it does to a store it does as its users do.
  transfer: { any: ['core', 'format', 'fs', 'channel'], typeOnly: ['store'] },
  // Data directories are looked at as they are, damaged ones too: hence format, segment and fs.
  cli: { any: ['root', 'core', 'format', 'fs', 'segment', 'journal', 'channel', 'transfer'] },
};

/** The only packages that src may import, and where. A closed list. */
const PACKAGES: Readonly<Record<string, string>> = {
  'xxhash-addon': 'src/format/checksum.ts',
  'fs-native-extensions': 'src/fs/native-lock.ts',
  commander: 'src/cli/',
  'fastest-levenshtein': 'src/cli/',
};

/** Modules of Node that are confined. `nowhere` would get around every other rule. */
const BUILTINS: Readonly<Record<string, string | readonly string[]>> = {
  fs: 'src/fs/',
  http: 'src/http/',
  https: 'src/http/',
  http2: 'src/http/',
  crypto: ['src/core/runtime.ts', 'src/core/digest.ts'],
  perf_hooks: 'src/core/runtime.ts',
  timers: 'src/core/runtime.ts',
  console: 'src/cli/',
  process: 'src/cli/',
  // For a `require`, which the rules above see as an import.
  module: 'src/fs/native-lock.ts',
  vm: 'nowhere',
};

export function layerOf(path: string): string | undefined {
  if (path === 'src/index.ts' || /^src\/entry-[^/]+\.ts$/.test(path)) return 'root';
  if (path === 'src/log.ts') return 'log';
  const folder = /^src\/([^/]+)\//.exec(path)?.[1];
  if (folder === undefined || folder === 'root' || folder === 'log') return undefined;
  return Object.hasOwn(LAYERS, folder) ? folder : undefined;
}

interface Import {
  readonly line: number;
  /** Undefined if it is computed at run time. */
  readonly specifier: string | undefined;
  readonly typeOnly: boolean;
}

function importsOf(file: SourceText): Import[] {
  const found: Import[] = [];
  walk(parse(file), (node) => {
    const target = importTarget(node);
    if (target === undefined) return;
    const { specifier, typeOnly } = target;
    const literal = specifier !== undefined && ts.isStringLiteralLike(specifier);
    found.push({ line: lineOf(node), specifier: literal ? specifier.text : undefined, typeOnly });
  });
  return found;
}

interface ImportTarget {
  readonly specifier: ts.Node | undefined;
  readonly typeOnly: boolean;
}

function importTarget(node: ts.Node): ImportTarget | undefined {
  if (ts.isImportDeclaration(node)) {
    const typeOnly = node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
    return { specifier: node.moduleSpecifier, typeOnly };
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
    return { specifier: node.moduleSpecifier, typeOnly: node.isTypeOnly };
  }
  if (ts.isImportTypeNode(node)) {
    const specifier = ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined;
    return { specifier, typeOnly: true };
  }
  if (ts.isExternalModuleReference(node)) return { specifier: node.expression, typeOnly: false };
  if (!ts.isCallExpression(node)) return undefined;
  const callee = node.expression;
  const required = ts.isIdentifier(callee) && callee.text === 'require';
  if (!required && callee.kind !== ts.SyntaxKind.ImportKeyword) return undefined;
  return { specifier: node.arguments[0], typeOnly: false };
}

function resolve(from: SourceText, specifier: string): string {
  const path = posix.join(posix.dirname(from.path), specifier);
  return path.replace(/\.js$/, '.ts');
}

/** The table of layers, type-only imports included. */
export const layers: Rule = (files) => {
  const sources = files.filter(({ path }) => isSource(path));
  const known = new Set(sources.map(({ path }) => path));
  const found: string[] = [];
  for (const file of sources) {
    const layer = layerOf(file.path);
    const allowed = layer === undefined ? undefined : LAYERS[layer];
    if (layer === undefined || allowed === undefined) {
      found.push(violation(file, 1, 'layers: not in a folder of the table'));
      continue;
    }
    for (const { line, specifier, typeOnly } of importsOf(file)) {
      if (specifier === undefined) {
        found.push(violation(file, line, 'layers: import of a computed name'));
        continue;
      }
      if (!specifier.startsWith('.')) continue;
      const target = resolve(file, specifier);
      const to = layerOf(target);
      if (!specifier.endsWith('.js') || !known.has(target)) {
        found.push(violation(file, line, `layers: no source file for '${specifier}'`));
      } else if (to !== undefined && !mayImport(layer, allowed, to, typeOnly)) {
        const kind = typeOnly ? 'import' : 'import (other than types) from';
        found.push(violation(file, line, `layers: ${layer} may not ${kind} ${to} (${target})`));
      }
    }
  }
  return found;
};

function mayImport(layer: string, allowed: Allowed, to: string, typeOnly: boolean): boolean {
  // One composition root never needs another: what they share belongs into a layer.
  if (layer === to) return layer !== 'root';
  return allowed.any.includes(to) || (typeOnly && allowed.typeOnly?.includes(to) === true);
}

/** One report for each cycle that a depth-first search meets, with its path. */
export const cycles: Rule = (files) => {
  const sources = new Map(files.filter((f) => isSource(f.path)).map((f) => [f.path, f]));
  const found: string[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (file: SourceText): void => {
    trail.push(file.path);
    for (const { line, specifier } of importsOf(file)) {
      if (specifier?.startsWith('.') !== true) continue;
      const target = sources.get(resolve(file, specifier));
      if (target === undefined || done.has(target.path)) continue;
      const start = trail.indexOf(target.path);
      if (start === -1) visit(target);
      else {
        const path = [...trail.slice(start), target.path].join(' -> ');
        found.push(violation(file, line, `cycles: ${path}`));
      }
    }
    trail.pop();
    done.add(file.path);
  };
  for (const file of sources.values()) if (!done.has(file.path)) visit(file);
  return found;
};

/** Which packages and modules of Node are used where; `node:fs` in one file only. */
export const modules: Rule = (files) => {
  const found: string[] = [];
  let ownerOfFs: string | undefined;
  for (const file of files.filter(({ path }) => isSource(path))) {
    for (const { line, specifier } of importsOf(file)) {
      if (specifier === undefined || specifier.startsWith('.')) continue;
      const problem = misused(file.path, specifier);
      if (problem !== undefined) found.push(violation(file, line, `modules: ${problem}`));
      else if (/^node:fs(\/|$)/.test(specifier)) {
        ownerOfFs ??= file.path;
        if (ownerOfFs === file.path) continue;
        found.push(violation(file, line, `modules: 'node:fs' already belongs to ${ownerOfFs}`));
      }
    }
  }
  return found;
};

function misused(path: string, specifier: string): string | undefined {
  const name = specifier.replace(/^node:/, '');
  const base = name.split('/')[0] ?? name;
  const builtin = builtinModules.includes(name) || specifier.startsWith('node:');
  if (builtin && !specifier.startsWith('node:')) return `write 'node:${specifier}'`;
  const place = builtin ? (BUILTINS[base] ?? 'src/') : PACKAGES[specifier];
  if (place === undefined) return `'${specifier}' is not a package that src may import`;
  const places = [place].flat();
  if (places.some((each) => path.startsWith(each))) return undefined;
  return `'${specifier}' may be imported in ${places.join(' and ')} only`;
}

/** Composition roots re-export and wire; what decides something belongs into a layer. */
export const roots: Rule = nodeRule(
  (path) => layerOf(path) === 'root',
  (node) => {
    const decides =
      ts.isClassLike(node) || ts.isIterationStatement(node, false) || ts.isSwitchStatement(node);
    return decides ? 'roots: a composition root only re-exports and wires' : undefined;
  },
);
