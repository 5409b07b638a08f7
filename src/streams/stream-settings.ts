/** The options of a StreamStore, checked once and with their defaults. */
import { guardedLogger, silentLogger, systemRuntime } from '../core/runtime.js';
import type { Logger, Runtime } from '../core/runtime.js';
import { checkInteger, checkKnown, checkObject } from '../channel/option-checks.js';
import { checkedRetention, type StreamRetention } from './stream-retention.js';

export interface StreamStoreOptions {
  /** Bytes of messages that all streams together may hold; more is LIMIT. Default: no limit. */
  readonly maxTotalBytes?: number | undefined;
  /** Bytes of messages that one stream may hold; more is LIMIT. Default: no limit. */
  readonly maxStreamBytes?: number | undefined;
  /** Producers that one stream remembers; more is LIMIT. Default: 10,000. */
  readonly maxProducers?: number | undefined;
  /** Streams whose channels stay open when nobody uses them. Default: 4,096. */
  readonly maxOpenStreams?: number | undefined;
  /** Milliseconds between two sweeps, which remove expired streams. Default: 60,000. */
  readonly sweepIntervalMs?: number | undefined;
  /** Bytes after which a stream's segment is sealed and the next one begun. Default: 64 MiB. */
  readonly segmentBytes?: number | undefined;
  /** What streams keep that are created without saying so. Default: everything. */
  readonly retention?: StreamRetention | undefined;
  readonly runtime?: Runtime | undefined;
  readonly logger?: Logger | undefined;
}

export interface StreamSettings {
  readonly maxTotalBytes: number;
  readonly maxStreamBytes: number;
  readonly maxProducers: number;
  readonly maxOpenStreams: number;
  readonly sweepIntervalMs: number;
  readonly segmentBytes: number;
  readonly retention: StreamRetention | undefined;
  readonly runtime: Runtime;
  readonly logger: Logger;
}

const KNOWN: ReadonlySet<string> = new Set([
  'maxTotalBytes',
  'maxStreamBytes',
  'maxProducers',
  'maxOpenStreams',
  'sweepIntervalMs',
  'segmentBytes',
  'retention',
  'runtime',
  'logger',
]);

/** Throws TypeError or RangeError for what cannot be meant. */
export function streamSettings(options: StreamStoreOptions): StreamSettings {
  checkKnown(options, KNOWN);
  const { maxTotalBytes, maxStreamBytes, segmentBytes, retention, runtime, logger } = options;
  for (const [name, value] of Object.entries({ maxTotalBytes, maxStreamBytes })) {
    if (value !== Infinity) checkInteger(name, value, 0, Number.MAX_SAFE_INTEGER);
  }
  checkInteger('maxProducers', options.maxProducers, 1, 100_000);
  checkInteger('maxOpenStreams', options.maxOpenStreams, 1, 1_000_000);
  checkInteger('sweepIntervalMs', options.sweepIntervalMs, 1, 2 ** 31 - 1);
  checkInteger('segmentBytes', segmentBytes, 4096, 2 ** 31);
  checkObject('runtime', runtime, 'schedule');
  checkObject('logger', logger, 'warn');
  return {
    maxTotalBytes: maxTotalBytes ?? Infinity,
    maxStreamBytes: maxStreamBytes ?? Infinity,
    maxProducers: options.maxProducers ?? 10_000,
    maxOpenStreams: options.maxOpenStreams ?? 4096,
    sweepIntervalMs: options.sweepIntervalMs ?? 60_000,
    segmentBytes: segmentBytes ?? 64 * 1024 * 1024,
    retention: retention === undefined ? undefined : checkedRetention(retention),
    runtime: runtime ?? systemRuntime,
    logger: logger === undefined ? silentLogger : guardedLogger(logger),
  };
}
