/** The operation that says that messages of a group were handed out, each once more. */
import type { LeasedMessage } from './lease.js';
import { runsOf, type OperationContent } from './queue-records.js';
import { groupField } from './queue-state.js';

export function leaseOperation(
  group: string,
  messages: readonly LeasedMessage[],
): OperationContent {
  const keys: (readonly [number, string])[] = [];
  const priorities: (readonly [number, number])[] = [];
  const seqs: number[] = [];
  const sizes: number[] = [];
  for (const { seq, size, priority, header } of messages) {
    seqs.push(seq);
    sizes.push(size);
    if (header.key !== undefined) keys.push([seq, header.key]);
    if (priority > 0) priorities.push([seq, priority]);
  }
  return {
    o: 'lease',
    g: groupField(group),
    s: runsOf(seqs),
    z: sizes,
    k: keys.length > 0 ? keys : undefined,
    p: priorities.length > 0 ? priorities : undefined,
  };
}
