/** Groups that are too far behind, or that nobody asks for: which messages may be skipped. */
import {
  isPromised,
  lineKey,
  type Deed,
  type FoundSights,
  type Moment,
  type QueueLine,
} from './queues-lines.js';
import type { QueuesModel } from './queues-model.js';
import { QUEUES } from './queues-options.js';
import { Violation } from './violation.js';

/** Groups of the queue may be moved on. */
export function lags(queue: string): boolean {
  return QUEUES[queue]?.maxLag !== undefined;
}

/** So many may be before a group that it is moved on to `maxLag` of. */
function mostBefore(maxLag: number): number {
  return maxLag + Math.floor(maxLag / 8);
}

/** What a step has skipped is what was oldest, and no more than there was to skip. */
export function judgeSkipped(
  model: QueuesModel,
  queue: string,
  group: string,
  step: {
    readonly skipped: ReadonlySet<QueueLine>;
    readonly begun: Deed;
    readonly isIdle: boolean;
    readonly isOne: boolean;
  },
): void {
  const { maxLag = Infinity } = QUEUES[queue] ?? {};
  const { skipped, begun, isIdle, isOne } = step;
  const there = model.openLines(queue, group);
  const open = there.map(({ entry }) => entry.seq);
  // It is looked at when something comes, unless it is being looked at meanwhile.
  const came = there.filter(({ entry }) => entry.cameBy.beganAt >= begun.beganAt);
  const isLooked = new Set(came.map(({ entry }) => entry.cameBy)).size === 1;
  const what = `${queue}/${group}, which has ${open.length} messages before it`;
  if (isOne && isLooked && open.length > mostBefore(maxLag))
    throw new Violation(`${what}, is not moved on after ${came[0]?.entry.cameBy.what ?? ''}`);
  const gone = [...skipped].filter((line) => line.queue === queue && line.group === group);
  if (gone.length === 0) return;
  const last = Math.max(...gone.map(({ entry }) => entry?.seq ?? 0));
  if (open.some((seq) => seq < last)) throw new Violation(`${what}, was moved beyond some`);
  // Others were done with beside it.
  const ended = [...model.lines.values()].filter((line) => {
    const { sight, deed } = line.states.at(-1) ?? {};
    const isOfGroup = line.queue === queue && line.group === group && !skipped.has(line);
    return isOfGroup && sight === undefined && (deed?.beganAt ?? 0) >= begun.beganAt;
  });
  if (!isIdle && open.length + ended.length < maxLag) {
    throw new Violation(`${what}, was moved on too far, by ${gone.length}`);
  }
}

/** After a crash, too, nothing is left before what was skipped. */
export function judgeSkips(model: QueuesModel, found: FoundSights, moment: Moment): void {
  if (model.skips.size === 0) return;
  const last = new Map<string, number>();
  for (const [key, { queue, group, entry, states }] of model.lines) {
    const gone = states.filter(({ sight }, index) => index > 0 && sight === undefined);
    const isSkipped = gone.length > 0 && gone.every(({ deed }) => model.skips.has(deed));
    // What has not come yet is not there either.
    if (entry === undefined || !isSkipped || found.has(key)) continue;
    const name = `${queue}/${group}`;
    if (isPromised(entry.cameBy, moment)) last.set(name, Math.max(last.get(name) ?? -1, entry.seq));
  }
  for (const { queue, group, entry } of model.lines.values()) {
    if (entry === undefined || !found.has(lineKey(queue, entry.seq, group))) continue;
    const skippedTo = last.get(`${queue}/${group}`) ?? -1;
    if (entry.seq > skippedTo) continue;
    throw new Violation(`${queue}/${entry.seq}/${group} is left, and ${skippedTo} was skipped`);
  }
}
