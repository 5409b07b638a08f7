/** What has happened in a queue since it was opened. */
export class QueueCounters {
  enqueued = 0;
  duplicates = 0;
  delivered = 0;
  /** Of the delivered ones, those that were not the first of their message. */
  redelivered = 0;
  acknowledged = 0;
  failed = 0;
  released = 0;
  timedOut = 0;
  deadLettered = 0;
  expired = 0;
}
