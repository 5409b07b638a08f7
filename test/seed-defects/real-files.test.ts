/**
 * Goal: on a real file system, a file that is there and cannot be opened is not taken for a missing
 * one (the seed: W28, D14).
 * Method: a file is moved away and a link that leads to itself, or a directory, put in its place:
 * the errors are the kernel's own, whoever runs the test.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { rmdirSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Redex, type RedexErrorOf } from '../../src/index.js';
import { rejection } from '../support/channel-kit.js';
import { requires } from '../support/requirements.js';

const GENERATION = 'v0000000001';
const FILES = ['config', 'manifest', 'clean', `${GENERATION}/00000000000000000000.dat`] as const;

let data: string;
/** The directory of the channel. */
let root: string;
beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), 'redexlog-seed-'));
  root = join(data, 'channels', 'log');
  const redex = await Redex.open(data);
  await (await redex.channel('log')).appendBatch(['a', 'b', 'c']);
  await redex.close();
});
afterEach(() => {
  rmSync(data, { recursive: true });
});

/** What the channel cannot be opened for. The store itself opens. */
async function refusal(): Promise<RedexErrorOf<'IO'>> {
  const redex = await Redex.open(data);
  const error = await rejection(redex.channel('log'), 'IO');
  await redex.close();
  return error;
}

/** All files below the channel with their bytes; what is not a file by its name alone. */
function files(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    found[path] = entry.isFile() ? readFileSync(path, 'latin1') : '';
  }
  return found;
}

async function expectAllThere(): Promise<void> {
  const redex = await Redex.open(data);
  const channel = await redex.channel('log');
  const records = await channel.readBatch();
  expect(records.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['a', 'b', 'c']);
  expect(await channel.append('d')).toBe(3);
  await redex.close();
}

test.each(FILES)('%s that cannot be opened is not taken for missing', async (name) => {
  const path = join(root, name);
  for (const stand of ['link', 'directory'] as const) {
    renameSync(path, `${path}.moved`);
    if (stand === 'link') symlinkSync(path, path);
    else mkdirSync(path);
    const before = files();
    const error = await refusal();
    expect(error.systemCode).toMatch(stand === 'link' ? /^ELOOP$/ : /^(EISDIR|EPERM|EACCES)$/);
    expect(files()).toEqual(before);
    if (stand === 'link') unlinkSync(path);
    else rmdirSync(path);
    renameSync(`${path}.moved`, path);
  }
  await expectAllThere();
});

test('a directory without permissions is not an empty log', async (context) => {
  requires(context, process.platform !== 'win32', 'Windows has no modes');
  requires(context, process.getuid?.() !== 0, 'root may open everything');
  const { chmodSync } = await import('node:fs');
  for (const name of ['.', GENERATION]) {
    chmodSync(join(root, name), 0);
    const error = await refusal();
    expect(error.systemCode).toBe('EACCES');
    chmodSync(join(root, name), 0o700);
  }
  await expectAllThere();
});
