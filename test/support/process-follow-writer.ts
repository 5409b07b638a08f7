/**
 * A writer to be followed, and killed: several lanes append to channels of their own, roll, sync,
 * close, delete and create again, rename, and now and then the whole store is closed and opened.
 * Says in a ledger what it does. Ends when its standard input does.
 * Usage: node process-follow-writer.js DIRECTORY LEDGER SEED
 */
import { subscribe } from 'node:diagnostics_channel';
import { openSync, writeSync } from 'node:fs';
import process from 'node:process';
import { setImmediate, setTimeout } from 'node:timers/promises';
import {
  Redex,
  type Channel,
  type Durability,
  type RecordInput,
  type SyncPolicy,
} from '../../src/index.js';
import { Random } from '../../src/testing/choices.js';
import {
  drawFirstSeq,
  firstSeqOf,
  FOLLOWED_NAMES,
  followRecord,
  LANES,
  ledgerLine,
  tokenFrom,
  tokenIn,
  type LedgerEntry,
} from './process-follow-records.js';

/** A channel that is larger is deleted. */
const MAX_CHANNEL_BYTES = 12 * 1024 * 1024;
const STEPS_OF_ROUND = 40;
const SYNC_POLICIES: readonly SyncPolicy[] = [
  'never',
  'always',
  { everyN: 20, intervalMs: 20 },
  { maxBytes: 50_000 },
];
const SEGMENT_BYTES = [4096, 16_384, 100_000, 1_000_000];

const [directory = '', ledgerPath = '', seed = '0'] = process.argv.slice(2);
const ledger = openSync(ledgerPath, 'a');
const random = new Random(Number(seed));
const state = { isStopping: false };

function say(...entry: LedgerEntry): void {
  writeSync(ledger, ledgerLine(entry));
}

function pick<T>(values: readonly T[]): T {
  const value = values[random.below(values.length)];
  if (value === undefined) throw new Error('nothing to pick from');
  return value;
}

function pickDurability(): Durability | undefined {
  return (['written', 'synced'] as const)[random.below(3)];
}

/** What it tells its parent that it is about to do, or has done. */
export type WriterMoment = 'start' | 'open';

function reach(moment: WriterMoment): void {
  say('event', moment);
  process.stdout.write(`${moment}\n`);
}

interface Held {
  readonly name: string;
  readonly token: string;
  channel: Channel;
  /** The seq of the next record. */
  next: number;
}

class Lane {
  readonly #names: readonly string[];
  #redex: Redex;
  #held = new Map<string, Held>();

  constructor(index: number, redex: Redex) {
    this.#names = FOLLOWED_NAMES.filter((_, i) => i % LANES === index);
    this.#redex = redex;
  }

  /** Looks for what an earlier life has left, and says what it is. */
  async takeUp(redex: Redex): Promise<void> {
    this.#redex = redex;
    this.#held = new Map();
    for (const name of this.#names) {
      if (!(await redex.hasChannel(name))) {
        say('none', name);
        continue;
      }
      const channel = await redex.channel(name);
      const first = await channel.get(channel.firstSeq);
      const token = first === undefined ? newToken(channel.firstSeq) : tokenIn(first.payload);
      const held = { name, token, channel, next: channel.nextSeq };
      this.#held.set(name, held);
      say('state', name, token, held.next);
    }
  }

  async run(): Promise<void> {
    for (let i = 0; i < STEPS_OF_ROUND && !state.isStopping; i++) {
      await this.#step();
      if (random.below(4) === 0) await setTimeout(random.below(12));
      else await setImmediate();
    }
  }

  async #step(): Promise<void> {
    const name = pick(this.#names);
    const held = this.#held.get(name);
    const chance = random.below(100);
    if (held === undefined && chance < 30) await this.#create(name);
    if (held === undefined) return;
    if (held.channel.sizeBytes > MAX_CHANNEL_BYTES || chance < 2) await this.#delete(held);
    else if (chance < 4) await this.#rename(held);
    else if (chance < 8) await this.#reopen(held);
    else if (chance < 12) await held.channel.sync();
    else await this.#append(held);
  }

  async #create(name: string): Promise<void> {
    const token = newToken(drawFirstSeq((bound) => random.below(bound)));
    say('change', name);
    const channel = await this.#redex.channel(name, {
      sync: pick(SYNC_POLICIES),
      segmentBytes: pick(SEGMENT_BYTES),
      firstSeq: firstSeqOf(token),
    });
    const held = { name, token, channel, next: channel.nextSeq };
    this.#held.set(name, held);
    say('state', name, token, held.next);
    await this.#append(held);
  }

  async #delete({ name }: Held): Promise<void> {
    say('change', name);
    this.#held.delete(name);
    if (!(await this.#redex.deleteChannel(name))) throw new Error(`${name} was not there`);
    say('event', 'delete');
    say('none', name);
    if (random.below(2) === 0) await this.#create(name);
  }

  async #rename({ name, token, next }: Held): Promise<void> {
    const to = pick(this.#names.filter((each) => each !== name));
    say('change', name);
    say('change', to);
    if (this.#held.delete(to)) await this.#redex.deleteChannel(to);
    await this.#redex.renameChannel(name, to);
    this.#held.delete(name);
    say('event', 'rename');
    say('none', name);
    const held = { name: to, token, channel: await this.#redex.channel(to), next };
    this.#held.set(to, held);
    say('state', to, token, held.channel.nextSeq);
  }

  async #reopen(held: Held): Promise<void> {
    await held.channel.close();
    say('event', 'close');
    held.channel = await this.#redex.channel(held.name);
  }

  async #append(held: Held): Promise<void> {
    const { name, token, next: from } = held;
    const count = pick([1, 1, 1, 2, 5, 20, 100]);
    held.next = from + count;
    const records = Array.from({ length: count }, (_, i) => followRecord(token, from + i));
    say('submit', name, held.next);
    await appendIn(held.channel, records, random.below(5));
    if (held.channel.nextSeq !== held.next) throw new Error(`${name} ends elsewhere`);
    say('ack', name, held.next);
  }
}

/** Appends in one of the ways that there are. */
async function appendIn(
  channel: Channel,
  records: readonly RecordInput[],
  way: number,
): Promise<void> {
  const durability = pickDurability();
  if (way === 0) {
    await channel.appendBatch(records, { durability });
  } else if (way === 1) {
    channel.appendBatchSync(records, { durability });
  } else if (way === 2) {
    for (const { payload, type } of records.slice(0, 5)) {
      channel.appendSync(payload, { type, durability });
    }
    if (records.length > 5) await channel.appendBatch(records.slice(5), { durability });
  } else if (way === 3) {
    for (const { payload, type } of records) await channel.append(payload, { type });
  } else {
    const appends = records.map(({ payload, type }) =>
      channel.append(payload, {
        type,
        durability: pickDurability(),
      }),
    );
    await Promise.all(appends);
  }
}

function newToken(firstSeq: number): string {
  return tokenFrom(() => random.uint32(), firstSeq);
}

/** Small frames, so that a batch may be several of them and merging ends often. */
function open(): Promise<Redex> {
  return Redex.open(directory, { maxFrameBytes: pick([4096, 64 * 1024, 1024 * 1024]) });
}

async function main(): Promise<void> {
  process.stdin.on('end', () => {
    state.isStopping = true;
  });
  process.stdin.resume();
  subscribe('redexlog:roll', () => say('event', 'roll'));
  reach('start');
  let redex = await open();
  const lanes = Array.from({ length: LANES }, (_, i) => new Lane(i, redex));
  for (;;) {
    for (const lane of lanes) await lane.takeUp(redex);
    reach('open');
    if (state.isStopping) break;
    await Promise.all(lanes.map((lane) => lane.run()));
    await redex.close();
    redex = await open();
  }
  await redex.close();
  say('event', 'stop');
}

await main();
