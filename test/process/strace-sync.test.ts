/**
 * Goal: an append is acknowledged as synced only after a sync that began when its bytes, all bytes
 * below them and the names of their files had been written (RULES S1, J2), up to the name of the
 * data directory; be these the files of the journal, or the dat files of its channel. The name of a
 * channel may be in a group of the journal that was synced before the channel got it.
 * Method: strace records the system calls of a program that tells its acknowledgements. Killing a
 * process cannot show this: the page cache survives. Programs that acknowledge too early, and
 * traces that were tampered with, show that the judge can say no.
 */
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import { FILE_HEADER_BYTES } from '../../src/format/file-header.js';
import { JOURNAL_SEGMENT_HEADER_BYTES } from '../../src/format/journal-control.js';
import { decodeGroup, groupLength } from '../../src/format/journal-group.js';
import { decodeUnitHeader, SEAL_MAGIC } from '../../src/format/unit.js';
import type { ShapeName } from '../support/process-ack-writer.js';
import { buildProcessPackage, type ProcessPackage } from '../support/process-package.js';
import { runProgram } from '../support/process-run.js';
import {
  judgeTrace,
  parseTrace,
  type TracedFrame,
  type TracedGroup,
  type TracedName,
  type TracedSegment,
  type TraceVerdict,
} from '../support/process-trace.js';
import { commandExists, requires } from '../support/requirements.js';

const CALLS = 'pwrite64,write,fdatasync,fsync,openat,?mkdir,?mkdirat,?rename,?renameat,?renameat2';

let built: ProcessPackage;
let scratch: string;
let canTrace = false;

beforeAll(async () => {
  built = await buildProcessPackage();
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'redex-strace-')));
  if (!commandExists('strace')) return;
  // Where tracing is forbidden, strace is there and fails.
  const probe = await runProgram('strace', ['-f', '-o', join(scratch, 'probe'), 'true']);
  canTrace = probe.code === 0;
});

afterAll(() => {
  built.remove();
  rmSync(scratch, { recursive: true, force: true });
});

interface Traced {
  readonly text: string;
  /** What the store was made of before its first segment. */
  readonly names: readonly TracedName[];
  readonly segments: readonly TracedSegment[];
}

/** Where appends go first. */
type Way = 'journal' | 'direct';

async function traceOf(context: TestContext, shape: ShapeName, way: Way): Promise<Traced> {
  requires(context, canTrace, 'needs strace, and the right to trace');
  const directory = join(scratch, `${shape}-${way}.data`);
  const channel = join(directory, 'channels', 'log');
  const output = join(scratch, `${shape}-${way}.trace`);
  const program = built.path('test/support/process-ack-writer.ts');
  const options = ['-f', '-y', '-s', '32', '-e', `trace=${CALLS}`, '-o', output];
  const args = [...options, process.execPath, program, directory, shape, way];
  const { code, stderr } = await runProgram('strace', args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const made = [directory, join(directory, 'redex.json'), join(directory, 'channels')];
  const text = readFileSync(output, 'utf8');
  const journal = join(directory, 'journal');
  if (way === 'direct') {
    const names = [...made, channel].map((path) => ({ path }));
    return { text, names, segments: segmentsOf(channel) };
  }
  const { segments, creation } = groupsIn(journal);
  const paths = [...made, journal, join(journal, 'control')];
  const names = [...paths.map((path) => ({ path })), { path: channel, said: creation }];
  return { text, names, segments };
}

interface JournalGroups {
  readonly segments: TracedSegment[];
  /** The group that makes the channel; undefined once a checkpoint has let it go. */
  readonly creation: TracedGroup | undefined;
}

/**
 * Where the frames of the channel stand in the journal, by the groups that they are in: segments
 * in the order of their records, which may be used again once a checkpoint has written them to dat.
 */
function groupsIn(journal: string): JournalGroups {
  let creation: TracedGroup | undefined;
  const names = readdirSync(journal).filter((name) => name.endsWith('.journal'));
  const segments = names.map((name) => {
    const path = join(journal, name);
    const bytes = readFileSync(path);
    const frames: TracedFrame[] = [];
    let start = JOURNAL_SEGMENT_HEADER_BYTES;
    for (;;) {
      const length = groupLength(bytes.subarray(start));
      if (length === undefined) break;
      const group = decodeGroup(bytes.subarray(start, start + length));
      if (!group.ok) break;
      const end = start + group.value.header.byteLength;
      for (const { kind, data, position } of group.value.entries) {
        if (kind === 'create') creation = { path, start, end };
        if (kind !== 'write' || position === 0) continue;
        const unit = decodeUnitHeader(viewOf(data), 0, position, data.byteLength);
        if (typeof unit === 'string') throw new Error(`${path} at ${start}: ${unit}`);
        const { baseSeq, recordCount, magic } = unit;
        const held = magic === SEAL_MAGIC ? 0 : recordCount;
        frames.push({ baseSeq, nextSeq: baseSeq + held, start, end });
      }
      start = end;
    }
    return { path, byteLength: start, frames };
  });
  const firstSeq = ({ frames }: TracedSegment): number => frames[0]?.baseSeq ?? Infinity;
  const used = segments.filter(({ frames }) => frames.length > 0);
  return { segments: used.toSorted((a, b) => firstSeq(a) - firstSeq(b)), creation };
}

/** Where the frames of a channel stand, read from the dat files. */
function segmentsOf(channel: string): TracedSegment[] {
  const generation = join(channel, 'v0000000001');
  const names = readdirSync(generation).filter((name) => name.endsWith('.dat'));
  return names.toSorted().map((name) => {
    const path = join(generation, name);
    const bytes = readFileSync(path);
    const frames: TracedFrame[] = [];
    let at = FILE_HEADER_BYTES;
    while (at < bytes.byteLength) {
      const unit = decodeUnitHeader(viewOf(bytes), at, at, bytes.byteLength - at);
      if (typeof unit === 'string') throw new Error(`${path} at ${at}: ${unit}`);
      const { baseSeq, recordCount } = unit;
      at += unit.byteLength;
      // A seal counts the records of its segment and holds none.
      const held = unit.magic === SEAL_MAGIC ? 0 : recordCount;
      frames.push({ baseSeq, nextSeq: baseSeq + held, end: at });
    }
    return { path, byteLength: bytes.byteLength, frames };
  });
}

function judge({ text, names, segments }: Traced): TraceVerdict {
  return judgeTrace(parseTrace(text), names, segments);
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe.each<Way>(['journal', 'direct'])('an acknowledgement follows the sync of, %s:', (way) => {
  test('one append', async (context) => {
    const { acknowledged, violations } = judge(await traceOf(context, 'one', way));
    expect(violations).toEqual([]);
    expect(acknowledged).toEqual([0]);
  });

  test('a thousand appends in flight', async (context) => {
    const traced = await traceOf(context, 'thousand', way);
    const { acknowledged, violations } = judge(traced);
    expect(violations).toEqual([]);
    expect(acknowledged).toEqual(range(1000));
    // They shared few syncs: that is the group commit.
    const dat = traced.segments[0]?.path ?? '';
    const syncs = parseTrace(traced.text).filter(
      ({ name, args }) => name === 'fdatasync' && args.includes(dat),
    );
    expect(syncs.length).toBeLessThanOrEqual(3);
  });

  test('appends across rolls, with all segments before them', async (context) => {
    const traced = await traceOf(context, 'rolls', way);
    const { acknowledged, violations } = judge(traced);
    expect(violations).toEqual([]);
    expect(acknowledged).toEqual(range(300));
    if (way === 'direct') expect(traced.segments.length).toBeGreaterThan(10);
  });

  test('large appends, written by another thread', async (context) => {
    const { acknowledged, violations } = judge(await traceOf(context, 'large', way));
    expect(acknowledged).toEqual(range(14));
    // Of what the journal had first others may have the place: that is said of no more than these.
    const gone = range(11).map((seq) => `ack ${seq}: its record is in no segment`);
    expect(way === 'direct' ? [] : gone).toEqual(expect.arrayContaining([...violations]));
  });

  test('blocking appends between others in flight', async (context) => {
    const { acknowledged, violations } = judge(await traceOf(context, 'blocking', way));
    expect(violations).toEqual([]);
    expect(acknowledged.toSorted((a, b) => a - b)).toEqual(range(30));
  });
});

test("an acknowledgement of appends that ask for it under 'never'", async (context) => {
  const { acknowledged, violations } = judge(await traceOf(context, 'asked', 'direct'));
  expect(violations).toEqual([]);
  expect(acknowledged).toEqual([1, 3, 5, 7, 9]);
});

const NAMES: readonly TracedName[] = [{ path: '/data/store' }, { path: '/d/log' }];
const dat = '/d/log/v1/a.dat';
const segments: readonly TracedSegment[] = [
  { path: dat, byteLength: 144, frames: [{ baseSeq: 0, nextSeq: 1, end: 144 }] },
];
const good = [
  '1 mkdir("/data/store", 0700) = 0',
  '1 fsync(4</data>)                  = 0',
  '1 rename("/d/.new-log", "/d/log") = 0',
  '1 fsync(5</d>)                     = 0',
  `1 openat(AT_FDCWD</x>, "${dat}", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 6<${dat}>`,
  `1 pwrite64(6<${dat}>, "RXDT"..., 64, 0) = 64`,
  `1 pwrite64(6<${dat}>, "RXFR"..., 80, 64 <unfinished ...>`,
  '1 <... pwrite64 resumed>) = 80',
  `2 fdatasync(6<${dat}> <unfinished ...>`,
  '1 openat(AT_FDCWD</x>, "/d/other", O_RDONLY) = -1 ENOENT (No such file or directory)',
  '2 <... fdatasync resumed>) = 0',
  '3 fsync(7</d/log/v1>) = 0',
  '1 write(1<pipe:[1]>, "ack 0\\n", 6) = 6',
  '1 exit_group(0)                       = ?',
  '1 +++ exited with 0 +++',
  '',
];

describe('the judge says no to', () => {
  test.for<[ShapeName, Way]>([
    ['early', 'journal'],
    ['early', 'direct'],
    ['unsynced', 'direct'],
  ])('a program of the kind %s, %s', async ([shape, way], context) => {
    const { acknowledged, violations } = judge(await traceOf(context, shape, way));
    expect(acknowledged).toEqual([0]);
    expect(violations.length).toBeGreaterThan(0);
  });

  const violationsOf = (lines: readonly string[]): readonly string[] =>
    judgeTrace(parseTrace(lines.join('\n')), NAMES, segments).violations;
  /** The trace with the line `from` moved in front of the line `to`. */
  const moved = (from: number, to: number): string[] => {
    const line = good[from] ?? '';
    const rest = good.with(from, 'moved');
    return [...rest.slice(0, to), line, ...rest.slice(to)].filter((each) => each !== 'moved');
  };

  test('nothing in a good trace', () => {
    expect(violationsOf(good)).toEqual([]);
  });

  test.each([
    ['an ack before the sync ended', moved(12, 10)],
    ['an ack before the sync began', moved(12, 8)],
    ['a sync that began before the write ended', moved(8, 7)],
    ['a sync that failed', good.with(10, '2 <... fdatasync resumed>) = -1 EIO (error)')],
    ['a sync of another file', good.map((line) => line.replace(/(sync.*)a\.dat/, '$1b.dat'))],
    ['a write that is missing', good.with(5, '')],
    ['a short write', good.with(7, '1 <... pwrite64 resumed>) = 79')],
    ['a name that is not synced', good.with(11, '')],
    ['a name that is synced before it is made', moved(11, 4)],
    ['a channel whose name is not synced', good.with(3, '')],
    ['a data directory whose name is not synced', good.with(1, '')],
    ['a data directory that was made too late', moved(0, 2)],
    ['an ack of a record that is not there', good.map((line) => line.replace('ack 0', 'ack 1'))],
  ])('%s', (_, lines) => {
    expect(violationsOf(lines).length).toBeGreaterThan(0);
  });

  test('lines that it does not understand', () => {
    expect(() => parseTrace('1 what is this')).toThrow('not understood');
    expect(() => parseTrace('1 <... fsync resumed>) = 0')).toThrow('no begin');
  });
});

describe('of a journal the judge says no to', () => {
  /** The same record in a group of a journal, over zeros that were synced before. */
  const group = '/d/log/v1/1.journal';
  const groups: readonly TracedSegment[] = [
    { path: group, byteLength: 144, frames: [{ baseSeq: 0, nextSeq: 1, start: 64, end: 144 }] },
  ];
  const zeroed = [
    ...good.slice(0, 4).map((line) => line.replace('a.dat', '1.journal')),
    `1 openat(AT_FDCWD</x>, "${group}", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 6<${group}>`,
    `1 pwrite64(6<${group}>, "RXJS"..., 64, 0) = 64`,
    `1 pwrite64(6<${group}>, "\\0"..., 960, 64) = 960`,
    `1 fdatasync(6<${group}>) = 0`,
    '3 fsync(7</d/log/v1>) = 0',
    `1 pwrite64(8<${group}>, "RXJG"..., 80, 64) = 80`,
    `2 fdatasync(8<${group}>) = 0`,
    '1 write(1<pipe:[1]>, "ack 0\\n", 6) = 6',
    '',
  ];
  const groupViolations = (
    lines: readonly string[],
    names: readonly TracedName[] = NAMES,
  ): readonly string[] => judgeTrace(parseTrace(lines.join('\n')), names, groups).violations;

  test('nothing in a good trace of a journal', () => {
    expect(groupViolations(zeroed)).toEqual([]);
  });

  /** The channel is made by a group of its own, and nobody syncs its name. */
  const made = '/d/j/1.journal';
  const said: TracedGroup = { path: made, start: 64, end: 104 };
  const byJournal: readonly TracedName[] = [{ path: '/data/store' }, { path: '/d/log', said }];
  const creation = [
    `1 pwrite64(9<${made}>, "RXJG"..., 40, 64) = 40`,
    `2 fdatasync(9<${made}>) = 0`,
  ];
  const name = '1 rename("/d/.new-log", "/d/log") = 0';
  const creating = (lines: readonly string[]): string[] => [
    ...zeroed.slice(0, 2),
    ...lines,
    ...zeroed.slice(4),
  ];

  test('nothing in a good trace of a channel that the journal makes', () => {
    expect(groupViolations(creating([...creation, name]), byJournal)).toEqual([]);
  });

  test.each([
    ['is not written', creating([...creation.slice(1), name])],
    ['is not synced', creating([...creation.slice(0, 1), name])],
    ['is synced after the channel has its name', creating([name, ...creation])],
    ['was synced too early', creating([...creation.toReversed(), name])],
    ['has no channel', creating(creation)],
  ])('a channel without a synced name whose group %s', (_, lines) => {
    expect(groupViolations(lines, byJournal).length).toBeGreaterThan(0);
  });

  test.each([
    ['a group that is not written', zeroed.with(9, '')],
    ['a group that is written short', zeroed.with(9, (zeroed[9] ?? '').replace('= 80', '= 79'))],
    ['a group that is not synced', zeroed.with(10, '')],
    [
      'a group that was synced too early',
      zeroed.with(9, zeroed[10] ?? '').with(10, zeroed[9] ?? ''),
    ],
    ['a segment whose name is not synced', zeroed.with(8, '')],
  ])('%s', (_, lines) => {
    expect(groupViolations(lines).length).toBeGreaterThan(0);
  });
});
