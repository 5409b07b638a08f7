/**
 * A process of a crash test: node crash-worker.mjs <package directory> <JSON of the run>. Prints a
 * line of JSON for each step of progress, and one for the end. The files of a failure are left in a
 * directory below `keep`, where the run has one. A run with `every` is one of the test of streams,
 * or of the layer that it names.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [directory = '', given = '{}'] = process.argv.slice(2);
const { images, seed, profiles, every, layer, shrink = false, keep } = JSON.parse(given);
const load = (name) => import(pathToFileURL(resolve(directory, 'dist', name)).href);
const { crashScene, crashTest, profileNamed, smallestFailure, writeScene, ...tests } =
  await load('entry-testing.js');
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

// Most errors here are answers (no such file), and nobody looks at where they came from: a stack
// is a fifteenth of the time.
Error.stackTraceLimit = 0;
if (every === undefined) await channels();
else await oneByOne(layer === 'queues' ? tests.queuesCrashTest : tests.streamsCrashTest);

async function channels() {
  let toldCount = 0;
  const { counters, workloads, failure } = await crashTest({
    images,
    seed,
    profiles: profiles.map(profileNamed),
    onProgress: (now) => {
      const count = now.images + now.nested;
      if (count < toldCount + 500) return;
      toldCount = count;
      tell({ progress: count });
    },
  });
  const smallest =
    failure === undefined || !shrink
      ? failure
      : await smallestFailure(failure, profileNamed(failure.profile));
  const told = smallest && { ...smallest, error: smallest.error.message };
  const cpuSeconds = secondsUsed();
  tell({ counters, workloads, cpuSeconds, failure: told && { ...told, ...(await kept(told)) } });
}

/** One workload after the other, so that there is something to tell after each. */
async function oneByOne(test) {
  const counters = { images: 0, distinct: 0 };
  let done = 0;
  let failure;
  while (counters.images < images && failure === undefined) {
    try {
      const report = await test({ images: 1, seed: seed + done, every });
      const { images: judged, distinct } = report;
      const counts = report.counts ?? { images: judged, distinct };
      for (const [kind, count] of Object.entries({ ...report.steps, ...counts })) {
        counters[kind] = (counters[kind] ?? 0) + count;
      }
      tell({ progress: counters.images });
    } catch (error) {
      failure = { seed: seed + done, error: String(error), afterImages: counters.images };
    }
    done += 1;
  }
  tell({ counters, workloads: done, cpuSeconds: secondsUsed(), failure });
}

function secondsUsed() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Leaves the files of a failure on the disk; what there is to tell about them. */
async function kept(found) {
  if (keep === undefined) return {};
  const scene = await crashScene(found, profileNamed(found.profile));
  if (scene === undefined) return {};
  const { nodeFs } = await load('fs/node-fs.js');
  const name = join(resolve(keep), `seed-${found.seed}-${found.profile}`);
  let target = name;
  for (let n = 2; existsSync(target); n += 1) target = `${name}-${n}`;
  writeScene(nodeFs, target, scene, found);
  return { kept: target, differences: scene.differences };
}
