/** Types of the bench, for editors and readers. */

export interface OpenOptions {
  /** Whether an acknowledged record must survive a power cut. */
  readonly synced?: boolean;
  /** A way of doing it that belongs to one contender only. */
  readonly variant?: string;
  /** Bytes that will be written at most: what `preallocated` allocates. */
  readonly bytes?: number;
  /** Bytes of a payload. */
  readonly size?: number;
}

export interface ScanRequest {
  readonly style: 'batches' | 'records';
  /** Whether time is up; asked about every thousand records. */
  readonly until: () => boolean;
}

export interface ScanResult {
  readonly records: number;
  /** Sum of the payloads' lengths. */
  readonly bytes: number;
  /** Sum of the payloads' first bytes: each was looked at, and is what was appended. */
  readonly touched: number;
}

/** Undefined from what works synchronously: nobody pays for an await it does not ask for. */
export type Pending = Promise<unknown> | undefined;

/** What every contender offers. */
export interface Store {
  /** One record, in the fastest way when the next waits for the acknowledgement of this one. */
  append(payload: Uint8Array): Pending;
  /** One record, in the fastest way when many are in flight, each with an acknowledgement. */
  enqueue(payload: Uint8Array): Pending;
  /** One atomic batch. */
  appendBatch(payloads: readonly Uint8Array[]): Pending;
  /** All records in order. */
  scan(request: ScanRequest): Promise<ScanResult>;
  /** Records by number, one after the other. */
  getAll(
    indices: Iterable<number>,
    visit?: (index: number, payload: Uint8Array) => void,
  ): Promise<number>;
  /** Records in the store, when it can tell at once. */
  count(): number | undefined;
  /** Read back from the store where it can be asked. */
  settings(): Readonly<Record<string, unknown>>;
  close(): Promise<unknown> | undefined;
}

/** One line of a figure's table. */
export interface Row {
  readonly label: string;
  /** `other` is no peer in this shape: shown, and judged by name only. */
  readonly role: 'ours' | 'peer' | 'raw' | 'other';
  /** File name in contenders/. */
  readonly contender: string;
  readonly variant?: string;
  /** Overrides the shape of the figure. */
  readonly shape?: 'single' | 'inFlight' | 'batch';
  /** Name of the prepared store that the row reads. */
  readonly store?: string;
  readonly fillShape?: 'single' | 'batch';
  /** More fields for the child's job. */
  readonly job?: Readonly<Record<string, unknown>>;
}

/** A target and what was measured. */
export interface Check {
  readonly text: string;
  readonly value: number | undefined;
  readonly target: number;
  readonly direction: '>=' | '<=';
  readonly unit: string;
  readonly note?: string | undefined;
}

/** How a contender's queue is opened; each takes what concerns it. */
export interface OpenQueueOptions {
  /** Of redexlog. */
  readonly enqueue?: 'synced' | 'written';
  readonly ack?: 'synced' | 'written';
  /** All that is given at a time is enqueued in one step, and not each message by itself. */
  readonly many?: boolean;
  /** Of SQLite. */
  readonly synchronous?: 'FULL' | 'OFF';
  /** Of a server, on the loopback. */
  readonly port?: number;
}

/** What every contender with a queue offers. */
export interface MessageQueue {
  /** Resolves when each has its acknowledgement; in the way that is fastest for the contender. */
  enqueueAll(texts: readonly string[]): Pending;
  /** From now on messages are received and handled, and `settled` when they are acknowledged. */
  start(
    handle: (text: string) => void,
    settled: (count: number) => void,
    failed: (error: Error) => void,
  ): void;
  /** Read back where it can be asked. */
  settings(): Readonly<Record<string, unknown>>;
  close(): Promise<unknown>;
}
