/**
 * Goal: a reader beside a writer in another process sees every record once, in order, with its own
 * bytes, and what is gone as gone, whatever the writer does: rolls, syncs, closes and opens,
 * deletes and creates again, renames, and is killed at any moment. What was seen once stays, since
 * a kill leaves the page cache as it is. Damage is never found where none is.
 * Method: the writer says in a ledger what it is about to do and what it has done; each record
 * proves its channel's incarnation, its seq and its bytes; several readers look in all ways by
 * turns while tails follow. At the end, without a writer, everybody has to have everything.
 * REDEX_FOLLOW_SECONDS and REDEX_FOLLOW_SEED make it longer and another one.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Redex } from '../../src/index.js';
import { Random } from '../../src/testing/choices.js';
import { FollowLedger } from '../support/follow-ledger.js';
import { FollowReader, type FollowRun } from '../support/follow-reader.js';
import { FollowTail } from '../support/follow-tail.js';
import { FOLLOWED_NAMES } from '../support/process-follow-records.js';
import type { WriterMoment } from '../support/process-follow-writer.js';
import { buildProcessPackage, type ProcessPackage } from '../support/process-package.js';

const SECONDS = Number(process.env['REDEX_FOLLOW_SECONDS'] ?? '15');
const SEED = Number(process.env['REDEX_FOLLOW_SEED'] ?? '20251');
const READERS = 3;
/** For what is only waited for. */
const PATIENCE_MS = 30_000;

let built: ProcessPackage;
let scratch: string;

beforeAll(async () => {
  built = await buildProcessPackage();
  scratch = mkdtempSync(join(tmpdir(), 'redex-follow-'));
});

afterAll(() => {
  built.remove();
  rmSync(scratch, { recursive: true, force: true });
});

/** One life of the writer. */
class Writer {
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  readonly #opened: Promise<void>;
  readonly #started: Promise<void>;

  constructor(directory: string, ledger: string, seed: number) {
    const program = built.path('test/support/process-follow-writer.ts');
    const child = spawn(process.execPath, [program, directory, ledger, String(seed)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const { stdin, stdout } = child;
    stdin.on('error', () => undefined);
    const lines = createInterface({ input: stdout });
    const said = (what: WriterMoment): Promise<void> =>
      new Promise((resolve) => lines.on('line', (line) => line === what && resolve()));
    this.#child = child;
    this.#started = said('start');
    this.#opened = said('open');
    this.#ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(String(signal ?? code)));
    });
  }

  /** Resolves at the moment, unless it ends before. */
  async reached(moment: WriterMoment): Promise<void> {
    await Promise.race([moment === 'start' ? this.#started : this.#opened, this.#ended]);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    expect(await this.#ended, 'the writer ended by itself').toBe('SIGKILL');
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end();
    expect(await this.#ended, 'the end of the writer').toBe('0');
  }
}

/** Writers one after the other, each killed, until the time is over; the last one stops. */
async function write(run: FollowRun, ledger: string, random: Random): Promise<number> {
  const time = AbortSignal.timeout(SECONDS * 1000);
  for (let kills = 0; ; kills++) {
    const writer = new Writer(run.directory, ledger, random.uint32());
    // While it opens and recovers, or later.
    const early = random.below(4) === 0;
    await writer.reached(early ? 'start' : 'open');
    await setTimeout(random.below(early ? 60 : 1500));
    if (!time.aborted && !run.isOver) {
      await writer.kill();
      continue;
    }
    await writer.reached('open');
    await writer.stop();
    return kills;
  }
}

/** Looks, as long as there is a writer. */
async function lookOn(reader: FollowReader, random: Random): Promise<void> {
  while (!reader.run.isOver && !reader.run.isWritten) {
    await reader.look();
    if (random.below(3) === 0) await setTimeout(random.below(15));
  }
}

/** Until every tail has everything. */
async function settled(run: FollowRun, tails: readonly FollowTail[]): Promise<void> {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  for (const tail of tails) tail.isLast = true;
  run.ledger.mark();
  const lacking = (): string[] =>
    tails.flatMap(({ name, lacks }) => {
      return lacks === undefined ? [] : [`${name}: ${lacks}`];
    });
  while (lacking().length > 0 && !patience.aborted && !run.isOver) await setTimeout(20);
  if (!run.isOver) expect(lacking()).toEqual([]);
}

function report(run: FollowRun, kills: number): void {
  const { counts, ledger } = run;
  const told = (['roll', 'delete', 'rename', 'close'] as const).map((event) => {
    return `${event}s ${ledger.events.get(event) ?? 0}`;
  });
  const seen = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  console.log(`follow: seed ${SEED}, ${[...seen, `kills ${kills}`, ...told].join(', ')}`);
}

test(
  `readers follow a writer for ${SECONDS} seconds`,
  async () => {
    console.log(`follow: seed ${SEED}, ${SECONDS} seconds`);
    const random = new Random(SEED);
    const directory = join(scratch, 'data');
    const ledger = new FollowLedger(join(scratch, 'ledger'));
    await (await Redex.open(directory)).close();
    const counts = { records: 0, looks: 0, lists: 0, tails: 0, gone: 0 };
    const flags = { isWritten: false, isOver: false };
    const run: FollowRun = { directory, ledger, seen: new Map(), counts, ...flags };
    const newRandom = (): Random => new Random(random.uint32());
    const readers = Array.from({ length: READERS }, (_, id) => {
      return new FollowReader(id, run, newRandom());
    });
    const tails = FOLLOWED_NAMES.flatMap((name, i) => {
      const reader = readers[i % READERS];
      return reader === undefined ? [] : [new FollowTail(name, reader, newRandom())];
    });
    const stopping = async (work: Promise<unknown>[]): Promise<void> => {
      try {
        await Promise.all(work);
      } catch (error) {
        run.isOver = true;
        throw error;
      }
    };
    const looking = stopping(readers.map((reader) => lookOn(reader, newRandom())));
    const tailing = stopping(tails.map((tail) => tail.follow()));
    const followed = Promise.all([looking, tailing]);
    // Told below.
    followed.catch(() => undefined);
    let kills = 0;
    try {
      kills = await write(run, join(scratch, 'ledger'), newRandom());
      run.isWritten = true;
      await looking;
      await settled(run, tails);
      for (const reader of readers) await reader.checkEnd();
    } finally {
      run.isOver = true;
      await Promise.all(readers.map((reader) => reader.close()));
      await followed;
      report(run, kills);
    }
    expect(ledger.contradictions).toEqual([]);
    const { records, gone } = counts;
    for (const count of [records, gone, kills, ledger.events.get('roll') ?? 0]) {
      expect(count).toBeGreaterThan(0);
    }
    ledger.close();
  },
  SECONDS * 1000 + 3 * PATIENCE_MS,
);
