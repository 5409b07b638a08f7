/**
 * Exits with 0 if node_modules is what package-lock.json describes, else with 1. Compares it with
 * the copy that npm leaves in node_modules.
 */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import process from 'node:process';

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Optional packages are there only where they fit; without a platform they follow another one. */
function mustBeThere({ optional, os, cpu, libc }) {
  if (!optional) return true;
  const musl = process.report.getReport().header.glibcVersionRuntime === undefined;
  const fits = (list, value) => list === undefined || list.includes(value);
  if (os === undefined && cpu === undefined) return false;
  return (
    fits(os, process.platform) && fits(cpu, process.arch) && fits(libc, musl ? 'musl' : 'glibc')
  );
}

function inStep() {
  const manifest = readJson('package.json');
  const wanted = readJson('package-lock.json')?.packages;
  const installed = readJson('node_modules/.package-lock.json')?.packages;
  if (manifest === undefined || wanted === undefined || installed === undefined) return false;
  const lists = ['dependencies', 'devDependencies', 'optionalDependencies'];
  if (!lists.every((list) => isDeepStrictEqual(manifest[list], wanted['']?.[list]))) return false;
  const same = (path) =>
    installed[path]?.version === wanted[path]?.version &&
    installed[path]?.integrity === wanted[path]?.integrity;
  const complete = Object.entries(wanted).every(
    ([path, entry]) =>
      path === '' || same(path) || (installed[path] === undefined && !mustBeThere(entry)),
  );
  return complete && Object.keys(installed).every(same);
}

process.exitCode = inStep() ? 0 : 1;
