/** What QueueStore.commit is given, checked, and done in one atomic step. */
import type { CommitAppend, CommitOperation } from '../store/commit-input.js';
import type { Redex } from '../store/redex.js';
import { Acking } from './delivery.js';
import { Enqueued } from './enqueued.js';
import type { EnqueueResult, PlannedEnqueue } from './enqueuing.js';
import type { Lease } from './lease.js';
import { commitParts, type QueuePart } from './queue-commit.js';
import type { QueueCore } from './queue-core.js';
import { CHANNEL_PREFIX } from './open-queues.js';
import { runsOf, type OperationContent } from './queue-records.js';
import { groupField } from './queue-state.js';
import { Settlement } from './settlement.js';
import type { CheckedMessage } from './enqueue-input.js';

/** `delivery.acking()`, `queue.enqueuing(…)`, `channel.appending(…)`. */
export type QueueCommitStep = Acking | Enqueued | CommitAppend;

export interface QueueCommitResult {
  /** Of the messages that were enqueued, in the order in which they were given. */
  readonly enqueued: readonly EnqueueResult[];
}

interface Steps {
  readonly leases: Map<QueueCore, Lease[]>;
  readonly messages: Map<QueueCore, CheckedMessage[]>;
  readonly appends: Map<string, CommitAppend>;
  /** For each enqueued message: its queue, and which of its messages. */
  readonly places: { readonly core: QueueCore; readonly index: number }[];
}

export async function commitSteps(
  redex: Redex,
  given: readonly QueueCommitStep[],
): Promise<QueueCommitResult> {
  const steps = sortedSteps(given);
  const { leases, messages, appends, places } = steps;
  const held = [...leases.values()].flat();
  for (const [core, of] of leases) for (const lease of of) core.settlement.requireHeld(lease);
  // In the turn of the check: nobody else settles them meanwhile.
  for (const lease of held) lease.isSettling = true;
  const plans = new Map<QueueCore, PlannedEnqueue>();
  try {
    // In the order of the names: two that want the same keys do not wait for each other.
    const inOrder = [...messages].toSorted(([a], [b]) => (a.name < b.name ? -1 : 1));
    for (const [core, checked] of inOrder) plans.set(core, await core.enqueuing.plan(checked));
    const cores = [...new Set([...leases.keys(), ...messages.keys()])];
    const make = (): QueuePart[] => {
      for (const [core, of] of leases) for (const lease of of) core.settlement.requireWhole(lease);
      return cores.map((core) => partOf(core, leases.get(core), plans.get(core)));
    };
    const others: CommitOperation[] = [...appends.values()];
    const firstSeqs = await commitParts(redex, cores, make, others);
    const results = new Map<QueueCore, EnqueueResult[]>();
    for (const [core, plan] of plans) {
      core.counters.enqueued += plan.messages.length;
      results.set(core, await plan.results(firstSeqs.get(core) ?? 0));
      plan.end();
    }
    for (const [core, of] of leases) core.settlement.onCommitted(of);
    for (const core of messages.keys()) core.wake();
    const enqueued = places.flatMap(({ core, index }) => results.get(core)?.[index] ?? []);
    return { enqueued };
  } catch (error) {
    for (const plan of plans.values()) plan.end(error);
    for (const lease of held) lease.isSettling = false;
    throw error;
  }
}

function partOf(
  core: QueueCore,
  leases: readonly Lease[] = [],
  plan: PlannedEnqueue | undefined,
): QueuePart {
  const byGroup = new Map<string, number[]>();
  for (const { group, message } of leases) {
    byGroup.set(group, [...(byGroup.get(group) ?? []), message.seq]);
  }
  const operations = [...byGroup].map(([group, seqs]): OperationContent => {
    return { o: 'done', g: groupField(group), s: runsOf(seqs), why: 'ack' };
  });
  return { core, operations, messages: plan?.messages ?? [] };
}

function sortedSteps(given: readonly QueueCommitStep[]): Steps {
  if (!Array.isArray(given)) throw new TypeError('a commit must be an array of steps');
  const steps: Steps = { leases: new Map(), messages: new Map(), appends: new Map(), places: [] };
  for (const step of given as readonly unknown[]) {
    if (step instanceof Acking) addAck(steps, step);
    else if (step instanceof Enqueued) addMessages(steps, step);
    else addAppend(steps, step);
  }
  return steps;
}

function addAck({ leases }: Steps, { host, lease }: Acking): void {
  if (!(host instanceof Settlement)) throw new TypeError('no delivery of these queues');
  const of = leases.get(host.core) ?? [];
  if (of.includes(lease)) throw new TypeError('the same delivery is in the commit twice');
  leases.set(host.core, [...of, lease]);
}

function addMessages({ messages, places }: Steps, { core, checked }: Enqueued): void {
  const of = messages.get(core) ?? [];
  for (let index = 0; index < checked.length; index++) {
    places.push({ core, index: of.length + index });
  }
  messages.set(core, [...of, ...checked]);
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
