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
  for (const { seq, priority, header } of messages) {
    if (header.key !== undefined) keys.push([seq, header.key]);
    if (priority > 0) priorities.push([seq, priority]);
  }
  return {
    o: 'lease',
    g: groupField(group),
    s: runsOf(messages.map(({ seq }) => seq)),
    z: messages.map(({ size }) => size),
    k: keys.length > 0 ? keys : undefined,
    p: priorities.length > 0 ? priorities : undefined,
  };
}
