/**
 * Goal: whoever finds a damaged store on a bad day is told all of it, sees what a repair would do,
 * has it done, and reads every record outside the damage; at each step the exit code says it too.
 * Method: copies of a store that the program as it is built has written, and of golden ones,
 * damaged in one way or in all of them at once: the last, and a newer version, by the program
 * again, the others by the same commands in this process.
 */
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CliPlace, CliProgram, runHere, type HereResult } from '../support/cli-kit.js';

const COUNT = 3000;
/** Lines that are appended at a time, which become a frame, and a segment. */
const PER_FRAME = 500;
/** Records of a block of 8 KiB, about. */
const PER_BLOCK = 50;
const LINES = Array.from({ length: COUNT }, (_, i) => `${i + 1}`.padStart(200, '0'));

interface Loss {
  readonly channel?: string;
  readonly seqRange?: { readonly firstSeq: number; readonly nextSeq: number };
}

let program: CliProgram;
/** Has the store that is damaged, in copies. */
let origin: CliPlace;
let place: CliPlace;

beforeAll(async () => {
  program = await CliProgram.build();
  origin = new CliPlace();
  await write();
});
afterAll(() => {
  program.remove();
  origin.remove();
});
beforeEach(() => {
  place = new CliPlace();
});
afterEach(() => place.remove());

type Run = (...args: readonly string[]) => Promise<HereResult>;

const here: Run = (...args) => runHere(args);
const asProgram: Run = (...args) => program.run(place.path, args);

/** Every file with its bytes. */
function treeIn(directory: string): Record<string, string> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path, readFileSync(path, 'hex')];
    }),
  );
}

/** Files of a kind of the only generation of `numbers`, by their base seqs. */
function filesOf(data: string, kind: string): string[] {
  const directory = join(data, 'channels/numbers/v0000000001');
  return readdirSync(directory)
    .filter((name) => name.endsWith(`.${kind}`))
    .toSorted()
    .map((name) => join(directory, name));
}

function flip(path: string | undefined, at: number): void {
  if (path === undefined) throw new Error('there is no such file');
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 4;
  writeFileSync(path, bytes);
}

/** A store with 3,000 records in several segments, and another channel. */
async function write(): Promise<void> {
  const line =
    'redex create data numbers --segment-bytes 64KiB --sync never && ' +
    `for i in $(seq 1 ${PER_FRAME} ${COUNT}); do ` +
    `seq -f '%0200.0f' $i $((i + ${PER_FRAME - 1})) | redex append data numbers || exit 1; done; ` +
    "printf 'a\\nb\\nc\\n' | redex append data orders";
  expect(await program.shell(origin.path, line)).toMatchObject({ code: 0 });
}

const DAMAGE: Readonly<Record<string, (data: string) => void>> = {
  'flipped bits': (data) => {
    flip(filesOf(data, 'dat')[1], 70_000);
    flip(filesOf(data, 'dat')[3], 15_000);
  },
  'a segment without its end': (data) => truncateSync(filesOf(data, 'dat')[2] ?? '', 40_000),
  'no index': (data) => rmSync(filesOf(data, 'idx')[0] ?? ''),
  'no manifest': (data) => rmSync(join(data, 'channels/numbers/manifest')),
  'no config': (data) => rmSync(join(data, 'channels/numbers/config')),
  'no redex.json': (data) => rmSync(join(data, 'redex.json')),
};

/** What `cat` has to give: all lines but those that the repair says are lost. */
function expectedLines(losses: readonly Loss[]): string[] {
  const ranges = losses.flatMap(({ channel, seqRange }) =>
    channel === 'numbers' && seqRange !== undefined ? [seqRange] : [],
  );
  const isLost = (seq: number): boolean =>
    ranges.some(({ firstSeq, nextSeq }) => seq >= firstSeq && seq < nextSeq);
  return LINES.filter((_, seq) => !isLost(seq));
}

async function repairedByHand(run: Run, data: string, isDamage: boolean): Promise<readonly Loss[]> {
  expect([0, 1]).toContain((await run('inspect', data)).code);
  const verdict = await run('verify', data);
  expect(verdict.code, verdict.stdout + verdict.stderr).toBe(isDamage ? 1 : 0);
  const before = treeIn(data);
  const dry = await run('repair', data, '--dry-run', '--json');
  expect(dry.code, dry.stderr).toBe(1);
  const plan = JSON.parse(dry.stdout) as { steps: readonly unknown[]; losses: readonly Loss[] };
  expect(plan.steps.length).toBeGreaterThan(0);
  expect(treeIn(data)).toEqual(before);
  const repaired = await run('repair', data, '--json');
  const report = JSON.parse(repaired.stdout) as typeof plan;
  expect(repaired.code).toBe(report.losses.length > 0 ? 1 : 0);
  expect(report.losses).toEqual(plan.losses);
  const after = await run('verify', data);
  expect(after.code, after.stdout + after.stderr).toBe(0);
  expect(await run('repair', data)).toMatchObject({
    code: 0,
    stdout: 'there is nothing to repair\n',
  });
  return report.losses;
}

describe('a store that redex append has written', () => {
  test.each(Object.keys(DAMAGE))('%s', async (what) => {
    const data = place.at('copy');
    cpSync(origin.at('data'), data, { recursive: true });
    DAMAGE[what]?.(data);
    const losses = await repairedByHand(here, data, what !== 'no index');
    const { stdout } = await here('cat', data, 'numbers');
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toEqual(expectedLines(losses));
    const mostLost = what === 'a segment without its end' ? PER_FRAME : 2 * PER_BLOCK;
    expect(lines.length).toBeGreaterThanOrEqual(COUNT - mostLost);
    expect((await here('cat', data, 'orders')).stdout).toBe('a\nb\nc\n');
    const more = await runHere(['append', data, 'numbers'], { input: 'more\n' });
    expect(more).toMatchObject({ code: 0 });
    const last = await here('cat', data, 'numbers', '--reverse', '--limit', '1', '--json');
    expect(JSON.parse(last.stdout)).toMatchObject({ seq: COUNT });
  });

  test('all of it at once', async () => {
    const data = place.at('data');
    cpSync(origin.at('data'), data, { recursive: true });
    for (const damage of Object.values(DAMAGE)) damage(data);
    expect((await asProgram('verify', data)).code).toBe(1);
    const losses = await repairedByHand(asProgram, data, true);
    const { stdout } = await asProgram('cat', data, 'numbers');
    expect(stdout.trimEnd().split('\n')).toEqual(expectedLines(losses));
  });
});

describe('golden stores', () => {
  test.each([
    'block-zeroed',
    'journal-flipped',
    'journal-control-missing',
    'last-header-flipped',
    'manifest-zeros',
    'segments-swapped',
    'suffix-damaged',
  ])('%s', async (name) => {
    await repairedByHand(here, place.fixture(`v1/${name}`), true);
  });

  test('one of a newer version is refused, and left as it is', async () => {
    const data = place.fixture('v1/store-newer');
    const before = treeIn(data);
    for (const command of ['verify', 'repair', 'cat']) {
      const args = command === 'cat' ? [data, 'orders'] : [data];
      const { code, stderr } = await asProgram(command, ...args);
      expect([command, code]).toEqual([command, 1]);
      expect(stderr).toContain('has format version 2');
    }
    expect(treeIn(data)).toEqual(before);
  });
});
