/**
 * Workloads of the crash test: lives of a process, each a list of commands over a few channels and
 * the way it ends. Plain data, so that one can be printed, kept and run again. Everything is drawn
 * from integers, and 0 is the plain choice everywhere.
 */
import type { StoredChannelOptions } from '../channel/options.js';
import type { Choose } from '../testing/choices.js';
import { drawCommit, type CommitCommand } from './commit-draw.js';

const LONG = 'x'.repeat(520);

/** Plain, escaped, and two whose entries are hashed and that differ only at their end. */
export const NAMES: readonly string[] = ['a', 'b', 'Ü/.c', `${LONG}1`, `${LONG}2`];

/** Bytes of payloads: around every limit of the format, and below what names a record. */
const SIZES: readonly number[] = [
  100, 8, 0, 1, 9, 40, 511, 512, 513, 300, 20, 1000, 4095, 4096, 4097, 70_000,
];

const LARGE_BYTES = 530_000;

const plain = { segmentMs: 0, retention: undefined } as const;
export const OPTIONS: readonly StoredChannelOptions[] = [
  { ...plain, sync: 'always', segmentBytes: 8192 },
  { ...plain, sync: 'never', segmentBytes: 4096 },
  { sync: { everyN: 3 }, segmentBytes: 8192, segmentMs: 1000, retention: undefined },
  { sync: 'always', segmentBytes: 4096, segmentMs: 0, retention: { maxRecords: 12 } },
  { sync: { intervalMs: 40 }, segmentBytes: 4096, segmentMs: 0, retention: { maxAgeMs: 1500 } },
  { ...plain, sync: { maxBytes: 2000 }, segmentBytes: 65_536 },
  { sync: { everyN: 5, intervalMs: 40 }, segmentBytes: 4096, segmentMs: 0, retention: undefined },
];

export type FaultKind =
  | 'noSpace'
  | 'shortWrite'
  | 'failWrite'
  | 'failSync'
  | 'failMutation'
  | 'failCreate'
  | 'failTruncate'
  | 'failDerived'
  /** A sync of a directory fails and loses nothing, as journaled file systems do. */
  | 'failNames'
  /** A sync of `channels/` or what is in it fails and loses what it was to make durable. */
  | 'loseNames'
  /** The same of a generation: the names of its segments. */
  | 'loseSegmentNames';

const FAULTS: readonly FaultKind[] = [
  'noSpace',
  'shortWrite',
  'failSync',
  'failWrite',
  'failMutation',
  'failNames',
  'failCreate',
  'failTruncate',
  'failDerived',
  'loseNames',
  'loseSegmentNames',
];

export interface Fault {
  readonly kind: 'fault';
  readonly fault: FaultKind;
  /** 1 for the next operation that matches. */
  readonly nth: number;
  readonly code: 'EIO' | 'ENOSPC';
}

export interface Append {
  readonly kind: 'append';
  readonly name: number;
  readonly sizes: readonly number[];
  readonly durability: 'default' | 'written' | 'synced';
  /** By appendSync, which returns when it is done. */
  readonly blocking: boolean;
  /** Without type and time; several of them each by itself, in one tick, and then a sync. */
  readonly bare: boolean;
  /** Seqs to leave out, where it is known which one is next. */
  readonly skip: number;
  /** With the next seq as a condition. */
  readonly conditional: boolean;
  /** For a compaction by key: 0 for none. */
  readonly key: number;
}

/** `name` and `to` are places in NAMES, `options` one in OPTIONS. */
export type ChannelCommand =
  | Append
  | { readonly kind: 'sync' | 'close' | 'read' | 'tail' | 'retention'; readonly name: number }
  | { readonly kind: 'fold'; readonly name: number; readonly close: boolean }
  /** To `share` sixteenths of what is durable. */
  | { readonly kind: 'trim'; readonly name: number; readonly share: number }
  /** Drops about `share` of eight records, or all but the latest of each key. */
  | {
      readonly kind: 'compact';
      readonly name: number;
      readonly by: 'keep' | 'key';
      readonly share: number;
    }
  | { readonly kind: 'configure'; readonly name: number; readonly options: number };

export type Command =
  | ChannelCommand
  | { readonly kind: 'create'; readonly name: number; readonly options: number }
  | { readonly kind: 'delete'; readonly name: number }
  | { readonly kind: 'rename'; readonly name: number; readonly to: number }
  | { readonly kind: 'syncAll' }
  | { readonly kind: 'elapse'; readonly ms: number }
  | CommitCommand
  | Fault;

export interface Step {
  readonly command: Command;
  /** What is the same in all workloads, so that only every eighth one crashes it. */
  readonly isUsual?: boolean;
  /** Completions that are let through afterwards: 0 for all, -1 when the next step is at once. */
  readonly io: number;
}

export interface Life {
  readonly steps: readonly Step[];
  readonly end: 'close' | 'kill' | 'power';
  /** A fault during the open, which is then tried again. */
  readonly openFault: Fault | undefined;
}

export interface Workload {
  readonly seed: number;
  /** Completions of the file system come in any order, not in that of the calls. */
  readonly shuffled: boolean;
  /** A crash at every n-th place where one is possible. */
  readonly stride: number;
  /** Of the store; undefined for the default. */
  readonly journalBytes?: number | undefined;
  readonly lives: readonly Life[];
}

/** From this seed on there are commits and small journals; seeds below draw what they did. */
export const COMMIT_SEEDS: number = 2 ** 21;
/** The least that a store takes: its segments are full soon, and used again. */
const SMALL_JOURNAL_BYTES = 256 * 1024;

/** Everything that a workload is made of comes from `choose`; `seed` decides what it meets. */
export function drawWorkload(seed: number, choose: Choose): Workload {
  const shuffled = choose(2) === 1;
  const stride = 1 + choose(3);
  const count = 1 + choose(3);
  if (seed < COMMIT_SEEDS) {
    const lives = Array.from({ length: count }, (_, i) => drawLife(choose, i === 0, drawCommand));
    return { seed, shuffled, stride, lives };
  }
  const journalBytes = choose(3) === 0 ? undefined : SMALL_JOURNAL_BYTES;
  const draw = choose(2) === 0 ? drawAny : drawBusy;
  const lives = Array.from({ length: count }, (_, index) => drawLife(choose, index === 0, draw));
  return { seed, shuffled, stride, journalBytes, lives };
}

const ENDS = ['kill', 'power', 'close'] as const;

function drawLife(choose: Choose, isFirst: boolean, draw: (choose: Choose) => Command): Life {
  const openFault = !isFirst && choose(6) === 5 ? drawFault(choose) : undefined;
  const steps = isFirst ? firstSteps(choose) : [];
  for (let left = 4 + choose(16); left > 0; left -= 1) {
    const command = draw(choose);
    const isLarge = command.kind === 'append' && command.sizes[0] === LARGE_BYTES;
    if (!isLarge) {
      steps.push({ command, io: drawIo(choose) });
      continue;
    }
    // While another thread writes it, a synchronous one has to complete that write itself.
    steps.push({ command: { ...command, blocking: false }, io: 1 });
    const next = { ...drawAppend(choose, command.name), blocking: choose(2) === 0 };
    if (choose(3) === 0) steps.push({ command: drawFault(choose), io: 1 });
    steps.push({ command: next, io: 1 + choose(4) });
  }
  return { steps, end: ENDS[choose(ENDS.length)] ?? 'kill', openFault };
}

/** Two channels with something in them: what crashes afterwards has something to lose. */
function firstSteps(choose: Choose): Step[] {
  const steps: Step[] = [];
  for (const name of [0, 1]) {
    const options = choose(OPTIONS.length);
    steps.push({ command: { kind: 'create', name, options }, io: 0, isUsual: true });
    for (let batch = 0; batch < 3; batch += 1) {
      const sizes = Array.from({ length: 6 }, () => SIZES[choose(11)] ?? 100);
      const command: Append = { ...PLAIN_APPEND, name, sizes, key: choose(4) };
      steps.push({ command, io: 0, isUsual: true });
    }
  }
  return steps;
}

const PLAIN_APPEND: Append = {
  kind: 'append',
  name: 0,
  sizes: [100],
  durability: 'default',
  blocking: false,
  bare: false,
  skip: 0,
  conditional: false,
  key: 0,
};

/** How often each command is drawn. */
const KINDS = [
  ...Array<'append'>(12).fill('append'),
  'sync',
  'trim',
  'compact',
  'compact',
  'compact',
  'retention',
  'elapse',
  'elapse',
  'fold',
  'tail',
  'read',
  'fault',
  'fault',
  'create',
  'delete',
  'rename',
  'configure',
  'close',
  'syncAll',
] as const;

function drawCommand(choose: Choose): Command {
  const kind = KINDS[choose(KINDS.length)] ?? 'append';
  const name = drawName(choose);
  if (kind === 'append') return drawAppend(choose, name);
  if (kind === 'trim') return { kind, name, share: choose(17) };
  if (kind === 'compact') {
    return { kind, name, by: choose(2) === 0 ? 'keep' : 'key', share: 1 + choose(8) };
  }
  if (kind === 'fold') return { kind, name, close: choose(2) === 1 };
  if (kind === 'create' || kind === 'configure') {
    return { kind, name, options: choose(OPTIONS.length) };
  }
  if (kind === 'rename') return { kind, name, to: drawName(choose) };
  if (kind === 'elapse') return { kind, ms: [10, 50, 1100, 2000][choose(4)] ?? 10 };
  if (kind === 'fault') return drawFault(choose);
  return kind === 'syncAll' ? { kind } : { kind, name };
}

/** A commit now and then. */
function drawAny(choose: Choose): Command {
  if (choose(4) !== 3) return drawCommand(choose);
  return drawCommit(choose, NAMES.length, OPTIONS.length);
}

/** Commits and time for checkpoints, for the most part. */
function drawBusy(choose: Choose): Command {
  const kind = choose(8);
  if (kind < 5) return drawCommit(choose, NAMES.length, OPTIONS.length);
  if (kind === 5) return { kind: 'elapse', ms: 1100 };
  return kind === 6 && choose(3) === 2 ? drawFault(choose) : drawCommand(choose);
}

function drawAppend(choose: Choose, name: number): Append {
  // More than the engine writes while the event loop waits: rarely, because it costs most.
  const isLarge = choose(48) === 47;
  const count = isLarge ? 1 : 1 + choose(3) * choose(3);
  const durability = (['default', 'synced', 'written'] as const)[choose(3)] ?? 'default';
  return {
    kind: 'append',
    name,
    sizes: isLarge
      ? [LARGE_BYTES]
      : Array.from({ length: count }, () => SIZES[choose(SIZES.length)] ?? 100),
    durability,
    blocking: choose(6) === 5,
    bare: choose(8) === 7,
    skip: choose(12) === 11 ? 1 + choose(9) : 0,
    conditional: choose(8) === 7,
    key: choose(5),
  };
}

function drawName(choose: Choose): number {
  return choose(5) === 4 ? choose(NAMES.length) : choose(2);
}

function drawFault(choose: Choose): Fault {
  const fault = FAULTS[choose(FAULTS.length)] ?? 'noSpace';
  const code = choose(2) === 0 ? 'EIO' : 'ENOSPC';
  return { kind: 'fault', fault, nth: 1 + choose(8), code };
}

/** All completions more often than any one number of them. */
function drawIo(choose: Choose): number {
  const kind = choose(12);
  if (kind === 11) return -1;
  return kind < 4 ? 0 : 1 + choose(12);
}
