/** Long runs of a crash test: pieces of it in processes of their own, and what they come to. */
import { crashTestIn, inParallel } from './crash-pool.mjs';

/** Seeds of two processes are further apart than either gets. */
const APART = 10_000;
/** A process starts anew after so many: what it had to keep is gone with it. */
const PIECE = 20_000;
const TOLD_MS = 10_000;

/**
 * Runs `images` of a crash test from a seed on with the package in `root`, `jobs` pieces at a time;
 * none is begun behind a failure. `run` is what else a piece is given. Progress goes to stderr.
 */
export async function runInPieces({ root, images, seed, jobs, run }) {
  const piece = Math.min(PIECE, Math.ceil(images / jobs));
  const started = performance.now();
  const sum = { images: 0, distinct: 0 };
  const failures = [];
  const running = new Map();
  let workloads = 0;
  let cpuSeconds = 0;
  let toldMs = started;

  function tell() {
    const now = performance.now();
    if (now - toldMs < TOLD_MS) return;
    toldMs = now;
    const count = [...running.values()].reduce((a, b) => a + b, sum.images);
    console.error(`${count} images, ${Math.round((count * 60_000) / (now - started))} a minute`);
  }

  const pieces = [];
  for (let left = images; left > 0; left -= piece) pieces.push(Math.min(piece, left));
  await inParallel([...pieces.entries()], jobs, async ([index, wanted]) => {
    if (failures.length > 0) return;
    const given = { ...run, images: wanted, seed: seed + index * APART };
    const report = await crashTestIn(root, given, (count) => {
      running.set(index, count);
      tell();
    });
    running.delete(index);
    for (const [name, count] of Object.entries(report.counters ?? {})) {
      sum[name] = (sum[name] ?? 0) + count;
    }
    workloads += report.workloads ?? 0;
    cpuSeconds += report.cpuSeconds ?? 0;
    const { failure } = report;
    if (failure !== undefined) failures.push(failure);
    else if (report.counters === undefined) failures.push({ ...given, ...report });
  });
  const minutes = (performance.now() - started) / 60_000;
  return { sum, workloads, cpuSeconds, minutes, failures };
}

/** The last lines of a run; the process ends with 1 when something was broken. */
export function tellRate({ sum, workloads, cpuSeconds, minutes, failures }) {
  const perMinute = (count) => Math.round((count * 60) / Math.max(1, cpuSeconds));
  console.log(
    `${workloads} workloads, ${sum.images} images, ${sum.distinct} distinct, ` +
      `in ${minutes.toFixed(1)} minutes: ${Math.round(sum.images / minutes)} a minute; ` +
      `a minute of CPU: ${perMinute(sum.images)} images, ${perMinute(sum.distinct)} distinct`,
  );
  for (const failure of failures) console.log(`BROKEN ${JSON.stringify(failure)}`);
  process.exitCode = failures.length > 0 ? 1 : 0;
}
