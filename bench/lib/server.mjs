/** Servers of peers: on the loopback, on a free port, with their data in the bench's directory. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const TICKS_PER_SECOND = 100;
const START_MS = 10_000;

/** Version as the command tells it; undefined when there is no such command. */
export function commandVersion(command) {
  const { status, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().split('\n')[0] : undefined;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** What each command is told. */
const ARGUMENTS = {
  'redis-server': (port, data, { appendfsync }) =>
    `--port ${port} --bind 127.0.0.1 --dir ${data} --daemonize no --save`
      .split(' ')
      .concat('', '--appendonly', 'yes', '--appendfsync', appendfsync),
  'nats-server': (port, data) => ['-a', '127.0.0.1', '-p', `${port}`, '-js', '-sd', data],
};
const READY = /Ready to accept connections|Server is ready/;

/**
 * Starts a server and resolves when it is ready.
 * @returns {Promise<{ port: number, pid: number, stop(): Promise<void> }>}
 */
export async function startServer(command, directory, options = {}) {
  const port = await freePort();
  mkdirSync(directory, { recursive: true });
  const args = ARGUMENTS[command](port, directory, options);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close');
  let log = '';
  const ready = new Promise((resolve) => {
    const read = (text) => {
      log += text;
      if (READY.test(log)) resolve('ready');
    };
    child.stdout.setEncoding('utf8').on('data', read);
    child.stderr.setEncoding('utf8').on('data', read);
  });
  const late = sleep(START_MS, 'is not ready in time', { ref: false });
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  };
  const outcome = await Promise.race([ready, ended.then(() => 'ended at once'), late]);
  if (outcome !== 'ready') {
    await stop();
    throw new Error(`${command} ${outcome}: ${log.trim().split('\n').at(-1)}`);
  }
  return { port, pid: child.pid, stop };
}

/** User and system time of a process so far; 0 for none, and where there is no /proc. */
export function cpuSecondsOf(pid) {
  if (pid === undefined) return 0;
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}
