/** How a group's messages are changed: what the operations on them say. */

/** How a message waits again. */
export interface Return {
  /** Unix milliseconds; 0: at once. */
  readonly dueMs: number;
  /** The delivery does not count. */
  readonly isUndone: boolean;
  readonly error: string | undefined;
  readonly nowMs: number;
}

/** Another time, or another priority, of a message. */
export interface GroupEdit {
  /** Unix milliseconds; 0: now; undefined: that stays. */
  readonly dueMs: number | undefined;
  readonly priority: number | undefined;
  /** What its header says. */
  readonly wasDueMs: number;
  readonly wasPriority: number;
  readonly nowMs: number;
}

/** How a message is settled. */
export interface Settled {
  readonly nowMs: number;
  /** Unix milliseconds until when it was put off; 0: it was not. */
  readonly dueMs: number;
  readonly key: string | undefined;
}
