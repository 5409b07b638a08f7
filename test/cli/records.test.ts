/**
 * Goal: what append takes in, cat and tail give out again, byte for byte, in every format and
 * range; channels are created, configured and deleted as they are told.
 * Method: the program in this process, on directories of this machine.
 */
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CliPlace, type HereOptions, type HereResult, redex, runHere } from '../support/cli-kit.js';

let place: CliPlace;
let data: string;

beforeEach(() => {
  place = new CliPlace();
  data = place.at('data');
});

afterEach(() => place.remove());

const json = async (args: readonly string[], options?: HereOptions): Promise<unknown> =>
  JSON.parse(await redex([...args, '--json'], options));

const append = (
  channel: string,
  input: HereOptions['input'],
  ...flags: readonly string[]
): Promise<string> => redex(['append', data, channel, ...flags], { input: input ?? '' });

describe('append and cat', () => {
  test('lines come back as they were, however the input arrived', async () => {
    const input = ['one', '', 'three\r', ' vier ', '', 'süß'].join('\n');
    expect(await append('a', input)).toMatch(/^appended 6 records \(\d+ B\) to 'a', seqs 0 to 5, /);
    expect(await redex(['cat', data, 'a'])).toBe(`${input}\n`);
    const bytes = Buffer.from(input);
    await append(
      'b',
      [...bytes].map((byte) => Buffer.from([byte])),
    );
    expect(await redex(['cat', data, 'b'])).toBe(`${input}\n`);
  });

  test('no input is no record, and creates the channel', async () => {
    expect(await append('a', '')).toBe("appended nothing to 'a'\n");
    expect(await redex(['cat', data, 'a'])).toBe('');
  });

  test('one record has one seq', async () => {
    expect(await append('a', 'x')).toMatch(/^appended 1 record \(1 B\) to 'a', seq 0, /);
  });

  test('any bytes go through hex, base64, NDJSON and length prefixes', async () => {
    const payloads = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(payloads, async (records) => {
        run++;
        const bytes = records.map((record) => Buffer.from(record));
        const hex = bytes.map((each) => `${each.toString('hex')}\n`).join('');
        const base64 = bytes.map((each) => `${each.toString('base64')}\n`).join('');
        const prefixed = bytes.flatMap((each) => {
          const length = Buffer.alloc(4);
          length.writeUInt32BE(each.byteLength);
          return [length, each];
        });
        const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => `${name}${run}`);
        await append(String(a), hex, '--hex');
        await append(String(b), base64, '--base64');
        await append(String(c), Buffer.concat(prefixed), '--length-prefixed');
        await append(String(d), await redex(['cat', data, String(a), '--json']), '--json');
        for (const name of [a, b, c, d]) {
          const read = ['cat', data, String(name), '--format'];
          expect(await redex([...read, 'hex'])).toBe(hex);
          expect(await redex([...read, 'base64'])).toBe(base64);
        }
      }),
      { seed: 3, numRuns: 8 },
    );
  });

  test('NDJSON keeps types and times, and seqs when asked', async () => {
    const lines = [
      { seq: 10, timestampNs: '1700000000000000001', type: 3, payload: 'aGk=' },
      { seq: 12, timestamp: 1_700_000_000_500, text: 'text' },
      { seq: 20, timestamp: 1_700_000_000_500, json: { a: 1 } },
    ];
    const input = lines.map((line) => JSON.stringify(line)).join('\n');
    await append('a', input, '--json', '--keep-seqs', '--type', '7');
    const out = await redex(['cat', data, 'a', '--format', 'ndjson']);
    const records = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    const second = { timestamp: 1_700_000_000_500, timestampNs: '1700000000500000000', type: 7 };
    const [payload, third] = ['text', '{"a":1}'].map((text) =>
      Buffer.from(text).toString('base64'),
    );
    expect(records).toEqual([
      {
        seq: 10,
        timestamp: 1_700_000_000_000,
        timestampNs: '1700000000000000001',
        type: 3,
        payload: 'aGk=',
      },
      { seq: 12, ...second, payload },
      { seq: 20, ...second, payload: third },
    ]);
    await append('b', out, '--json');
    expect(await redex(['cat', data, 'b', '--from', '2'])).toBe('{"a":1}\n');
  });

  test('batches are as large as they are told, and all or nothing', async () => {
    await append('a', '1\n2\n3\n4\n5\n', '--batch', '2', '--sync');
    expect(await redex(['cat', data, 'a'])).toBe('1\n2\n3\n4\n5\n');
    const input = ['{"text":"6"}', '{"text":"7"}', '{"text":"8"}', 'x', ''].join('\n');
    const args = ['append', data, 'a', '--json', '--batch', '2'];
    const { code, stderr } = await runHere(args, { input });
    expect(code).toBe(1);
    expect(stderr).toBe(
      'redex: record 4 of the input cannot be appended: it is not JSON (0 records were appended)\n',
    );
    const split = input
      .trimEnd()
      .split('\n')
      .map((line) => Buffer.from(`${line}\n`));
    const again = await runHere(args, { input: split });
    expect(again.stderr).toContain('record 4 of the input cannot be appended: it is not JSON (2 ');
    expect(await redex(['cat', data, 'a', '--from', '5'])).toBe('6\n7\n');
  });

  test.each([
    ['--hex', 'abc', 'record 1 of the input cannot be appended: it is not made of pairs of hex'],
    ['--base64', 'ok==\n*', 'record 2 of the input cannot be appended: it is not base64'],
    ['--json', '[]', 'it is not a JSON object'],
    ['--json', '{"payload":"","text":""}', 'it needs one of payload (base64), text and json'],
    ['--json', '{"text":"","typ":1}', 'it has a field typ'],
    ['--json', '{"text":1}', 'its text is not a string'],
    ['--json', '{"text":"","type":"1"}', 'its type is not a number'],
    ['--json', '{"text":"","type":65536}', 'type must be an integer from 0 to 65535'],
    ['--json', '{"text":"","timestampNs":1}', 'its timestampNs is not a string of digits'],
    ['--length-prefixed', '\0\0', 'the input ends within a record: 2 bytes of 4 are there'],
  ])('%s refuses %j', async (flag, input, message) => {
    const { code, stdout, stderr } = await runHere(['append', data, 'a', flag], { input });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  test('a seq that went by is refused', async () => {
    await append('a', 'x\ny\n');
    const { code, stderr } = await runHere(['append', data, 'a', '--json', '--keep-seqs'], {
      input: '{"seq":1,"text":"z"}',
    });
    expect(code).toBe(1);
    expect(stderr).toContain('the input cannot be appended behind record 0: seq must be from');
  });

  test('answers with JSON', async () => {
    expect(await json(['append', data, 'a'], { input: '{"text":"abc"}\n{"text":"d"}' })).toEqual({
      channel: 'a',
      records: 2,
      bytes: 4,
      firstSeq: 0,
      nextSeq: 2,
      durationMs: 0,
    });
  });
});

describe('ranges of cat', () => {
  const times = [1000, 2000, 2000, 3000, 4000].map((ms) => 1_700_000_000_000 + ms);

  beforeEach(async () => {
    const lines = times.map((timestamp, i) => JSON.stringify({ timestamp, text: `r${i}` }));
    await append('a', lines.join('\n'), '--json');
  });

  test.each([
    [['--from', '3'], 'r3 r4'],
    [['--to', '2'], 'r0 r1'],
    [['--from', '1', '--to', '3'], 'r1 r2'],
    [['--from', '9'], ''],
    [['--limit', '2'], 'r0 r1'],
    [['--reverse', '--limit', '2'], 'r4 r3'],
    [['--reverse', '--from', '1', '--to', '3'], 'r2 r1'],
    [['--since', '1700000002000'], 'r1 r2 r3 r4'],
    [['--until', '1700000003000'], 'r0 r1 r2'],
    [['--since', '2023-11-14T22:13:22Z', '--until', '2023-11-14T22:13:23Z'], 'r1 r2'],
    [['--until', '1700000003000', '--to', '2'], 'r0 r1'],
    [['--since', '1s'], ''],
  ])('%j', async (flags, expected) => {
    const out = await redex(['cat', data, 'a', ...flags]);
    expect(out.trimEnd().split('\n').join(' ')).toBe(expected);
  });

  test.each([
    [['-n', '2'], 'r3 r4'],
    [['-n', '0'], ''],
    [[], 'r0 r1 r2 r3 r4'],
    [['--since', '1700000003000'], 'r3 r4'],
  ])('tail %j', async (flags, expected) => {
    const out = await redex(['tail', data, 'a', ...flags]);
    expect(out.trimEnd().split('\n').join(' ')).toBe(expected);
  });

  test('large outputs are whole', async () => {
    const line = 'x'.repeat(1000);
    await append('large', Array.from({ length: 2000 }, (_, i) => `${line}${i}`).join('\n'));
    const out = await redex(['cat', data, 'large']);
    expect(out).toBe(Array.from({ length: 2000 }, (_, i) => `${line}${i}\n`).join(''));
    expect((await redex(['cat', data, 'large', '--json'])).split('\n')).toHaveLength(2001);
  });
});

describe('channels', () => {
  const create = (...flags: readonly string[]): Promise<HereResult> =>
    runHere(['create', data, 'a', ...flags]);

  test('are created with the options that are given', async () => {
    const given =
      '--sync every=1000,bytes=1MiB,interval=200ms --segment-bytes 1MiB ' +
      '--segment-ms 1h --retention age=7d,bytes=10GiB,records=5,wait-for=f --first-seq 7';
    const flags = given.split(' ');
    const options = {
      sync: { everyN: 1000, maxBytes: 2 ** 20, intervalMs: 200 },
      segmentBytes: 2 ** 20,
      segmentMs: 3_600_000,
      retention: { maxAgeMs: 604_800_000, maxBytes: 10 * 2 ** 30, maxRecords: 5, waitFor: ['f'] },
    };
    expect(await json(['create', data, 'a', ...flags])).toEqual({
      directory: data,
      channel: 'a',
      created: true,
      firstSeq: 7,
      options,
    });
    expect(await json(['configure', data, 'a'])).toEqual({ channel: 'a', changed: false, options });
    const changed = { ...options, sync: 'never', segmentMs: 0, retention: null };
    const change = ['--sync', 'never', '--retention', 'none', '--segment-ms', 'none'];
    expect(await json(['configure', data, 'a', ...change])).toMatchObject({ options: changed });
    expect(await json(['configure', data, 'a'])).toMatchObject({ options: changed });
  });

  test('are not taken for new when they are there', async () => {
    expect((await create()).code).toBe(0);
    expect((await create()).stderr).toContain("there is a channel 'a'");
    expect((await create('--if-missing')).stdout).toContain("there is channel 'a'");
    const other = await create('--if-missing', '--sync', 'never');
    expect(other).toMatchObject({ code: 1 });
    expect(other.stderr).toBe(
      'redex: the channel has sync "always", not "never": ' +
        'leave it out, or change it with redex configure\n',
    );
  });

  test('are deleted with what they hold', async () => {
    await append('a', '1\n2');
    expect(await json(['delete', data, 'a'])).toMatchObject({ deleted: true, count: 2 });
    expect(await json(['delete', data, 'a', '--if-exists'])).toMatchObject({ deleted: false });
    expect((await runHere(['delete', data, 'a'])).code).toBe(1);
    expect((await runHere(['cat', data, 'a'])).code).toBe(1);
  });

  test('a store alone can be created, also where one is', async () => {
    expect(await redex(['create', data])).toBe(`store ${data} is ready\n`);
    expect(existsSync(place.at('data', 'redex.json'))).toBe(true);
    expect(await redex(['create', data])).toBe(`store ${data} is ready\n`);
    expect((await runHere(['create', data, '--sync', 'never'])).code).toBe(2);
  });
});
