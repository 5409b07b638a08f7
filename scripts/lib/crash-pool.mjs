/** Crash tests in processes of their own. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const WORKER = fileURLToPath(new URL('crash-worker.mjs', import.meta.url));
/**
 * Much of an open runs once for each image, so code is compiled before it is hot: a quarter more
 * images by it. Every core has a process, so none needs threads beside it to collect garbage.
 */
const NODE_OPTIONS = ['--max-semi-space-size=64', '--always-sparkplug', '--single-threaded-gc'];
/** Milliseconds without progress after which a process counts as hanging. */
const PATIENCE_MS = 120_000;

/**
 * Runs a crash test with the package in `directory`. Resolves with its report; with `hangs` when
 * it made no progress any more and was ended, and with `crashed` when the process died.
 */
export async function crashTestIn(directory, run, onProgress = () => {}, env = {}) {
  const child = spawn(process.execPath, [...NODE_OPTIONS, WORKER, directory, JSON.stringify(run)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let report;
  let errors = '';
  let progress = 0;
  let patience;
  const wait = () => {
    clearTimeout(patience);
    patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  };
  wait();
  child.stderr.on('data', (chunk) => {
    errors = (errors + chunk).slice(-4000);
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    wait();
    const message = JSON.parse(line);
    if (message.progress === undefined) report = message;
    else onProgress((progress = message.progress));
  });
  const signal = await new Promise((resolve) => {
    child.on('close', (_code, by) => resolve(by));
  });
  clearTimeout(patience);
  if (report !== undefined) return report;
  const what = signal === 'SIGKILL' ? 'hangs' : 'crashed';
  return { [what]: errors || true, afterImages: progress };
}

/** Does `work` for each item, `jobs` at a time. */
export async function inParallel(items, jobs, work) {
  const waiting = [...items];
  const runner = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: jobs }, runner));
}
