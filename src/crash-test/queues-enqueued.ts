/** Makes the model know what became of messages that were enqueued, as their dedup keys say. */
import type { EnqueueInput } from '../queues/enqueue-input.js';
import type { EnqueueResult } from '../queues/enqueuing.js';
import { standingNotes } from './queues-dedup.js';
import { shortText } from './queues-look.js';
import type { Deed, DedupNote, QueueEntry, QueueSight } from './queues-lines.js';
import { QUEUES } from './queues-options.js';
import type { QueuesScene } from './queues-scene.js';
import { Violation } from './violation.js';

export interface NewInput extends EnqueueInput<Uint8Array> {
  readonly number: number;
}

interface How {
  readonly nowMs: number;
  readonly deed: Deed;
  readonly isFront: boolean;
}

type Mode = 'keep' | 'replace' | 'extend';

export function modeOf(queue: string, { dedupMode }: Pick<NewInput, 'dedupMode'>): Mode {
  return dedupMode ?? QUEUES[queue]?.dedupMode ?? 'keep';
}

/** What is remembered of a dedup key. */
export function notesOf(scene: QueuesScene, queue: string, dedupKey?: string): DedupNote[] {
  if (dedupKey === undefined) return [];
  const name = `${queue}/${dedupKey}`;
  const notes = scene.model.keys.get(name) ?? [];
  scene.model.keys.set(name, notes);
  return notes;
}

export function onEnqueued(
  scene: QueuesScene,
  queue: string,
  inputs: readonly NewInput[],
  results: readonly EnqueueResult[],
  how: How,
): void {
  const { nowMs, deed } = how;
  for (const [index, input] of inputs.entries()) {
    const result = results[index];
    if (result === undefined) throw new Violation(`${deed.what}: a result is missing`);
    const notes = notesOf(scene, queue, input.dedupKey);
    // Of a message before a crash nobody may know whether it is there.
    const isKnown = (note: DedupNote): boolean => note.deed.endedAt < Infinity;
    const { standing, isSure } = standingNotes(notes, isKnown, nowMs);
    if (result.duplicate) {
      const before = standing.findLast(
        ({ entry }) => entry.id === result.id && entry.seq === result.seq,
      );
      if (before === undefined) {
        throw new Violation(`${deed.what}: ${result.id} is no duplicate in the window`);
      }
      onDuplicate(scene, input, result, { ...how, notes, entry: before.entry });
      continue;
    }
    if (isSure && modeOf(queue, input) !== 'replace') {
      throw new Violation(`${deed.what}: the window of key ${input.dedupKey ?? ''} is not over`);
    }
    // Which becomes known when all that was done at once is.
    if (isSure)
      scene.notReplaced.push(...standing.slice(1 - standing.length).map(({ entry }) => entry));
    const entry = enter(scene, queue, input, result, how);
    notes.push({ entry, atMs: nowMs, deed, isAgain: false });
  }
}

function onDuplicate(
  scene: QueuesScene,
  input: NewInput,
  result: EnqueueResult,
  how: How & { readonly notes: DedupNote[]; readonly entry: QueueEntry },
): void {
  const { notes, entry, deed, nowMs } = how;
  const mode = modeOf(entry.queue, input);
  if ((result.replaced === true) !== (mode === 'replace')) {
    throw new Violation(`${deed.what}: ${mode}, replaced: ${String(result.replaced)}`);
  }
  scene.count(mode === 'keep' ? 'duplicate' : mode);
  if (mode === 'keep') return;
  notes.push({ entry, atMs: nowMs, deed, isAgain: true });
  if (mode === 'extend') return;
  if (!scene.isWaiting(entry)) {
    throw new Violation(`${deed.what}: ${entry.seq} does not wait, and is replaced`);
  }
  const { number, payload, delayMs, ttlMs } = input;
  entry.numbers.add(number);
  if (delayMs !== undefined) entry.isEdited = true;
  const isOwn = notes.some((note) => note.entry === entry && !note.isAgain && note.deed === deed);
  for (const line of scene.model.linesOf(entry)) {
    const { last } = line;
    if (last === undefined) continue;
    // It was never there as it was.
    if (isOwn) entry.bytes = payload.length;
    const dueMs = delayMs === undefined ? last.dueMs : nowMs + delayMs;
    const untilMs = ttlMs === undefined ? last.untilMs : nowMs + ttlMs;
    line.push({ ...last, text: shortText(payload), dueMs, untilMs }, deed);
  }
}

function enter(
  scene: QueuesScene,
  queue: string,
  input: NewInput,
  result: EnqueueResult,
  { nowMs, deed, isFront }: How,
): QueueEntry {
  const { number, payload, key, priority = 0, delayMs = 0, ttlMs = Infinity } = input;
  const dueMs = delayMs > 0 ? nowMs + delayMs : 0;
  const entry: QueueEntry = {
    queue,
    seq: result.seq,
    id: result.id,
    number,
    numbers: new Set([number]),
    bytes: payload.length,
    key,
    priority,
    dueMs,
    isFront,
    cameBy: deed,
    cameMs: nowMs,
    place: result.seq,
    isLoose: false,
    holds: undefined,
    goneBy: undefined,
    isEdited: false,
  };
  const sight: QueueSight = {
    text: shortText(payload),
    count: 0,
    priority,
    dueMs,
    untilMs: nowMs + ttlMs,
  };
  const groups = scene.groupsOf(queue).map((group) => [group, sight] as const);
  scene.model.enter(entry, groups, deed);
  return entry;
}
