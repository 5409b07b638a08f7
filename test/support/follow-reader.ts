/**
 * A reader beside a writer: one Redex with readOnly, which looks in every way that there is, by
 * turns, while tails follow some of the channels. Everything that it is told is held against the
 * ledger of the writer, and every record against its own bytes.
 */
import { setImmediate } from 'node:timers/promises';
import type { Channel, LogRecord, ReadOptions } from '../../src/index.js';
import { Redex, RedexError } from '../../src/index.js';
import type { Random } from '../../src/testing/choices.js';
import type { FollowLedger, Mark } from './follow-ledger.js';
import { tokenOf } from './follow-ledger.js';
import { firstSeqOf, FOLLOWED_NAMES, followRecord, tokenIn } from './process-follow-records.js';

/** What all readers of a run share. */
export interface FollowRun {
  readonly directory: string;
  readonly ledger: FollowLedger;
  /** By token: one past the last record that anybody has been shown. */
  readonly seen: Map<string, number>;
  readonly counts: { records: number; looks: number; lists: number; tails: number; gone: number };
  /** The last writer has closed the store. */
  isWritten: boolean;
  isOver: boolean;
}

/** What is known of a Channel. */
export interface HeldChannel {
  readonly name: string;
  readonly channel: Channel;
  /** The reader that it is of, which ends with it. */
  readonly redex: Redex;
  /** Before it was asked for the last time: it was there then. */
  mark: Mark;
  /** Known from its first record on. */
  token: string | undefined;
  isClosedHere: boolean;
}

/** Something that must never be. */
export class FollowError extends Error {}

export class FollowReader {
  readonly id: number;
  readonly run: FollowRun;
  redex: Redex | undefined;
  #opening: Promise<Redex> | undefined;
  readonly #random: Random;
  readonly #held = new WeakMap<Channel, HeldChannel>();

  constructor(id: number, run: FollowRun, random: Random) {
    this.id = id;
    this.run = run;
    this.#random = random;
  }

  fail(name: string, problem: string, cause?: unknown): never {
    const lines = this.run.ledger.linesOf(name);
    const message = `reader ${this.id}, ${name}: ${problem}\n${lines}`;
    throw new FollowError(message, { cause });
  }

  async open(): Promise<Redex> {
    this.#opening ??= Redex.open(this.run.directory, { readOnly: true });
    this.redex = await this.#opening;
    return this.redex;
  }

  async close(): Promise<void> {
    const opening = this.#opening;
    this.#opening = undefined;
    this.redex = undefined;
    await (await opening)?.close();
  }

  /** The channel of a name; undefined when there is none, which must be so. */
  async channelOf(name: string): Promise<HeldChannel | undefined> {
    const { ledger } = this.run;
    const mark = ledger.mark();
    const redex = await this.open();
    let channel: Channel;
    try {
      channel = await redex.channel(name);
    } catch (error) {
      if (this.redex !== redex && RedexError.is(error, 'CLOSED')) return undefined;
      if (!RedexError.is(error, 'NOT_FOUND')) this.fail(name, `channel(): ${String(error)}`, error);
      if (ledger.constantSince(name, mark).kind === 'there') {
        this.fail(name, `channel() since line ${mark.line}: ${error.message}`, error);
      }
      return undefined;
    }
    if (ledger.constantSince(name, mark).kind === 'none') {
      this.fail(name, `channel() since line ${mark.line}: nothing was there`);
    }
    const held = this.#held.get(channel);
    if (held !== undefined) {
      held.mark = mark;
      return held;
    }
    const fresh = { name, channel, redex, mark, token: undefined, isClosedHere: false };
    this.#held.set(channel, fresh);
    return fresh;
  }

  /** Checks one record, and that a channel never becomes another one. */
  check(held: HeldChannel, record: LogRecord, seq: number): void {
    const { payload } = record;
    const { name } = held;
    const token = tokenIn(payload);
    held.token ??= token;
    if (token !== held.token) this.fail(name, `seq ${seq} is of ${token}, not ${held.token}`);
    if (record.seq !== seq) this.fail(name, `seq ${record.seq} came where ${seq} was to come`);
    const right = followRecord(token, seq);
    if (!right.payload.equals(payload) || right.type !== record.type) {
      this.fail(name, `seq ${seq} of ${token} has wrong bytes`);
    }
    this.saw(token, seq + 1);
    this.run.counts.records++;
  }

  saw(token: string, nextSeq: number): void {
    const { seen } = this.run;
    if ((seen.get(token) ?? 0) < nextSeq) seen.set(token, nextSeq);
  }

  /** Whether an error, or an early end, is what the deletion or renaming of a channel leads to. */
  isGone(held: HeldChannel, error: unknown): boolean {
    if (held.isClosedHere || held.redex !== this.redex || this.run.isOver) return true;
    const isNotFound = RedexError.is(error, 'NOT_FOUND');
    if (error !== undefined && !isNotFound && !RedexError.is(error, 'CLOSED')) return false;
    const { kind } = this.run.ledger.constantSince(held.name, held.mark);
    this.run.counts.gone++;
    return kind !== 'there';
  }

  /** Looks at something, once. */
  async look(): Promise<void> {
    this.run.counts.looks++;
    const chance = this.#random.below(40);
    if (chance === 0) await this.close();
    else if (chance < 4) await this.#list();
    else await this.#lookAt(FOLLOWED_NAMES[this.#random.below(FOLLOWED_NAMES.length)] ?? '');
    await setImmediate();
  }

  async #lookAt(name: string): Promise<void> {
    const held = await this.channelOf(name);
    if (held === undefined) return;
    const { ledger, seen } = this.run;
    const mark = ledger.mark();
    const shown = held.token === undefined ? 0 : (seen.get(held.token) ?? 0);
    let isThere = true;
    try {
      await this.#use(held);
    } catch (error) {
      if (error instanceof FollowError) throw error;
      if (!this.isGone(held, error)) this.fail(name, `a look failed: ${String(error)}`, error);
      isThere = false;
    }
    const state = ledger.constantSince(name, mark);
    if (!isThere || held.isClosedHere) return;
    const { nextSeq, firstSeq } = held.channel;
    if (nextSeq < shown) this.fail(name, `ends with ${nextSeq}, but ${shown} was shown`);
    if (state.kind === 'none') this.fail(name, `shows a channel that is not there`);
    if (state.kind !== 'there') return;
    if (held.token !== undefined && held.token !== state.token) {
      this.fail(name, `shows ${held.token}, which is not there any more`);
    }
    const before = mark.states.get(name);
    const acked = before?.kind === 'there' ? before.acked : 0;
    this.#checkEnds(name, state.token, firstSeq, nextSeq, acked, state.submitted);
  }

  #checkEnds(
    name: string,
    token: string,
    firstSeq: number,
    nextSeq: number,
    acked: number,
    submitted: number,
  ): void {
    if (firstSeq !== firstSeqOf(token)) this.fail(name, `begins with ${firstSeq}`);
    if (nextSeq < acked) this.fail(name, `ends with ${nextSeq}, but ${acked} was acknowledged`);
    if (nextSeq > submitted) this.fail(name, `ends with ${nextSeq}, but ${submitted} was begun`);
    this.saw(token, nextSeq);
  }

  async #use(held: HeldChannel): Promise<void> {
    const { channel } = held;
    const chance = this.#random.below(20);
    // All that follows is asked of what one look has shown.
    const { nextSeq, firstSeq, count, durableSeq, damage } = await channel.stats();
    if (damage !== undefined) this.fail(held.name, `is damaged: ${JSON.stringify(damage)}`);
    if (count !== nextSeq - firstSeq) this.fail(held.name, `holds ${count} below ${nextSeq}`);
    if (durableSeq > nextSeq) this.fail(held.name, `${durableSeq} is durable, ${nextSeq} the end`);
    const at = firstSeq + this.#random.below(nextSeq - firstSeq + 3);
    if (chance < 4) await this.#get(held, at, nextSeq);
    else if (chance < 7) await this.#last(held, this.#random.below(30), firstSeq, nextSeq);
    else if (chance < 10) await this.#seek(held, at, firstSeq);
    else if (chance < 13) await this.#readAll(held, { from: Math.max(firstSeq, nextSeq - 200) });
    else if (chance < 15) await this.#readAll(held, { from: at, limit: 300 });
    else if (chance < 17) await this.#readBatches(held, at);
    else if (chance < 18) await this.#readAll(held, { reverse: true, limit: 100 });
    else if (chance < 19) await this.#readAll(held, {});
    else await this.#closeChannel(held);
  }

  async #get(held: HeldChannel, seq: number, nextSeq: number): Promise<void> {
    const record = await held.channel.get(seq);
    if (record !== undefined) this.check(held, record, seq);
    else if (seq < nextSeq) this.fail(held.name, `get ${seq} found nothing below ${nextSeq}`);
  }

  async #last(held: HeldChannel, count: number, first: number, nextSeq: number): Promise<void> {
    const records = await held.channel.last(count);
    if (records.length < Math.min(count, nextSeq - first)) {
      this.fail(held.name, `last ${count} are ${records.length} of ${nextSeq - first}`);
    }
    const from = records[0]?.seq ?? 0;
    if (count > 0 && records.length > 0 && from + count < nextSeq) {
      this.fail(held.name, `last ${count} begin with ${from} of ${nextSeq}`);
    }
    for (const [i, record] of records.entries()) this.check(held, record, from + i);
  }

  async #seek(held: HeldChannel, at: number, firstSeq: number): Promise<void> {
    const record = await held.channel.get(at);
    if (record === undefined) return;
    const { timestampNs } = record;
    const found = await held.channel.seqAt(timestampNs);
    const same = await held.channel.get(found);
    const before = found > firstSeq ? await held.channel.get(found - 1) : undefined;
    const isFirst = before === undefined || before.timestampNs < timestampNs;
    if (found > at || same?.timestampNs !== timestampNs || !isFirst) {
      this.fail(held.name, `the time of ${at} was found at ${found}`);
    }
  }

  async #readAll(held: HeldChannel, options: ReadOptions): Promise<void> {
    const { channel } = held;
    const step = options.reverse === true ? -1 : 1;
    const shown = channel.nextSeq;
    let expected: number | undefined =
      step < 0 ? undefined : options.from === undefined ? channel.firstSeq : Number(options.from);
    let count = 0;
    for await (const record of channel.read(options)) {
      if (expected === undefined && record.seq < shown - 1) {
        this.fail(held.name, `read backward from ${record.seq}, not ${shown}`);
      }
      this.check(held, record, expected ?? record.seq);
      expected = record.seq + step;
      count++;
    }
    const isWhole = count === options.limit || (expected ?? shown) >= shown;
    if (step > 0 && !isWhole) this.fail(held.name, `read up to ${expected} of ${shown}`);
  }

  async #readBatches(held: HeldChannel, from: number): Promise<void> {
    let expected = from;
    for await (const batch of held.channel.readBatches({ from, limit: 2000 })) {
      for (const record of batch) this.check(held, record, expected++);
    }
    const batch = await held.channel.readBatch({ from, maxBytes: 10_000 });
    for (const [i, record] of batch.entries()) this.check(held, record, from + i);
  }

  async #closeChannel(held: HeldChannel): Promise<void> {
    held.isClosedHere = true;
    await held.channel.close();
  }

  /** Every channel that was there all the time is listed, and none that was not. */
  async #list(): Promise<void> {
    const { ledger, counts } = this.run;
    const redex = await this.open();
    const mark = ledger.mark();
    const prefix = this.#random.below(3) === 0 ? 'lane 1/' : '';
    const listed = new Map<string, { firstSeq: number; nextSeq: number }>();
    let last = '';
    for await (const info of redex.channels({ prefix })) {
      const { name, error } = info;
      if (error !== undefined) this.fail(name, `listed with ${String(error)}`, error);
      if (name <= last || !FOLLOWED_NAMES.includes(name) || !name.startsWith(prefix)) {
        this.fail(name, `listed after ${last}`);
      }
      if (info.count !== info.nextSeq - info.firstSeq) {
        this.fail(name, `listed with ${JSON.stringify(info)}`);
      }
      last = name;
      listed.set(name, info);
    }
    counts.lists++;
    for (const name of FOLLOWED_NAMES.filter((each) => each.startsWith(prefix))) {
      const state = ledger.constantSince(name, mark);
      const info = listed.get(name);
      const before = mark.states.get(name);
      if (state.kind === 'none' && info !== undefined) this.fail(name, 'listed and not there');
      if (state.kind !== 'there') continue;
      if (info === undefined) this.fail(name, 'there and not listed');
      const acked = before?.kind === 'there' ? before.acked : 0;
      this.#checkEnds(name, state.token, info.firstSeq, info.nextSeq, acked, state.submitted);
    }
  }

  /** When nobody writes any more: exactly what the ledger says. */
  async checkEnd(): Promise<void> {
    await this.#list();
    for (const name of FOLLOWED_NAMES) {
      const state = this.run.ledger.stateOf(name);
      const held = await this.channelOf(name);
      if (tokenOf(state) === undefined && held !== undefined) this.fail(name, 'is there');
      if (held === undefined || state.kind !== 'there') continue;
      await this.#readAll(held, {});
      const { nextSeq } = held.channel;
      if (nextSeq !== state.acked) this.fail(name, `ends with ${nextSeq}, not ${state.acked}`);
    }
  }
}
