/** The profiles of the kit, in the order of what they may lose, and one of them by its name. */
import { adversary } from './crash-adversary.js';
import { ext4Ordered, xfs } from './crash-journal.js';
import { processKill, strict, type Profile } from './crash-profiles.js';

/** Every profile; the last one alone does not keep what was synced. */
export const profiles: readonly Profile[] = [processKill, xfs, ext4Ordered, strict, adversary];

/** The profile of this name, as a command line gives it. RangeError for a name that none has. */
export function profileNamed(name: string): Profile {
  const found = profiles.find((profile) => profile.name === name);
  if (found !== undefined) return found;
  const names = profiles.map((profile) => profile.name).join(', ');
  throw new RangeError(`no profile is called ${name}; there are ${names}`);
}
