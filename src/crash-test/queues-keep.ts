/** Messages that are kept when they are done with: which of them have to be there, and as what. */
import type { Queue } from '../queues/queue.js';
import { shortText } from './queues-look.js';
import { hasBegun, isPromised, type Moment, type QueueEntry } from './queues-lines.js';
import type { QueuesModel } from './queues-model.js';
import { QUEUES } from './queues-options.js';
import { Violation } from './violation.js';

/** The queue keeps some of what is done with. */
export function keepsSome(queue: string): boolean {
  const { keepMs, keepMessages, keepBytes } = QUEUES[queue] ?? {};
  return (keepMs ?? keepMessages ?? keepBytes) !== undefined;
}

/** Those that are there for sure, whoever is done with them. */
export function keptEntries(model: QueuesModel, queue: string, moment: Moment): Set<QueueEntry> {
  const { keepMs = Infinity, keepMessages = Infinity, keepBytes = Infinity } = QUEUES[queue] ?? {};
  const kept = new Set<QueueEntry>();
  const came = [...model.entries.values()]
    .filter((entry) => entry.queue === queue && hasBegun(entry.cameBy, moment))
    .toSorted((a, b) => b.seq - a.seq);
  let bytes = 0;
  for (const [index, entry] of came.entries()) {
    bytes += entry.bytes;
    const isOld = entry.cameMs <= moment.nowMs - keepMs;
    if (index >= keepMessages || bytes > keepBytes || isOld) break;
    if (isThere(entry, moment)) kept.add(entry);
  }
  return kept;
}

/** It has come for sure, and nobody has ended it for all. */
export function isThere({ cameBy, goneBy }: QueueEntry, moment: Moment): boolean {
  const isGone = goneBy !== undefined && hasBegun(goneBy, moment);
  return isPromised(cameBy, moment) && !isGone;
}

/** After a crash what is kept can be delivered again, as it was. */
export async function judgeKept(
  model: QueuesModel,
  moment: Moment,
  queues: ReadonlyMap<string, Queue>,
): Promise<void> {
  for (const [name, queue] of queues) {
    const [group] = queue.groups.list();
    if (!keepsSome(name) || group === undefined) continue;
    const kept = keptEntries(model, name, moment);
    const start = Math.min(...[...kept].map(({ seq }) => seq));
    if (start === Infinity) continue;
    const found = new Map<number, string>();
    const of = group.name === '' ? {} : { group: group.name };
    await queue.groups.seek(of.group, start);
    for await (const { seq, bytes } of queue.browse(of)) found.set(seq, shortText(bytes));
    for (const entry of kept) {
      const text = found.get(entry.seq);
      const texts = model.textsOf(entry, moment);
      if (text !== undefined && (texts.size === 0 || texts.has(text))) continue;
      const what = `${name}/${entry.seq}, which is kept, is ${text ?? 'gone'}`;
      throw new Violation(`${what}, of ${[...texts].join()}`);
    }
  }
}
