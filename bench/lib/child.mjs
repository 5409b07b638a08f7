/** Runs one job in a child process that is always awaited, and killed when it takes too long. */
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const WORKER = fileURLToPath(new URL('../worker.mjs', import.meta.url));

/**
 * @param {Record<string, unknown> & { directory: string }} job
 * @param {{ under?: string[], timeoutMs?: number }} [how] `under`: a command that runs the child.
 * @returns {Promise<Record<string, any>>}
 */
export async function runJob(job, { under = [], timeoutMs = 900_000 } = {}) {
  const jobPath = `${job.directory}.job.json`;
  const result = `${job.directory}.result.json`;
  writeFileSync(jobPath, JSON.stringify({ ...job, result }));
  const [command, ...args] = [...under, process.execPath, WORKER, jobPath];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    await finished(child, {
      hold: job.hold === true,
      timeoutMs,
      what: [job.contender, job.task].join(' '),
    });
    return JSON.parse(readFileSync(result, 'utf8'));
  } finally {
    rmSync(jobPath, { force: true });
    rmSync(result, { force: true });
  }
}

/** Resolves when the child has ended well; one that holds is killed with SIGKILL when ready. */
function finished(child, { hold, timeoutMs, what }) {
  return new Promise((resolve, reject) => {
    let stderr = '';
    let ready = false;
    const late = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
    child.stdout.setEncoding('utf8').on('data', (text) => {
      if (!hold || !text.includes('ready')) return;
      ready = true;
      child.kill('SIGKILL');
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(late);
      if (code === 0 || ready) resolve(undefined);
      else reject(new Error(`${what} ended with ${signal ?? code}: ${firstError(stderr)}`));
    });
  });
}

/** The line that names the error, not the whole stack. */
function firstError(stderr) {
  const lines = stderr.trim().split('\n');
  return lines.find((line) => /^\s*(\w*Error|RedexError)\b.*/.test(line))?.trim() ?? lines.at(-1);
}
