/**
 * What is said of messages, and of what else there is in queues: lines of states, each of which a
 * deed has led to, and which of them a crash may have left.
 */
import { Violation } from './violation.js';

/** A message as a group has it before it. */
export interface QueueSight {
  readonly text: string;
  readonly count: number;
  readonly priority: number;
  /** Unix milliseconds before which it is not delivered; what is past is 0. */
  readonly dueMs: number;
  /** Unix milliseconds from which it is not delivered any more. */
  readonly untilMs: number;
}

export interface Deed {
  readonly what: string;
  /** A power cut does not take it back once it is acknowledged. */
  readonly isSynced: boolean;
  /** On the clock of the model; `endedAt` is Infinity until it is acknowledged. */
  readonly beganAt: number;
  endedAt: number;
}

/** Of the time before, which nothing takes back. */
export const BEFORE: Deed = { what: 'before', isSynced: true, beganAt: 0, endedAt: 0 };
/** Of the time before, and nobody knows whether it is there. */
export const PERHAPS: Deed = { what: 'perhaps', isSynced: true, beganAt: 0, endedAt: Infinity };

interface LineState {
  readonly sight: QueueSight | undefined;
  readonly deed: Deed;
}

/** A key that waits for a dead letter. */
export interface Block {
  readonly queue: string;
  readonly key: string;
  /** Of the dead letter, before it was one, and in the order of the key. */
  readonly seq: number;
  readonly place: number;
  /** Whether it waits. */
  readonly line: QueueLine;
}

/** What is known of a message in a queue beside what its lines say. */
export interface QueueEntry {
  readonly queue: string;
  readonly seq: number;
  readonly id: string;
  /** Begins its text, in whatever version, in whatever queue. */
  readonly number: number;
  /** That, and those of what has replaced it. */
  readonly numbers: Set<number>;
  /** As it was first written. */
  bytes: number;
  readonly key: string | undefined;
  readonly priority: number;
  readonly dueMs: number;
  readonly isFront: boolean;
  cameBy: Deed;
  readonly cameMs: number;
  /** In the order of its key: the seq, or that with which it first came. */
  readonly place: number;
  /** It came back when its key did not wait for it: others may have passed it. */
  readonly isLoose: boolean;
  /** What waits for this dead letter. */
  readonly holds: Block | undefined;
  /** It was cancelled or purged by this: no group gets it again. */
  goneBy: Deed | undefined;
  /** Another time or priority was given to it. */
  isEdited: boolean;
}

export class QueueLine {
  readonly queue: string;
  readonly group: string;
  /** Undefined for what is no message. */
  readonly entry: QueueEntry | undefined;
  states: LineState[] = [{ sight: undefined, deed: BEFORE }];

  constructor(queue: string, group: string, entry: QueueEntry | undefined) {
    this.queue = queue;
    this.group = group;
    this.entry = entry;
  }

  get last(): QueueSight | undefined {
    return this.states.at(-1)?.sight;
  }

  push(sight: QueueSight | undefined, deed: Deed): void {
    // Of what one deed did, only the end was ever to be seen.
    if (deed === this.states.at(-1)?.deed && deed !== BEFORE) this.states.pop();
    this.states.push({ sight, deed });
  }
}

/** When a crash was, and of what kind. */
export interface Moment {
  readonly at: number;
  readonly kind: 'power' | 'kill';
  readonly nowMs: number;
}

/** From then on a dedup key stands for a message. */
export interface DedupNote {
  readonly entry: QueueEntry;
  readonly atMs: number;
  deed: Deed;
  /** It did before, and its window has begun again. */
  readonly isAgain: boolean;
}

export type FoundSights = ReadonlyMap<string, QueueSight>;
/** Which states of each line fit what was found. */
export type Fits = ReadonlyMap<QueueLine, readonly number[]>;

export const lineKey = (queue: string, place: number | string, group: string): string =>
  `${queue}/${place}/${group}`;

/** Of what is no message. */
export function plainSight(text: string): QueueSight {
  return { text, count: 0, priority: 0, dueMs: 0, untilMs: Infinity };
}

export function isPromised({ endedAt, isSynced }: Deed, { at, kind }: Moment): boolean {
  return endedAt <= at && (kind === 'kill' || isSynced);
}

export function hasBegun({ beganAt }: Deed, { at }: Moment): boolean {
  return beganAt <= at;
}

/** Indexes of the states of a line that are as it was found. */
export function indexesThatFit(
  line: QueueLine,
  found: QueueSight | undefined,
  moment: Moment,
): number[] {
  const { states } = line;
  const first = states.findLastIndex(({ deed }) => isPromised(deed, moment));
  const last = states.findLastIndex(({ deed }) => hasBegun(deed, moment));
  const isFront = line.entry?.isFront === true;
  const fitting: number[] = [];
  for (let index = Math.max(first, 0); index <= last; index++) {
    if (isSame(states[index]?.sight, found, moment.nowMs, isFront)) fitting.push(index);
  }
  return fitting;
}

export function isSame(
  a: QueueSight | undefined,
  b: QueueSight | undefined,
  nowMs: number,
  isFront: boolean,
): boolean {
  if (a === undefined || b === undefined) return a === b;
  const due = ({ dueMs }: QueueSight): number => (dueMs > nowMs ? dueMs : 0);
  const isPriority = isFront || a.priority === b.priority;
  const isSameTime = due(a) === due(b) && a.untilMs === b.untilMs;
  return a.text === b.text && a.count === b.count && isPriority && isSameTime;
}

export function textOf(sight: QueueSight | undefined): string {
  if (sight === undefined) return 'none';
  const { text, count, priority, dueMs, untilMs } = sight;
  return `${text} count ${count} priority ${priority} due ${dueMs} until ${untilMs}`;
}

export function misfit(
  key: string,
  { states }: QueueLine,
  found: QueueSight | undefined,
  moment: Moment,
): Violation {
  const line = states.map(({ sight, deed }) => {
    const when = hasBegun(deed, moment) ? (isPromised(deed, moment) ? 'done' : 'begun') : 'later';
    return `[${deed.what}, ${when}] ${textOf(sight)}`;
  });
  return new Violation(`${key} is ${textOf(found)}, of ${line.join('; ')}`);
}
