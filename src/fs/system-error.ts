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
