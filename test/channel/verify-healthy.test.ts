/**
 * Goal: verify raises no false alarm: whatever a healthy channel has been through, nothing of it
 * is damaged, and its idx and ts are right; and it changes nothing.
 * Method: random histories of appends, batches, skips, rolls, failed writes, closes and kills, with
 * writes in flight; the writer, and a reader beside it, verify at any moment.
 * REDEX_VERIFY_RUNS and REDEX_VERIFY_SEED make more and others.
 */
import { expect, test } from 'vitest';
import { Channel } from '../../src/channel/channel.js';
import { FollowedChannel } from '../../src/channel/followed-channel.js';
import type { ChannelOptions } from '../../src/channel/options.js';
import type { VerifyReport } from '../../src/channel/verify-report.js';
import { Random } from '../../src/testing/choices.js';
import { LARGE, payload } from '../support/channel-kit.js';
import { FollowerLab } from '../support/follower-lab.js';

const RUNS = Number(process.env['REDEX_VERIFY_RUNS'] ?? 60);
const SEED = Number(process.env['REDEX_VERIFY_SEED'] ?? 90_210);
const STEPS = 40;

const reached = {
  inFlight: 0,
  kills: 0,
  failedWrites: 0,
  rolls: 0,
  skips: 0,
  torn: 0,
  beside: 0,
  quick: 0,
};

class History {
  readonly lab: FollowerLab;
  readonly random: Random;
  readonly options: ChannelOptions;
  readonly trail: string[] = [];
  #writer: Channel | undefined;
  #reader: Channel | undefined;
  #ids = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.lab = new FollowerLab(seed, this.random.below(2) === 0 ? 'random' : 'immediate');
    const sync = (['always', 'never', { everyN: 3 }] as const)[this.random.below(3)] ?? 'always';
    this.options = { sync, segmentBytes: this.random.below(2) === 0 ? 4096 : 200_000 };
  }

  async writer(): Promise<Channel> {
    if (this.#writer === undefined) {
      const onRecovery = (report: { readonly tornTail: unknown }): void => {
        if (report.tornTail !== undefined) reached.torn += 1;
      };
      this.lab.writes.clearFaults();
      this.#writer = await this.lab.openWriter({ ...this.options, onRecovery });
    }
    return this.#writer;
  }

  async reader(): Promise<Channel> {
    const { lab } = this;
    if (this.#reader === undefined) {
      const context = lab.contextOf(lab.reads);
      const open = FollowedChannel.open(context, () => undefined);
      this.#reader = new Channel(await lab.done(open));
    }
    return this.#reader;
  }

  async #append(): Promise<void> {
    const channel = await this.writer();
    const count = 1 + (this.random.below(3) === 0 ? this.random.below(40) : 0);
    const sizes = [undefined, undefined, undefined, 2000, 9000, LARGE];
    const byteLength = sizes[this.random.below(sizes.length)];
    const records: ({ payload: Uint8Array; seq?: number } | Uint8Array)[] = [];
    for (let i = 0; i < (byteLength === LARGE ? 1 : count); i += 1) {
      records.push(payload((this.#ids += 1), byteLength));
    }
    const [first] = records;
    if (this.random.below(5) === 0 && first instanceof Uint8Array) {
      await this.lab.runtime.drainIo();
      records[0] = { payload: first, seq: channel.nextSeq + 1 + this.random.below(30) };
      reached.skips += 1;
    }
    channel.appendBatch(records).catch(() => undefined);
  }

  async #verify(who: 'writer' | 'reader'): Promise<void> {
    const channel = await (who === 'writer' ? this.writer() : this.reader());
    if (this.lab.runtime.heldIo > 0) reached.inFlight += 1;
    const quick = this.random.below(4) === 0;
    if (quick) reached.quick += 1;
    const verifying = channel.verify({ quick });
    if (who === 'reader') {
      reached.beside += 1;
      for (let i = 0; i < 3; i += 1) {
        if (this.#writer !== undefined) await this.#append();
        await this.lab.runtime.settle();
        this.lab.runtime.runIo();
      }
    }
    expectHealthy(await this.lab.done(verifying), `${who} after ${this.trail.join(' ')}`);
  }

  async step(): Promise<void> {
    const { lab } = this;
    const steps = ['append', 'append', 'append', 'verify', 'beside', 'io', 'wait', 'life', 'fail'];
    const step = steps[this.random.below(steps.length)] ?? 'append';
    this.trail.push(step);
    if (step === 'append') await this.#append();
    else if (step === 'verify') await this.#verify('writer');
    else if (step === 'beside') {
      await this.writer();
      await this.#verify('reader');
    } else if (step === 'io') lab.runtime.runIo();
    else if (step === 'wait') lab.runtime.advance(this.random.below(2000));
    else if (step === 'fail') {
      reached.failedWrites += 1;
      const effect = { short: this.random.below(200), thenError: 'ENOSPC' };
      lab.writes.inject({ operation: 'anyWrite', path: /dat$/, nth: 1, effect });
    } else await this.#endLife();
  }

  async #endLife(): Promise<void> {
    const writer = await this.writer();
    this.#writer = undefined;
    if (this.random.below(2) === 0) {
      await this.lab.done(writer.close().catch(() => undefined));
      this.lab.writes.clearFaults();
    } else {
      reached.kills += 1;
      await this.lab.killWriter();
      if (this.random.below(2) === 0) this.#tear();
    }
    // Nobody writes: what is there may end with what a write has left.
    if (this.random.below(2) === 0) await this.#verify('reader');
  }

  /** The beginning of a write that never returned. */
  #tear(): void {
    const path = this.lab.datPaths.at(-1);
    if (path === undefined) return;
    const file = this.lab.disk.openSync(path, 'write');
    const bytes = payload(this.#ids, 8 + this.random.below(200));
    file.writeSync(bytes, 0, bytes.byteLength, file.sizeSync());
    file.closeSync();
  }

  async end(): Promise<void> {
    this.lab.writes.clearFaults();
    const channel = await this.writer();
    await this.lab.runtime.drainIo();
    const report = await this.lab.done(channel.verify());
    expectHealthy(report, `writer at the end, after ${this.trail.join(' ')}`);
    const { count, sizeBytes } = channel;
    expect(report).toMatchObject({ recordCount: count, byteCount: sizeBytes });
    reached.rolls += report.segmentCount - 1;
    await this.lab.done(channel.close().catch(() => undefined));
    const reader = await this.reader();
    expectHealthy(await this.lab.done(reader.verify()), 'reader after a close');
    await reader.close();
    this.lab.expectOnlyReads();
    expect(this.lab.reads.openPaths).toEqual([]);
  }
}

function expectHealthy(report: VerifyReport, where: string): void {
  const alarms = report.problems.filter(({ severity }) => severity !== 'note');
  const { ok, moreProblems } = report;
  expect({ ok, alarms, moreProblems }, where).toEqual({ ok: true, alarms: [], moreProblems: 0 });
}

test(`${RUNS} histories from seed ${SEED}`, async () => {
  for (let run = 0; run < RUNS; run += 1) {
    const history = new History(SEED + run);
    try {
      for (let i = 0; i < STEPS; i += 1) await history.step();
      await history.end();
    } catch (error) {
      throw new Error(`seed ${SEED + run}: ${history.trail.join(' ')}`, { cause: error });
    }
  }
  for (const [what, count] of Object.entries(reached)) {
    expect(count, `${what} in ${RUNS} histories`).toBeGreaterThan(0);
  }
});
