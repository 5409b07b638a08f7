/** The options of a QueueStore, checked once and with their defaults. */
import { checkInteger, checkKnown, checkObject } from '../channel/option-checks.js';
import {
  guardedLogger,
  silentLogger,
  systemRuntime,
  type Logger,
  type Runtime,
} from '../core/runtime.js';

export interface QueueStoreOptions {
  /** Bytes after which a queue's segment is sealed and the next one begun. Default: 16 MiB. */
  readonly segmentBytes?: number | undefined;
  /**
   * Bytes of the disk that are kept, so that messages can be delivered and settled when it is full;
   * 0: none. A journal that is larger than this may need more. Default: 1 MiB.
   */
  readonly reserveBytes?: number | undefined;
  readonly runtime?: Runtime | undefined;
  readonly logger?: Logger | undefined;
}

export interface QueueSettings {
  readonly segmentBytes: number;
  readonly reserveBytes: number;
  readonly runtime: Runtime;
  readonly logger: Logger;
}

const KNOWN: ReadonlySet<string> = new Set(['segmentBytes', 'reserveBytes', 'runtime', 'logger']);

/** Throws TypeError or RangeError for what cannot be meant. */
export function queueSettings(options: QueueStoreOptions): QueueSettings {
  checkKnown(options, KNOWN);
  const { segmentBytes, reserveBytes, runtime, logger } = options;
  checkInteger('segmentBytes', segmentBytes, 4096, 2 ** 31);
  checkInteger('reserveBytes', reserveBytes, 0, 2 ** 31);
  checkObject('runtime', runtime, 'schedule');
  checkObject('logger', logger, 'warn');
  return {
    segmentBytes: segmentBytes ?? 16 * 1024 * 1024,
    reserveBytes: reserveBytes ?? 1024 * 1024,
    runtime: runtime ?? systemRuntime,
    logger: logger === undefined ? silentLogger : guardedLogger(logger),
  };
}
