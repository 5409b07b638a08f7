/** What the parts of an open queue may ask of it, and of each other. */
import type { Logger, Runtime } from '../core/runtime.js';
import type { GroupState } from './group-state.js';
import type { Lease, LeasedMessage } from './lease.js';
import type { LeaseTable } from './lease-table.js';
import type { Picked, PickerHost, Unfit } from './message-picker.js';
import type { QueueCounts } from './queue-counters.js';
import type { StoredQueueOptions } from './queue-options.js';
import type { DeadCause, OperationContent } from './queue-records.js';
import type { QueueState } from './queue-state.js';

/** How messages wait again. */
export interface GivenBack {
  /** Unix milliseconds before which they are not delivered. */
  readonly dueMs?: number | undefined;
  /** The delivery does not count. */
  readonly isUndone?: boolean | undefined;
  readonly error?: string | undefined;
}

/** A message on its way to the dead letters: reserved, or leased. */
export interface Doomed {
  readonly message: LeasedMessage;
  readonly cause: DeadCause;
  readonly reason?: string | undefined;
  readonly lease?: Lease | undefined;
}

/** Of messages that are done with, those that may be missing from the log. */
export interface Missing {
  /** Seqs below, though the log begins before. */
  readonly sparse: number;
  /** Unix milliseconds: those that came before. */
  readonly goneMs: number;
}

export interface QueueContext extends PickerHost {
  readonly name: string;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly state: QueueState;
  readonly options: StoredQueueOptions;
  readonly leases: LeaseTable;
  readonly counters: QueueCounts;
  readonly isClosed: boolean;
  /** If this delivery fails, its message is not delivered again. */
  isLast(lease: Lease): boolean;
  /** Throws CLOSED. */
  requireOpen(): void;
  /** The group of a call. Throws TypeError in a work queue with one, NOT_FOUND. */
  group(name: string | undefined): GroupState;
  /** Somebody waits for messages of a group. */
  isAsked(group: string): boolean;
  /** There may be something for those who wait. */
  wake(): void;
  /** The message is kept for what is done with it next: nobody else gets it. */
  reserve(group: GroupState, message: LeasedMessage): void;
  /** A message that was written down as delivered is somebody's now; undefined when it is gone. */
  lease(group: string, picked: Picked, consumer: string | undefined): Lease | undefined;
  /**
   * Messages wait again. When that cannot be written they do all the same: the log takes them for
   * delivered, which a crash makes of them anyway. Only in `run`. Never rejects.
   */
  giveBack(group: string, seqs: readonly number[], how: GivenBack): Promise<void>;
  /**
   * Makes dead letters of messages that are leased or reserved. Not in `run`. Never rejects: what
   * cannot become one waits again.
   */
  bury(group: string, doomed: readonly Doomed[]): Promise<void>;
  /** Messages that were chosen and may not be delivered. Not in `run`. Never rejects. */
  setAside(group: string, unfit: readonly Unfit[]): Promise<void>;
  /** What says all that is not said of single messages; to be written in one step, `alone`. */
  base(options?: StoredQueueOptions, paused?: boolean, missing?: Missing): OperationContent[];
  /** Messages are done with here: if they are dead letters, their keys go on. Never rejects. */
  onGone(messages: readonly LeasedMessage[]): Promise<void>;
}
