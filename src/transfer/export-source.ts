/**
 * The items of a store: its channels, each as it is between two seqs that are fixed when its turn
 * comes. Uses what every reader may use, so that it works beside a live writer.
 */
import { RedexError, redexError, type SeqRange } from '../core/errors.js';
import type { LogRecord } from '../core/record.js';
import type { Channel, ChannelStats } from '../channel/channel.js';
import type { Redex } from '../store/redex.js';
import { isStageName, type TransferItem } from './transfer-items.js';

/** A channel to export, whole or from a seq on. */
interface ChannelChoice {
  readonly name: string;
  /** Default: the first that the channel holds. */
  readonly from?: number | undefined;
}

/** Records that could not be read and are left out, or a channel that cannot be opened at all. */
export interface SkippedDamage {
  readonly channel: string;
  /** Undefined for a whole channel. */
  readonly range: SeqRange | undefined;
  readonly error: RedexError;
}

export interface SourceOptions {
  /** Default: all channels, in the order of their names. */
  readonly channels?: readonly (string | ChannelChoice)[] | undefined;
  /** Leave out what is damaged, and report it, instead of ending with CORRUPT. */
  readonly skipDamaged?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

type OnSkipped = (skipped: SkippedDamage) => void;

export async function* storeItems(
  redex: Redex,
  options: SourceOptions,
  onSkipped: OnSkipped,
): AsyncGenerator<TransferItem, undefined> {
  if (options.channels !== undefined) {
    for (const each of options.channels) {
      const choice = typeof each === 'string' ? { name: each } : each;
      const channel = await opened(redex, choice.name, options, onSkipped);
      if (channel !== undefined) yield* channelItems(channel, choice.from, options, onSkipped);
    }
    return;
  }
  for await (const info of redex.channels()) {
    options.signal?.throwIfAborted();
    if (isStageName(info.name)) continue;
    if (info.error !== undefined) {
      skipOrThrow(info.name, undefined, info.error, options, onSkipped);
      continue;
    }
    let channel: Channel | undefined;
    try {
      channel = await opened(redex, info.name, options, onSkipped);
    } catch (error) {
      // Deleted or renamed since it was listed.
      if (!RedexError.is(error, 'NOT_FOUND')) throw error;
    }
    if (channel !== undefined) yield* channelItems(channel, undefined, options, onSkipped);
  }
}

async function opened(
  redex: Redex,
  name: string,
  options: SourceOptions,
  onSkipped: OnSkipped,
): Promise<Channel | undefined> {
  try {
    return await redex.channel(name, { createIfMissing: false });
  } catch (error) {
    if (!RedexError.is(error)) throw error;
    skipOrThrow(name, undefined, error, options, onSkipped);
    return undefined;
  }
}

function skipOrThrow(
  channel: string,
  range: SeqRange | undefined,
  error: RedexError,
  options: SourceOptions,
  onSkipped: OnSkipped,
): void {
  if (options.skipDamaged !== true || !RedexError.is(error, 'CORRUPT')) throw error;
  onSkipped({ channel, range, error });
}

async function* channelItems(
  channel: Channel,
  from: number | undefined,
  options: SourceOptions,
  onSkipped: OnSkipped,
): AsyncGenerator<TransferItem, undefined> {
  const { stats, reading } = await begin(channel, from, options.signal);
  const { name, nextSeq } = stats;
  const damaged: SeqRange[] = [];
  try {
    const head = { name, options: channel.options, firstSeq: reading.nextSeq, nextSeq };
    yield { kind: 'channel', head };
    for (;;) {
      const { records } = reading;
      if (reading.error === undefined && records === undefined) break;
      if (records === undefined) {
        const { range, error } = reading.skipDamage();
        skipOrThrow(name, range, error, options, onSkipped);
        damaged.push(range);
      } else {
        yield { kind: 'records', records };
      }
      await reading.step();
    }
  } finally {
    await reading.close();
  }
  refuseChange(stats, await channel.stats());
  yield { kind: 'channelEnd', damaged };
}

/** From here on a trim in this process takes nothing away that is to be exported. */
async function begin(
  channel: Channel,
  from: number | undefined,
  signal: AbortSignal | undefined,
): Promise<{ readonly stats: ChannelStats; readonly reading: Reading }> {
  for (;;) {
    const stats = await channel.stats();
    const firstSeq = from ?? stats.firstSeq;
    if (firstSeq < stats.firstSeq || firstSeq > stats.nextSeq) throw outside(stats, firstSeq);
    const reading = new Reading(channel, firstSeq, stats.nextSeq, signal);
    await reading.step();
    const isTrimmed = RedexError.is(reading.error, 'OUT_OF_RANGE');
    // A trim came in between: the channel begins elsewhere now.
    if (!isTrimmed || from !== undefined) return { stats, reading };
  }
}

/** A read that is begun again behind what is damaged. */
class Reading {
  readonly #channel: Channel;
  readonly #to: number;
  readonly #signal: AbortSignal | undefined;
  #batches: AsyncIterator<LogRecord[]> | undefined;
  /** Everything below it was read, or is damaged. */
  nextSeq: number;
  /** What the last step has read, or failed with; neither at the end. */
  records: LogRecord[] | undefined;
  error: unknown;

  constructor(channel: Channel, from: number, to: number, signal: AbortSignal | undefined) {
    this.#channel = channel;
    this.#to = to;
    this.#signal = signal;
    this.nextSeq = from;
  }

  async step(): Promise<void> {
    this.nextSeq = (this.records?.at(-1)?.seq ?? this.nextSeq - 1) + 1;
    this.records = undefined;
    this.error = undefined;
    if (this.nextSeq >= this.#to) return;
    const range = { from: this.nextSeq, to: this.#to, signal: this.#signal };
    this.#batches ??= this.#channel.readBatches(range);
    try {
      const batch: IteratorResult<LogRecord[], unknown> = await this.#batches.next();
      if (batch.done !== true) this.records = batch.value;
    } catch (error) {
      this.error = error;
    }
  }

  /** The next step begins behind the damage. Throws what the last one failed with otherwise. */
  skipDamage(): { readonly range: SeqRange; readonly error: RedexError } {
    const { error, nextSeq: from } = this;
    const to = this.#to;
    if (!RedexError.is(error, 'CORRUPT')) throw error;
    // Where nothing says how far the damage goes, nothing behind it can be read.
    const { firstSeq: start, nextSeq: end } = error.seqRange ?? { firstSeq: from, nextSeq: to };
    const behind = Math.min(Math.max(end, from + 1), to);
    this.#batches = undefined;
    this.nextSeq = behind;
    const firstSeq = Math.min(Math.max(start, from), behind - 1);
    return { range: { firstSeq, nextSeq: behind }, error };
  }

  async close(): Promise<void> {
    await this.#batches?.return?.();
  }
}

/** Another process may have cut its log back, after a crash, to an end before the one we fixed. */
function refuseChange(before: ChannelStats, after: ChannelStats): void {
  const { recoveryEpoch, nextSeq } = before;
  if (after.recoveryEpoch === recoveryEpoch && after.nextSeq >= nextSeq) return;
  throw outside(after, nextSeq);
}

function outside({ name, firstSeq, nextSeq }: ChannelStats, seq: number): RedexError {
  const message = `channel ${name} has seqs from ${firstSeq} to ${nextSeq}: ${seq} is not there`;
  return redexError('OUT_OF_RANGE', message, { seq, firstSeq, nextSeq });
}
