/**
 * Checkpoints of a state that its owner keeps by itself, from what it writes: the owner says what
 * the state is at which seq, here is only where it goes and comes back from. They are those of a
 * fold of the same name and version (RULES N5).
 */
import { redexError, type RedexError } from '../core/errors.js';
import { CHECKPOINT_OF_FOLD } from '../format/checkpoint.js';
import { CheckpointStore } from './checkpoint-store.js';
import type { FoldHost } from './fold-host.js';
import { checkCheckpointOptions, checkNameAndVersion, checkpointLimits } from './fold-options.js';
import { checkKnown } from './option-checks.js';

export interface KeptCheckpointOptions {
  /** Names the checkpoints in the channel: 1 to 1,024 bytes of UTF-8. */
  readonly name: string;
  /** An integer from 0. Another one than the checkpoints have: they are not used. */
  readonly version: number;
  /** Bytes of an encoded state; more is LIMIT. Default: 256 MiB, at most 1 GiB. */
  readonly maxCheckpointBytes?: number | undefined;
}

const KNOWN: ReadonlySet<string> = new Set(['name', 'version', 'maxCheckpointBytes']);

export function checkKeptOptions(options: KeptCheckpointOptions): void {
  checkKnown(options, KNOWN);
  checkNameAndVersion(options.name, options.version);
  checkCheckpointOptions(options);
}

export class KeptCheckpoints {
  readonly #host: FoldHost;
  readonly #name: string;
  readonly #store: CheckpointStore;
  readonly #onClosed: () => void;
  #saving: Promise<void> | undefined;
  #isClosed = false;

  constructor(host: FoldHost, options: KeptCheckpointOptions, onClosed: () => void) {
    this.#host = host;
    this.#onClosed = onClosed;
    const { name, version } = options;
    this.#name = name;
    const { maxCheckpointBytes: maxBytes } = checkpointLimits(options);
    const kind = CHECKPOINT_OF_FOLD;
    this.#store = new CheckpointStore(host, { name, kind, version, maxBytes, from: Infinity });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * The newest checkpoint that `decode` takes, with the seq below which its state has seen every
   * record; undefined when there is none. Rejects with IO, CLOSED.
   */
  async load<S>(
    decode: (state: Uint8Array) => S,
  ): Promise<{ readonly state: S; readonly seq: number } | undefined> {
    this.#requireOpen();
    const loaded = await this.#store.load(decode);
    return loaded === undefined ? undefined : { state: loaded.state, seq: loaded.seq };
  }

  /**
   * Writes the state that has seen every record below `seq`, and syncs these first. The bytes may
   * not change until it resolves; then they are durable. One at a time. Rejects with LIMIT, IO,
   * POISONED, CORRUPT, READ_ONLY, CLOSED.
   */
  async save(seq: number, state: Uint8Array): Promise<void> {
    this.#requireOpen();
    const { refusal } = this.#store;
    if (refusal !== undefined) throw refusal;
    const { visibleSeq } = this.#host;
    if (!Number.isSafeInteger(seq) || seq < 0 || seq > visibleSeq) {
      throw new RangeError(`a state of seq ${seq} has not seen what ends at ${visibleSeq}`);
    }
    if (this.#saving !== undefined) throw this.#busyError();
    this.#saving = this.#store.write(seq, this.#host.manifest.firstSeq, state);
    try {
      await this.#saving;
    } finally {
      this.#saving = undefined;
    }
  }

  #busyError(): RedexError {
    const reason = `a checkpoint of ${this.#name} is being written`;
    return redexError('BUSY', reason, { reason });
  }

  #requireOpen(): void {
    if (!this.#isClosed) return;
    const resource = `checkpoints ${this.#name}`;
    throw redexError('CLOSED', `${resource} are closed`, { resource });
  }

  /** Waits for what is being written. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#saving?.catch(() => undefined);
    this.#onClosed();
  }
}
