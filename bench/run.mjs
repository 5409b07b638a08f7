/** The bench: figures P1 to P11, Q1 to T1 beside their peers, from one run. See README.md. */
import { rmSync } from 'node:fs';
import os from 'node:os';
import { FIGURES } from './figures/all.mjs';
import { verdict } from './lib/checks.mjs';
import { describeMachine, isMemory, printMachine } from './lib/machine.mjs';
import { readOptions, USAGE, workDirectory } from './lib/options.mjs';
import { printPart, printSummary, writeResults } from './lib/report.mjs';
import { hasStrace } from './lib/syncs.mjs';
import { settle, warmPageCache } from './lib/warm.mjs';

async function main() {
  const options = readOptions(process.argv.slice(2));
  if (options.help) {
    console.log(USAGE);
    return;
  }
  const unknown = options.only?.find((id) => !FIGURES.some((part) => part.id === id));
  if (unknown !== undefined) throw new RangeError(`there is no figure ${unknown}`);
  const directory = workDirectory(options.dir);
  removeOnInterrupt(directory);
  try {
    await measure({ ...options, directory, strace: options.strace && hasStrace() });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Ctrl-C ends the children too, for they share the terminal; the stores are ours to remove. */
function removeOnInterrupt(directory) {
  process.once('SIGINT', () => {
    rmSync(directory, { recursive: true, force: true });
    process.exit(130);
  });
}

async function measure(context) {
  const machine = describeMachine(context.directory);
  printMachine(machine);
  const { rounds, scale, strace } = context;
  console.log(
    `run          ${rounds} rounds, scale ${scale}, syncs ${strace ? '' : 'not '}counted`,
  );
  if (isMemory(machine.fileSystem.type)) console.log('WARNING      a file system in memory');
  context.trial = rounds < 5 || scale !== 1;
  if (context.trial) console.log('WARNING      a trial run: no figure to quote');
  warmPageCache(context.directory, Math.min(1, scale) * 2 ** 30);
  settle(context.directory);

  const parts = [];
  for (const part of FIGURES) {
    if (context.only !== undefined && !context.only.includes(part.id)) continue;
    const results = await part.run(context);
    const checks = part.checks(results);
    for (const check of checks) check.verdict = verdict(check);
    printPart(part, results, checks, context);
    const { id, title, durability, unit } = part;
    parts.push({ id, title, durability, unit, results, checks });
  }
  printSummary(parts, context);
  const loadAtEnd = os.loadavg();
  const { only, contenders, full } = context;
  const run = { rounds, scale, trial: context.trial, strace, only, contenders, full };
  console.log(`written to ${writeResults({ machine, loadAtEnd, run, parts })}`);
}

await main();
