/** Rules about what code does: time and randomness, output, `any`, skipped tests, sizes. */
import ts from 'typescript';
import { dottedName, globalUses, isCode, isSource, isTest, lineOf } from './source.js';
import { memberName, nodeRule, parse, violation, walk } from './source.js';
import type { Rule } from './source.js';

const FILE_LINES_MAX = 399;
const FUNCTION_LINES_MAX = 69;
const LINE_COLUMNS_MAX = 100;

const RUNTIME_ONLY = new RegExp(
  '^(Date\\.now|performance(\\..*)?|set(Timeout|Interval|Immediate)|queueMicrotask|' +
    'Math\\.random|process\\.(nextTick|hrtime|uptime)(\\..*)?|crypto(\\..*)?|' +
    'AbortSignal\\.timeout|Atomics\\.wait(Async)?)$',
);

/** Clocks, timers, background work and randomness come from core/runtime.ts alone. */
export const runtime: Rule = nodeRule(
  (path) => isSource(path) && path !== 'src/core/runtime.ts',
  (node) => {
    const readsClock =
      (ts.isNewExpression(node) && (node.arguments?.length ?? 0) === 0) ||
      ts.isCallExpression(node);
    if (readsClock && dottedName(node.expression) === 'Date') {
      return 'runtime: the current date comes from core/runtime.ts only';
    }
    const used = globalUses(node).find((name) => RUNTIME_ONLY.test(name));
    if (used === undefined || isOwnerOfReported(node, RUNTIME_ONLY)) return undefined;
    return `runtime: '${used}' belongs into core/runtime.ts`;
  },
);

const CLI_ONLY = new RegExp(
  '^(console(\\..*)?|process\\.(env|exit|exitCode|argv|abort|std(in|out|err))(\\..*)?)$',
);

/** The library never prints, never reads the environment and never ends the process. */
export const output: Rule = nodeRule(
  (path) => isSource(path) && !path.startsWith('src/cli/'),
  (node) => {
    const used = globalUses(node).find((name) => CLI_ONLY.test(name));
    if (used === undefined || isOwnerOfReported(node, CLI_ONLY)) return undefined;
    return `output: '${used}' belongs into src/cli`;
  },
);

/** Of `console.log` only the whole is reported, not `console` once more. */
function isOwnerOfReported(node: ts.Node, pattern: RegExp): boolean {
  const name = memberName(node.parent) === undefined ? undefined : dottedName(node.parent);
  return name !== undefined && pattern.test(name);
}

export const noAny: Rule = nodeRule(isCode, (node) =>
  node.kind === ts.SyntaxKind.AnyKeyword ? "noAny: write a type, or 'unknown'" : undefined,
);

const SWITCHED_OFF = new Set(['only', 'skip', 'todo', 'skipIf', 'runIf']);
const TEST_FUNCTIONS = new Set(['test', 'it', 'describe', 'suite', 'bench']);
const HOOKS = new Set(['beforeAll', 'beforeEach', 'afterAll', 'afterEach']);

/** `describe` of `describe.each(rows)(name, run)`. */
function rootName(node: ts.Node): string | undefined {
  if (ts.isIdentifier(node)) return node.text;
  if (ts.isCallExpression(node) || ts.isTaggedTemplateExpression(node)) {
    return rootName(ts.isCallExpression(node) ? node.expression : node.tag);
  }
  if (ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)) {
    return rootName(node.expression);
  }
  return undefined;
}

/** No test is switched off in passing: a condition goes through `requires`, with its reason. */
export const everyTestRuns: Rule = nodeRule(
  (path) => isTest(path) && path !== 'test/support/requirements.ts',
  (node) => {
    const problem = 'everyTestRuns: no only/skip/todo; see test/support/requirements.ts';
    const name = memberName(node);
    if (name !== undefined && SWITCHED_OFF.has(name)) {
      const called = ts.isCallExpression(node.parent) && node.parent.expression === node;
      return called || TEST_FUNCTIONS.has(rootName(node) ?? '') ? problem : undefined;
    }
    if (ts.isBindingElement(node)) {
      const taken = (node.propertyName ?? node.name).getText();
      return taken === 'skip' && ts.isParameter(node.parent.parent) ? problem : undefined;
    }
    if (!ts.isPropertyAssignment(node) || !SWITCHED_OFF.has(node.name.getText())) return undefined;
    const call = node.parent.parent;
    return ts.isCallExpression(call) && TEST_FUNCTIONS.has(rootName(call) ?? '')
      ? problem
      : undefined;
  },
);

/**
 * The bodies of tests, suites and hooks count for themselves and not for what surrounds them: a
 * suite is a list of tests, however long.
 */
function isTestBody(node: ts.Node): boolean {
  if (!ts.isCallExpression(node.parent)) return false;
  const name = rootName(node.parent.expression) ?? '';
  return TEST_FUNCTIONS.has(name) || HOOKS.has(name);
}

export const functionLength: Rule = (files) => {
  const found: string[] = [];
  for (const file of files) {
    if (!isCode(file.path) || !/\.(ts|mjs)$/.test(file.path)) continue;
    const tree = parse(file);
    walk(tree, (node) => {
      if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return;
      const lines = linesOf(node) - testLinesIn(node);
      if (lines <= FUNCTION_LINES_MAX) return;
      const rule = `functionLength: ${lines} lines (at most ${FUNCTION_LINES_MAX})`;
      found.push(violation(file, lineOf(node), rule));
    });
  }
  return found;
};

function linesOf(node: ts.Node): number {
  const tree = node.getSourceFile();
  return tree.getLineAndCharacterOfPosition(node.getEnd()).line + 2 - lineOf(node);
}

function testLinesIn(node: ts.Node): number {
  let lines = 0;
  ts.forEachChild(node, (child) => {
    lines += ts.isFunctionLike(child) && isTestBody(child) ? linesOf(child) : testLinesIn(child);
  });
  return lines;
}

export const fileLength: Rule = (files) =>
  files
    .filter(({ path }) => isCode(path))
    .flatMap((file) => {
      const lines = file.text.trimEnd().split('\n').length;
      if (lines <= FILE_LINES_MAX) return [];
      const rule = `fileLength: ${lines} lines (at most ${FILE_LINES_MAX})`;
      return [violation(file, FILE_LINES_MAX + 1, rule)];
    });

export const lineLength: Rule = (files) =>
  files
    .filter(({ path }) => isCode(path))
    .flatMap((file) =>
      file.text.split('\n').flatMap((line, index) => {
        const columns = line.length;
        if (columns <= LINE_COLUMNS_MAX) return [];
        const rule = `lineLength: ${columns} columns (at most ${LINE_COLUMNS_MAX})`;
        return [violation(file, index + 1, rule)];
      }),
    );
