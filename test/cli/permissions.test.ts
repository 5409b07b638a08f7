/**
 * Goal: whoever may not read or write a data directory is told so in one line, with exit code 1,
 * and nothing is made or changed.
 * Method: the built program as a user who owns nothing, on a store of somebody else.
 */
import { chmodSync } from 'node:fs';
import { dirname } from 'node:path';
import process from 'node:process';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, type TestContext } from 'vitest';
import { nodeFs } from '../../src/fs/node-fs.js';
import { CliPlace, CliProcess, CliProgram, runHere } from '../support/cli-kit.js';
import { commandExists, requires } from '../support/requirements.js';
import { treeOf } from '../support/tree.js';

const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups'];

let program: CliProgram;
let place: CliPlace;

beforeAll(async () => {
  program = await CliProgram.build();
  for (let path = program.path; path.includes('redex'); path = dirname(path))
    chmodSync(path, 0o755);
});
afterAll(() => program.remove());
beforeEach(async () => {
  place = new CliPlace();
  chmodSync(place.path, 0o755);
  await runHere(['create', place.at('data'), 'orders']);
});
afterEach(() => place.remove());

function requireRoot(context: TestContext): void {
  requires(context, process.getuid?.() === 0, 'only root can be somebody else');
  requires(context, commandExists('setpriv'), 'setpriv is not there');
}

/** Of the commands that have to fail, each on a line of its own. */
async function refused(commands: readonly string[], message: RegExp): Promise<void> {
  const before = treeOf(nodeFs, place.path);
  for (const command of commands) {
    const args = [...NOBODY, process.execPath, program.path, ...command.split(' ')];
    const running = new CliProcess('setpriv', args, place.path);
    running.child.stdin.end('x\n');
    const { code, stdout, stderr } = await running.ended;
    expect({ code, stdout }, command + stderr).toEqual({ code: 1, stdout: '' });
    expect(stderr, command).toMatch(message);
    expect(stderr.split('\n'), command).toHaveLength(2);
  }
  expect(treeOf(nodeFs, place.path)).toEqual(before);
}

const WRITES = [
  'append data orders',
  'create data other',
  'delete data orders',
  'compact data orders --before-seq 1',
  'repair data',
];

test('a store that cannot be read', async (context) => {
  requireRoot(context);
  const reads = ['inspect data', 'verify data --quick', 'cat data orders', 'repair data --dry-run'];
  const message = /^redex: cannot \w+ .*data.* \(EACCES\): you may not read or write it; run as /;
  await refused([...reads, ...WRITES], message);
});

test('a store that can only be read', async (context) => {
  requireRoot(context);
  for (const path of ['data', ...treeOf(nodeFs, place.at('data'))]) {
    const isWhole = path.startsWith('/');
    chmodSync(isWhole ? (path.split(' ')[0] ?? path) : place.at(path), 0o755);
  }
  const more = ['create new', 'backup data copy', 'export data -o file'];
  await refused([...WRITES, ...more], /^redex: cannot .* \(EACCES\): you may not read or write it/);
  const args = [...NOBODY, process.execPath, program.path, 'verify', 'data'];
  expect(await new CliProcess('setpriv', args, place.path).ended).toMatchObject({ code: 0 });
});
