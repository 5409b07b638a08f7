/** What dedup keys are promised to stand for. */
import type { DedupNote } from './queues-lines.js';
import { windowOf } from './queues-options.js';

/** Those that a key may stand for now, and whether it has to stand for one of them. */
export interface StandingNotes {
  readonly standing: readonly DedupNote[];
  readonly isSure: boolean;
}

/** Of the notes of one key, oldest first: what is sure takes the place of all before it. */
export function standingNotes(
  notes: readonly DedupNote[],
  isSure: (note: DedupNote) => boolean,
  nowMs: number,
): StandingNotes {
  const isInWindow = ({ atMs, entry }: DedupNote): boolean => nowMs < atMs + windowOf(entry.queue);
  const last = notes.findLastIndex((note) => isSure(note));
  const standing = notes.slice(Math.max(last, 0)).filter((note) => isInWindow(note));
  return { standing, isSure: notes[last] !== undefined && isInWindow(notes[last]) };
}
