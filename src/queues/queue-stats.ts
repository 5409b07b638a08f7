/** How much is in a queue, and what has happened in it. */
import type { QueueCore } from './queue-core.js';
import type { QueueCounts } from './queue-counters.js';
import type { QueueMode } from './queue-options.js';

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
  /** Bytes of files, with what was not reclaimed yet. */
  readonly sizeBytes: number;
  /** Since the queue was opened. */
  readonly counters: QueueCounts;
}

export async function queueStats(core: QueueCore): Promise<QueueStats> {
  core.requireOpen();
  const { state, log, name, counters } = core;
  let open = 0;
  let delayed = 0;
  let inFlight = 0;
  for (const group of state.groups.values()) {
    group.takeDue(log.clock.now());
    open += group.open;
    delayed += group.putOff;
    inFlight += group.inFlight;
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
    sizeBytes: log.channel.sizeBytes,
    counters: { ...counters },
  };
}
