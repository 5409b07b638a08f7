/** What QueueStore.commit is given, checked, and done in one atomic step. */
import type { CommitAppend } from '../store/commit-input.js';
import type { Redex } from '../store/redex.js';
import { Acking } from './delivery.js';
import type { CheckedMessage } from './enqueue-input.js';
import { Enqueued } from './enqueued.js';
import type { EnqueueResult, Room } from './enqueue-plan.js';
import type { Enqueuing, PlannedEnqueue } from './enqueuing.js';
import type { GroupState } from './group-state.js';
import type { Lease } from './lease.js';
import type { OpenQueues } from './open-queues.js';
import { commitParts, type QueuePart } from './queue-commit.js';
import type { QueueContext } from './queue-context.js';
import { CHANNEL_PREFIX } from './queue-names.js';
import { runsOf, type OperationContent } from './queue-records.js';
import { groupField } from './queue-state.js';
import { Settlement } from './settlement.js';

/** `delivery.acking()`, `queue.enqueuing(…)`, `channel.appending(…)`. */
export type QueueCommitStep = Acking | Enqueued | CommitAppend;

export interface QueueCommitResult {
  /** Of the messages that were enqueued, in the order in which they were given. */
  readonly enqueued: readonly EnqueueResult[];
}

/** What one queue has to do with it. */
interface Part {
  settlement: Settlement | undefined;
  readonly leases: Lease[];
  enqueuing: Enqueuing | undefined;
  readonly checked: CheckedMessage[];
  plan: PlannedEnqueue | undefined;
}

interface Steps {
  readonly parts: Map<QueueContext, Part>;
  readonly appends: Map<string, CommitAppend>;
  /** For each enqueued message: its queue, and which of its messages. */
  readonly places: { readonly part: Part; readonly index: number }[];
}

/** Nothing has changed when it rejects, but where the error says that nobody knows. */
export async function commitSteps(
  redex: Redex,
  queues: OpenQueues,
  given: readonly QueueCommitStep[],
): Promise<QueueCommitResult> {
  const { parts, appends, places } = sortedSteps(queues, given);
  const all = [...parts.values()];
  for (const { settlement, leases } of all) {
    for (const lease of leases) settlement?.requireHeld(lease);
  }
  // In the turn of the check: nobody else settles them meanwhile.
  for (const { leases } of all) for (const lease of leases) lease.isSettling = true;
  try {
    // In the order of the names: two that want the same keys do not wait for each other.
    const inOrder = [...parts].toSorted(([a], [b]) => (a.name < b.name ? -1 : 1));
    for (const [core, part] of inOrder) {
      const freed = roomOf(core, part.leases);
      part.plan = await part.enqueuing?.plan(part.checked, undefined, freed);
    }
    const make = (): QueuePart[] => {
      for (const { settlement, leases } of all) settlement?.requireHeldStill(leases);
      return [...parts].map(([core, part]) => partOf(core, part));
    };
    const firstSeqs = await commitParts(redex, [...parts.keys()], make, [...appends.values()]);
    return await finish(parts, places, firstSeqs);
  } catch (error) {
    for (const { plan, leases } of all) {
      plan?.end(error);
      for (const lease of leases) lease.isSettling = false;
    }
    throw error;
  }
}

async function finish(
  parts: Steps['parts'],
  places: Steps['places'],
  firstSeqs: ReadonlyMap<QueueContext, number>,
): Promise<QueueCommitResult> {
  const results = new Map<Part, EnqueueResult[]>();
  for (const [core, part] of parts) {
    const { plan, settlement, leases } = part;
    core.counters.enqueued += plan?.added ?? 0;
    results.set(part, (await plan?.results(firstSeqs.get(core) ?? 0)) ?? []);
    plan?.end();
    if (settlement === undefined) core.wake();
    else await settlement.onCommitted(leases);
  }
  return { enqueued: places.flatMap(({ part, index }) => results.get(part)?.[index] ?? []) };
}

/** What is there no more when these are acknowledged: those that no other group has before it. */
function roomOf({ state }: QueueContext, leases: readonly Lease[]): Room {
  const acked = new Map<number, Set<string>>();
  let messages = 0;
  let bytes = 0;
  for (const { group, message } of leases) {
    const { seq, size } = message;
    const groups = acked.get(seq) ?? new Set();
    acked.set(seq, groups.add(group));
    const isOpen = (each: GroupState): boolean => !each.settled.has(seq) && !groups.has(each.name);
    if ([...state.groups.values()].some(isOpen)) continue;
    messages++;
    bytes += size + state.updated.grownBy(seq);
  }
  return { messages, bytes };
}

function partOf(core: QueueContext, { leases, plan }: Part): QueuePart {
  const byGroup = new Map<string, number[]>();
  for (const { group, message } of leases) {
    byGroup.set(group, [...(byGroup.get(group) ?? []), message.seq]);
  }
  const operations = [...byGroup].map(([group, seqs]): OperationContent => {
    return { o: 'done', g: groupField(group), s: runsOf(seqs), why: 'ack' };
  });
  operations.push(...(plan?.operations ?? []));
  return { core, operations, messages: plan?.messages ?? [] };
}

function sortedSteps(queues: OpenQueues, given: readonly QueueCommitStep[]): Steps {
  if (!Array.isArray(given)) throw new TypeError('a commit must be an array of steps');
  const steps: Steps = { parts: new Map(), appends: new Map(), places: [] };
  for (const step of given as readonly unknown[]) {
    if (step instanceof Acking) addAck(queues, steps, step);
    else if (step instanceof Enqueued) addMessages(queues, steps, step);
    else addAppend(steps, step);
  }
  return steps;
}

function partFor(queues: OpenQueues, { parts }: Steps, core: QueueContext): Part {
  if (!queues.owns(core)) throw new TypeError(`queue ${core.name} is not one of this QueueStore`);
  core.requireOpen();
  let part = parts.get(core);
  if (part === undefined) {
    part = {
      settlement: undefined,
      leases: [],
      enqueuing: undefined,
      checked: [],
      plan: undefined,
    };
    parts.set(core, part);
  }
  return part;
}

function addAck(queues: OpenQueues, steps: Steps, { host, lease }: Acking): void {
  if (!(host instanceof Settlement)) throw new TypeError('this is no delivery of a queue');
  const part = partFor(queues, steps, host.core);
  if (part.leases.includes(lease)) throw new TypeError('a delivery is in the commit twice');
  part.settlement = host;
  part.leases.push(lease);
}

function addMessages(queues: OpenQueues, steps: Steps, { core, checked }: Enqueued): void {
  const part = partFor(queues, steps, core);
  part.enqueuing = core.enqueuing;
  for (const message of checked) {
    steps.places.push({ part, index: part.checked.length });
    part.checked.push(message);
  }
}

function addAppend({ appends }: Steps, step: unknown): void {
  if (typeof step !== 'object' || step === null || !('channel' in step) || !('records' in step)) {
    throw new TypeError('a step is a delivery.acking(), queue.enqueuing() or channel.appending()');
  }
  const append = step as CommitAppend;
  if (append.channel.startsWith(CHANNEL_PREFIX)) {
    throw new TypeError(`channel ${append.channel} is a queue: use its enqueuing()`);
  }
  const before = appends.get(append.channel);
  if (before !== undefined && append.expectedSeq !== undefined) {
    throw new TypeError(`expectedSeq is for the first append to channel ${append.channel}`);
  }
  const records = [...(before?.records ?? []), ...append.records];
  appends.set(append.channel, { ...append, ...before, records });
}
