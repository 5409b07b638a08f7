/**
 * Errors for what says what a store, a channel or its live generation is: where it is wrong, and
 * what `redex repair` can do about it. Nobody goes on without these files, so the message has to
 * tell what comes next.
 */
import { redexError, type FailedCheck, type RedexErrorOf } from '../core/errors.js';
import { FORMAT_VERSION } from '../format/envelope.js';

type Described = 'store' | 'channels' | 'config' | 'manifest' | 'generation';

/** What `redex repair` does. */
export const METADATA_REPAIRS: Readonly<Record<Described, string>> = {
  store: 'writes another one for the channels that are there',
  channels: 'nothing: the channels are to be taken from a backup',
  config: 'writes another one, from what the other files of the channel say',
  manifest: 'writes another one, for the newest generation that is complete',
  generation: 'takes another generation with records, where there is one; else take a backup',
};

export function damagedFile(
  what: Described,
  path: string,
  position: number,
  check: FailedCheck,
): RedexErrorOf<'CORRUPT'> {
  const repair = METADATA_REPAIRS[what];
  const verb = repair.startsWith('nothing') ? 'can do ' : '';
  return redexError(
    'CORRUPT',
    `${path} is damaged at byte ${position} (${check}); \`redex repair\` ${verb}${repair}`,
    { path, position, check },
  );
}

export function versionError(path: string, found: number): RedexErrorOf<'FORMAT_VERSION'> {
  return redexError(
    'FORMAT_VERSION',
    `${path} has format version ${found}; this build of redexlog reads version ` +
      `${FORMAT_VERSION}: a newer redexlog is needed`,
    { path, found, supported: FORMAT_VERSION },
  );
}
