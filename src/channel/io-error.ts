/**
 * Errors of the file system turned into ours. What is already a RedexError, or no error of the
 * system at all, goes through as it is.
 */
import { RedexError, redexError, type Outcome } from '../core/errors.js';
import { systemCodeOf } from '../fs/system-error.js';

/** An IO error of the operation that failed. */
export function ioError(
  operation: string,
  path: string,
  cause: unknown,
  outcome: Outcome,
): RedexError {
  if (RedexError.is(cause)) return cause;
  const systemCode = systemCodeOf(cause) ?? 'UNKNOWN';
  const reason = cause instanceof Error ? cause.message : String(cause);
  return redexError(
    'IO',
    `${operation} failed on ${path}: ${reason}`,
    { operation, path, systemCode, outcome },
    cause,
  );
}

/** The same for opening a channel: system errors become IO, everything else stays. */
export function openingError(path: string, cause: unknown): unknown {
  return systemCodeOf(cause) === undefined ? cause : ioError('open', path, cause, 'absent');
}
