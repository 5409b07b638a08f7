#!/usr/bin/env node
/**
 * Many channels in one store: node scripts/many-channels.mjs --channels 100000 --directory ./many
 * Creates them, closes the store, opens it again, lists and opens all of them, appends to each in
 * turn, and prints for each step the time, the resident memory and the descriptors. The directory
 * is removed at the end. Needs the build (npm run build).
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    channels: { type: 'string', default: '100000' },
    directory: { type: 'string', default: '.' },
  },
});
const count = Number(values.channels);
if (!Number.isSafeInteger(count) || count < 1) {
  console.error(`--channels must be a number of channels, not ${values.channels}`);
  process.exit(2);
}
const { Redex } = await import(new URL('../dist/index.js', import.meta.url).href);

const directory = mkdtempSync(join(resolve(values.directory), '.many-channels-'));
const nameOf = (i) => `sensors/${i % 1000}/${i}`;
const descriptors = () => readdirSync('/proc/self/fd').length;
let started = performance.now();

function report(step, more = {}) {
  const seconds = (performance.now() - started) / 1000;
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  const line = {
    step,
    seconds: Number(seconds.toFixed(2)),
    perSecond: Math.round(count / seconds),
    rssMiB: Math.round(rss / 2 ** 20),
    heapMiB: Math.round(heapUsed / 2 ** 20),
    descriptors: descriptors(),
    ...more,
  };
  console.log(JSON.stringify(line));
  started = performance.now();
}

try {
  report('start');
  let redex = await Redex.open(directory, { sync: { intervalMs: 1000 } });
  for (let i = 0; i < count; i++) {
    const channel = await redex.channel(nameOf(i));
    await channel.append('one');
    await channel.close();
  }
  report('create, append one, close');
  await redex.close();
  redex = await Redex.open(directory);
  report('open the store');
  let listed = 0;
  for await (const { nextSeq } of redex.channels()) listed += nextSeq;
  report('list', { listed });
  let found = 0;
  for await (const { name } of redex.channels({ prefix: 'sensors/7/' })) found += name.length > 0;
  report('list a prefix', { found });
  const channels = [];
  for (let i = 0; i < count; i++) channels.push(await redex.channel(nameOf(i)));
  report('open all, and keep them');
  for (const channel of channels) await channel.append('two', { durability: 'written' });
  report('append to each in turn');
  await redex.sync();
  report('sync');
  let read = 0;
  for (const channel of channels) read += (await channel.get(1)).byteLength;
  report('get from each', { read });
  await redex.close();
  report('close');
} finally {
  rmSync(directory, { recursive: true });
}
