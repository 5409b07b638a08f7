/** Whether each deed is there for all of its lines, and not without those before it. */
import type { Deed, Fits, QueueLine } from './queues-lines.js';
import { Violation } from './violation.js';

interface Outcome {
  isIn: QueueLine | undefined;
  isOut: QueueLine | undefined;
  readonly queues: Set<string>;
}

/** Throws a Violation for a deed that is there in part, or without one before it. */
export function judgeDeeds(fits: Fits): void {
  const outcomes = new Map<Deed, Outcome>();
  for (const [line, fitting] of fits) {
    const lowest = fitting[0] ?? 0;
    const highest = fitting.at(-1) ?? 0;
    for (const [index, { deed }] of line.states.entries()) {
      if (index === 0) continue;
      let outcome = outcomes.get(deed);
      if (outcome === undefined) {
        outcome = { isIn: undefined, isOut: undefined, queues: new Set() };
        outcomes.set(deed, outcome);
      }
      outcome.queues.add(line.queue);
      if (lowest >= index) outcome.isIn = line;
      if (highest < index) outcome.isOut = line;
    }
  }
  const lastIn = new Map<string, Deed>();
  for (const [deed, { isIn, isOut, queues }] of outcomes) {
    if (isIn !== undefined && isOut !== undefined) {
      const [a, b] = [isIn, isOut].map(({ queue, entry, group }) => {
        return `${queue}/${entry?.seq ?? ''}/${group}`;
      });
      throw new Violation(`${deed.what} is there for ${a}, and not for ${b}`);
    }
    if (isIn === undefined) continue;
    for (const queue of queues) {
      if (deed.beganAt > (lastIn.get(queue)?.beganAt ?? 0)) lastIn.set(queue, deed);
    }
  }
  for (const [deed, { isOut, queues }] of outcomes) {
    if (isOut === undefined) continue;
    for (const queue of queues) {
      const later = lastIn.get(queue);
      if (later === undefined || deed.endedAt > later.beganAt) continue;
      throw new Violation(`${later.what} is there, and ${deed.what} before it is not (${queue})`);
    }
  }
}
