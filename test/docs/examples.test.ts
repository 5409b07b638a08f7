/**
 * Goal: the examples of the documents run and print what is written below them.
 * Method: each JavaScript block is the text of a file in examples/, which is run by Node as a user
 * would run it, with `redexlog` as this package.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  buildProcessPackage,
  repository,
  type ProcessPackage,
} from '../support/process-package.js';
import { runNode } from '../support/process-run.js';

interface Block {
  readonly document: string;
  readonly code: string;
  /** The block of plain text that follows, if one does. */
  readonly output: string | undefined;
}

const DOCUMENTS = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', ...markdownOf('docs')];

function markdownOf(folder: string): string[] {
  return readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`);
}

function blocksOf(document: string): Block[] {
  const text = readFileSync(join(repository, document), 'utf8');
  const pattern = /^```js\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?/gms;
  return [...text.matchAll(pattern)].map(([, code = '', output]) => ({ document, code, output }));
}

const blocks = DOCUMENTS.flatMap(blocksOf);
const examples = readdirSync(join(repository, 'examples')).filter((name) => name.endsWith('.mjs'));
const textOf = (name: string): string => readFileSync(join(repository, 'examples', name), 'utf8');

let built: ProcessPackage;
let scratch: string;

beforeAll(async () => {
  built = await buildProcessPackage();
  scratch = mkdtempSync(join(tmpdir(), 'redex-examples-'));
});

afterAll(() => {
  built.remove();
  rmSync(scratch, { recursive: true, force: true });
});

test('every block of JavaScript is an example that is run', () => {
  expect(blocks.length).toBeGreaterThanOrEqual(4);
  const texts = examples.map(textOf);
  for (const { document, code } of blocks) expect(texts, document).toContain(code);
});

test('every example is in a document', () => {
  const codes = blocks.map(({ code }) => code);
  for (const name of examples) expect(codes, name).toContain(textOf(name));
});

test('no other language than those that are checked is called JavaScript', () => {
  for (const document of DOCUMENTS) {
    const text = readFileSync(join(repository, document), 'utf8');
    expect(text, document).not.toMatch(/^```(ts|typescript|javascript|mjs)\b/m);
  }
});

test('the first example has at most 15 lines', () => {
  expect(blocks[0]?.document).toBe('README.md');
  expect(blocks[0]?.code.trimEnd().split('\n').length).toBeLessThanOrEqual(15);
});

test.each(examples)('%s prints what its document says', async (name) => {
  const cwd = mkdtempSync(join(scratch, 'run-'));
  const { code, stdout, stderr } = await runNode([built.path(`examples/${name}`)], { cwd });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const { output } = blocks.find((block) => block.code === textOf(name)) ?? {};
  expect(stdout).toBe(output);
});
