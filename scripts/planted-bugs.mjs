#!/usr/bin/env node
/**
 * Searches for every planted bug of test/planted-bugs: node scripts/planted-bugs.mjs
 * [--images 100000] [--only name] [--missing] [--jobs 2]
 * Writes the seed that found each into the list, for the tests to replay. Ends with 1 when one is
 * not found that is not listed as equivalent. The package has to be built.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { crashTestIn, inParallel } from './lib/crash-pool.mjs';
import { plant, readBugs, unplant, writeBugs } from './lib/planted.mjs';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '100000' },
    only: { type: 'string' },
    missing: { type: 'boolean', default: false },
    jobs: { type: 'string', default: String(availableParallelism()) },
  },
});
const images = Number(values.images);
const bugs = readBugs();
const wanted = bugs.filter(({ name, found, foundByTest, equivalent }) => {
  if (values.only !== undefined) return name === values.only;
  if (equivalent !== undefined || foundByTest !== undefined) return false;
  return !values.missing || found === undefined;
});
const lost = [];

await inParallel(wanted, Number(values.jobs), async (bug) => {
  let directory;
  try {
    directory = plant(bug);
  } catch (error) {
    lost.push(bug.name);
    console.log(`STALE ${error.message}`);
    return;
  }
  try {
    // Only workloads from there on have commits and small journals.
    const seed = bug.rule.startsWith('J') ? 2 ** 21 : 1;
    const { failure, hangs, crashed, afterImages } = await crashTestIn(
      directory,
      bug.layer === undefined
        ? { images, seed, profiles: bug.profiles ?? ['strict'] }
        : { images, seed, layer: bug.layer, every: 2 },
    );
    const reason = failure?.error ?? hangs ?? crashed;
    const text = typeof reason === 'string' ? (reason.split('\n')[0] ?? '') : 'it hangs';
    if (reason === undefined) {
      lost.push(bug.name);
      delete bug.found;
      console.log(`NOT FOUND ${bug.rule} ${bug.name}`);
      return;
    }
    const count = failure?.afterImages ?? afterImages;
    if (failure === undefined) console.log(`ended ${bug.rule} ${bug.name}: ${text}`);
    else {
      bug.found = { seed: failure.seed, profile: failure.profile ?? 'all', images: count };
      // A search that is ended keeps what it has found.
      writeBugs(bugs);
      console.log(`found ${bug.rule} ${bug.name} after ${count} images: ${text.slice(0, 120)}`);
    }
  } finally {
    writeBugs(bugs);
    unplant(directory);
  }
});
console.log(`${wanted.length - lost.length} of ${wanted.length} planted bugs found`);
process.exitCode = lost.length > 0 ? 1 : 0;
