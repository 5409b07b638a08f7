/**
 * A program under load, to be killed: opens a store, tells what it finds there, and then appends to
 * many channels at once, in all ways, while channels are rolled, trimmed, compacted, folded,
 * created, deleted, renamed and opened again. It tells on descriptor 3 what it is about to do, and
 * what was acknowledged. Usage: node process-kill-load.js DIRECTORY SEED LIFE
 */
import { subscribe } from 'node:diagnostics_channel';
import { writeSync } from 'node:fs';
import process from 'node:process';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { Redex, RedexError, type Channel } from '../../src/index.js';
import { Random } from '../../src/testing/choices.js';
import { inspect, namesOf, openSum, tokenOf } from './process-kill-inspect.js';
import {
  batchSizeAt,
  isCondemned,
  KINDS,
  kindOf,
  LASTING_NAMES,
  PASSING_NAMES,
  recordPayload,
  TOKEN_SEQS,
  TOKENS_OF_LIFE,
  typeAt,
  type Kind,
  type KillMessage,
} from './process-kill-records.js';

const REPORTS = 3;
const WINDOW = 200;
/** It ends by itself only when nobody kills it. */
const MAX_MS = 60_000;

/** What stands behind the program's name. */
export type KillLoadArguments = readonly [directory: string, seed: string, life: string];

const [directory = '', seed = '0', lifeText = '0'] = process.argv.slice(2);
const life = Number(lifeText);
const random = new Random(Number(seed) * 1009 + life);

function say(...message: KillMessage): void {
  writeSync(REPORTS, `${JSON.stringify(message)}\n`);
}

/** Where the disk fails under it, it says so and is gone. */
function fail(error: unknown): never {
  const code = RedexError.is(error) ? error.code : `untyped ${String(error)}`;
  say('failed', code);
  if (!RedexError.is(error)) console.error(error);
  process.exit(3);
}

/** Appends to one channel, with many appends in flight. */
class Feed {
  readonly token: number;
  readonly kind: Kind;
  name: string;
  channel: Channel;
  /** Its name is about to change: nobody appends. */
  isBusy = false;
  /** A trim, a compaction or the like is under way. */
  isKept = false;
  #submitted: number;
  #acknowledged: number;
  #told = 0;

  constructor(channel: Channel) {
    this.channel = channel;
    this.name = channel.name;
    this.token = tokenOf(channel);
    this.kind = kindOf(this.token);
    this.#submitted = channel.nextSeq;
    this.#acknowledged = channel.nextSeq;
  }

  get end(): number {
    return this.#submitted;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Appends up to `count` batches. */
  fill(count: number): void {
    const sizes: number[] = [];
    let end = this.#submitted;
    while (sizes.length < count && end - this.#acknowledged < WINDOW) {
      const size = batchSizeAt(end);
      sizes.push(size);
      end += size;
    }
    if (sizes.length === 0) return;
    say('submit', this.token, end);
    for (const size of sizes) this.#append(size);
  }

  #append(size: number): void {
    const first = this.#submitted;
    this.#submitted += size;
    const payload = (seq: number): Uint8Array => recordPayload(seq, first, size, life);
    const onAcknowledged = (seq: number): void => {
      if (seq !== first) fail(new Error(`acknowledged ${seq}, expected ${first}`));
      this.#acknowledged = first + size;
    };
    if (size === 1) {
      this.channel.append(payload(first), { type: typeAt(first) }).then(onAcknowledged, fail);
      return;
    }
    const batch = Array.from({ length: size }, (_, i) => ({
      payload: payload(first + i),
      type: typeAt(first + i),
    }));
    this.channel.appendBatch(batch).then(({ firstSeq }) => onAcknowledged(firstSeq), fail);
  }

  /** One append that blocks, when none is in flight. */
  appendSync(): void {
    const first = this.#submitted;
    if (first !== this.#acknowledged || batchSizeAt(first) !== 1 || this.isBusy) return;
    say('submit', this.token, first + 1);
    try {
      this.channel.appendSync(recordPayload(first, first, 1, life), { type: typeAt(first) });
      this.#submitted++;
      this.#acknowledged++;
    } catch (error) {
      // A swap holds the lock: nothing was written.
      if (!RedexError.is(error, 'BUSY')) fail(error);
    }
  }

  tell(): void {
    const { durableSeq } = this.channel;
    const sum = this.#acknowledged + durableSeq;
    if (sum === this.#told) return;
    this.#told = sum;
    say('ack', this.token, this.#acknowledged, durableSeq);
  }

  /** Everything is acknowledged and done; nobody may begin anything meanwhile. */
  async settled(): Promise<void> {
    while (this.isKept || this.#acknowledged < this.#submitted) await setImmediate();
    this.tell();
  }
}

class Load {
  readonly #redex: Redex;
  readonly #feeds = new Map<string, Feed>();
  #isNaming = false;
  #tokens = TOKENS_OF_LIFE * life + KINDS.length;

  constructor(redex: Redex, channels: readonly Channel[]) {
    this.#redex = redex;
    for (const channel of channels) this.#feeds.set(channel.name, new Feed(channel));
  }

  async createLasting(): Promise<void> {
    for (const [token, name] of LASTING_NAMES.entries()) {
      if (!this.#feeds.has(name)) await this.#create(name, token);
    }
  }

  tick(): void {
    const feeds = [...this.#feeds.values()].filter(({ isBusy }) => !isBusy);
    for (const feed of feeds) {
      const chance = random.below(4);
      if (chance > 0) feed.fill(1 + random.below(40));
      else if (random.below(8) === 0) feed.appendSync();
      feed.tell();
      if (!feed.isKept && random.below(3) === 0) this.#keep(feed).catch(fail);
    }
    if (!this.#isNaming && random.below(2) === 0) this.#nameChange().catch(fail);
  }

  async #keep(feed: Feed): Promise<void> {
    feed.isKept = true;
    await this.#upkeep(feed);
    feed.isKept = false;
  }

  async #upkeep(feed: Feed): Promise<void> {
    const { channel, token, kind } = feed;
    const chance = random.below(6);
    if (chance === 0) {
      await channel.sync();
      say('event', 'sync');
    } else if (chance === 1 && kind.options.retention !== undefined) {
      await channel.applyRetention();
    } else if (chance === 2) {
      await channel.configure({ segmentBytes: 4096 << random.below(4) });
    } else if (chance === 3 && kind.trims === true) {
      const { firstSeq } = channel;
      const seq = firstSeq + random.below(feed.acknowledged - firstSeq + 1);
      say('trim', token, seq);
      await channel.trim({ beforeSeq: seq });
      say('trimmed', token, seq);
    } else if (chance > 2 && kind.compaction !== undefined) {
      await this.#compact(feed);
    }
  }

  async #compact({ channel, token, kind, end }: Feed): Promise<void> {
    say('compact', token, end);
    await (kind.compaction === 'key'
      ? channel.compact({ key: ({ type }) => String(type) })
      : channel.compact({ keep: ({ seq }) => !isCondemned(kind, seq, end) }));
    say('compacted', token, end);
  }

  async #nameChange(): Promise<void> {
    this.#isNaming = true;
    const name = PASSING_NAMES[random.below(PASSING_NAMES.length)] ?? '';
    const to = PASSING_NAMES[random.below(PASSING_NAMES.length)] ?? '';
    const feed = this.#feeds.get(name);
    const chance = random.below(3);
    if (feed === undefined) {
      await this.#create(name, this.#tokens++);
    } else {
      feed.isBusy = true;
      await feed.settled();
      if (chance === 0) await this.#delete(feed);
      else if (chance === 1 && !this.#feeds.has(to)) await this.#rename(feed, to);
      else await this.#reopen(feed);
    }
    this.#isNaming = false;
  }

  async #create(name: string, token: number): Promise<void> {
    const { options, folds } = kindOf(token);
    say('name', { kind: 'create', name, token });
    const channel = await this.#redex.channel(name, { ...options, firstSeq: token * TOKEN_SEQS });
    say('named');
    if (folds === true) await openSum(channel);
    this.#feeds.set(name, new Feed(channel));
  }

  async #delete({ name }: Feed): Promise<void> {
    this.#feeds.delete(name);
    say('name', { kind: 'delete', name });
    if (!(await this.#redex.deleteChannel(name))) fail(new Error(`${name} was not there`));
    say('named');
  }

  async #rename(feed: Feed, to: string): Promise<void> {
    this.#feeds.delete(feed.name);
    say('name', { kind: 'rename', name: feed.name, to });
    await this.#redex.renameChannel(feed.name, to);
    say('named');
    await this.#take(to);
  }

  async #reopen({ name, channel }: Feed): Promise<void> {
    this.#feeds.delete(name);
    await channel.close();
    say('event', 'reopen');
    await this.#take(name);
  }

  async #take(name: string): Promise<void> {
    const channel = await this.#redex.channel(name);
    if (kindOf(tokenOf(channel)).folds === true) await openSum(channel);
    this.#feeds.set(name, new Feed(channel));
  }
}

async function main(): Promise<void> {
  subscribe('redexlog:roll', () => say('event', 'roll'));
  let recoveries = 0;
  const onRecovery = (): void => {
    recoveries++;
  };
  say('start', process.pid);
  const redex = await Redex.open(directory, { maxFrameBytes: 8192, onRecovery });
  const names = await namesOf(redex);
  const channels = await Promise.all(names.map((name) => redex.channel(name)));
  say('open', recoveries);
  for (const channel of channels) say('found', await inspect(channel));
  say('verified');
  const load = new Load(redex, channels);
  await load.createLasting();
  const time = AbortSignal.timeout(MAX_MS);
  while (!time.aborted) {
    load.tick();
    // The other processes of the test need the cores, too.
    await setTimeout(random.below(3));
  }
  fail(new Error('nobody killed this'));
}

await main().catch(fail);
