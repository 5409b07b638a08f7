/**
 * What a process is doing when an image is taken, so that the share of images is known in which
 * space is given back or messages go to another queue. The methods of one Redex and of the channels
 * that it opens are wrapped: the shipped code tells nobody.
 */
import type { Channel } from '../channel/channel.js';
import { nameOf } from '../store/commit-input.js';
import type { Redex } from '../store/redex.js';

const KINDS = ['inCheckpoint', 'inTrim', 'inCompaction', 'inMove'] as const;
export type UnderWayKind = (typeof KINDS)[number];

export class UnderWay {
  /** How often each goes on; those of a process that was killed go with it. */
  #now = new Map<UnderWayKind, number>();
  readonly #watched = new WeakSet<Channel>();

  /** From now on it is about this process. */
  watch(redex: Redex): void {
    const now = new Map<UnderWayKind, number>();
    this.#now = now;
    const during = async <T>(kind: UnderWayKind, work: () => Promise<T>): Promise<T> => {
      now.set(kind, (now.get(kind) ?? 0) + 1);
      try {
        return await work();
      } finally {
        now.set(kind, (now.get(kind) ?? 0) - 1);
      }
    };
    const commit = redex.commit.bind(redex);
    redex.commit = (operations) => {
      const isMove = operations.some((each) => nameOf(each).endsWith('.dead'));
      return isMove ? during('inMove', () => commit(operations)) : commit(operations);
    };
    const open = redex.channel.bind(redex);
    redex.channel = async (name, options) => {
      const channel = await open(name, options);
      if (this.#watched.has(channel)) return channel;
      this.#watched.add(channel);
      const trim = channel.trim.bind(channel);
      const compact = channel.compact.bind(channel);
      const checkpoints = channel.checkpoints.bind(channel);
      channel.trim = (to) => during('inTrim', () => trim(to));
      channel.compact = (how) => during('inCompaction', () => compact(how));
      channel.checkpoints = async (of) => {
        const kept = await checkpoints(of);
        const save = kept.save.bind(kept);
        kept.save = (seq, state) => during('inCheckpoint', () => save(seq, state));
        return kept;
      };
      return channel;
    };
  }

  kinds(): UnderWayKind[] {
    return KINDS.filter((kind) => (this.#now.get(kind) ?? 0) > 0);
  }
}
