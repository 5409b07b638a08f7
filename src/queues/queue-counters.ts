/** What has happened in a queue since it was opened. */

export interface QueueCounts {
  enqueued: number;
  /** Messages that were not enqueued, because one of their `dedupKey` was there. */
  duplicates: number;
  delivered: number;
  /** Of the delivered ones, those that were not the first of their message. */
  redelivered: number;
  acknowledged: number;
  failed: number;
  released: number;
  timedOut: number;
  deadLettered: number;
  expired: number;
  /** For groups that were moved on: see `maxLag` and `maxIdleMs`. */
  skipped: number;
}

export function noCounts(): QueueCounts {
  return {
    enqueued: 0,
    duplicates: 0,
    delivered: 0,
    redelivered: 0,
    acknowledged: 0,
    failed: 0,
    released: 0,
    timedOut: 0,
    deadLettered: 0,
    expired: 0,
    skipped: 0,
  };
}
