/** Puts the machine into the same state before every run. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';

const PIECE = Buffer.alloc(4 * 1024 * 1024, 1);

/**
 * Writes and deletes a scratch file. The first touch of memory is many times slower than the
 * second on virtual machines, and whoever runs first would pay for the page cache of all others.
 */
export function warmPageCache(directory, bytes) {
  const path = `${directory}/scratch`;
  const file = fs.openSync(path, 'w');
  for (let at = 0; at < bytes; at += PIECE.length) fs.writeSync(file, PIECE);
  fs.closeSync(file);
  fs.unlinkSync(path);
}

/** What others left to be written back is written before the clock starts, not while it runs. */
export function settle(directory) {
  spawnSync('sync', ['-f', directory], { stdio: 'ignore', timeout: 120_000 });
}
