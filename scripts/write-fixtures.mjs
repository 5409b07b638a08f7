#!/usr/bin/env node
/**
 * Writes the golden data directories of the present format version into fixtures/v1:
 * node scripts/write-fixtures.mjs [--only NAME] [--directory fixtures] [--replace]
 * For each fixture a directory with its files and a JSON file with what has to be found in them.
 * The same code writes the same bytes each time. What a released version has written must stay
 * readable, so that directories which are there already are left alone unless `--replace` is given.
 * Needs the build (npm run build).
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DAMAGED } from './lib/fixture-damaged.mjs';
import { HEALTHY } from './lib/fixture-healthy.mjs';
import { JOURNAL } from './lib/fixture-journal.mjs';

const VERSION = 'v1';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    directory: { type: 'string', default: fileURLToPath(new URL('../fixtures', import.meta.url)) },
    replace: { type: 'boolean', default: false },
  },
});

const directory = join(resolve(values.directory), VERSION);
const all = Object.entries({ ...HEALTHY, ...DAMAGED, ...JOURNAL });
const wanted = all.filter(([name]) => values.only === '' || name === values.only);
if (wanted.length === 0) {
  console.error(`there is no fixture ${values.only}`);
  process.exit(2);
}
const present = wanted.map(([name]) => name).filter((name) => existsSync(join(directory, name)));
if (present.length > 0 && !values.replace) {
  console.error(`in ${directory} already: ${present.join(', ')}`);
  console.error('What was written once must stay readable; --replace writes it anew all the same.');
  process.exit(1);
}

let bytesWritten = 0;

function write(path, bytes) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  bytesWritten += bytes.length;
}

for (const [name, make] of wanted) {
  const { files, ...expected } = await make(seedOf(name));
  rmSync(join(directory, name), { recursive: true, force: true });
  for (const [path, bytes] of files) write(join(directory, name, path), bytes);
  write(join(directory, `${name}.json`), Buffer.from(textOf(expected)));
}
console.log(`${wanted.length} fixtures, ${bytesWritten} bytes`);

/** A seed of its own for each, so that no two have ids in common. */
function seedOf(name) {
  return createHash('sha256').update(name).digest().readUInt32LE(0);
}

/** JSON with a line for each record. */
function textOf(expected) {
  const text = JSON.stringify(expected, undefined, 1);
  const row = /\[\s+(\d[^\][]*)\n\s*\]/g;
  return `${text.replaceAll(row, (_, inside) => `[${inside.replaceAll(/\s+/g, ' ')}]`)}\n`;
}
