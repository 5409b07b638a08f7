/**
 * A process of a crash test: node crash-worker.mjs <package directory> <JSON of the run>. Prints a
 * line of JSON for each step of progress, and one for the end.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [directory = '', given = '{}'] = process.argv.slice(2);
const { images, seed, profiles, shrink = false } = JSON.parse(given);
const entry = pathToFileURL(join(directory, 'dist/entry-testing.js')).href;
const { crashTest, profileNamed, smallestFailure } = await import(entry);
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

// Most errors here are answers (no such file), and nobody looks at where they came from.
Error.stackTraceLimit = 4;
let told = 0;
const { counters, workloads, failure } = await crashTest({
  images,
  seed,
  profiles: profiles.map(profileNamed),
  onProgress: (now) => {
    const count = now.images + now.nested;
    if (count < told + 500) return;
    told = count;
    tell({ progress: count });
  },
});
const smallest =
  failure === undefined || !shrink
    ? failure
    : await smallestFailure(failure, profileNamed(failure.profile));
tell({
  counters,
  workloads,
  failure: smallest && { ...smallest, error: smallest.error.message },
});
