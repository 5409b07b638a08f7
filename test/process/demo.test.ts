/**
 * Goal: the demo proves what it says, and says no when something is lost or wrong.
 * Method: its programs run on small inputs; then its verifier runs on the log that was kept, with
 * one byte changed in the log, in the source, and with one acknowledgement too many.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  buildProcessPackage,
  repository,
  type ProcessPackage,
} from '../support/process-package.js';
import { runNode, runProgram, type ProcessResult } from '../support/process-run.js';

const LINES = 5000;
const HELD = 16;
/** With the empty line, and the long line as two records. */
const RECORDS = LINES + 2;
const ACKNOWLEDGED = RECORDS - HELD;

let built: ProcessPackage;
let scratch: string;
let input: string;

beforeAll(async () => {
  built = await buildProcessPackage();
  scratch = mkdtempSync(join(tmpdir(), 'redex-demo-test-'));
  input = join(scratch, 'input.txt');
  const lines = Array.from({ length: LINES - 1 }, (_, i) => `line ${i} ${'é'.repeat(i % 50)}`);
  // An empty line, a line that is longer than a record may be, and no newline at the end.
  writeFileSync(input, `${lines.join('\n')}\n\n${'x'.repeat(70_000)}`);
});

afterAll(() => {
  built.remove();
  rmSync(scratch, { recursive: true, force: true });
});

function demo(args: readonly string[], text?: string): Promise<ProcessResult> {
  const options = text === undefined ? {} : { input: text };
  return runNode([built.path('scripts/lib/demo.mjs'), ...args], { cwd: scratch, ...options });
}

function verify(args: readonly string[]): Promise<ProcessResult> {
  return runNode([built.path('scripts/lib/demo-verify.mjs'), ...args]);
}

describe('the demo', () => {
  test('kills its writer and finds every acknowledged record', async () => {
    const keep = join(scratch, 'kept');
    const { code, stdout, stderr } = await demo(['input.txt', '--keep', 'kept']);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toContain(`${HELD} appends in flight`);
    expect(stdout).toMatch(/acknowledged +4,986 records, [\d,]+ records\/s, each synced/);
    expect(stdout).toContain('4,986 of 4,986 as in the source');
    expect(stdout).toMatch(/recovery +scanned [12] segments, [\d,]+ bytes; /);
    expect(stdout).toMatch(/[\d,]+ {2}channels\/lines\/v0000000001\/00000000000000000000\.dat/);
    expect(stdout).toContain('nothing acknowledged was lost');
    expect(readdirSync(keep)).toEqual(['data']);
  });

  test('takes standard input', async () => {
    const before = temporaryDirectories();
    const { code, stdout } = await demo(['-'], 'one\ntwo\nthree\n');
    expect(code).toBe(0);
    expect(stdout).toContain('2 of 2 as in the source');
    expect(temporaryDirectories()).toEqual(before);
  });

  test('takes the text files of a directory by name', async () => {
    const { code, stdout } = await demo([join(repository, 'src/format')]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/killed +the writer, with SIGKILL, 16 appends in flight/);
  });

  test.each([
    ['an unknown option', ['--nonsense']],
    ['a source that is not there', ['absent.txt']],
    ['two sources', ['input.txt', 'input.txt']],
    ['a directory to keep that holds something', ['input.txt', '--keep', '.']],
  ])('refuses %s with code 2', async (_, args) => {
    const { code, stdout, stderr } = await demo(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Usage: scripts/demo');
  });

  test('refuses an empty input with code 2', async () => {
    expect((await demo(['-'], '')).code).toBe(2);
  });

  test('the command tells wrong usage before it installs or builds', async () => {
    const wrong = await runProgram(join(repository, 'scripts/demo'), ['--nonsense']);
    expect({ code: wrong.code, stdout: wrong.stdout }).toEqual({ code: 2, stdout: '' });
    const help = await runProgram(join(repository, 'scripts/demo'), ['--help']);
    expect(help.code).toBe(0);
    expect(help.stdout).toMatch(/^Usage: scripts\/demo/);
  });
});

function numberIn(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1]?.replaceAll(',', ''));
}

describe('the verifier of the demo', () => {
  let count = 0;

  /** A copy of a data directory that the demo left. */
  function copyOfData(): string {
    count += 1;
    const copy = join(scratch, `copy-${count}`);
    cpSync(join(scratch, 'kept/data'), copy, { recursive: true });
    return copy;
  }

  test('is content with the log as it is', async () => {
    const { code } = await verify(['--acknowledged', String(ACKNOWLEDGED), copyOfData(), input]);
    expect(code).toBe(0);
  });

  test('finds one changed byte of the log', async () => {
    const data = copyOfData();
    const dat = join(data, 'channels/lines/v0000000001/00000000000000000000.dat');
    const bytes = readFileSync(dat);
    const at = bytes.indexOf('line 2345 ');
    expect(at).toBeGreaterThan(0);
    bytes[at] = 0x4c;
    writeFileSync(dat, bytes);
    const { code, stdout } = await verify(['--acknowledged', String(ACKNOWLEDGED), data, input]);
    expect(code).toBe(1);
    expect(stdout).toContain('FAILED');
    expect(stdout).toContain('00000000000000000000.dat');
  });

  test('finds one changed byte of the source', async () => {
    const changed = join(scratch, 'changed.txt');
    const bytes = readFileSync(input);
    bytes[bytes.indexOf('line 2345 ')] = 0x4c;
    writeFileSync(changed, bytes);
    const { code, stdout } = await verify([
      '--acknowledged',
      String(ACKNOWLEDGED),
      copyOfData(),
      changed,
    ]);
    expect(code).toBe(1);
    expect(stdout).toContain('record 2345 is not what the source says');
  });

  test('misses an acknowledged record that is not there', async () => {
    const { code, stdout } = await verify(['--acknowledged', '6000', copyOfData(), input]);
    expect(code).toBe(1);
    // Of what was in flight nothing, or some, may have got to the log.
    const recovered = numberIn(stdout, /recovered +([\d,]+) records/);
    expect(recovered).toBeGreaterThanOrEqual(ACKNOWLEDGED);
    expect(recovered).toBeLessThanOrEqual(RECORDS);
    expect(numberIn(stdout, /FAILED +([\d,]+) missing or wrong/)).toBe(6000 - recovered);
  });

  test('refuses wrong usage with code 2', async () => {
    expect((await verify(['--acknowledged', 'all', 'a', 'b'])).code).toBe(2);
  });
});

function temporaryDirectories(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('redex-demo-') && name.length < 20);
}
