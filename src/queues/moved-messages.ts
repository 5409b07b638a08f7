/** What is written of messages that go from one queue to another, here and there. */
import { MAX_ERROR_LENGTH, MAX_ERRORS, type Attempt } from './attempt.js';
import type { LeasedMessage } from './lease.js';
import type { Doomed, QueueContext } from './queue-context.js';
import type { NewMessage } from './queue-log.js';
import {
  runsOf,
  type FailedDelivery,
  type Held,
  type MessageHeader,
  type OperationContent,
  type Origin,
} from './queue-records.js';
import { groupField, WORK_GROUP } from './queue-state.js';

export function doneWith(
  group: string,
  messages: readonly { readonly message: LeasedMessage }[],
  why: 'dead' | 'discarded' | 'redriven',
  held: { readonly h?: readonly Held[]; readonly to?: string } = {},
): OperationContent[] {
  if (messages.length === 0) return [];
  const s = runsOf(messages.map(({ message }) => message.seq));
  const z = messages.map(({ message }) => message.size);
  const dues = messages.map(({ message }) => message.header.at ?? 0);
  const at = dues.some((due) => due > 0) ? dues : undefined;
  return [{ o: 'done', g: groupField(group), s, why, z, at, ...held }];
}

/** The keys that wait for these dead letters, where they do. */
export function heldBy(
  { options }: QueueContext,
  group: string,
  doomed: readonly Doomed[],
): { h?: readonly Held[]; to?: string } {
  const { onDead, deadLetter } = options;
  if (onDead !== 'block' || deadLetter === false) return {};
  const h = doomed.flatMap(({ message: { seq, header } }): Held[] =>
    header.key === undefined ? [] : [[seq, header.key, placeOf(seq, header, group)]],
  );
  return h.length === 0 ? {} : { h, to: deadLetter };
}

/** Where a message is in the order of its key. */
function placeOf(seq: number, { fills }: MessageHeader, group: string): number {
  return fills !== undefined && (fills.g ?? WORK_GROUP) === group ? fills.place : seq;
}

/** It was moved out of this queue, and not out of an earlier one of its name. */
export function isFrom(
  origin: Origin | undefined,
  { name, state }: Pick<QueueContext, 'name' | 'state'>,
): origin is Origin {
  return origin?.queue === name && (origin.tag ?? state.tag) === state.tag;
}

export function deadLetterOf(
  core: QueueContext,
  group: string,
  { message, cause, reason: given }: Doomed,
): NewMessage {
  const reason = given?.slice(0, MAX_ERROR_LENGTH);
  const attempt = core.state.groups.get(group)?.attempts.get(message.seq);
  const { id, seq, enqueuedAt, header, headers, payload } = message;
  const origin = {
    queue: core.name,
    tag: core.state.tag,
    seq,
    group: groupField(group),
    cause,
    reason,
    deliveryCount: attempt?.count ?? 0,
    priority: header.priority,
    maxDeliveries: header.max,
    enqueuedAt,
    deadAt: core.log.clock.now(),
    errors: historyOf(attempt, reason, core.log.clock.now()),
  };
  const isHeld = core.options.onDead === 'block' && header.key !== undefined;
  const holds = isHeld ? placeOf(seq, header, group) : undefined;
  const kept: MessageHeader = { id, origin, key: header.key, holds };
  return {
    header: Object.keys(headers).length === 0 ? kept : { ...kept, headers },
    payload,
  };
}

/** The deliveries that failed, with the one that was the last. */
function historyOf(
  attempt: Attempt | undefined,
  reason: string | undefined,
  at: number,
): readonly FailedDelivery[] {
  const errors = attempt?.errors ?? [];
  if (attempt === undefined || reason === undefined) return errors;
  const { count: deliveryCount } = attempt;
  return [...errors, { deliveryCount, at, error: reason }].slice(-MAX_ERRORS);
}

/** The message as it was enqueued, at the end of its queue; first of its key, if that waits. */
export function revived(
  { id, header, headers, payload }: LeasedMessage,
  target: QueueContext,
): NewMessage {
  const { key, origin, holds } = header;
  const priority = origin?.priority;
  const hasHeaders = Object.keys(headers).length > 0;
  const isBack = holds !== undefined && isFrom(origin, target);
  return {
    header: {
      id,
      key,
      priority,
      max: origin?.maxDeliveries,
      headers: hasHeaders ? headers : undefined,
      fills: isBack ? { g: origin.group, place: holds } : undefined,
    },
    payload,
  };
}
