/**
 * The items of a store: its channels, each as it is between two seqs that are fixed when its turn
 * comes. Uses what every reader may use, so that it works beside a live writer.
 */
import { RedexError, redexError, type SeqRange } from '../core/errors.js';
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
  const before = await channel.stats();
  const firstSeq = from ?? before.firstSeq;
  const { name, nextSeq } = before;
  if (firstSeq < before.firstSeq || firstSeq > nextSeq) throw outside(before, firstSeq);
  const head = { name, options: channel.options, firstSeq, nextSeq };
  yield { kind: 'channel', head };
  const damaged: SeqRange[] = [];
  const onDamage = (range: SeqRange, error: RedexError): void => {
    skipOrThrow(name, range, error, options, onSkipped);
    damaged.push(range);
  };
  yield* recordItems(channel, firstSeq, nextSeq, options, onDamage);
  refuseChange(before, await channel.stats());
  yield { kind: 'channelEnd', damaged };
}

async function* recordItems(
  channel: Channel,
  firstSeq: number,
  to: number,
  { signal }: SourceOptions,
  onDamage: (range: SeqRange, error: RedexError) => void,
): AsyncGenerator<TransferItem, undefined> {
  let from = firstSeq;
  while (from < to) {
    try {
      for await (const records of channel.readBatches({ from, to, signal })) {
        from = (records.at(-1)?.seq ?? from) + 1;
        yield { kind: 'records', records };
      }
      return;
    } catch (error) {
      if (!RedexError.is(error, 'CORRUPT')) throw error;
      // Where nothing says how far the damage goes, nothing behind it can be read.
      const { firstSeq: start, nextSeq } = error.seqRange ?? { firstSeq: from, nextSeq: to };
      const behind = Math.min(Math.max(nextSeq, from + 1), to);
      onDamage({ firstSeq: Math.min(Math.max(start, from), behind - 1), nextSeq: behind }, error);
      from = behind;
    }
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
