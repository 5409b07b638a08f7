/**
 * The ways in which `redex compact` makes a channel smaller, and what each would do: a dry run
 * counts the records that would go by the same functions that the compaction is given.
 */
import type { Channel, CompactOptions, LogRecord } from '../index.js';
import { UsageError } from './failure.js';
import { keyAt, type JsonPointer } from './json-pointer.js';
import { every, type RecordFilter } from './record-filter.js';

export interface CompactFlags {
  readonly retention?: boolean;
  readonly beforeSeq?: number;
  /** Milliseconds. */
  readonly olderThan?: number;
  readonly keepLatestByKey?: JsonPointer;
  readonly keepWhere?: readonly RecordFilter[];
  /** The same as `keepWhere`. */
  readonly where?: readonly RecordFilter[];
  readonly dropWhere?: readonly RecordFilter[];
  readonly dryRun?: boolean;
}

export type CompactPlan =
  | { readonly kind: 'retention' }
  | { readonly kind: 'trim'; readonly beforeSeq: number }
  | { readonly kind: 'rewrite'; readonly options: CompactOptions };

const MODES = [
  ['retention', '--retention'],
  ['beforeSeq', '--before-seq'],
  ['olderThan', '--older-than'],
  ['keepLatestByKey', '--keep-latest-by-key'],
  ['where', '--where'],
  ['keepWhere', '--keep-where'],
  ['dropWhere', '--drop-where'],
] as const;

/** Throws UsageError unless it is said in exactly one way. */
export function checkCompactFlags(flags: CompactFlags): void {
  const given = MODES.filter(([name]) => flags[name] !== undefined);
  if (given.length === 1) return;
  const all = MODES.map(([, option]) => option).join(', ');
  throw new UsageError(
    given.length === 0
      ? `say what is to go, with one of ${all}`
      : `${given.map(([, option]) => option).join(' and ')} cannot be combined: run one by one`,
  );
}

export const noRetention = (name: string): UsageError =>
  new UsageError(`'${name}' has no retention: set it with redex configure --retention`);

export async function compactPlan(
  channel: Channel,
  flags: CompactFlags,
  nowMs: number,
): Promise<CompactPlan> {
  const { beforeSeq, olderThan, keepLatestByKey, dropWhere } = flags;
  const keepWhere = flags.keepWhere ?? flags.where;
  if (beforeSeq !== undefined) return { kind: 'trim', beforeSeq };
  if (olderThan !== undefined) {
    const seq = await channel.seqAt(Math.max(0, nowMs - olderThan));
    return { kind: 'trim', beforeSeq: Math.max(seq, channel.firstSeq) };
  }
  if (keepLatestByKey !== undefined) {
    return { kind: 'rewrite', options: { key: keyAt(keepLatestByKey) } };
  }
  if (keepWhere !== undefined) return { kind: 'rewrite', options: { keep: every(keepWhere) } };
  if (dropWhere !== undefined) {
    const drops = every(dropWhere);
    return { kind: 'rewrite', options: { keep: (record) => !drops(record) } };
  }
  return { kind: 'retention' };
}

/** What would go, and what of it are payloads. */
export interface Forecast {
  readonly records: number;
  readonly payloadBytes: number;
}

/** Reads what it has to. `retainedFrom` is the seq that retention would keep from. */
export async function forecast(
  channel: Channel,
  plan: CompactPlan,
  retainedFrom: () => Promise<number>,
  signal: AbortSignal,
): Promise<Forecast> {
  if (plan.kind === 'rewrite') return forecastRewrite(channel, plan.options, signal);
  const to = plan.kind === 'trim' ? plan.beforeSeq : await retainedFrom();
  if (to <= channel.firstSeq) return { records: 0, payloadBytes: 0 };
  return count(channel, { to, signal }, () => true);
}

async function forecastRewrite(
  channel: Channel,
  { keep, key }: CompactOptions,
  signal: AbortSignal,
): Promise<Forecast> {
  if (keep !== undefined) return count(channel, { signal }, (record) => !keep(record));
  const latest = new Map<string, number>();
  const { nextSeq: to } = await channel.stats();
  await count(channel, { to, signal }, (record) => {
    const name = key?.(record);
    if (name !== undefined) latest.set(name, record.seq);
    return false;
  });
  return count(channel, { to, signal }, (record) => {
    const name = key?.(record);
    return name !== undefined && latest.get(name) !== record.seq;
  });
}

async function count(
  channel: Channel,
  options: { readonly to?: number; readonly signal: AbortSignal },
  goes: (record: LogRecord) => boolean,
): Promise<Forecast> {
  let records = 0;
  let payloadBytes = 0;
  for await (const batch of channel.readBatches(options)) {
    for (const record of batch) {
      if (!goes(record)) continue;
      records++;
      payloadBytes += record.byteLength;
    }
  }
  return { records, payloadBytes };
}
