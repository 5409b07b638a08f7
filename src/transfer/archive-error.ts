/** Errors of bytes that are imported: where they are wrong, and by which check. */
import { redexError, type FailedCheck, type RedexErrorOf } from '../core/errors.js';

/** `position` counts bytes of what is read, of the uncompressed bytes where it is compressed. */
export function archiveDamage(
  path: string,
  position: number,
  check: FailedCheck,
  detail: string,
): RedexErrorOf<'CORRUPT'> {
  const message = `${path} is damaged at byte ${position} (${check}): ${detail}`;
  return redexError('CORRUPT', message, { path, position, check });
}

export function archiveTooNew(
  path: string,
  found: number,
  supported: number,
): RedexErrorOf<'FORMAT_VERSION'> {
  return redexError(
    'FORMAT_VERSION',
    `${path} has archive version ${found}; this build of redexlog reads version ${supported}`,
    { path, found, supported },
  );
}
