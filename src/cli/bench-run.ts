/**
 * A few figures of the engine on the disk of a directory, for people who wonder what their machine
 * can do. Comparisons and targets are the matter of `bench/` in the repository.
 */
import type { Runtime } from '../core/runtime.js';
import type { Channel, Redex } from '../index.js';

export interface BenchSettings {
  readonly records: number;
  readonly recordBytes: number;
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
}

export interface Figure {
  readonly name: string;
  readonly operations: number;
  readonly totalMs: number;
  readonly perSecond: number;
  /** Payloads. */
  readonly bytesPerSecond: number;
  /** Of one operation; undefined where they are not done one by one. */
  readonly medianUs: number | undefined;
  readonly p99Us: number | undefined;
}

const BATCH = 1000;
const IN_FLIGHT = 64;
/** Single operations stop after this, however few they are: a sync can take 10 ms. */
const SINGLE_MS = 2000;
const MAX_SINGLE = 2000;

type Opener = () => Promise<Redex>;

/** In a store that is made for it; `open` opens it again each time. */
export async function runBench(open: Opener, settings: BenchSettings): Promise<Figure[]> {
  const figures: Figure[] = [];
  let redex = await open();
  try {
    const written = await redex.channel('written', { sync: 'never' });
    figures.push(await appendBatches(written, settings));
    const synced = await redex.channel('synced', { sync: 'always' });
    figures.push(await appendSingly(synced, settings), await appendTogether(synced, settings));
    figures.push(await scan(written, settings), await getRandomly(written, settings));
    const started = settings.runtime.monotonic();
    await redex.close();
    figures.push(figure('close', 1, settings.runtime.monotonic() - started, 0));
    const opened = settings.runtime.monotonic();
    redex = await open();
    await redex.channel('written', { createIfMissing: false });
    figures.push(figure('open a store and a channel', 1, settings.runtime.monotonic() - opened, 0));
    return figures;
  } finally {
    await redex.close();
  }
}

function figure(
  name: string,
  operations: number,
  totalMs: number,
  bytes: number,
  times: readonly number[] = [],
): Figure {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number | undefined => {
    const ms = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    return ms === undefined ? undefined : ms * 1000;
  };
  const rate = (amount: number): number => (totalMs <= 0 ? 0 : (amount * 1000) / totalMs);
  return {
    name,
    operations,
    totalMs,
    perSecond: rate(operations),
    bytesPerSecond: rate(bytes),
    medianUs: at(0.5),
    p99Us: at(0.99),
  };
}

const payloadOf = ({ recordBytes }: BenchSettings): Uint8Array =>
  new Uint8Array(recordBytes).fill(0x61);

async function appendBatches(channel: Channel, settings: BenchSettings): Promise<Figure> {
  const { records, recordBytes, runtime, signal } = settings;
  const batch = Array.from({ length: Math.min(BATCH, records) }, () => payloadOf(settings));
  const started = runtime.monotonic();
  let done = 0;
  for (; done < records; done += batch.length) {
    signal.throwIfAborted();
    await channel.appendBatch(batch);
  }
  const ms = runtime.monotonic() - started;
  return figure(`append, written, ${batch.length} at a time`, done, ms, done * recordBytes);
}

/** One operation after the other, until there are enough. */
async function singly(
  { runtime, signal }: BenchSettings,
  run: () => Promise<unknown>,
): Promise<{ readonly times: number[]; readonly totalMs: number }> {
  const times: number[] = [];
  const started = runtime.monotonic();
  let now = started;
  while (times.length < MAX_SINGLE && now - started < SINGLE_MS) {
    signal.throwIfAborted();
    const before = now;
    await run();
    now = runtime.monotonic();
    times.push(now - before);
  }
  return { times, totalMs: now - started };
}

async function appendSingly(channel: Channel, settings: BenchSettings): Promise<Figure> {
  const payload = payloadOf(settings);
  const { times, totalMs } = await singly(settings, () => channel.append(payload));
  const bytes = times.length * payload.byteLength;
  return figure('append, synced, one by one', times.length, totalMs, bytes, times);
}

async function appendTogether(channel: Channel, settings: BenchSettings): Promise<Figure> {
  const payload = payloadOf(settings);
  const { times, totalMs } = await singly(settings, () =>
    Promise.all(Array.from({ length: IN_FLIGHT }, () => channel.append(payload))),
  );
  const count = times.length * IN_FLIGHT;
  return figure(`append, synced, ${IN_FLIGHT} at once`, count, totalMs, count * payload.byteLength);
}

async function scan(channel: Channel, { runtime, signal }: BenchSettings): Promise<Figure> {
  const started = runtime.monotonic();
  let records = 0;
  let bytes = 0;
  for await (const batch of channel.readBatches({ signal })) {
    for (const record of batch) bytes += record.byteLength;
    records += batch.length;
  }
  return figure('read all', records, runtime.monotonic() - started, bytes);
}

async function getRandomly(channel: Channel, settings: BenchSettings): Promise<Figure> {
  // Any sequence without an order does; the same one each time.
  let state = 1;
  const { nextSeq } = channel;
  const { times, totalMs } = await singly(settings, () => {
    state = (state * 48_271) % 2_147_483_647;
    return channel.get(state % nextSeq);
  });
  const bytes = times.length * settings.recordBytes;
  return figure('get by seq, anywhere', times.length, totalMs, bytes, times);
}
