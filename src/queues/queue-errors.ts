/** What operations on queues are refused with, each with its fields. */
import { redexError, RedexError } from '../core/errors.js';

/** Why a delivery cannot be settled any more. */
export type LeaseLoss =
  | 'settled'
  | 'expired'
  | 'claimed'
  | 'cancelled'
  | 'purged'
  | 'sought'
  | 'skipped'
  | 'group deleted'
  | 'queue closed'
  | 'unknown';

const TOO_MUCH: ReadonlySet<string> = new Set(['maxRecordBytes', 'batchBytes', 'journalBytes']);

export function leaseLost(queue: string, id: string, reason: LeaseLoss): RedexError {
  const message = `the delivery of message ${id} of queue ${queue} ended before: ${reason}`;
  return redexError('LEASE_LOST', message, { queue, id, reason });
}

export function noQueue(queue: string): RedexError {
  const fields = { kind: 'queue', resource: queue };
  return redexError('NOT_FOUND', `there is no queue ${queue}`, fields);
}

export function noGroup(queue: string, group: string): RedexError {
  const fields = { kind: 'group', resource: group };
  return redexError('NOT_FOUND', `queue ${queue} has no group ${group}`, fields);
}

export function noMessage(queue: string, id: string): RedexError {
  const fields = { kind: 'message', resource: id };
  return redexError('NOT_FOUND', `queue ${queue} has no message ${id}`, fields);
}

export function queueClosed(queue: string): RedexError {
  return redexError('CLOSED', `queue ${queue} is closed`, { resource: `queue ${queue}` });
}

export function queueFull(queue: string, what: string, limit: number, actual: number): RedexError {
  const message = `queue ${queue} is full: ${what} is ${limit}, and this would make it ${actual}`;
  return redexError('LIMIT', message, { what, limit, actual });
}

/** A record of a queue's channel is whole, but not what a queue consists of. */
export function strangeQueueRecord(channel: string, seq: number, what: string): RedexError {
  return redexError('CORRUPT', `channel ${channel}, record ${seq}: ${what}`, {
    path: channel,
    position: 0,
    check: 'fields',
    seqRange: { firstSeq: seq, nextSeq: seq + 1 },
  });
}

/** Whether less at once may be taken: no record, or entry of the journal, takes so much. */
export function isTooMuch(error: unknown): boolean {
  // A journal that has no room for it now may have later.
  return RedexError.is(error, 'LIMIT') && TOO_MUCH.has(error.what) && error.actual > error.limit;
}
