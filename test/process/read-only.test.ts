/**
 * Goal: whoever opens a store with readOnly, in whatever state it is, changes nothing (RULES N4).
 * Method: a program looks in every way at stores that are closed, killed, open elsewhere, damaged,
 * without a lock, without the right to write. Names, bytes, times and inodes before and after are
 * compared, and strace shows that nothing was even tried.
 */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  realpathSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Redex } from '../../src/index.js';
import { buildProcessPackage, type ProcessPackage } from '../support/process-package.js';
import type { ReadOnlyReport } from '../support/process-read-only.js';
import { runProgram, type ProcessResult } from '../support/process-run.js';
import { parseTrace, type TracedCall } from '../support/process-trace.js';
import { commandExists, requires } from '../support/requirements.js';

/** Everything that can change a file or a directory, or take a lock. */
const CALLS = `
  openat,?open,?creat,write,pwrite64,writev,pwritev,?pwritev2,fsync,fdatasync,?sync_file_range,
  ftruncate,?truncate,fallocate,flock,fcntl,?rename,?renameat,?renameat2,?unlink,unlinkat,
  ?mkdir,mkdirat,?rmdir,?link,linkat,?symlink,symlinkat,?chmod,fchmod,fchmodat,?chown,fchown,
  fchownat,utimensat,setxattr,fsetxattr,sendfile,copy_file_range,splice
`.replaceAll(/\s/g, '');
const WRITING = /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND|O_TMPFILE/;
/** Commands of fcntl that touch only the descriptor itself. */
const HARMLESS = /F_(GETFL|GETFD|SETFD|DUPFD)/;

const CHANNELS = { a: 120, b: 40, ä: 1 };

let built: ProcessPackage;
let scratch: string;
let live: Redex;
/** By the state that they are in. */
const stores = new Map<string, string>();

beforeAll(async () => {
  built = await buildProcessPackage();
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'redex-read-only-')));
  await makeStores();
});

afterAll(async () => {
  await live.close();
  built.remove();
  const unwritable = stores.get('not writable') ?? '';
  for (const path of [unwritable, ...pathsIn(unwritable)]) chmodSync(path, 0o755);
  rmSync(scratch, { recursive: true, force: true });
});

function pathsIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .toSorted();
}

/** A store with channels of several segments, open. `isSettled`: no checkpoint will change it. */
async function makeStore(directory: string, isSettled: boolean): Promise<Redex> {
  const open = (): Promise<Redex> => Redex.open(directory, { sync: 'never', segmentBytes: 4096 });
  let redex = await open();
  if (isSettled) {
    for (const name of Object.keys(CHANNELS)) await redex.channel(name);
    await redex.close();
    redex = await open();
  }
  for (const [name, count] of Object.entries(CHANNELS)) {
    const channel = await redex.channel(name);
    for (let i = 0; i < count; i++) await channel.append(`${name} ${i} `.repeat(20));
  }
  return redex;
}

async function makeStores(): Promise<void> {
  const closed = join(scratch, 'closed');
  const elsewhere = join(scratch, 'open');
  await (await makeStore(closed, false)).close();
  live = await makeStore(elsewhere, true);
  stores.set('closed', closed);
  stores.set('open elsewhere', elsewhere);
  const copy = (state: string, from: string, change: (directory: string) => void): void => {
    const directory = join(scratch, `store ${stores.size}`);
    cpSync(from, directory, { recursive: true });
    change(directory);
    stores.set(state, directory);
  };
  const dats = (directory: string): string[] => {
    return pathsIn(join(directory, 'channels', 'a')).filter((path) => path.endsWith('.dat'));
  };
  copy('killed', elsewhere, () => undefined);
  copy('torn', elsewhere, (directory) => appendFileSync(dats(directory).at(-1) ?? '', 'RXFR?'));
  copy('cut', closed, (directory) => truncateSync(dats(directory).at(-1) ?? '', 70));
  copy('flipped', closed, (directory) => flip(dats(directory)[0] ?? '', 1000));
  copy('without derived files', closed, (directory) => {
    for (const path of pathsIn(directory)) if (/\.(idx|ts)$/.test(path)) rmSync(path);
  });
  copy('garbage in derived files', elsewhere, (directory) => {
    for (const path of pathsIn(directory)) if (/\.(idx|ts)$/.test(path)) flip(path, 20);
  });
  copy('no manifest', closed, (directory) => rmSync(join(directory, 'channels/a/manifest')));
  copy('bad config', closed, (directory) => flip(join(directory, 'channels/a/config'), 30));
  copy('bad store', closed, (directory) => flip(join(directory, 'redex.json'), 5));
  copy('without a lock', elsewhere, (directory) => {
    for (const name of ['LOCK', 'LOCK.info']) rmSync(join(directory, name), { force: true });
  });
  const young = join(scratch, 'young');
  const writer = await makeStore(young, false);
  // Its channels are in its journal, which nobody has redone.
  copy('killed early', young, () => undefined);
  copy('killed early, before a channel had its place', young, (directory) => {
    renameSync(join(directory, 'channels/%c3%a4'), join(directory, 'channels/.new/1'));
  });
  copy('not writable', young, (directory) => {
    for (const path of [...pathsIn(directory), directory]) {
      chmodSync(path, lstatSync(path).isDirectory() ? 0o555 : 0o444);
    }
  });
  await writer.close();
}

function flip(path: string, position: number): void {
  const bytes = readFileSync(path);
  bytes[Math.min(position, bytes.length - 1)] = (bytes[position] ?? 0) ^ 0x55;
  writeFileSync(path, bytes);
}

/** All that can be seen of a directory but the times of reading. */
function treeOf(directory: string): string[] {
  return [directory, ...pathsIn(directory)].map((path) => {
    const { ino, mode, nlink, size, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
    const isFile = lstatSync(path).isFile();
    const hash = isFile ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
    return [path, ino, mode, nlink, size, mtimeNs, ctimeNs, hash].join(' ');
  });
}

function reportsOf({ code, stdout, stderr }: ProcessResult): Map<string, ReadOnlyReport> {
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const reports = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ReadOnlyReport);
  const states = [...stores].map(([state, directory]) => [directory, state] as const);
  const stateOf = new Map(states);
  return new Map(reports.map((report) => [stateOf.get(report.directory) ?? '?', report]));
}

/** What a program has done to a directory that is no reading. */
function changesIn(calls: readonly TracedCall[], directory: string): string[] {
  return calls
    .filter(({ name, args }) => {
      // What is written may speak of any path.
      const target = name.includes('write') ? args.slice(0, args.indexOf(',')) : args;
      if (!target.includes(directory)) return false;
      if (name === 'openat' || name === 'open') return WRITING.test(args);
      return name !== 'fcntl' || !HARMLESS.test(args);
    })
    .map(({ name, args }) => `${name}(${args})`);
}

test('a program that looks finds what there is, and changes nothing', async () => {
  const directories = [...stores.values()];
  const before = directories.map(treeOf);
  const program = built.path('test/support/process-read-only.ts');
  const reports = reportsOf(await runProgram(process.execPath, [program, ...directories]));
  expect(directories.map(treeOf)).toEqual(before);
  expect([...reports.keys()]).toEqual([...stores.keys()]);
  const found = Object.fromEntries(
    [...reports].map(([state, { error, channels }]) => [state, error ?? channels]),
  );
  const whole = CHANNELS;
  const damaged = { ...CHANNELS, a: 'CORRUPT' };
  expect(found).toEqual({
    closed: whole,
    'open elsewhere': whole,
    killed: whole,
    torn: whole,
    cut: damaged,
    flipped: damaged,
    'without derived files': whole,
    'garbage in derived files': whole,
    'no manifest': damaged,
    'bad config': damaged,
    'bad store': 'CORRUPT',
    'without a lock': whole,
    'killed early': whole,
    'killed early, before a channel had its place': { ...CHANNELS, ä: 0 },
    'not writable': whole,
  });
  // The writer has noticed nothing.
  expect(await (await live.channel('a')).append('more')).toBe(CHANNELS.a);
});

describe('strace', () => {
  test('sees nothing but reading', async (context) => {
    requires(context, commandExists('strace'), 'needs strace');
    const output = join(scratch, 'trace');
    const options = ['-f', '-y', '-s', '1000', '-o', output];
    const probe = await runProgram('strace', [...options, 'true']);
    requires(context, probe.code === 0, 'needs the right to trace');
    const program = built.path('test/support/process-read-only.ts');
    const command = [process.execPath, program, ...stores.values()];
    const trace = ['-e', `trace=${CALLS}`];
    const result = await runProgram('strace', [...options, ...trace, ...command]);
    expect(reportsOf(result).size).toBe(stores.size);
    const calls = parseTrace(readFileSync(output, 'utf8'));
    for (const directory of stores.values()) {
      const opened = calls.filter(({ args }) => args.includes(`"${directory}/`));
      expect(opened.length, directory).toBeGreaterThan(0);
      expect(changesIn(calls, directory)).toEqual([]);
    }
  });

  test.each([
    '1 openat(AT_FDCWD</x>, "/d/LOCK", O_RDWR|O_CLOEXEC) = 6</d/LOCK>',
    '1 openat(AT_FDCWD</x>, "/d/new", O_WRONLY|O_CREAT|O_EXCL, 0600) = -1 EEXIST (File exists)',
    '1 pwrite64(6</d/a.idx>, "RXDT"..., 64, 0) = 64',
    '1 mkdir("/d/channels/.new", 0700) = -1 EACCES (Permission denied)',
    '1 rename("/x/config", "/d/config") = 0',
    '1 fsync(5</d>) = 0',
    '1 fcntl(5</d/LOCK>, F_OFD_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET}) = 0',
  ])('would see %s', (line) => {
    expect(changesIn(parseTrace(line), '/d').length).toBe(1);
  });

  test.each([
    '1 openat(AT_FDCWD</x>, "/d/LOCK", O_RDONLY|O_CLOEXEC) = 6</d/LOCK>',
    '1 openat(AT_FDCWD</x>, "/d/gone", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file)',
    '1 fcntl(5</d/LOCK>, F_GETFD) = 0',
    '1 write(1</x/out>, "text", 4) = 4',
  ])('takes for reading %s', (line) => {
    expect(changesIn(parseTrace(line), '/d')).toEqual([]);
  });
});

test('a list of 200 channels leaves no descriptor open', async (context) => {
  requires(context, existsSync('/proc/self/fd'), 'needs /proc/self/fd');
  const directory = join(scratch, 'many');
  const writer = await Redex.open(directory, { sync: 'never' });
  for (let i = 0; i < 200; i++) await (await writer.channel(`channel ${i}`)).append('one');
  // It would open files by itself, once nothing is appended for a while.
  await writer.close();
  await using redex = await Redex.open(directory, { readOnly: true });
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  let count = 0;
  for await (const { nextSeq } of redex.channels()) count += nextSeq ?? 0;
  expect([count, descriptors()]).toEqual([200, before]);
  expect((await redex.stats()).openFiles).toBe(0);
});
