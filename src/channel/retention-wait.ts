/** What the retention of a channel waits for, for people who wonder why it does not shrink. */
import type { ChannelCore } from './channel-core.js';
import type { AwaitedFold } from './checkpoint-holds.js';
import { heldBytes } from './retention.js';

export interface RetentionWait {
  /** The folds of `waitFor`, each with the seq of its newest checkpoint. */
  readonly folds: readonly AwaitedFold[];
  /** Bytes of dat files that the limits would not keep, and that stay for the folds. */
  readonly heldBytes: number;
}

/** Undefined when retention waits for no fold. Rejects with IO. */
export async function retentionWaitOf(core: ChannelCore): Promise<RetentionWait | undefined> {
  const { context, holds, chain } = core;
  const { waitFor = [] } = context.stored.retention ?? {};
  if (waitFor.length === 0) return undefined;
  const folds = await holds.stateOf(waitFor);
  const bytes = heldBytes(context.stored.retention ?? {}, {
    segments: chain.all,
    firstSeq: core.manifest.firstSeq,
    durableSeq: core.durableSeq,
    heldFrom: holds.heldFrom(waitFor, folds),
    nowMs: context.settings.runtime.now(),
  });
  return { folds, heldBytes: bytes };
}
