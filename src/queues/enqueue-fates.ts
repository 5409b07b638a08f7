/**
 * What becomes of messages that are enqueued, as their dedup keys say: decided in the turn in which
 * their room and their keys are taken, so that nothing comes in between.
 */
import type { CheckedMessage } from './enqueue-input.js';
import { messageAt } from './enqueue-input.js';
import { FRONT } from './group-state.js';
import { isWaiting } from './held-messages.js';
import type { QueueContext } from './queue-context.js';
import type { NewMessage } from './queue-log.js';
import type { MessageHeader, OperationContent } from './queue-records.js';

/** A message that had the key before. */
export interface EarlierMessage {
  readonly id: string;
  readonly seq: number;
  /** Bytes of the payload that it was enqueued with. */
  readonly size: number;
  /** With the end that it has now. Undefined when its record is gone, and it with it. */
  readonly header: MessageHeader | undefined;
  /** Seq of the record that has taken its place. */
  readonly updatedBy: number | undefined;
}

export type Fate =
  | { readonly kind: 'new' }
  /** Nothing but that the earlier one is told. */
  | { readonly kind: 'told'; readonly of: EarlierMessage }
  /** The window of its key begins again. */
  | { readonly kind: 'renewed'; readonly of: EarlierMessage }
  /** The earlier one gets what is new. */
  | { readonly kind: 'replaced'; readonly of: EarlierMessage; readonly header: MessageHeader }
  /** The same of a message that comes with it, by its index. */
  | { readonly kind: 'told own' | 'replaced own'; readonly index: number };

const NEW: Fate = { kind: 'new' };

/** Throws TypeError for a delay of a message that has a key. */
export function fatesOf(
  core: QueueContext,
  checked: readonly CheckedMessage[],
  known: ReadonlyMap<string, EarlierMessage>,
): Fate[] {
  const own = new Map<string, number>();
  return checked.map((message, index): Fate => {
    const { dedup, dedupMode } = message;
    if (dedup === undefined) return NEW;
    const before = own.get(dedup);
    if (before !== undefined) {
      if (dedupMode === 'replace') refuseDelay(core, message, checked[before]?.header.key);
      return { kind: dedupMode === 'replace' ? 'replaced own' : 'told own', index: before };
    }
    const fate = fateOf(core, message, known.get(dedup));
    if (fate.kind === 'new') own.set(dedup, index);
    return fate;
  });
}

function fateOf(core: QueueContext, message: CheckedMessage, of: EarlierMessage | undefined): Fate {
  if (of === undefined) return NEW;
  if (message.dedupMode === 'keep') return { kind: 'told', of };
  if (message.dedupMode === 'extend') return { kind: 'renewed', of };
  const { header } = of;
  if (header === undefined || !isWaiting(core, of.seq)) return NEW;
  refuseDelay(core, message, header.key);
  return { kind: 'replaced', of, header };
}

function refuseDelay(core: QueueContext, message: CheckedMessage, key: string | undefined): void {
  if (key === undefined || !isPutOff(message) || core.options.ordering !== 'strict') return;
  throw new TypeError('it replaces a message with a key, which may have no delay');
}

export function isPutOff({ delayMs, runAtMs }: CheckedMessage): boolean {
  return delayMs !== undefined || runAtMs !== undefined;
}

/** What replaces a message: its record, and, if that is to come at another time, an operation. */
export function replacementOf(
  message: CheckedMessage,
  { of, header }: Extract<Fate, { readonly kind: 'replaced' }>,
  nowMs: number,
): { readonly update: NewMessage; readonly edit: OperationContent | undefined } {
  const { seq, size } = of;
  const { payload, header: now } = messageAt(message, nowMs);
  // What is not given stays, as in `update`.
  const { headers, until = header.until, dedup } = now ?? {};
  const wasPriority = header.front === true ? FRONT : (header.priority ?? 0);
  const was = [header.at ?? 0, wasPriority] as const;
  return {
    update: { header: { of: seq, z: size, headers, until, dedup }, payload },
    edit: isPutOff(message) ? { o: 'edit', s: seq, z: size, at: now?.at ?? 0, was } : undefined,
  };
}

/** The same of a message that comes with what replaces it, and was never written as it was. */
export function replacedBy(first: NewMessage, now: NewMessage, isMoved: boolean): NewMessage {
  const { at, until = first.header?.until, headers } = now.header ?? {};
  const due = isMoved ? at : first.header?.at;
  return { header: { ...first.header, at: due, until, headers }, payload: now.payload };
}
