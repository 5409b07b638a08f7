/** What the tails of a channel follow that this process writes. */
import type { ManifestKeeper } from './manifest-keeper.js';
import type { SyncWorker } from './sync-worker.js';
import type { TailSource } from './tail-hub.js';

export function tailSourceOf(keeper: ManifestKeeper, worker: SyncWorker): TailSource {
  return {
    get firstSeq() {
      return keeper.current.firstSeq;
    },
    get visibleSeq() {
      return worker.visibleSeq;
    },
    // Whatever becomes visible is told by the parts that make it so.
    onWaiting: () => {},
    onIdle: () => {},
  };
}
