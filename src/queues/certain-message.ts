/**
 * Hands out one certain message instead of the next one. What holds for messages that are received
 * holds for it: it is nobody else's, it is due, no other one of its key is under way.
 */
import { FRONT, type GroupState } from './group-state.js';
import type { Lease, LeasedMessage } from './lease.js';
import { leaseOperation } from './lease-operation.js';
import { readMessage, type Unfit } from './message-picker.js';
import { findMessage } from './queue-browser.js';
import type { QueueCore } from './queue-core.js';
import { noGroup } from './queue-errors.js';

export interface TakeOptions {
  /** In a queue with groups, for which. */
  readonly group?: string | undefined;
  /** Who it is, for `pending`. */
  readonly consumer?: string | undefined;
}

/** Undefined when it cannot be handed out now. Rejects with NOT_FOUND for a group, IO, CLOSED. */
export async function takeMessage(
  core: QueueCore,
  idOrSeq: string | number,
  options: TakeOptions,
): Promise<Lease | undefined> {
  core.requireOpen();
  const group = core.group(options.group);
  const found = await findMessage(core, idOrSeq);
  if (found === undefined) return undefined;
  const unfit: Unfit[] = [];
  const lease = await core.log.run(async () => {
    // It may have been deleted since, and is not to come back by this.
    if (core.state.groups.get(group.name) !== group) throw noGroup(core.name, group.name);
    const message = await readMessage(core, found.seq);
    if (message === undefined || !mayBeTaken(core, group, found.seq, message)) return undefined;
    const { seq, header } = message;
    const attempt = group.attempts.get(seq);
    const priority = attempt?.priority ?? (header.front === true ? FRONT : message.priority);
    const taken = { ...message, priority };
    const isSuspect = attempt?.isSuspect === true;
    const cause = core.unfitness(taken, attempt?.count ?? 0, isSuspect);
    if (cause !== undefined) {
      core.reserve(group, taken);
      unfit.push({ message: taken, cause });
      return undefined;
    }
    if (header.key !== undefined && !group.lanes.claim(header.key, seq)) return undefined;
    group.taken.add(seq);
    try {
      await core.log.operate(leaseOperation(group.name, [taken]));
    } catch (error) {
      group.putBack(seq, priority);
      throw error;
    }
    const picked = { message: taken, band: priority, isSuspect };
    return core.lease(group.name, picked, options.consumer);
  });
  if (unfit.length > 0) await core.settlement.setAside(group.name, unfit);
  return lease;
}

function mayBeTaken(
  core: QueueCore,
  group: GroupState,
  seq: number,
  { header }: LeasedMessage,
): boolean {
  const { state, log, leases, isClosed } = core;
  const nowMs = log.clock.now();
  if (state.isPaused || isClosed || group.inFlight >= state.options.maxInFlight) return false;
  group.takeDue(nowMs);
  if (!group.isFree(seq) || state.gone.has(seq)) return false;
  const attempt = group.attempts.get(seq);
  if ((attempt === undefined ? (header.at ?? 0) : attempt.dueMs) > nowMs) return false;
  return attempt?.isSuspect !== true || !leases.hasSuspect(group.name);
}
