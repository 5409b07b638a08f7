/**
 * Errors with an errno name, as the operating system's carry them, for what an implementation of
 * the port refuses by itself.
 */

export interface SystemError extends Error {
  /** The errno name, such as ENOENT. */
  readonly code: string;
  /** The operation that failed: a method of the port. */
  readonly syscall: string;
  readonly path: string;
}

export function systemError(code: string, operation: string, path: string): SystemError {
  const error = new Error(`${code}: ${operation} '${path}'`);
  return Object.assign(error, { code, syscall: operation, path });
}
