/**
 * Goal: whatever a reader beside a writer returns is right, nothing is missing below what it says
 * is there, nothing is called damaged, and it changes nothing (RULES N4).
 * Method: random histories of appends, syncs, rolls, failed writes, kills and re-opens, with looks
 * and all kinds of reads in between, while writes are in flight. What was seen is compared with
 * what the writer holds in the end. REDEX_FOLLOW_RUNS and REDEX_FOLLOW_SEED make more and others.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { ChannelFollower } from '../../src/channel/channel-follower.js';
import type { ChannelOptions } from '../../src/channel/options.js';
import { RecordIterator } from '../../src/channel/read-iterator.js';
import { nanosFromMs } from '../../src/core/nanos.js';
import type { LogRecord } from '../../src/core/record.js';
import { Random } from '../../src/testing/choices.js';
import { LARGE, payload, payloadId } from '../support/channel-kit.js';
import { batchesOf, countOf, FollowerLab, recordsOf } from '../support/follower-lab.js';

const RUNS = Number(process.env['REDEX_FOLLOW_RUNS'] ?? 60);
const SEED = Number(process.env['REDEX_FOLLOW_SEED'] ?? 4242);
const STEPS = 45;

interface Sight {
  readonly seq: number;
  readonly id: number | undefined;
  readonly how: string;
}

/** What `seqAt` was asked, up to where the reader saw, and what it said. */
interface TimeSight {
  readonly time: number;
  readonly visible: number;
  readonly seq: number;
}

const reached = {
  looks: 0,
  rolls: 0,
  kills: 0,
  torn: 0,
  cutBacks: 0,
  inFlight: 0,
  closes: 0,
  reads: 0,
  steps: 0,
};

class History {
  readonly lab: FollowerLab;
  readonly random: Random;
  readonly sights: Sight[] = [];
  readonly times: TimeSight[] = [];
  readonly options: ChannelOptions;
  readonly trail: string[] = [];
  writer: Channel | undefined;
  follower: ChannelFollower | undefined;
  /** A read that goes on while the channel does, and the seq that it is at. */
  #walk: { readonly records: RecordIterator; at: number; readonly to: number } | undefined;
  #ids = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.lab = new FollowerLab(seed, this.random.below(3) === 0 ? 'random' : 'immediate');
    const sync = (['always', 'never', { everyN: 3 }] as const)[this.random.below(3)] ?? 'always';
    this.options = { sync, segmentBytes: this.random.below(2) === 0 ? 4096 : 200_000 };
  }

  #payload(): Uint8Array {
    this.#ids += 1;
    const kind = this.random.below(60);
    if (kind === 0) return payload(this.#ids, LARGE);
    if (kind < 9) return payload(this.#ids, 1500 + this.random.below(8000));
    return payload(this.#ids);
  }

  #append(): void {
    const count = 1 + (this.random.below(3) === 0 ? this.random.below(40) : 0);
    const records = Array.from({ length: count }, () => this.#payload());
    if (this.random.below(4) === 0) {
      try {
        this.writer?.appendBatchSync(records);
      } catch {
        // Whether it is in the log is seen in the end.
      }
      return;
    }
    this.writer?.appendBatch(records).catch(() => undefined);
  }

  async step(): Promise<void> {
    const { lab, random } = this;
    const kind = random.below(20);
    this.trail.push(String(kind));
    if (kind < 7) this.#append();
    else if (kind === 7) this.writer?.sync().catch(() => undefined);
    else if (kind === 8) await lab.runtime.elapse(random.below(3000));
    else if (kind === 9) this.#fault();
    else if (kind === 10 && random.below(2) === 0) await this.#restart();
    else if (kind < 14) for (let i = random.below(6); i > 0; i -= 1) lab.runtime.runIo();
    else await this.observe(random.below(9));
    await lab.runtime.settle();
  }

  /** The next write fails on the way, or the next segment cannot be begun. */
  #fault(): void {
    const { random } = this;
    const { writes } = this.lab;
    const isRoll = random.below(3) === 0;
    if (isRoll) {
      const effect = { error: 'ENOSPC' };
      writes.inject({ operation: 'createSync', path: /\.dat$/, nth: 1, effect });
      return;
    }
    const effect = { short: random.below(3000), thenError: 'ENOSPC' };
    writes.inject({ operation: 'anyWrite', path: /\.dat$/, nth: 1 + random.below(3), effect });
    reached.cutBacks += 1;
    if (random.below(2) > 0) return;
    // What it has left behind cannot be cut off: the next process finds it.
    const stuck = { error: 'EIO' };
    writes.inject({ operation: 'truncateSync', path: /\.dat$/, nth: 1, times: 9, effect: stuck });
    reached.torn += 1;
  }

  async #restart(): Promise<void> {
    const { lab, random, writer } = this;
    if (random.below(2) === 0 && writer !== undefined) {
      await lab.done(writer.close().catch(() => undefined));
      reached.closes += 1;
    }
    await lab.killWriter();
    reached.kills += 1;
    if (random.below(2) === 0) await this.observe(0);
    this.writer = await lab.openWriter(this.options);
  }

  async observe(kind: number): Promise<void> {
    const { lab, random } = this;
    if (random.below(6) === 0) {
      this.follower?.close();
      this.follower = undefined;
      this.#walk = undefined;
    }
    this.follower ??= await lab.follow({ maxOpenFiles: 16 + random.below(20) });
    const { follower, writer } = this;
    // What had been written before the look is seen by it.
    const written = writer?.nextSeq ?? 0;
    if (lab.runtime.heldIo > 0) reached.inFlight += 1;
    const look = follower.look();
    if (random.below(3) === 0) this.#append();
    await lab.done(look);
    reached.looks += 1;
    const end = follower.visibleSeq;
    expect(end, 'a look sees what was written before it').toBeGreaterThanOrEqual(written);
    expect(countOf(follower), 'every record is counted').toBe(end);
    const durable = this.writer?.durableSeq ?? 0;
    expect(follower.durableSeq, 'a witness is true').toBeLessThanOrEqual(durable);
    reached.rolls = Math.max(reached.rolls, follower.chain.all.length);
    await this.#read(follower, kind, end);
  }

  async #read(follower: ChannelFollower, kind: number, end: number): Promise<void> {
    const { lab, random } = this;
    reached.reads += 1;
    const from = random.below(end + 1);
    if (kind === 0) {
      this.#saw('readBatches', 0, end, await lab.done(batchesOf(follower)));
    } else if (kind === 1) {
      this.#saw('read', from, end, await lab.done(recordsOf(follower, { from })));
    } else if (kind === 2) {
      const limit = 1 + random.below(20);
      const last = await lab.done(recordsOf(follower, { reverse: true, limit }));
      this.#saw('reverse', Math.max(0, end - limit), end, last.toReversed());
    } else if (kind === 3) {
      const all = await lab.done(recordsOf(follower, { reverse: true, from }));
      this.#saw('reverse', from, end, all.toReversed());
    } else if (kind === 4) {
      const time = lab.runtime.now() - random.below(4000);
      const seq = await lab.done(follower.reader.seqAt(nanosFromMs(time)));
      this.times.push({ time, visible: end, seq });
    } else if (kind === 5) {
      await this.#walkOn(follower, from, end);
    } else {
      const seqs = end === 0 ? [] : [end - 1, random.below(end), random.below(end)];
      for (const seq of seqs) {
        const record = await lab.done(follower.reader.get(seq));
        this.#saw('get', seq, seq + 1, record === undefined ? [] : [record]);
      }
      expect(await lab.done(follower.reader.get(end)), 'nothing at the end').toBe(undefined);
    }
  }

  async #walkOn(follower: ChannelFollower, from: number, to: number): Promise<void> {
    this.#walk ??= { records: new RecordIterator(follower.reader, { from, to }), at: from, to };
    const walk = this.#walk;
    for (let left = this.random.below(30); left > 0 && walk.at < walk.to; left -= 1) {
      const step = await this.lab.done(walk.records.next());
      this.#saw('walk', walk.at, walk.at + 1, step.done === true ? [] : [step.value]);
      walk.at += 1;
      reached.steps += 1;
    }
    if (walk.at >= walk.to) this.#walk = undefined;
  }

  #saw(how: string, from: number, to: number, records: readonly LogRecord[]): void {
    const seqs = records.map(({ seq }) => seq);
    const wanted = Array.from({ length: to - from }, (_, i) => from + i);
    expect(seqs, `${how} from ${from} to ${to}`).toEqual(wanted);
    for (const { seq, payload: bytes } of records) {
      this.sights.push({ seq, id: payloadId(bytes), how });
    }
  }

  /** Everything is at rest: reader and writer have to agree, now and on all that was seen. */
  async finish(): Promise<void> {
    const { lab } = this;
    await lab.killWriter();
    const writer = await lab.openWriter(this.options);
    const truth = await lab.done(writer.readBatch());
    const follower = this.follower ?? (await lab.follow());
    await lab.done(follower.look());
    const ids = (records: readonly LogRecord[]): unknown[] =>
      records.map(({ seq, payload: bytes }) => [seq, payloadId(bytes)]);
    const seen = await lab.done(batchesOf(follower));
    expect(ids(seen)).toEqual(ids(truth));
    expect([follower.visibleSeq, countOf(follower)]).toEqual([writer.nextSeq, writer.count]);
    expect(follower.durableSeq).toBeLessThanOrEqual(writer.nextSeq);
    const idAt = new Map(truth.map((record) => [record.seq, payloadId(record.payload)]));
    for (const { seq, id, how } of this.sights) {
      expect(id, `${how} of ${seq}`).toBeDefined();
      expect(id, `${how} of ${seq}`).toBe(idAt.get(seq));
    }
    for (const { time, visible, seq } of this.times) {
      const right = truth.find((record) => record.timestamp >= time)?.seq ?? visible;
      expect(seq, `seqAt ${time} below ${visible}`).toBe(Math.min(right, visible));
    }
    follower.close();
    expect(lab.reads.openPaths).toEqual([]);
    lab.expectOnlyReads();
    await lab.done(writer.close());
  }
}

test('N4: a reader beside a writer is always right', { timeout: 60_000 + RUNS * 500 }, async () => {
  for (let run = 0; run < RUNS; run += 1) {
    const history = new History(SEED + run);
    try {
      history.writer = await history.lab.openWriter(history.options);
      for (let step = 0; step < STEPS; step += 1) await history.step();
      await history.finish();
    } catch (error) {
      const told = `seed ${SEED + run}, steps ${history.trail.join(' ')}: ${String(error)}`;
      throw new Error(told, { cause: error });
    }
  }
  console.log(`followed: ${JSON.stringify(reached)}`);
  for (const [what, count] of Object.entries(reached)) {
    expect.soft(count, what).toBeGreaterThan(0);
  }
});
