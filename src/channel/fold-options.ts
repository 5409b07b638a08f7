/** What a fold is asked to be, checked and with its defaults. */
import { types } from 'node:util';
import type { LogRecord } from '../core/record.js';
import { checkCodec, jsonCodec, type Codec, type JsonCodec } from './codec.js';
import { checkInteger, checkKnown, checkType } from './option-checks.js';
import { checkName, MAX_SEQ } from './options.js';
import { synchronous } from '../core/late-rejection.js';

/** `R` is what a record is seen as: itself, or with the value that it stands for. */
export interface FoldOptions<S, R = LogRecord> {
  /** Names its checkpoints in the channel: 1 to 1,024 bytes of UTF-8. */
  readonly name: string;
  /** An integer from 0. Another one than the checkpoints have: they are not used. */
  readonly version: number;
  /** The state before the first record, cloned for each use; or a function that makes it. */
  readonly initial: S | (() => S);
  /**
   * The state after a record. It may change the state that it is given, and then returns it. It
   * may not be async. A payload lives until it returns: a state that keeps one copies it. What it
   * throws stops the fold at that record.
   */
  readonly apply: (state: S, record: R) => S;
  /** The form of the state in a checkpoint. Default: JSON. */
  readonly codec?: Codec<S> | JsonCodec | undefined;
  /**
   * Records after which a checkpoint is written, once they have as many bytes as the last
   * checkpoint had. Infinity: only by `checkpoint()` and at a close. Default: 10,000.
   */
  readonly checkpointEvery?: number | undefined;
  /** Bytes of an encoded state; more is LIMIT. Default: 256 MiB, at most 1 GiB. */
  readonly maxCheckpointBytes?: number | undefined;
  /**
   * The first seq that the state has to have seen. A channel that begins above it, without a
   * checkpoint that goes far enough, is OUT_OF_RANGE. `'start'`: whatever is there. Default: 0.
   */
  readonly from?: number | 'start' | undefined;
}

/** The same with its defaults, and without what only matters to its user. */
export interface FoldPlan<S> {
  readonly name: string;
  readonly version: number;
  readonly kind: number;
  readonly makeInitial: () => S;
  readonly apply: (state: S, record: LogRecord) => S;
  readonly codec: Codec<S>;
  readonly checkpointEvery: number;
  readonly maxCheckpointBytes: number;
  readonly from: number | 'start';
}

export interface CheckpointOptions {
  readonly checkpointEvery?: number | undefined;
  readonly maxCheckpointBytes?: number | undefined;
}

const MIB = 1024 * 1024;

const KNOWN: ReadonlySet<string> = new Set([
  'name',
  'version',
  'initial',
  'apply',
  'codec',
  'checkpointEvery',
  'maxCheckpointBytes',
  'from',
]);

/** Throws TypeError or RangeError for what cannot be meant. */
export function checkFoldOptions<S, R>(options: FoldOptions<S, R>): void {
  checkKnown(options, KNOWN);
  checkNameAndVersion(options.name, options.version);
  checkApply('apply', options.apply);
  if (!('initial' in options)) throw new TypeError('a fold needs an initial state');
  const { initial } = options;
  if (isMaker(initial)) checkApply('initial', initial);
  else synchronous('initial', initial);
  if (options.codec !== undefined) checkCodec(options.codec);
  checkCheckpointOptions(options);
  const { from } = options;
  if (from !== undefined && from !== 'start') {
    if (typeof from !== 'number') throw new TypeError("from must be a number or 'start'");
    checkInteger('from', from, 0, MAX_SEQ);
  }
}

export function checkNameAndVersion(name: unknown, version: unknown): asserts name is string {
  checkName(name, 'the name of a fold');
  if (typeof version !== 'number') throw new TypeError('version must be a number');
  checkInteger('version', version, 0, Number.MAX_SAFE_INTEGER);
}

/** A function that is called for each record and has to answer at once. */
export function checkApply(what: string, apply: unknown): void {
  if (typeof apply !== 'function') throw new TypeError(`${what} must be a function`);
  if (types.isAsyncFunction(apply)) throw new TypeError(`${what} may not be async`);
}

export function checkCheckpointOptions(options: CheckpointOptions): void {
  const { checkpointEvery, maxCheckpointBytes } = options;
  if (checkpointEvery !== Infinity) {
    checkType('checkpointEvery', checkpointEvery, 'number');
    checkInteger('checkpointEvery', checkpointEvery, 1, Number.MAX_SAFE_INTEGER);
  }
  checkType('maxCheckpointBytes', maxCheckpointBytes, 'number');
  checkInteger('maxCheckpointBytes', maxCheckpointBytes, 1, 1024 * MIB);
}

export function checkpointLimits(options: CheckpointOptions): {
  readonly checkpointEvery: number;
  readonly maxCheckpointBytes: number;
} {
  const { checkpointEvery = 10_000, maxCheckpointBytes = 256 * MIB } = options;
  return { checkpointEvery, maxCheckpointBytes };
}

export function foldPlan<S, R>(
  options: FoldOptions<S, R>,
  kind: number,
  apply: (state: S, record: LogRecord) => S,
): FoldPlan<S> {
  const { name, version, initial, codec = jsonCodec, from = 0 } = options;
  return {
    name,
    version,
    kind,
    makeInitial: isMaker(initial)
      ? () => synchronous('initial', initial())
      : () => structuredClone(initial),
    apply,
    codec: codec as Codec<S>,
    from,
    ...checkpointLimits(options),
  };
}

function isMaker<S>(initial: S | (() => S)): initial is () => S {
  return typeof initial === 'function';
}
