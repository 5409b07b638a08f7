/**
 * Every error that a caller can be expected to handle: one class, a closed list of codes, typed
 * fields for each code. Wrong arguments are TypeError or RangeError without a code, because a
 * programming mistake is not something to catch. Codes and fields are stable across majors,
 * messages are not.
 */

/** A failed operation on a closed range of seqs, half open: [firstSeq, nextSeq). */
export interface SeqRange {
  readonly firstSeq: number;
  readonly nextSeq: number;
}

/**
 * What is known of a write that was refused: `absent` means that no byte of it is in the log,
 * now or after any crash; `unknown` means that a crash may still bring it back.
 */
export type Outcome = 'absent' | 'unknown';

/** Which check failed on bytes that were read. */
export type FailedCheck =
  | 'magic'
  | 'checksum'
  | 'length'
  | 'position'
  | 'chain'
  | 'sequence'
  | 'identity'
  | 'missing'
  | 'fields';

/** The fields that an error of each code carries. */
export interface ErrorFields {
  /** Bytes that were read are not what was written. Nothing was changed. */
  CORRUPT: {
    readonly path: string;
    /** Byte position in the file. */
    readonly position: number;
    readonly check: FailedCheck;
    /** The records that cannot be read for it; absent when no record is concerned. */
    readonly seqRange?: SeqRange;
  };
  /** A file of a version this build does not know. Nothing was changed. */
  FORMAT_VERSION: { readonly path: string; readonly found: number; readonly supported: number };
  /** The operating system refused an operation. `systemCode` is its errno name, such as ENOSPC. */
  IO: {
    readonly operation: string;
    readonly path: string;
    readonly systemCode: string;
    readonly outcome: Outcome;
  };
  /**
   * Another owner has the data directory open for writing: this process and host, as far as is
   * known.
   */
  LOCKED: {
    readonly path: string;
    readonly pid: number | undefined;
    readonly host: string | undefined;
  };
  /** A synchronous call would have to wait for something asynchronous. Nothing was written. */
  BUSY: { readonly reason: string };
  /** A sync failed earlier; only re-opening ends this. The failed sync is the `cause`. */
  POISONED: { readonly path: string; readonly outcome: Outcome };
  /** The handle was closed. */
  CLOSED: { readonly resource: string };
  /** The handle, or the damaged log behind it, takes no writes. */
  READ_ONLY: { readonly path: string };
  /** A seq below what the log still holds was asked for. */
  OUT_OF_RANGE: { readonly seq: number; readonly firstSeq: number; readonly nextSeq: number };
  /** `expectedSeq` was not the next seq to assign. */
  SEQ_CONFLICT: {
    readonly expectedSeq: number;
    readonly actualSeq: number;
    /** Of a commit: the channel that it is about. */
    readonly channel?: string;
    /** The stream that it is about; its seqs are numbers of messages. */
    readonly stream?: string;
    /** What did not grow, when Stream-Seq conflicts: the seqs are both the tail's then. */
    readonly streamSeq?: string;
    readonly lastStreamSeq?: string;
  };
  /** A stored option and a given one differ. */
  OPTIONS_CONFLICT: {
    readonly option: string;
    readonly stored: unknown;
    readonly given: unknown;
  };
  /** A size or count over its limit. Nothing was written. */
  LIMIT: { readonly what: string; readonly limit: number; readonly actual: number };
  /** No such thing, and it was not to be created. */
  NOT_FOUND: { readonly kind: string; readonly resource: string };
  /** It is there already. */
  EXISTS: { readonly kind: string; readonly resource: string };
  /** The stream takes no more messages. `nextOffset` is its end. */
  STREAM_CLOSED: { readonly stream: string; readonly nextOffset: string };
  /** The stream was deleted, and is kept only for its forks. */
  STREAM_GONE: { readonly stream: string };
  /** There is a stream of this name that was created otherwise, or is closed and should not be. */
  CONFIG_MISMATCH: {
    readonly stream: string;
    readonly field: string;
    readonly stored: unknown;
    readonly given: unknown;
  };
  /** A message of another content type than the stream has. */
  CONTENT_TYPE_MISMATCH: {
    readonly stream: string;
    readonly stored: string;
    readonly given: string;
  };
  /** No offset, or none of a place that the stream has. */
  INVALID_OFFSET: { readonly stream: string; readonly offset: string };
  /** A producer of a newer epoch has taken over. */
  FENCED: {
    readonly producerId: string;
    readonly epoch: number;
    readonly currentEpoch: number;
  };
  /** An append of this producer is missing before this one; a new epoch begins with 0. */
  PRODUCER_GAP: {
    readonly producerId: string;
    readonly epoch: number;
    /** Undefined for a producer that the stream does not know. */
    readonly currentEpoch: number | undefined;
    readonly expectedSeq: number;
    readonly receivedSeq: number;
  };
  /** The delivery of a message ended before: nothing was done with it. */
  LEASE_LOST: {
    readonly queue: string;
    /** The id of the message. */
    readonly id: string;
    /** Such as `expired`. */
    readonly reason: string;
  };
}

export type ErrorCode = keyof ErrorFields;

/** Every code, in the order of the README's table. */
export const ERROR_CODES: readonly ErrorCode[] = [
  'CORRUPT',
  'FORMAT_VERSION',
  'IO',
  'LOCKED',
  'BUSY',
  'POISONED',
  'CLOSED',
  'READ_ONLY',
  'OUT_OF_RANGE',
  'SEQ_CONFLICT',
  'OPTIONS_CONFLICT',
  'LIMIT',
  'NOT_FOUND',
  'EXISTS',
  'STREAM_CLOSED',
  'STREAM_GONE',
  'CONFIG_MISMATCH',
  'CONTENT_TYPE_MISMATCH',
  'INVALID_OFFSET',
  'FENCED',
  'PRODUCER_GAP',
  'LEASE_LOST',
];

/** Shared by every copy of the package in a process, so that `is` works across copies. */
const BRAND: unique symbol = Symbol.for('redexlog.RedexError') as never;

/** A RedexError whose code, and so whose fields, are known. */
export type RedexErrorOf<C extends ErrorCode> = RedexError & {
  readonly code: C;
} & ErrorFields[C];

export class RedexError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Whether `error` is a RedexError, and of this code when one is given. */
  static is(error: unknown): error is RedexError;
  static is<C extends ErrorCode>(error: unknown, code: C): error is RedexErrorOf<C>;
  static is(error: unknown, code?: ErrorCode): boolean {
    if (typeof error !== 'object' || error === null || !(BRAND in error)) return false;
    return code === undefined || ('code' in error && error.code === code);
  }
}
Object.defineProperty(RedexError.prototype, 'name', { value: 'RedexError' });
Object.defineProperty(RedexError.prototype, BRAND, { value: true });

/** Makes a RedexError with the fields of its code. */
export function redexError<C extends ErrorCode>(
  code: C,
  message: string,
  fields: ErrorFields[C],
  cause?: unknown,
): RedexErrorOf<C> {
  const error = new RedexError(code, message, cause === undefined ? undefined : { cause });
  return Object.assign(error, fields) as RedexErrorOf<C>;
}
