/**
 * The golden data directories of `fixtures/`: their files on a disk in memory, what their JSON
 * files say has to be found in them, and what is found.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { StoredChannelOptions } from '../../src/channel/options.js';
import type { CutRegion, RecoveryReport } from '../../src/channel/recovery-report.js';
import type { VerifyProblem, VerifyReport } from '../../src/channel/verify-report.js';
import { RedexError, type SeqRange } from '../../src/core/errors.js';
import type { LogRecord } from '../../src/core/record.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';
import type { RedexOptions } from '../../src/store/store-options.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { repository } from './process-package.js';
import { DATA, treeOf } from './store-kit.js';

const FIXTURES = join(repository, 'fixtures');

/** Seq, type, unix nanoseconds, bytes and the first half of the SHA-256 of the payload. */
type RecordRow = readonly [number, number, string, number, string];

/** An error as it is written down: only the fields that say what and where. */
export interface KnownError {
  readonly code: string;
  /** Below the data directory. */
  readonly path?: string;
  readonly position?: number;
  readonly check?: string;
  readonly seqRange?: SeqRange;
  readonly found?: number;
  readonly supported?: number;
}

type KnownProblem = Omit<VerifyProblem, 'message' | 'repair'>;

interface KnownFold {
  readonly name: string;
  readonly version: number;
  readonly value: { readonly bytes: number; readonly records: number };
  readonly seq: number;
}

export interface KnownChannel {
  readonly name: string;
  readonly firstSeq: number;
  readonly nextSeq: number;
  readonly generation: number;
  /** After an open for writing, and, where it is another one, before it. */
  readonly recoveryEpoch: number;
  readonly recoveryEpochBefore?: number;
  readonly options?: StoredChannelOptions;
  /** Every record that can be read. */
  readonly records: readonly RecordRow[];
  readonly lost?: readonly {
    readonly from: number;
    readonly to: number;
    readonly error: KnownError;
  }[];
  /** What opening it, for writing or not, and a list say. */
  readonly refused?: KnownError;
  /** What an append rejects with. */
  readonly append?: KnownError;
  /** What a recovery cuts, without the files that keep the bytes. */
  readonly tornTail?: readonly Omit<CutRegion, 'keptAside'>[];
  /** The kinds of what a verification notes in a healthy channel. */
  readonly notes?: {
    readonly readOnly?: readonly string[];
    readonly writing?: readonly string[];
  };
  /** What a verification finds in a damaged one, before anybody has opened it for writing. */
  readonly verify?: readonly KnownProblem[];
  readonly folds?: readonly KnownFold[];
  /** On its way to this name: there for writers, who finish that. */
  readonly passing?: boolean;
}

interface FixtureText {
  readonly kind: 'healthy' | 'damaged';
  readonly description: string;
  /** Git does not keep them. */
  readonly emptyDirectories: readonly string[];
  /** What Redex.open rejects with. */
  readonly refused?: KnownError;
  readonly channels: readonly KnownChannel[];
}

export interface Fixture extends FixtureText {
  /** With the format version, such as `v1/closed`. */
  readonly name: string;
}

/** All fixtures of all format versions. */
export function fixturesOf(kind: 'healthy' | 'damaged'): Fixture[] {
  const found: Fixture[] = [];
  for (const version of readdirSync(FIXTURES, { withFileTypes: true })) {
    if (!version.isDirectory()) continue;
    for (const file of readdirSync(join(FIXTURES, version.name)).toSorted()) {
      if (!file.endsWith('.json')) continue;
      const text = readFileSync(join(FIXTURES, version.name, file), 'utf8');
      const name = `${version.name}/${file.slice(0, -'.json'.length)}`;
      found.push({ ...(JSON.parse(text) as FixtureText), name });
    }
  }
  return found.filter((fixture) => fixture.kind === kind);
}

/** The files of a fixture on a disk in memory, below DATA. */
export function diskOf({ name, emptyDirectories }: Fixture): MemoryFs {
  const fs = new MemoryFs();
  const source = join(FIXTURES, name);
  for (const path of emptyDirectories) makeDirectory(fs, `${DATA}/${path}`);
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const from = join(entry.parentPath, entry.name);
    const path = `${DATA}/${from.slice(source.length + 1)}`;
    makeDirectory(fs, path.slice(0, path.lastIndexOf('/')));
    const bytes = readFileSync(from);
    const file = fs.openSync(path, 'create');
    file.writeSync(bytes, 0, bytes.length, 0);
    file.closeSync();
  }
  return fs;
}

function makeDirectory(fs: FileSystem, path: string): void {
  if (path === '' || fs.statSync(path) !== undefined) return;
  makeDirectory(fs, path.slice(0, path.lastIndexOf('/')));
  fs.mkdirSync(path);
}

/** All that a failed open, a reader or a verification must leave as it is. */
export function bytesOn(fs: FileSystem): Record<string, string> {
  return treeOf(fs, DATA);
}

export interface OpenFixture {
  readonly redex: Redex;
  readonly reports: RecoveryReport[];
}

export async function openFixture(
  fs: FileSystem,
  options: RedexOptions = {},
): Promise<OpenFixture> {
  const reports: RecoveryReport[] = [];
  const runtime = new ManualRuntime({ ioOrder: 'immediate', startMs: 1_900_000_000_000 });
  const onRecovery = (report: RecoveryReport): void => void reports.push(report);
  const redex = await Redex.open(DATA, { ...options, fs, runtime, onRecovery });
  return { redex, reports };
}

export const relative = (path: string): string => path.replace(`${DATA}/`, '');

/** An error in the form in which fixtures say it. */
export function known(error: unknown): KnownError {
  if (!RedexError.is(error)) throw error;
  const { code } = error;
  const given = error as RedexError & Partial<Omit<KnownError, 'code'>>;
  const wanted: Record<string, unknown> = { code };
  for (const field of ['position', 'check', 'seqRange', 'found', 'supported'] as const) {
    if (given[field] !== undefined) wanted[field] = given[field];
  }
  return { code, ...(given.path === undefined ? {} : { path: relative(given.path) }), ...wanted };
}

/** What a promise rejects with, in that form; undefined when it does not. */
export async function failureOf(promise: Promise<unknown>): Promise<KnownError | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return known(error);
  }
}

export function rowOf({ seq, type, timestampNs, byteLength, payload }: LogRecord): RecordRow {
  const hash = createHash('sha256').update(payload).digest('hex').slice(0, 32);
  return [seq, type, timestampNs.toString(), byteLength, hash];
}

/** Problems in the form in which fixtures say them. */
export function problemsOf({ problems, moreProblems }: VerifyReport): KnownProblem[] {
  expect(moreProblems).toBe(0);
  const found = problems.map(({ message: _message, repair: _repair, ...problem }) => {
    return { ...problem, path: relative(problem.path) };
  });
  return inPlaces(found);
}

/** By file and position: in which order they are found is nobody's promise. */
export function inPlaces(problems: readonly KnownProblem[]): KnownProblem[] {
  return problems.toSorted((a, b) => {
    return a.path === b.path ? a.position - b.position : a.path < b.path ? -1 : 1;
  });
}

/** Every record behind and before damage, read in stretches; and the damage that was met. */
export async function readAround(channel: Channel): Promise<{
  readonly rows: RecordRow[];
  readonly errors: KnownError[];
}> {
  const rows: RecordRow[] = [];
  const errors: KnownError[] = [];
  for (let from = channel.firstSeq; from < channel.nextSeq;) {
    try {
      for await (const record of channel.read({ from })) {
        rows.push(rowOf(record));
        from = record.seq + 1;
      }
      break;
    } catch (error) {
      const failure = known(error);
      errors.push(failure);
      const { firstSeq = -1, nextSeq = -1 } = failure.seqRange ?? {};
      expect(firstSeq, 'the damage begins where reading ended').toBe(from);
      expect(nextSeq).toBeGreaterThan(from);
      from = nextSeq;
    }
  }
  return { rows, errors };
}

/** That the folds of a fixture have these states, with or without their checkpoints. */
export async function expectFolds(channel: Channel, folds: readonly KnownFold[]): Promise<void> {
  for (const { name, version, value, seq } of folds) {
    const fold = await channel.fold({
      name,
      version,
      initial: { bytes: 0, records: 0 },
      apply: (state, { byteLength }) => ({
        bytes: state.bytes + byteLength,
        records: state.records + 1,
      }),
    });
    await fold.caughtUp();
    expect({ name, value: fold.value, seq: fold.seq }).toEqual({ name, value, seq });
    await fold.close();
  }
}
