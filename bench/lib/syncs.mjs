/** Counts the syncs that a contender really asks of the kernel, with strace, on a small run. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { runJob } from './child.mjs';

const CALLS = 'fsync,fdatasync,msync,sync_file_range';

export const hasStrace = () => spawnSync('strace', ['-V'], { stdio: 'ignore' }).status === 0;

/**
 * The syncs of `steps` steps: the difference between a run with them and one without, so that
 * those of opening and closing do not count.
 */
export async function countSyncs(job, steps) {
  const idle = await traced({ ...job, records: 0, warmRecords: 0 });
  const busy = await traced({ ...job, records: steps, warmRecords: 0 });
  const calls = {};
  for (const name of new Set([...Object.keys(idle.calls), ...Object.keys(busy.calls)])) {
    const count = (busy.calls[name] ?? 0) - (idle.calls[name] ?? 0);
    if (count !== 0) calls[name] = count;
  }
  const syncs = Object.values(calls).reduce((sum, count) => sum + count, 0);
  return { records: busy.records, syncs, calls };
}

async function traced(job) {
  const log = `${job.directory}.strace`;
  rmSync(job.directory, { recursive: true, force: true });
  try {
    const under = ['strace', '-f', '-c', '-o', log, '-e', `trace=${CALLS}`];
    const { records } = await runJob({ ...job, seconds: 60, warmSeconds: 0 }, { under });
    return { records, calls: parseSummary(readFileSync(log, 'utf8')) };
  } finally {
    rmSync(job.directory, { recursive: true, force: true });
    rmSync(log, { force: true });
  }
}

/** Lines of `strace -c`: % time, seconds, usecs/call, calls, errors or nothing, name. */
function parseSummary(text) {
  const calls = {};
  for (const line of text.split('\n')) {
    const match = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z_]+)$/.exec(line);
    if (match !== null && match[2] !== 'total') calls[match[2]] = Number(match[1]);
  }
  return calls;
}
