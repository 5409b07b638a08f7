/** Which files an open has changed that it should have left alone, if it was not the first one. */
import { encodeChannelName } from '../format/channel-name.js';
import type { Look } from './look.js';

/**
 * What an open has changed but derived files: these are not synced, and a cut before makes a
 * segment whose ones nobody had looked at the last one. A channel with a retention lets go of what
 * has become too old.
 */
export function writtenFiles({ fs, channels }: Look): string[] {
  const retained = [...channels].flatMap(([name, { channel }]) => {
    return channel.options.retention === undefined ? [] : [`/${encodeChannelName(name)}/`];
  });
  return fs.mutations.paths.filter((path) => {
    if (/\.(?:idx|ts)(?:\.tmp)?$|\/LOCK(?:\.info)?(?:\.\w+)?$/.test(path)) return false;
    // What nobody has a name for is removed in the background.
    if (/channels\/\.(?:new|trash)\//.test(path)) return false;
    return !retained.some((directory) => path.includes(directory));
  });
}
