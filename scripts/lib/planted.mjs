/**
 * Builds the package with one deliberate defect, beside the real one: the shipped code has no hook
 * for it. A defect is a text of one source file and what takes its place.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
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

/** Whether a test file fails with the defect: for those that only damage shows, not a crash. */
export async function failsTest(bug, test) {
  const directory = mkdtempSync(join(tmpdir(), 'redex-planted-'));
  try {
    for (const part of ['src', 'test', 'scripts', 'package.json', 'vitest.config.ts']) {
      cpSync(join(ROOT, part), join(directory, part), { recursive: true });
    }
    for (const part of ['fixtures', 'node_modules']) {
      symlinkSync(join(ROOT, part), join(directory, part));
    }
    writeFileSync(join(directory, bug.file), plantedSource(bug));
    const child = spawn(
      process.execPath,
      [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', test, '--reporter=dot', '--bail=1'],
      { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    const code = await new Promise((resolve) => {
      child.on('close', resolve);
    });
    // A file that does not load has no failing test.
    return code !== 0 && /Tests .*\d+ failed/.test(output);
  } finally {
    unplant(directory);
  }
}

export function unplant(directory) {
  rmSync(directory, { recursive: true, force: true });
}
