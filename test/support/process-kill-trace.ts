/** Kills at the nth system call of a kind, by strace, in whichever thread makes it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { Random } from '../../src/testing/choices.js';
import { runProgram } from './process-run.js';

/** Calls by which files change, and how many of each are looked at. */
const CALLS: readonly (readonly [name: string, most: number])[] = [
  ['pwrite64', 200],
  ['fdatasync', 25],
  ['fsync', 40],
  ['rename', 8],
  ['unlink', 40],
  ['openat', 80],
  ['mkdir', 6],
  ['ftruncate', 3],
  ['link', 12],
];

export interface TracedKill {
  readonly name: string;
  readonly wrapper: readonly string[];
}

export class TracedKills {
  /** Files that each thread of a program opens only to begin. */
  readonly #opens: readonly number[];

  private constructor(opens: readonly number[]) {
    this.#opens = opens;
  }

  /** Undefined where tracing is not possible. */
  static async probe(program: string, scratch: string): Promise<TracedKills | undefined> {
    const output = join(scratch, 'opens');
    const options = ['-f', '-qq', '-e', 'trace=openat', '-o', output];
    const args = [...options, process.execPath, program];
    // It ends by itself, because it is told nothing to open.
    await runProgram('strace', args, { threads: 1 });
    const counts = new Map<string, number>();
    const text = existsSync(output) ? readFileSync(output, 'utf8') : '';
    for (const line of text.split('\n')) {
      const [thread = ''] = line.split(' ');
      if (line.includes('openat(')) counts.set(thread, (counts.get(thread) ?? 0) + 1);
    }
    const opens = [...counts.values()].filter((count) => count > 5);
    return opens.length === 0 ? undefined : new TracedKills(opens);
  }

  draw(random: Random): TracedKill {
    const [name, most] = CALLS[random.below(CALLS.length)] ?? ['fsync', 1];
    const skipped = name === 'openat' ? (this.#opens[random.below(this.#opens.length)] ?? 0) : 0;
    const when = skipped + 1 + random.below(most);
    const inject = `inject=${name}:signal=SIGKILL:when=${when}`;
    const options = ['-f', '-qq', '-o', '/dev/null'];
    return { name, wrapper: ['strace', ...options, '-e', `trace=${name}`, '-e', inject] };
  }
}
