/**
 * Goal: what people see is as it was looked over once, on a narrow and on a wide terminal.
 * Method: golden texts in `fixtures/cli`; `npx vitest run -u` writes them anew, to be looked over
 * again. The stores are the golden ones, and times that were measured are replaced.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { outcomeLines } from '../../src/cli/commands/compact.js';
import { verdictLines, type ChannelVerdict } from '../../src/cli/commands/verify.js';
import { COMMANDS } from '../../src/cli/commands.js';
import { displayWidth } from '../../src/cli/display-width.js';
import { HELP_TOPICS } from '../../src/cli/help-topics.js';
import { Session } from '../../src/cli/session.js';
import { Redex } from '../../src/store/redex.js';
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
    for (const quick of [false, true]) {
      const { stdout } = await runHere(['verify', data, '--json', ...(quick ? ['--quick'] : [])]);
      const { channels } = JSON.parse(stdout) as { channels: ChannelVerdict[] };
      const timed = channels.map((channel) => Object.assign(channel, { durationMs: 12 }));
      const session = new Session(ioHere({ width }).io, false);
      const lines = verdictLines(session, { directory: data, quick, channels: timed });
      await isGolden(
        `verify-${quick ? 'quick' : 'block-zeroed'}-${width}`,
        `${lines.join('\n')}\n`,
      );
    }
  });

  test('repair, export and import', async () => {
    const data = place.fixture('v1/block-zeroed');
    const plan = await runHere(['repair', data, '--dry-run'], { width });
    const undated = plan.stdout.replaceAll(/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ/g, 'DATE');
    await isGolden(`repair-dry-run-${width}`, place.neutral(undated));
    const file = place.at('all.rxar');
    const out = await runHere(['export', data, '-o', file, '--skip-damaged'], { width });
    const into = await runHere(['import', place.at('copy'), file], { width });
    const timeless = place.neutral(out.stdout + out.stderr).replace(/in \d.*\n$/, '');
    await isGolden(`transfer-${width}`, `${timeless}\n${into.stdout}${into.stderr}`);
  });

  /** As a terminal shows it, but for its colours. */
  const onTerminal = async (...args: readonly string[]): Promise<string> => {
    const options = { width, isTerminal: true, env: { NO_COLOR: '1' } };
    const { stdout, stderr } = await runHere(args, options);
    expect(stderr).toBe('');
    for (const line of stdout.split('\n')) {
      // A path is not broken: it is to be copied.
      const isPath = / {2}damaged\/\S+$/.test(line);
      if (!isPath) expect(displayWidth(line), line).toBeLessThanOrEqual(width);
    }
    return place
      .neutral(stdout)
      .replace(/(^id +)\w{32}$/m, '$1...')
      .replace(/(^created +).*$/m, '$1...');
  };

  test('on a terminal', async () => {
    for (const [fixture, ...args] of [
      ['manifest-flipped', 'inspect'],
      ['suffix-damaged', 'inspect', 'orders'],
      ['block-zeroed', 'repair', '--dry-run'],
      ['journal-flipped', 'inspect'],
    ] as const) {
      // A path of the same length wherever the place is: lines break the same.
      process.chdir(place.path);
      place.fixture(`v1/${fixture}`, fixture);
      const [command = '', ...rest] = args;
      const text = await onTerminal(command, fixture, ...rest);
      const undated = text.replaceAll(/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ/g, 'DATE');
      await isGolden(`terminal-${[fixture, ...args].join('-')}-${width}`, undated);
    }
  });

  test('an empty store, one with many channels, and one with many segments', async () => {
    await runHere(['create', place.at('data')]);
    const empty = await onTerminal('inspect', place.at('data'));
    const redex = await Redex.open(place.at('data'));
    for (const name of ['a'.repeat(300), `b${'日本語/'.repeat(20)}`, 'c\tand\nline']) {
      await (await redex.channel(name, { sync: 'never' })).append('1');
    }
    for (let i = 0; i < 120; i++) {
      const name = `tenants/${String(i % 7).padStart(4, '0')}/sensors/temperature/line-${i}`;
      await redex.channel(name, { sync: 'never' });
    }
    const long = await redex.channel('long', { sync: 'never', segmentBytes: 4096 });
    for (let i = 0; i < 130; i++) await long.append('y'.repeat(3000), { timestamp: 1e12 });
    await redex.close();
    const store = await onTerminal('inspect', place.at('data'));
    const channel = await onTerminal('inspect', place.at('data'), 'long');
    await isGolden(`terminal-many-${width}`, [empty, store, channel].join('\n'));
    const piped = await runHere(['inspect', place.at('data')], { width });
    expect(piped.stdout.trimEnd().split('\n')).toHaveLength(7 + 124);
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
