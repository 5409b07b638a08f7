/** The queues of the workload, and what each is opened with. */
import type { OpenQueueOptions } from '../queues/queue-store.js';

export const MAX_DELIVERIES = 3;
const LEASE_MS = 4000;
const DEDUP_MS = 6000;

const COMMON = {
  maxDeliveries: MAX_DELIVERIES,
  visibilityTimeoutMs: LEASE_MS,
  dedupWindowMs: DEDUP_MS,
} as const;

export const QUEUES: Readonly<Record<string, OpenQueueOptions<Uint8Array>>> = {
  work: { ...COMMON },
  fan: { ...COMMON, mode: 'fanout' },
  loose: { ...COMMON, deadLetter: false, ordering: 'relaxed' },
  swap: { ...COMMON, dedupMode: 'replace', dedupWindowMs: 3000, onExpired: 'drop' },
  chain: { ...COMMON, onDead: 'block' },
  kept: { ...COMMON, keepMessages: 10, keepBytes: 4000 },
  lag: { ...COMMON, mode: 'fanout', maxLag: 8, maxIdleMs: 5000 },
  recent: { ...COMMON, mode: 'fanout', keepMs: 4000 },
};

/** A workload has some of the queues: fewer are opened faster. */
export const NAMES = [
  ['work'],
  ['fan'],
  ['work', 'loose'],
  ['work', 'fan'],
  ['fan', 'loose'],
  ['swap'],
  ['chain'],
  ['kept'],
  ['recent'],
  ['lag'],
] as const;

/** Keys of the queue wait for their dead letters. */
export function blocksKeys(queue: string): boolean {
  return QUEUES[queue]?.onDead === 'block';
}

/** After so many deliveries a message is a dead letter. */
export function isLimited(queue: string): boolean {
  return QUEUES[queue]?.deadLetter !== false && !queue.endsWith('.dead');
}

export function isFanout(queue: string): boolean {
  return QUEUES[queue]?.mode === 'fanout';
}

/** How long a dedup key is remembered. */
export function windowOf(queue: string): number {
  return QUEUES[queue]?.dedupWindowMs ?? DEDUP_MS;
}

/** The group that is always there. */
export function firstGroup(queue: string): string {
  return isFanout(queue) ? 'g1' : '';
}

/** What has expired is let go of, and no dead letter. */
export function dropsExpired(queue: string): boolean {
  return QUEUES[queue]?.onExpired === 'drop';
}
