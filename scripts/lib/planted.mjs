/**
 * Builds the package with one deliberate defect, beside the real one: the shipped code has no hook
 * for it. A defect is a text of one source file and what takes its place.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LIST = join(ROOT, 'test/planted-bugs/bugs.json');

export function readBugs() {
  return JSON.parse(readFileSync(LIST, 'utf8'));
}

export function writeBugs(bugs) {
  writeFileSync(LIST, `${JSON.stringify(bugs, null, 2)}\n`);
}

/** The source of a file with the defect in it. Throws when its text is not there exactly once. */
export function plantedSource({ name, file, find, replace }) {
  const source = readFileSync(join(ROOT, file), 'utf8');
  const parts = source.split(find);
  if (parts.length !== 2)
    throw new Error(`${name}: its text is ${parts.length - 1} times in ${file}`);
  return parts.join(replace);
}

/** A directory with the package in `dist`; the caller removes it. */
export function plant(bug) {
  const directory = mkdtempSync(join(tmpdir(), 'redex-planted-'));
  cpSync(join(ROOT, 'dist'), join(directory, 'dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(directory, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  if (bug !== undefined) {
    const { outputText } = ts.transpileModule(plantedSource(bug), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
      fileName: bug.file,
    });
    const target = bug.file.replace(/^src\//, 'dist/').replace(/\.ts$/, '.js');
    writeFileSync(join(directory, target), outputText);
  }
  return directory;
}

export function unplant(directory) {
  rmSync(directory, { recursive: true, force: true });
}
