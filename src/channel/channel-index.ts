/**
 * An index by key: a fold whose state is, for each key, the seq of its last record. The records
 * themselves stay in the log and are read from there.
 */
import { RedexError } from '../core/errors.js';
import type { LogRecord } from '../core/record.js';
import { CHECKPOINT_OF_INDEX } from '../format/checkpoint.js';
import { checkKnown } from './option-checks.js';
import type { FoldHost } from './fold-host.js';
import {
  checkApply,
  checkCheckpointOptions,
  checkNameAndVersion,
  checkpointLimits,
  type FoldPlan,
} from './fold-options.js';
import { Fold } from './fold.js';
import { KeyTable } from './key-table.js';
import { synchronous } from '../core/late-rejection.js';

/** `R` is what a record is seen as: itself, or with the value that it stands for. */
export interface IndexOptions<R = LogRecord> {
  /** Names its checkpoints, as a fold's name does. */
  readonly name: string;
  /** Raise it when `key` or `deleted` give other answers than before. Default: 0. */
  readonly version?: number | undefined;
  /** The key of a record; undefined: it has none. Called once for each record; not async. */
  readonly key: (record: R) => string | undefined;
  /** Whether the record takes its key out of the index. Default: none does. */
  readonly deleted?: ((record: R) => boolean) | undefined;
  /** As of a fold. */
  readonly checkpointEvery?: number | undefined;
  /** As of a fold. */
  readonly maxCheckpointBytes?: number | undefined;
}

const KNOWN: ReadonlySet<string> = new Set([
  'name',
  'version',
  'key',
  'deleted',
  'checkpointEvery',
  'maxCheckpointBytes',
]);

/** Throws TypeError or RangeError for what cannot be meant. */
export function checkIndexOptions<R>(options: IndexOptions<R>): void {
  checkKnown(options, KNOWN);
  checkNameAndVersion(options.name, options.version ?? 0);
  checkApply('key', options.key);
  if (options.deleted !== undefined) checkApply('deleted', options.deleted);
  checkCheckpointOptions(options);
}

export class ChannelIndex {
  readonly #host: FoldHost;
  readonly #fold: Fold<KeyTable>;

  private constructor(host: FoldHost, fold: Fold<KeyTable>) {
    this.#host = host;
    this.#fold = fold;
  }

  static async open<R>(
    host: FoldHost,
    options: IndexOptions<R>,
    view: (record: LogRecord) => R,
    onClosed: () => void,
  ): Promise<ChannelIndex> {
    return new ChannelIndex(host, await Fold.open(host, planOf(host, options, view), onClosed));
  }

  get name(): string {
    return this.#fold.name;
  }

  /** See Fold.isClosed. */
  get isClosed(): boolean {
    return this.#fold.isClosed;
  }

  /** See Fold.seq. */
  get seq(): number {
    return this.#fold.seq;
  }

  /** See Fold.error. */
  get error(): unknown {
    return this.#fold.error;
  }

  /** See Fold.checkpointError. */
  get checkpointError(): unknown {
    return this.#fold.checkpointError;
  }

  /** See Fold.checkpointSeq. */
  get checkpointSeq(): number | undefined {
    return this.#fold.checkpointSeq;
  }

  /** How many keys there are. */
  get size(): number {
    return this.#fold.value.size;
  }

  has(key: string): boolean {
    return this.#fold.value.get(key) !== undefined;
  }

  /** The seq of the last record with this key. */
  seqOf(key: string): number | undefined {
    return this.#fold.value.get(key);
  }

  /**
   * The last record with this key, with bytes of its own; undefined when there is none, or when it
   * was trimmed or compacted away. Rejects with CORRUPT, IO, POISONED, CLOSED.
   */
  async get(key: string): Promise<LogRecord | undefined> {
    const seq = this.#fold.value.get(key);
    if (seq === undefined) return undefined;
    try {
      return await this.#host.reader.get(seq);
    } catch (error) {
      if (RedexError.is(error, 'OUT_OF_RANGE')) return undefined;
      throw error;
    }
  }

  /** The keys, each once. What is appended meanwhile may or may not be among them. */
  keys(): IterableIterator<string> {
    return this.#fold.value.keys();
  }

  /** See Fold.caughtUp. */
  caughtUp(): Promise<void> {
    return this.#fold.caughtUp();
  }

  /** See Fold.checkpoint. */
  checkpoint(): Promise<void> {
    return this.#fold.checkpoint();
  }

  /** See Fold.close. */
  close(): Promise<void> {
    return this.#fold.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function planOf<R>(
  host: FoldHost,
  options: IndexOptions<R>,
  view: (record: LogRecord) => R,
): FoldPlan<KeyTable> {
  const { name, version = 0, key: keyOf, deleted } = options;
  const { runtime } = host.context.settings;
  return {
    name,
    version,
    kind: CHECKPOINT_OF_INDEX,
    makeInitial: () => {
      const { buffer, byteOffset } = runtime.random(new Uint8Array(4));
      return new KeyTable(new DataView(buffer, byteOffset, 4).getUint32(0));
    },
    apply: (table, record) => {
      const seen = view(record);
      const key: unknown = synchronous('key', keyOf(seen));
      if (key === undefined) return table;
      if (typeof key !== 'string') throw new TypeError('key must return a string or undefined');
      const isDeleted: unknown =
        deleted === undefined ? false : synchronous('deleted', deleted(seen));
      if (typeof isDeleted !== 'boolean') throw new TypeError('deleted must return a boolean');
      if (isDeleted) table.delete(key);
      else table.set(key, record.seq);
      return table;
    },
    codec: { encode: (table) => table.encode(), decode: (bytes) => KeyTable.decode(bytes) },
    // What is no longer there cannot be found anyway.
    from: 'start',
    ...checkpointLimits(options),
  };
}
