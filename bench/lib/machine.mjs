/** What a figure depends on: machine, file system, versions, date. */
import { readFileSync, realpathSync } from 'node:fs';
import os from 'node:os';

const PACKAGES = (
  'better-sqlite3 better-sqlite3-promises lmdb classic-level hypercore plainjob liteque ' +
  'better-queue better-queue-sqlite sqlite3 bullmq ioredis nats redexlog'
).split(' ');

/** The mount that holds `path`: its type, device and options. */
export function fileSystemOf(path) {
  let mounts;
  try {
    mounts = readFileSync('/proc/self/mounts', 'utf8').trim().split('\n');
  } catch {
    return { type: 'unknown', device: 'unknown', options: '' };
  }
  const real = `${realpathSync(path)}/`;
  let best = { point: '', device: 'unknown', type: 'unknown', options: '' };
  for (const line of mounts) {
    const [device, point, type, options] = line.split(' ');
    const prefix = point === '/' ? '/' : `${point}/`;
    if (real.startsWith(prefix) && prefix.length >= best.point.length) {
      best = { point: prefix, device, type, options };
    }
  }
  return { type: best.type, device: best.device, options: best.options };
}

export const isMemory = (type) => ['tmpfs', 'ramfs', 'devtmpfs'].includes(type);

/** @returns {string} Of a peer, or `not installed`. */
export function versionOf(name) {
  try {
    const path = new URL(`../node_modules/${name}/package.json`, import.meta.url);
    return JSON.parse(readFileSync(path, 'utf8')).version;
  } catch {
    return 'not installed';
  }
}

export function describeMachine(directory) {
  const cpus = os.cpus();
  return {
    date: new Date().toISOString(),
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    cores: cpus.length,
    memoryGiB: Math.round((os.totalmem() / 2 ** 30) * 10) / 10,
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    fileSystem: fileSystemOf(directory),
    node: process.version,
    packages: Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)])),
    loadAtStart: os.loadavg(),
  };
}

export function printMachine(machine) {
  const { fileSystem, packages } = machine;
  const load = machine.loadAtStart.map((value) => value.toFixed(2)).join(' ');
  const names = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  console.log(`date         ${machine.date}`);
  console.log(`machine      ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB`);
  console.log(`kernel       ${machine.kernel}; load at start ${load}`);
  console.log(`file system  ${fileSystem.type} (${fileSystem.options})`);
  console.log(`versions     node ${machine.node}, ${names.join(', ')}`);
  if (machine.loadAtStart[0] > machine.cores / 2) {
    console.log('WARNING      other programs are using this machine: the figures will be too low');
  }
}
