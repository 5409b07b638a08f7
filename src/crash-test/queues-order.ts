/** The order in which messages are delivered to a group. */
import { lags } from './queues-lag.js';
import type { Deed, QueueEntry, QueueLine, QueueSight } from './queues-lines.js';
import type { QueuesModel } from './queues-model.js';
import { blocksKeys, isLimited, MAX_DELIVERIES, QUEUES } from './queues-options.js';
import { Violation } from './violation.js';

export interface OpenLine {
  readonly line: QueueLine;
  readonly entry: QueueEntry;
  readonly sight: QueueSight;
}

/** What of a process has to be known. */
interface OrderScene {
  readonly model: QueuesModel;
  readonly runtime: { now(): number };
  readonly rejected: ReadonlySet<QueueLine>;
  isHeld(line: QueueLine): boolean;
}

/** Throws a Violation where another message should have been delivered before this one. */
export function judgeOrder(
  scene: OrderScene,
  { line, entry, sight }: OpenLine,
  deed: Deed,
  what: string,
): void {
  const isStrict = QUEUES[line.queue]?.ordering !== 'relaxed';
  const open = scene.model.openLines(line.queue, line.group).filter((each) => each.line !== line);
  for (const other of open) {
    // It may have been skipped in this step.
    if (lags(line.queue) && !scene.isHeld(other.line)) continue;
    // It is a dead letter before it is delivered.
    const isSameKey = entry.key !== undefined && other.entry.key === entry.key;
    const goesOn = !isSameKey || !blocksKeys(line.queue);
    if (goesOn && isDoomed(scene, other.line)) continue;
    const isEarly = isStrict && !entry.isLoose && !other.entry.isLoose;
    const isPassed = isEarly && other.entry.place < entry.place;
    if (isSameKey && (scene.isHeld(other.line) || isPassed)) {
      throw new Violation(`${what}: ${other.entry.seq} of its key ${entry.key ?? ''} is before`);
    }
    if (!isPlain(scene, line, entry) || !isPlain(scene, other.line, other.entry)) continue;
    // What came meanwhile came too late.
    if ((other.line.states.at(-1)?.deed.endedAt ?? 0) > deed.beganAt) continue;
    const priority = other.line.last?.priority ?? 0;
    // A group that has begun again meets a message with a priority when it comes to it.
    const isMet = !scene.model.sought.has(line.queue);
    const isFirst = other.entry.seq < entry.seq && (isMet || priority === 0);
    const isEarlier = priority === sight.priority && isFirst;
    if ((priority > sight.priority && isMet) || isEarlier) {
      throw new Violation(`${what}: ${other.entry.seq} of priority ${priority} is before`);
    }
  }
}

/** It may be a dead letter already, which is seen when the step is followed. */
function isDoomed(scene: OrderScene, line: QueueLine): boolean {
  const { untilMs = Infinity } = line.last ?? {};
  if (untilMs <= scene.runtime.now() || scene.rejected.has(line)) return true;
  const isWorn = (line.last?.count ?? 0) >= MAX_DELIVERIES && isLimited(line.queue);
  return isWorn && !scene.isHeld(line);
}

/** It comes in its order, and nothing has happened to it. */
function isPlain(scene: OrderScene, line: QueueLine, entry: QueueEntry): boolean {
  const { key, dueMs, isFront, isEdited } = entry;
  const hasWish = key !== undefined || dueMs > 0 || isFront || isEdited;
  const isNew = line.last?.count === 0 && line.last.untilMs === Infinity;
  return !hasWish && isNew && !scene.isHeld(line);
}
