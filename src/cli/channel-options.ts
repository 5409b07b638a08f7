/** The options of channels on the command line: `--sync every=1000,interval=1s`, and back. */
import { InvalidArgumentError, type Command } from 'commander';
import type {
  ConfigureOptions,
  RetentionPolicy,
  StoredChannelOptions,
  SyncPolicy,
} from '../index.js';
import { formatBytes, formatCount, formatDuration, integerFrom } from './units.js';
import { parseBytes, parseDuration } from './units.js';

export interface ChannelFlags {
  readonly sync?: SyncPolicy;
  readonly segmentBytes?: number;
  readonly segmentMs?: number;
  readonly retention?: RetentionPolicy | 'none';
}

const SYNC_HELP = "Write always, never, or arms such as 'every=1000,bytes=1MiB,interval=200ms'.";
const RETENTION_HELP =
  "Write none, or limits such as 'age=7d,bytes=10GiB,records=1000000,wait-for=fold'.";

export function addChannelOptions(command: Command): Command {
  return command
    .option(
      '--sync <policy>',
      'When appends are synced: always, never, or every=N,bytes=SIZE,interval=TIME.',
      parseSync,
    )
    .option('--segment-bytes <size>', 'Begin a new file after so many bytes.', parseBytes)
    .option('--segment-ms <duration>', 'Or after so long; none for no limit.', parseAge)
    .option(
      '--retention <limits>',
      'What is kept: none for everything, or age=TIME,bytes=SIZE,records=N,wait-for=FOLD.',
      parseRetention,
    );
}

/** What was given, and nothing else. */
export function configureOptions(flags: ChannelFlags): ConfigureOptions {
  const { sync, segmentBytes, segmentMs, retention } = flags;
  return {
    ...(sync === undefined ? {} : { sync }),
    ...(segmentBytes === undefined ? {} : { segmentBytes }),
    ...(segmentMs === undefined ? {} : { segmentMs }),
    ...(retention === undefined ? {} : { retention: retention === 'none' ? null : retention }),
  };
}

function parseAge(text: string): number {
  return text === 'none' || text === '0' ? 0 : parseDuration(text);
}

function pairsOf(text: string, help: string): [key: string, value: string][] {
  const keys = new Set<string>();
  return text.split(',').map((part) => {
    const [, key = '', value = ''] = /^\s*([a-z-]+)=(.+)$/.exec(part) ?? [];
    if (key === '') throw new InvalidArgumentError(help);
    if (keys.has(key) && key !== 'wait-for') {
      throw new InvalidArgumentError(`It says ${key} twice.`);
    }
    keys.add(key);
    return [key, value.trim()];
  });
}

const parseCount = integerFrom(1);

function parseSync(text: string): SyncPolicy {
  if (text === 'always' || text === 'never') return text;
  const arms: { everyN?: number; maxBytes?: number; intervalMs?: number } = {};
  for (const [key, value] of pairsOf(text, SYNC_HELP)) {
    if (key === 'every') arms.everyN = parseCount(value);
    else if (key === 'bytes') arms.maxBytes = parseBytes(value);
    else if (key === 'interval') arms.intervalMs = parseDuration(value);
    else throw new InvalidArgumentError(SYNC_HELP);
  }
  return arms;
}

/** Commander takes null for an option without a value. */
function parseRetention(text: string): RetentionPolicy | 'none' {
  if (text === 'none') return text;
  const limits: { maxAgeMs?: number; maxBytes?: number; maxRecords?: number } = {};
  const waitFor: string[] = [];
  for (const [key, value] of pairsOf(text, RETENTION_HELP)) {
    if (key === 'age') limits.maxAgeMs = parseDuration(value);
    else if (key === 'bytes') limits.maxBytes = parseBytes(value);
    else if (key === 'records') limits.maxRecords = parseCount(value);
    else if (key === 'wait-for') waitFor.push(value);
    else throw new InvalidArgumentError(RETENTION_HELP);
  }
  return waitFor.length === 0 ? limits : { ...limits, waitFor };
}

/** Stored options, a line each. */
export function optionFields(
  options: StoredChannelOptions,
): (readonly [label: string, value: string])[] {
  const { sync, segmentBytes, segmentMs, retention } = options;
  return [
    ['sync', syncText(sync)],
    ['segment bytes', formatBytes(segmentBytes)],
    ['segment ms', segmentMs === 0 ? 'no limit' : formatDuration(segmentMs)],
    ['retention', retentionText(retention)],
  ];
}

export function syncText(sync: SyncPolicy): string {
  if (typeof sync === 'string') return sync;
  const { everyN, maxBytes, intervalMs } = sync;
  return [
    ...(everyN === undefined ? [] : [`every ${formatCount(everyN)} records`]),
    ...(maxBytes === undefined ? [] : [`every ${formatBytes(maxBytes)}`]),
    ...(intervalMs === undefined ? [] : [`after ${formatDuration(intervalMs)}`]),
  ].join(', or ');
}

function retentionText(retention: RetentionPolicy | undefined): string {
  if (retention === undefined) return 'everything is kept';
  const { maxAgeMs, maxBytes, maxRecords, waitFor = [] } = retention;
  return [
    ...(maxAgeMs === undefined ? [] : [`age ${formatDuration(maxAgeMs)}`]),
    ...(maxBytes === undefined ? [] : [formatBytes(maxBytes)]),
    ...(maxRecords === undefined ? [] : [`${formatCount(maxRecords)} records`]),
    ...(waitFor.length === 0 ? [] : [`waits for ${waitFor.join(', ')}`]),
  ].join(', ');
}

/** The same for a column of a table. */
export const keptText = (retention: RetentionPolicy | undefined): string =>
  retention === undefined ? 'everything' : retentionText(retention);

/** The same for JSON: what is not there is null. */
export function optionsDocument(options: StoredChannelOptions): Record<string, unknown> {
  const { sync, segmentBytes, segmentMs, retention } = options;
  return { sync, segmentBytes, segmentMs, retention: retention ?? null };
}
