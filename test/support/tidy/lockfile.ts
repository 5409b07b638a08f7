/** A rule about package-lock.json: it must install on every machine, from any registry. */
import { violation } from './source.js';
import type { Rule, SourceText } from './source.js';

interface LockEntry {
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/**
 * `npm ci` refuses a lockfile that leaves out a binary of another platform. `npm install` leaves
 * one out silently when the registry at hand does not have it, and then installs from it here.
 */
export const lockfile: Rule = (files) =>
  files.filter(({ path }) => path === 'package-lock.json').flatMap(check);

function check(file: SourceText): string[] {
  const { packages } = JSON.parse(file.text) as { packages: Record<string, LockEntry> };
  const found: string[] = [];
  for (const [path, entry] of Object.entries(packages)) {
    const line = lineOfKey(file.text, path);
    if (entry.resolved?.includes('://') === true) {
      found.push(violation(file, line, `lockfile: '${path}' names a registry`));
    }
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      if (isLocked(packages, path, name)) continue;
      found.push(violation(file, line, `lockfile: '${name}' of '${path}' is missing`));
    }
  }
  return found;
}

/** Looks where Node would: inside the package, then in every folder around it. */
function isLocked(packages: Record<string, LockEntry>, from: string, name: string): boolean {
  for (let folder = from; ; folder = folder.replace(/(^|\/)node_modules\/(@[^/]+\/)?[^/]+$/, '')) {
    const path = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (Object.hasOwn(packages, path)) return true;
    if (!folder.includes('node_modules/')) return false;
  }
}

function lineOfKey(text: string, key: string): number {
  const index = text.split('\n').findIndex((line) => line.trimStart().startsWith(`"${key}": {`));
  return Math.max(index, 0) + 1;
}
