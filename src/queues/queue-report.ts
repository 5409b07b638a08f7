/** What happens in queues, for those who listen to `redexlog:queue`. */
import { diagnostics } from '../core/runtime.js';

export type QueueEvent =
  'delivered' | 'settled' | 'timed-out' | 'expired' | 'dead-lettered' | 'skipped' | 'reclaimed';

/** `count`: messages, or, of what was reclaimed, bytes. Nothing is told of none. */
export function reportQueue(queue: string, event: QueueEvent, count: number): void {
  if (count > 0 && diagnostics.queue.hasSubscribers) {
    diagnostics.queue.publish({ queue, event, count });
  }
}
