/** The names of queues. That of its channel has something before it, which takes of its length. */
import { checkName } from '../channel/options.js';

/** Before the name of a queue in that of its channel. */
export const CHANNEL_PREFIX = '$queues/';
/** Behind the name of a queue in that of the one that takes its dead letters, by default. */
const DEAD_SUFFIX = '.dead';

const MAX_BYTES = 1024 - CHANNEL_PREFIX.length;

/** Throws TypeError or RangeError for what is no name of a queue. */
export function checkQueueName(name: unknown, what = 'a queue name'): asserts name is string {
  checkName(name, what);
  if (Buffer.byteLength(name) > MAX_BYTES) {
    throw new RangeError(`${what} must have at most ${MAX_BYTES} bytes of UTF-8`);
  }
}

/** The queue that takes the dead letters of another, if nothing is said. Throws RangeError. */
export function nameForDeadLetters(name: string): string {
  const most = MAX_BYTES - DEAD_SUFFIX.length;
  if (Buffer.byteLength(name) > most) {
    throw new RangeError(
      `a queue name of more than ${most} bytes of UTF-8 leaves no room for '${DEAD_SUFFIX}' ` +
        'behind it: give deadLetter',
    );
  }
  return `${name}${DEAD_SUFFIX}`;
}
