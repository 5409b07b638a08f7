/**
 * Goal: the built program as a shell runs it: pipelines, signals, readers that go away, and other
 * processes that write meanwhile.
 * Method: processes of this machine. Nothing is waited for but what they write and their ends.
 */
import { readdirSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import { CliPlace, CliProgram, type CliProcess } from '../support/cli-kit.js';

let program: CliProgram;
let place: CliPlace;
let started: CliProcess[];

beforeAll(async () => {
  program = await CliProgram.build();
});

afterAll(() => program.remove());

beforeEach(() => {
  place = new CliPlace();
  started = [];
});

afterEach(async () => {
  for (const { child } of started) child.kill('SIGKILL');
  await Promise.all(started.map(({ ended }) => ended));
  place.remove();
});

const shell = (line: string): ReturnType<CliProgram['shell']> => program.shell(place.path, line);

function start(...args: readonly string[]): CliProcess {
  const running = program.start(place.path, args);
  started.push(running);
  return running;
}

describe('pipelines', () => {
  test('many lines go in and come out again, unchanged', async () => {
    const { code, stdout, stderr } = await shell(
      'seq 1 300000 | redex append d numbers && ' +
        'seq 1 300000 | cksum && redex cat d numbers | cksum',
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [summary, written, read] = stdout.split('\n');
    expect(summary).toContain('appended 300,000 records (1.6 MiB)');
    expect(read).toBe(written);
  });

  test('a reader that has enough ends cat quietly', async () => {
    const { code, stdout, stderr } = await shell(
      'seq 1 300000 | redex append d numbers > /dev/null && redex cat d numbers | head -n 2',
    );
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '1\n2\n', stderr: '' });
  });

  test('output that cannot be written is a problem', async () => {
    const { code, stderr } = await shell(
      'seq 1 9 | redex append d n >/dev/null; redex cat d n >/dev/full',
    );
    expect(code).toBe(1);
    expect(stderr).toBe('redex: cannot write the output (ENOSPC)\n');
    for (const line of ['redex --help', 'redex help dates', 'redex completion fish']) {
      expect(await shell(`${line} >/dev/full`), line).toMatchObject({ code: 1, stderr });
      expect(await shell(`${line} | true`), line).toMatchObject({ code: 0, stderr: '' });
    }
  });

  test('colours and bars are for terminals', async () => {
    const { stdout, stderr } = await shell(
      'seq 1 9 | redex append d n; redex verify d; redex inspect d n',
    );
    expect(stdout + stderr).not.toContain('\u001B');
  });

  test('a missing directory is told, with 1', async () => {
    const { code, stdout, stderr } = await shell('redex cat nope numbers');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('nope is not a redex data directory');
    expect(readdirSync(place.path)).toEqual([]);
  });
});

describe('following', () => {
  test('shows what another process appends, and ends with 130 by SIGINT', async () => {
    const redex = await Redex.open(place.at('d'));
    const channel = await redex.channel('a');
    await channel.appendBatch(['1', '2', '3']);
    const following = start('tail', '-f', '-n', '2', 'd', 'a');
    await following.until((out) => out === '2\n3\n');
    await channel.append('4');
    await following.until((out) => out === '2\n3\n4\n');
    await channel.appendBatch(['5', '6']);
    await following.until((out) => out === '2\n3\n4\n5\n6\n');
    following.child.kill('SIGINT');
    expect(await following.ended).toMatchObject({ code: 130, stderr: 'redex: interrupted\n' });
    await redex.close();
  });

  test('begins with nothing in an empty channel', async () => {
    const redex = await Redex.open(place.at('d'));
    const channel = await redex.channel('a');
    const following = start('tail', '--follow', 'd', 'a', '--json');
    await channel.append('x', { timestamp: 1_700_000_000_000 });
    await following.until((out) => out.endsWith('\n'));
    expect(JSON.parse(following.stdout)).toMatchObject({ seq: 0, timestamp: 1_700_000_000_000 });
    following.child.kill('SIGTERM');
    expect((await following.ended).code).toBe(130);
    await redex.close();
  });
});

describe('a signal', () => {
  test('ends append behind a whole batch, with everything synced and told', async () => {
    expect((await shell('redex create d a')).code).toBe(0);
    const appending = start('append', 'd', 'a', '--batch', '2');
    appending.child.stdin.write('1\n2\n3\n');
    const following = start('tail', '-f', 'd', 'a');
    await following.until((out) => out === '1\n2\n');
    appending.child.kill('SIGINT');
    const { code, stdout, stderr } = await appending.ended;
    expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
    expect(stderr).toBe(
      "redex: appended 2 records (2 B) to 'a', seqs 0 to 1\nredex: interrupted\n",
    );
    expect((await shell('redex cat d a')).stdout).toBe('1\n2\n');
  });

  test('a kill loses nothing that was written', async () => {
    expect((await shell('redex create d a --sync never')).code).toBe(0);
    const appending = start('append', 'd', 'a');
    appending.child.stdin.write('1\n2\n');
    const following = start('tail', '-f', 'd', 'a');
    await following.until((out) => out === '1\n2\n');
    appending.child.kill('SIGKILL');
    await appending.ended;
    const { stdout } = await shell('redex inspect d');
    expect(stdout).toMatch(/open +process \d+ on .*, gone: it was killed/);
    expect((await shell('printf 3 | redex append d a && redex cat d a')).stdout).toMatch(
      /seq 2, .*\n1\n2\n3\n$/,
    );
  });
});
