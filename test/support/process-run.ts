/** Runs a child process to its end. */
import { spawn } from 'node:child_process';
import process from 'node:process';

export interface ProcessResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  /** What standard input is; nothing when absent. */
  readonly input?: string;
  /** Threads for file operations; 4 when absent. */
  readonly threads?: number;
}

/** Resolves when the program has ended and all of its output was read. */
export function runProgram(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<ProcessResult> {
  const { cwd, input, threads = 4 } = options;
  const env = { ...process.env, UV_THREADPOOL_SIZE: String(threads) };
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      ...(cwd === undefined ? {} : { cwd }),
      env,
      stdio: 'pipe',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    // A program that ends without reading everything is judged by its output.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input ?? '');
  });
}

/** The same with Node, for a program of the package. */
export function runNode(args: readonly string[], options: RunOptions = {}): Promise<ProcessResult> {
  return runProgram(process.execPath, args, options);
}
