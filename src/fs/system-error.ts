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
  const error = new Error(detail === undefined ? what : `${what}: ${detail}`, options);
  return Object.assign(error, { code, syscall: operation, path });
}

/** The errno name of a system error, or undefined for any other value. */
export function systemCodeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || RedexError.is(error)) return undefined;
  const code: unknown = 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}
