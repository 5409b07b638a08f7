/**
 * Errors with an errno name, as the operating system's carry them: made for what an implementation
 * of the port refuses by itself, and recognised in what any of them throws.
 */
import { RedexError } from '../core/errors.js';

export interface SystemError extends Error {
  /** The errno name, such as ENOENT. */
  readonly code: string;
  /** The operation that failed: a method of the port. */
  readonly syscall: string;
  readonly path: string;
}

/** `detail` is added to the message. */
export function systemError(
  code: string,
  operation: string,
  path: string,
  detail?: string,
  options?: ErrorOptions,
): SystemError {
  const what = `${code}: ${operation} '${path}'`;
  const message = detail === undefined ? what : `${what}: ${detail}`;
  // That something is absent is an answer, asked for often, and a stack trace is its whole cost.
  const error = code === 'ENOENT' ? withoutStack(message, options) : new Error(message, options);
  const made = error as { -readonly [Key in keyof SystemError]: SystemError[Key] };
  made.code = code;
  made.syscall = operation;
  made.path = path;
  return made;
}

function withoutStack(message: string, options?: ErrorOptions): Error {
  const limit = Error.stackTraceLimit;
  // Read-only where the intrinsics are frozen.
  if (!Reflect.set(Error, 'stackTraceLimit', 0)) return new Error(message, options);
  const error = new Error(message, options);
  Error.stackTraceLimit = limit;
  return error;
}

/** The errno name of a system error, or undefined for any other value. */
export function systemCodeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || RedexError.is(error)) return undefined;
  const code: unknown = 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}
