/**
 * Reads a channel in every way there is, on behind each error as its `seqRange` says, and compares
 * each record with the one that was written under its seq.
 */
import type { Channel } from '../../src/channel/channel.js';
import { RedexError } from '../../src/core/errors.js';
import type { LogRecord } from '../../src/core/record.js';
import { FOLD, INDEX, isRecord, type ChannelTruth } from './corruption-store.js';

export interface Observed {
  /** Wrong bytes, phantoms, records that are gone without a word, errors that lead nowhere. */
  readonly wrong: readonly string[];
  /** Seqs that each way of reading could not give. */
  readonly lost: ReadonlyMap<string, readonly number[]>;
  readonly errors: readonly unknown[];
}

export async function observe(channel: Channel, truth: ChannelTruth): Promise<Observed> {
  const observer = new Observer(channel, truth);
  await observer.run();
  return observer;
}

class Observer implements Observed {
  readonly wrong: string[] = [];
  readonly lost: Map<string, number[]> = new Map();
  readonly errors: unknown[] = [];
  readonly #channel: Channel;
  readonly #truth: ChannelTruth;
  /** Every seq that has a record below the end that the channel has now. */
  readonly #seqs: readonly number[];
  readonly #end: number;

  constructor(channel: Channel, truth: ChannelTruth) {
    this.#channel = channel;
    this.#truth = truth;
    this.#end = channel.nextSeq;
    this.#seqs = [...truth.records.keys()].filter((seq) => seq < this.#end);
  }

  async run(): Promise<void> {
    const { firstSeq } = this.#truth;
    if (this.#channel.firstSeq !== firstSeq) this.wrong.push(`begins at ${this.#channel.firstSeq}`);
    await this.#gets();
    await this.#forward('readBatches', (from) => this.#channel.readBatches({ from }));
    await this.#forward('tail', (from) => this.#tail(from));
    await this.#backward();
    await this.#readBatch();
    await this.#times();
    await this.#last();
    await this.#fold();
    await this.#index();
  }

  /** Notes a record that is not the one that was written. */
  #compare(way: string, record: LogRecord): void {
    const known = this.#truth.records.get(record.seq);
    if (known === undefined) this.wrong.push(`${way} makes up record ${record.seq}`);
    else if (!isRecord(record, known)) this.wrong.push(`${way}: record ${record.seq} is wrong`);
  }

  /** Whether an error is one that damage may have. */
  #failed(way: string, error: unknown): boolean {
    this.errors.push(error);
    if (RedexError.is(error, 'CORRUPT')) return true;
    this.wrong.push(`${way}: ${String(error)}`);
    return false;
  }

  #missed(way: string, seen: ReadonlySet<number>): void {
    const missed = this.#seqs.filter((seq) => !seen.has(seq));
    this.lost.set(way, missed);
  }

  async #gets(): Promise<void> {
    const seen = new Set<number>();
    for (let seq = this.#truth.firstSeq; seq <= this.#end; seq += 1) {
      try {
        const record = await this.#channel.get(seq);
        if (record !== undefined) {
          if (record.seq !== seq) this.wrong.push(`get(${seq}) gives ${record.seq}`);
          this.#compare('get', record);
          seen.add(seq);
        } else if (this.#truth.records.has(seq) && seq < this.#end) {
          this.wrong.push(`get: record ${seq} is gone without a word`);
        }
      } catch (error) {
        const isCovered = this.#failed('get', error) && covers(error, seq);
        if (!isCovered) this.wrong.push(`get(${seq}): ${String(error)}`);
        // Where there is no record, nothing is lost.
      }
    }
    this.#missed('get', seen);
  }

  async #forward(
    way: string,
    read: (from: number) => AsyncIterable<readonly LogRecord[]>,
  ): Promise<void> {
    const seen = new Set<number>();
    for (let from = this.#truth.firstSeq; from < this.#end;) {
      try {
        for await (const batch of read(from)) {
          for (const record of batch) {
            if (record.seq < from) this.wrong.push(`${way} goes back to ${record.seq}`);
            this.#skipped(way, from, record.seq);
            this.#compare(way, record);
            seen.add(record.seq);
            from = record.seq + 1;
          }
        }
        this.#skipped(way, from, this.#end);
        break;
      } catch (error) {
        if (!this.#failed(way, error)) break;
        const { firstSeq = -1, nextSeq = -1 } = rangeOf(error) ?? {};
        this.#skipped(way, from, firstSeq);
        if (firstSeq < from || nextSeq <= firstSeq) {
          this.wrong.push(`${way} from ${from}: the error is of ${firstSeq} to ${nextSeq}`);
          break;
        }
        from = nextSeq;
      }
    }
    this.#missed(way, seen);
  }

  /** Nothing that was written may be passed over without a word. */
  #skipped(way: string, from: number, to: number): void {
    for (let seq = from; seq < to; seq += 1) {
      if (this.#truth.records.has(seq)) this.wrong.push(`${way} passes over ${seq}`);
    }
  }

  async *#tail(from: number): AsyncGenerator<readonly LogRecord[]> {
    for await (const batch of this.#channel.tailBatches({ from })) {
      yield batch;
      if ((batch.at(-1)?.seq ?? 0) + 1 >= this.#end) return;
    }
  }

  async #backward(): Promise<void> {
    const seen = new Set<number>();
    for (let to = this.#end; to > this.#truth.firstSeq;) {
      try {
        for await (const record of this.#channel.read({ to, reverse: true })) {
          if (record.seq >= to) this.wrong.push(`reverse goes forward to ${record.seq}`);
          this.#compare('reverse', record);
          seen.add(record.seq);
          to = record.seq;
        }
        break;
      } catch (error) {
        const range = this.#failed('reverse', error) ? rangeOf(error) : undefined;
        if (range === undefined || range.firstSeq >= to) {
          this.wrong.push(`reverse to ${to}: ${String(error)}`);
          break;
        }
        to = range.firstSeq;
      }
    }
    this.#missed('reverse', seen);
  }

  /** All or nothing: one error, or all records. */
  async #readBatch(): Promise<void> {
    try {
      const records = await this.#channel.readBatch();
      for (const record of records) this.#compare('readBatch', record);
      if (records.length !== this.#seqs.length) {
        this.wrong.push(`readBatch gives ${records.length} of ${this.#seqs.length}`);
      }
    } catch (error) {
      this.#failed('readBatch', error);
    }
  }

  async #times(): Promise<void> {
    const first = new Map<bigint, number>();
    for (const seq of this.#seqs) {
      const time = this.#truth.records.get(seq)?.timestampNs ?? 0n;
      if (!first.has(time)) first.set(time, seq);
    }
    const missed: number[] = [];
    for (const [time, seq] of first) {
      try {
        const found = await this.#channel.seqAt(time);
        if (found !== seq) this.wrong.push(`seqAt(${time}) gives ${found}, not ${seq}`);
      } catch (error) {
        this.#failed('seqAt', error);
        const end = rangeOf(error)?.nextSeq ?? seq + 1;
        if (end < seq) this.wrong.push(`seqAt(${time}) fails for what is before ${end}`);
        // Of the record behind damage nobody knows whether it is the first of its time.
        missed.push(Math.min(seq, end - 1));
      }
    }
    this.lost.set('seqAt', missed);
  }

  async #last(): Promise<void> {
    const wanted = this.#seqs.slice(-3);
    try {
      const records = await this.#channel.last(3);
      for (const record of records) this.#compare('last', record);
      const found = records.map(({ seq }) => seq).join();
      if (found !== wanted.join()) this.wrong.push(`last(3) gives ${found}`);
    } catch (error) {
      this.#failed('last', error);
    }
  }

  async #fold(): Promise<void> {
    try {
      const fold = await this.#channel.fold(FOLD);
      await fold.caughtUp();
      const known = this.#truth.states.get(fold.seq);
      const { records, sum } = fold.value;
      if (known?.records !== records || known.sum !== sum) {
        this.wrong.push(`the fold says ${JSON.stringify(fold.value)} at ${fold.seq}`);
      }
    } catch (error) {
      this.#failed('fold', error);
    }
  }

  async #index(): Promise<void> {
    try {
      const index = await this.#channel.index(INDEX);
      await index.caughtUp();
      for (const key of index.keys()) {
        const record = await index.get(key);
        if (record === undefined) continue;
        this.#compare('index', record);
        if (INDEX.key(record) !== key) this.wrong.push(`index: ${record.seq} is not of ${key}`);
      }
    } catch (error) {
      this.#failed('index', error);
    }
  }
}

function rangeOf(error: unknown): { firstSeq: number; nextSeq: number } | undefined {
  return RedexError.is(error, 'CORRUPT') ? error.seqRange : undefined;
}

function covers(error: unknown, seq: number): boolean {
  const range = rangeOf(error);
  return range !== undefined && seq >= range.firstSeq && seq < range.nextSeq;
}
