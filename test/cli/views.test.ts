/**
 * Goal: what people see is as it was looked over once, on a narrow and on a wide terminal.
 * Method: golden texts in `fixtures/cli`; `npx vitest run -u` writes them anew, to be looked over
 * again. The stores are the golden ones, and times that were measured are replaced.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { outcomeLines } from '../../src/cli/commands/compact.js';
import { verdictLines, type ChannelVerdict } from '../../src/cli/commands/verify.js';
import { COMMANDS } from '../../src/cli/commands.js';
import { HELP_TOPICS } from '../../src/cli/help-topics.js';
import { Session } from '../../src/cli/session.js';
import { CliPlace, ioHere, runHere } from '../support/cli-kit.js';

let place: CliPlace;

beforeEach(() => {
  place = new CliPlace();
});

afterEach(() => place.remove());

const WIDTHS = [80, 140] as const;

const isGolden = (name: string, text: string): Promise<void> =>
  expect(text).toMatchFileSnapshot(`../../fixtures/cli/${name}.txt`);

describe.each(WIDTHS)('at %d columns', (width) => {
  test('help', async () => {
    const pages = [['--help'], ...COMMANDS.map(({ name }) => [name, '--help'])];
    const texts: string[] = [];
    for (const args of pages) {
      const { stdout } = await runHere(args, { width });
      texts.push(`$ redex ${args.join(' ')}\n${stdout}`);
    }
    for (const line of texts.join('\n').split('\n')) {
      expect(line).toBe(line.trimEnd());
      // Examples and lists of terms are lines of the author.
      expect(line.length).toBeLessThanOrEqual(Math.max(width, 100));
    }
    await isGolden(`help-${width}`, texts.join('\n'));
  });

  test.each([
    ['compacted', ['inspect', 'data']],
    ['compacted', ['inspect', 'data', 'orders']],
    ['checkpoints', ['inspect', 'data', 'orders']],
    ['manifest-flipped', ['inspect', 'data']],
    ['last-truncated', ['inspect', 'data', 'orders']],
  ])('%s: %j', async (fixture, [command = '', , ...names]) => {
    const data = place.fixture(`v1/${fixture}`);
    const { stdout, stderr } = await runHere([command, data, ...names], { width });
    expect(stderr).toBe('');
    const name = [command, fixture, ...names, String(width)].join('-');
    await isGolden(name, place.neutral(stdout));
  });

  test('verify', async () => {
    const data = place.fixture('v1/block-zeroed');
    const { stdout } = await runHere(['verify', data, '--json']);
    const { channels } = JSON.parse(stdout) as { channels: ChannelVerdict[] };
    const timed = channels.map((channel) => Object.assign(channel, { durationMs: 12 }));
    const session = new Session(ioHere({ width }).io, false);
    const text = `${verdictLines(session, timed).join('\n')}\n`;
    await isGolden(`verify-block-zeroed-${width}`, place.neutral(text));
  });

  test('compact', async () => {
    const session = new Session(ioHere({ width }).io, false);
    const lines = outcomeLines(session, 'orders', {
      before: { records: 1_000_000, bytes: 100 * 2 ** 20 },
      after: { records: 250_000, bytes: 25 * 2 ** 20 },
      durationMs: 1234,
      writtenBytes: 20 * 2 ** 20,
      linkedBytes: 5 * 2 ** 20,
    });
    await isGolden(`compact-${width}`, `${lines.join('\n')}\n`);
  });
});

test('topics', async () => {
  const texts: string[] = [];
  for (const name of HELP_TOPICS.keys()) texts.push((await runHere(['help', name])).stdout);
  await isGolden('topics', texts.join('\n'));
});

test('a terminal has colours and bars, unless NO_COLOR is set', async () => {
  const data = place.fixture('v1/compacted');
  const args = ['inspect', data, 'orders'];
  const coloured = await runHere(args, { isTerminal: true, width: 120 });
  expect(coloured.stdout).toContain('\u001B[36mchannel');
  expect(coloured.stdout).toContain('█');
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
    const plain = await runHere(args, { isTerminal: true, width: 120, env });
    expect(plain.stdout).not.toContain('\u001B');
    expect(plain.stdout).toContain('█');
  }
});
