/** Brings what the journal has for a channel into its files. */
import type { ChannelContext } from './channel-context.js';
import type { Health } from './health.js';
import { ioError } from './io-error.js';

/**
 * Everything that was appended before is in the channel's files, and synced, when this resolves.
 * Rejects with POISONED when a sync has failed, and with IO when it stays in the journal: as all
 * of it does that is pinned there by a sync that failed in an earlier use of the channel.
 */
export async function settleJournal(context: ChannelContext, health: Health): Promise<void> {
  const { journal } = context;
  if (journal === undefined || !(journal.isWaiting || journal.isFresh)) return;
  try {
    if (journal.isPinned) throw journal.pinCause;
    await journal.settle();
  } catch (error) {
    if (health.isPoisoned) throw health.poisonedError();
    throw ioError('write what the journal has', context.directory, error, 'absent');
  }
}
