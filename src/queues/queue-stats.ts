/** How much is in a queue, and what has happened in it. */
import type { QueueCore } from './queue-core.js';
import type { QueueCounts } from './queue-counters.js';
import type { QueueLag, QueueRates } from './queue-meter.js';
import type { QueueMode } from './queue-options.js';
import { headerOf } from './queue-records.js';

export interface QueueStats {
  readonly name: string;
  readonly mode: QueueMode;
  readonly isPaused: boolean;
  /** Messages that are not done with, for all groups, and the bytes of their payloads. */
  readonly messages: number;
  readonly bytes: number;
  /** Messages that could be delivered now, or that nobody has looked at since they were due. */
  readonly ready: number;
  readonly delayed: number;
  readonly inFlight: number;
  /** Unix milliseconds at which the oldest message came; undefined when there is none. */
  readonly oldestEnqueuedAt: number | undefined;
  /**
   * Milliseconds since the oldest message was due that could be delivered now, or, of one that has
   * failed, since it came; undefined when there is none.
   */
  readonly oldestReadyMs: number | undefined;
  /** Keys that wait for a dead letter, each once for each group. */
  readonly blockedKeys: number;
  readonly lastMinute: QueueRates;
  readonly lag: QueueLag;
  /** Bytes of files, with what was not reclaimed yet. */
  readonly sizeBytes: number;
  /** Since the queue was opened. */
  readonly counters: QueueCounts;
}

export async function queueStats(core: QueueCore): Promise<QueueStats> {
  core.requireOpen();
  const { state, log, name, counters, meter } = core;
  let open = 0;
  let delayed = 0;
  let inFlight = 0;
  let blockedKeys = 0;
  for (const group of state.groups.values()) {
    group.takeDue(log.clock.now());
    open += group.open;
    delayed += group.putOff;
    inFlight += group.inFlight;
    blockedKeys += group.lanes.blockedCount;
  }
  const oldest = state.floor < log.limit ? await log.channel.get(state.floor) : undefined;
  return {
    name,
    mode: state.options.mode,
    isPaused: state.isPaused,
    messages: state.messages,
    bytes: state.bytes,
    ready: open - delayed - inFlight,
    delayed,
    inFlight,
    oldestEnqueuedAt: oldest?.timestamp,
    oldestReadyMs: await oldestReadyMs(core),
    blockedKeys,
    lastMinute: meter.lastMinute(),
    lag: meter.lag(),
    sizeBytes: log.channel.sizeBytes,
    counters: { ...counters },
  };
}

/** Behind the place where a group goes on, so many messages are looked at that are put off. */
const MOST_LOOKED_AT = 16;

async function oldestReadyMs({ state, log }: QueueCore): Promise<number | undefined> {
  const nowMs = log.clock.now();
  let sinceMs = Infinity;
  const look = async (seq: number): Promise<boolean> => {
    const record = await log.channel.get(seq).catch(() => undefined);
    const header = record === undefined ? undefined : headerOf(record);
    if (record === undefined || header === undefined) return false;
    const dueMs = Math.max(record.timestamp, header.at ?? 0);
    if (dueMs <= nowMs) sinceMs = Math.min(sinceMs, dueMs);
    return dueMs <= nowMs;
  };
  for (const group of state.groups.values()) {
    for (const seq of group.firstReady(nowMs)) await look(seq);
    let seq = group.settled.nextMissing(group.cursor);
    for (let left = MOST_LOOKED_AT; left > 0 && seq < log.limit; left--) {
      const isFresh = group.isFree(seq) && !state.gone.has(seq) && !group.attempts.get(seq);
      if (isFresh && (await look(seq))) break;
      seq = group.settled.nextMissing(seq + 1);
    }
  }
  return sinceMs === Infinity ? undefined : nowMs - sinceMs;
}
