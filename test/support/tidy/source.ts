/** What the tidy rules look at: files as (path, text), and their syntax trees. */
import { readdirSync, readFileSync } from 'node:fs';
import ts from 'typescript';

export interface SourceText {
  /** Relative to the repository, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** Returns one line per violation, `path:line what is wrong`, so that it can be jumped to. */
export type Rule = (files: readonly SourceText[]) => string[];

export function violation(file: SourceText, line: number, message: string): string {
  return `${file.path}:${line} ${message}`;
}

export const isSource = (path: string): boolean => /^src\/.*\.ts$/.test(path);
export const isTest = (path: string): boolean => /^test\/.*\.ts$/.test(path);
const isScript = (path: string): boolean => /^scripts\/([^.]+|.*\.(ts|mjs|sh))$/.test(path);

/** Everything that is written by hand and run. Fixtures are not: some of them are named `.ts`. */
export function isCode(path: string): boolean {
  if (isSource(path) || isTest(path) || isScript(path)) return true;
  return /^((examples|bench)\/.*|[^/]+)\.(ts|mjs)$/.test(path);
}

const hasSyntax = (path: string): boolean => isCode(path) && /\.(ts|mjs)$/.test(path);

const parsed = new WeakMap<SourceText, ts.SourceFile>();

export function parse(file: SourceText): ts.SourceFile {
  let tree = parsed.get(file);
  if (tree === undefined) {
    tree = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.ES2023, true);
    parsed.set(file, tree);
  }
  return tree;
}

export function lineOf(node: ts.Node): number {
  const tree = node.getSourceFile();
  return tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1;
}

export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

/** A rule about single nodes: `check` returns what is wrong with a node, or undefined. */
export function nodeRule(
  applies: (path: string) => boolean,
  check: (node: ts.Node) => string | undefined,
): Rule {
  return (files) => {
    const found: string[] = [];
    for (const file of files) {
      if (!hasSyntax(file.path) || !applies(file.path)) continue;
      walk(parse(file), (node) => {
        const message = check(node);
        if (message !== undefined) found.push(violation(file, lineOf(node), message));
      });
    }
    return found;
  };
}

/** `a.b` of a property access (`a['b']` and `globalThis.a.b` too), or undefined. */
export function dottedName(node: ts.Node): string | undefined {
  if (ts.isIdentifier(node)) return node.text;
  const name = memberName(node);
  if (name === undefined || !isMember(node)) return undefined;
  const owner = dottedName(node.expression);
  if (owner === undefined) return undefined;
  return owner === 'globalThis' || owner === 'global' ? name : `${owner}.${name}`;
}

function isMember(node: ts.Node): node is ts.PropertyAccessExpression | ts.ElementAccessExpression {
  return ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node);
}

export function memberName(node: ts.Node): string | undefined {
  if (ts.isPropertyAccessExpression(node)) return node.name.text;
  if (!ts.isElementAccessExpression(node)) return undefined;
  return ts.isStringLiteralLike(node.argumentExpression) ? node.argumentExpression.text : undefined;
}

/** Whether an identifier stands for a variable, and is not the name of a member. */
function isReference(node: ts.Identifier): boolean {
  const parent = node.parent;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isBindingElement(parent)) return parent.propertyName !== node;
  if (ts.isShorthandPropertyAssignment(parent)) return true;
  if (ts.isImportSpecifier(parent) || ts.isExportSpecifier(parent)) return false;
  const named = ts.isClassElement(parent) || ts.isTypeElement(parent) || ts.isEnumMember(parent);
  return !(named || ts.isPropertyAssignment(parent)) || parent.name !== node;
}

/** What the globals used by `node` are called: a dotted name, a bare one, or destructured ones. */
export function globalUses(node: ts.Node): string[] {
  if (ts.isIdentifier(node)) return isReference(node) ? [node.text] : [];
  if (isMember(node)) {
    const name = dottedName(node);
    return name === undefined ? [] : [name];
  }
  if (!ts.isVariableDeclaration(node) || !ts.isObjectBindingPattern(node.name)) return [];
  const owner = node.initializer === undefined ? undefined : dottedName(node.initializer);
  if (owner === undefined) return [];
  return node.name.elements.map((element) => {
    const name = (element.propertyName ?? element.name).getText();
    return owner === 'globalThis' ? name : `${owner}.${name}`;
  });
}

/** Every text file of the repository that `.gitignore` lets in. Needs no git. */
export function readTree(root: URL): SourceText[] {
  const ignored = readFileSync(new URL('.gitignore', root), 'utf8').split('\n').filter(Boolean);
  const isIgnored = (path: string, name: string): boolean =>
    name === '.git' ||
    ignored.some((pattern) => {
      if (pattern.startsWith('*')) return name.endsWith(pattern.slice(1));
      return `${path}/` === pattern || `${name}/` === pattern;
    });
  // Directories of channels have names with a `%`.
  const at = (path: string): URL => new URL(encodeURI(path), root);
  const files: SourceText[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(at(folder || '.'), { withFileTypes: true })) {
      const path = `${folder}${entry.name}`;
      if (isIgnored(path, entry.name)) continue;
      if (entry.isDirectory()) visit(`${path}/`);
      else if (entry.isFile() && isText(path)) {
        files.push({ path, text: readFileSync(at(path), 'utf8') });
      }
    }
  };
  visit('');
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function isText(path: string): boolean {
  if (path.startsWith('fixtures/')) return /\.(md|json|txt|mjs)$/.test(path);
  return !/\.(png|jpg|gif|ico|woff2?|dat|idx|bin|node)$/.test(path);
}
