/**
 * Goal: whatever a data directory looks like, healthy or damaged, looking at it tells what is
 * there, never fails in an unforeseen way, and changes nothing.
 * Method: inspect and verify on copies of all golden stores.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nodeFs } from '../../src/fs/node-fs.js';
import { CliPlace, runHere, type HereResult } from '../support/cli-kit.js';
import { fixturesOf } from '../support/fixture-kit.js';
import { treeOf } from '../support/tree.js';

let place: CliPlace;

beforeEach(() => {
  place = new CliPlace();
});

afterEach(() => place.remove());

/** What a command answers that must not change anything. */
async function looked(data: string, args: readonly string[]): Promise<HereResult> {
  const before = treeOf(nodeFs, data);
  const [command = '', ...rest] = args;
  const result = await runHere([command, data, ...rest]);
  expect(result.stderr).not.toContain('unexpected');
  expect(treeOf(nodeFs, data)).toEqual(before);
  return result;
}

const documentOf = ({ stdout }: HereResult): Record<string, unknown> =>
  JSON.parse(stdout) as Record<string, unknown>;

describe('healthy', () => {
  test.each(fixturesOf('healthy'))('$name', async ({ name, channels }) => {
    const data = place.fixture(name);
    const store = await looked(data, ['inspect', '--json']);
    const shown = channels.filter(({ passing }) => passing !== true);
    expect(store.code).toBe(0);
    const listed = documentOf(store)['channels'] as { readonly name: string }[];
    const known = shown.map(({ name: channel }) => channel).toSorted();
    expect(listed.map((each) => each.name).toSorted()).toEqual(known);
    expect((await looked(data, ['inspect'])).code).toBe(0);
    expect((await looked(data, ['verify'])).code).toBe(0);
    expect((await looked(data, ['verify', '--quick'])).code).toBe(0);
    for (const channel of shown) {
      const view = await looked(data, ['inspect', channel.name, '--json']);
      expect(documentOf(view)).toMatchObject({ name: channel.name, problems: [] });
      const { firstSeq, nextSeq, generation } = channel;
      expect(documentOf(view)['stats']).toMatchObject({ firstSeq, nextSeq, generation });
      const { stdout } = await looked(data, ['cat', channel.name, '--json']);
      expect(stdout.split('\n')).toHaveLength(channel.records.length + 1);
      expect((await looked(data, ['inspect', channel.name])).code).toBe(0);
    }
  });
});

describe('damaged', () => {
  test.each(fixturesOf('damaged'))('$name', async ({ name, channels, refused }) => {
    const data = place.fixture(name);
    const store = await looked(data, ['inspect']);
    const verified = await looked(data, ['verify', '--json']);
    if (refused !== undefined) {
      expect([store.code, verified.code]).toEqual([1, 1]);
      expect(store.stdout).toContain('problem');
      return;
    }
    const quick = await looked(data, ['verify', '--quick', '--json']);
    if (quick.code === 1) expect(verified.code, 'what quick finds, verify finds').toBe(1);
    const { ok, channels: verdicts } = documentOf(verified);
    expect(ok).toBe(verified.code === 0);
    const damaged = channels.filter(({ verify = [] }) =>
      verify.some(({ severity }) => severity === 'damage'),
    );
    const hasRefused = channels.some((channel) => channel.refused !== undefined);
    expect(verified.code).toBe(damaged.length > 0 || hasRefused ? 1 : 0);
    for (const channel of damaged) {
      const verdict = (verdicts as { channel: string; ok: boolean }[]).find(
        (each) => each.channel === channel.name,
      );
      expect(verdict).toMatchObject({ ok: false });
    }
    for (const channel of channels) {
      const view = await looked(data, ['inspect', channel.name]);
      expect(view.stdout).toContain(channel.name);
      if (channel.refused !== undefined) expect(view.code).toBe(1);
      const { stdout } = await looked(data, ['cat', channel.name, '--json']);
      for (const line of stdout.trimEnd().split('\n')) if (line !== '') JSON.parse(line);
    }
  });
});
