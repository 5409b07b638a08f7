/** The demo's parent process: runs the writer, kills it, has the log verified. See its USAGE. */
import { spawn } from 'node:child_process';
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { readdirSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { readOptions, USAGE, UsageError } from './demo-options.mjs';
import { countRecords } from './demo-source.mjs';
import { grouped } from './demo-text.mjs';

const KILL_AFTER = 100_000;
/** Records that are held back until all before them are acknowledged. */
const MAX_HELD = 16;

const program = (name) => fileURLToPath(new URL(name, import.meta.url));
const nodeModules = fileURLToPath(new URL('../../node_modules', import.meta.url));

/** What the demo has to clean up when it is interrupted. */
const running = { children: new Set(), directory: undefined };

function start(name, args, stdio) {
  const child = spawn(process.execPath, [program(name), ...args], { stdio });
  running.children.add(child);
  child.once('exit', () => running.children.delete(child));
  return child;
}

/** Resolves when a child has ended and everything it wrote has been read. */
function closed(child) {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

/** A source that can be read twice: what can only be read once is copied first. */
async function settleSource(source, directory) {
  if (source !== '-') {
    const stats = statSync(source);
    if (stats.isFile() || stats.isDirectory()) return path.resolve(source);
  }
  const copy = path.join(directory, 'input');
  const input = source === '-' ? process.stdin : createReadStream(source);
  await pipeline(input, createWriteStream(copy));
  return copy;
}

/** Lets the writer append until `target` records are acknowledged, and kills it. */
async function ingestAndKill(data, source, { target, held }) {
  const stdio = ['ignore', 'inherit', 'inherit', 'pipe', 'pipe'];
  const writer = start('demo-writer.mjs', [data, source, String(held)], stdio);
  const ended = closed(writer);
  let acknowledged = 0;
  let submitted = 0;
  let began = 0;
  let milliseconds = 0;
  createInterface({ input: writer.stdio[3] }).on('line', (line) => {
    if (line === 'ready') began = performance.now();
    else {
      [acknowledged, submitted] = line.split(' ').map(Number);
      milliseconds = performance.now() - began;
      if (acknowledged >= target && !writer.killed) writer.kill('SIGKILL');
    }
  });
  const { code, signal } = await ended;
  if (signal !== 'SIGKILL') throw new Error(`the writer ended by itself (${code ?? signal})`);
  if (submitted <= acknowledged) throw new Error('no append was in flight');
  return { acknowledged, submitted, milliseconds };
}

function printFiles(data) {
  console.log('files');
  const names = readdirSync(data, { recursive: true }).toSorted();
  for (const name of names) {
    const stats = statSync(path.join(data, name));
    if (stats.isFile()) console.log(`${grouped(stats.size).padStart(14)}  ${name}`);
  }
}

async function run(directory, options) {
  const source = await settleSource(options.source, directory);
  const count = await countRecords(source, KILL_AFTER + MAX_HELD);
  if (count === 0) throw new UsageError(`${options.source} has no records`);
  const held = Math.min(MAX_HELD, Math.ceil(count / 4));
  const target = Math.min(KILL_AFTER, count - held);
  const data = path.join(directory, 'data');
  const { acknowledged, submitted, milliseconds } = await ingestAndKill(data, source, {
    target,
    held,
  });
  const rate = milliseconds > 0 ? grouped((acknowledged / milliseconds) * 1000) : '-';
  const unacknowledged = grouped(submitted - acknowledged);
  console.log(`source          ${options.source}`);
  console.log(`killed          the writer, with SIGKILL, ${unacknowledged} appends in flight`);
  console.log(`acknowledged    ${grouped(acknowledged)} records, ${rate} records/s, each synced`);
  const args = ['--acknowledged', String(acknowledged), data, source];
  const { code } = await closed(start('demo-verify.mjs', args, 'inherit'));
  printFiles(data);
  return code === 0 ? 0 : 1;
}

function cleanUpOnInterrupt() {
  process.once('SIGINT', () => {
    for (const child of running.children) child.kill('SIGKILL');
    if (running.directory !== undefined) rmSync(running.directory, { recursive: true });
    process.exit(130);
  });
}

async function main(args) {
  const options = readOptions(args, nodeModules);
  if (options.help) console.log(USAGE);
  if (options.help || options.check) return 0;
  const { keep } = options;
  if (keep !== undefined) mkdirSync(keep, { recursive: true });
  const directory = keep ?? mkdtempSync(path.join(os.tmpdir(), 'redex-demo-'));
  if (keep === undefined) running.directory = directory;
  cleanUpOnInterrupt();
  let code = 2;
  try {
    code = await run(directory, options);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    console.error(`scripts/demo: ${error.message}`);
    code = 1;
  } finally {
    if (code !== 1 && keep === undefined) rmSync(directory, { recursive: true });
    else console.log(`left in         ${directory}`);
  }
  if (code === 0) console.log('ok              nothing acknowledged was lost');
  return code;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`scripts/demo: ${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
