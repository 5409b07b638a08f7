/**
 * The command line in tests: `runHere` runs it in this process, on streams of its own, with a width
 * and a terminal as the test wants them; `CliProcess` runs the program that is built from the
 * sources, as a shell would. `CliPlace` is a directory for both, with copies of golden stores.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { Readable, Writable } from 'node:stream';
import { expect } from 'vitest';
import { Output, type OutputStream } from '../../src/cli/output.js';
import { runCli } from '../../src/cli/program.js';
import type { CliIo } from '../../src/cli/session.js';
import { VERSION } from '../../src/cli/version.js';
import { Interrupted } from '../../src/cli/failure.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { buildProcessPackage, repository, type ProcessPackage } from './process-package.js';

export const START_MS: number = Date.parse('2026-11-21T12:00:00Z');

export class Sink extends Writable implements OutputStream {
  readonly pieces: Buffer[] = [];
  readonly isTTY: boolean;

  constructor(isTTY: boolean) {
    super({ decodeStrings: true });
    this.isTTY = isTTY;
  }

  override _write(piece: Buffer, _encoding: unknown, done: () => void): void {
    this.pieces.push(piece);
    done();
  }

  get text(): string {
    return Buffer.concat(this.pieces).toString();
  }
}

export interface HereOptions {
  readonly input?: string | Uint8Array | readonly Uint8Array[];
  readonly env?: Readonly<Record<string, string>>;
  readonly width?: number;
  readonly isTerminal?: boolean;
  /** Interrupts it at once. */
  readonly interrupted?: boolean;
  /** Interrupts it when this is so, which is looked at in every turn of the loop. */
  readonly interruptWhen?: () => boolean;
}

export interface HereResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function inputOf(input: HereOptions['input'] = ''): Readable {
  if (typeof input === 'string') return Readable.from(input === '' ? [] : [Buffer.from(input)]);
  return Readable.from(input instanceof Uint8Array ? [input] : input);
}

interface HereIo {
  readonly interrupt: () => void;
  readonly io: CliIo;
  readonly stdout: Sink;
  readonly stderr: Sink;
}

export function ioHere(options: HereOptions = {}): HereIo {
  const { isTerminal = false, width = 80, env = {} } = options;
  const [stdout, stderr] = [new Sink(isTerminal), new Sink(isTerminal)];
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort(new Interrupted('SIGINT'));
  if (options.interrupted === true) interrupt();
  const io = {
    stdin: inputOf(options.input),
    stdout: new Output(stdout),
    stderr: new Output(stderr),
    env: { COLUMNS: String(width), ...env },
    signal: interruption.signal,
    runtime: new ManualRuntime({ startMs: START_MS, ioOrder: 'immediate' }),
  };
  return { io, stdout, stderr, interrupt };
}

export async function runHere(
  args: readonly string[],
  options: HereOptions = {},
): Promise<HereResult> {
  const { io, stdout, stderr, interrupt } = ioHere(options);
  let isRunning = true;
  const watch = (): void => {
    if (options.interruptWhen?.() === true) interrupt();
    else if (isRunning) setImmediate(watch);
  };
  if (options.interruptWhen !== undefined) watch();
  const code = await runCli(args, io, VERSION);
  isRunning = false;
  return { code, stdout: stdout.text, stderr: stderr.text };
}

/** What a command that must succeed writes. */
export async function redex(args: readonly string[], options?: HereOptions): Promise<string> {
  const { code, stdout, stderr } = await runHere(args, options);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

export class CliPlace {
  readonly path: string = realpathSync(mkdtempSync(join(tmpdir(), 'redex-cli-')));

  /** A path in it. */
  at(...names: readonly string[]): string {
    return join(this.path, ...names);
  }

  /** A copy of a golden store, such as `v1/closed`. */
  fixture(name: string, as: string = 'data'): string {
    const text = readFileSync(join(repository, 'fixtures', `${name}.json`), 'utf8');
    const { emptyDirectories } = JSON.parse(text) as { emptyDirectories: readonly string[] };
    const target = this.at(as);
    cpSync(join(repository, 'fixtures', name), target, { recursive: true });
    for (const path of emptyDirectories) mkdirSync(join(target, path), { recursive: true });
    return target;
  }

  /** Output in which nothing depends on where the place is. */
  neutral(text: string): string {
    return text.replaceAll(this.path, '/place');
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface ProcessResult extends HereResult {
  readonly signal: NodeJS.Signals | null;
}

/** A program that runs. Its output is collected from the start. */
export class CliProcess {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<ProcessResult>;
  readonly #watchers = new Set<() => void>();
  stdout = '';
  stderr = '';

  constructor(command: string, args: readonly string[], cwd: string) {
    const { NO_COLOR: _, COLUMNS: __, ...env } = process.env;
    this.child = spawn(command, args, { cwd, env, stdio: 'pipe' });
    const collect = (name: 'stdout' | 'stderr') => (text: string) => {
      this[name] += text;
      for (const watch of this.#watchers) watch();
    };
    this.child.stdout.setEncoding('utf8').on('data', collect('stdout'));
    this.child.stderr.setEncoding('utf8').on('data', collect('stderr'));
    // A program that ends without reading everything is judged by its output.
    this.child.stdin.on('error', () => undefined);
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code, signal) => {
        resolve({ code: code ?? -1, signal, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  /** Resolves when its output is as it should be. */
  until(isReached: (stdout: string) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const watch = (): void => {
        if (!isReached(this.stdout)) return;
        this.#watchers.delete(watch);
        resolve();
      };
      this.#watchers.add(watch);
      watch();
    });
  }
}

/** The program as it is built from the sources. */
export class CliProgram {
  readonly #built: ProcessPackage;

  private constructor(built: ProcessPackage) {
    this.#built = built;
  }

  static async build(): Promise<CliProgram> {
    return new CliProgram(await buildProcessPackage());
  }

  start(cwd: string, args: readonly string[]): CliProcess {
    return new CliProcess(process.execPath, [this.path, ...args], cwd);
  }

  run(cwd: string, args: readonly string[], input: string = ''): Promise<ProcessResult> {
    const started = this.start(cwd, args);
    started.child.stdin.end(input);
    return started.ended;
  }

  /** A line of a shell, in which `redex` is the program. */
  shell(cwd: string, line: string): Promise<ProcessResult> {
    const script = `redex() { "${process.execPath}" "${this.path}" "$@"; }\n${line}`;
    const started = new CliProcess('bash', ['-o', 'pipefail', '-c', script], cwd);
    started.child.stdin.end();
    return started.ended;
  }

  get path(): string {
    return this.#built.path('src/cli/main.ts');
  }

  remove(): void {
    this.#built.remove();
  }
}
