/** The keys of a queue that wait for a dead letter: see the option `onDead`. */
import { checkKnown } from '../channel/option-checks.js';
import type { QueueCore } from './queue-core.js';
import { groupField } from './queue-state.js';

/** A key whose messages are not delivered. */
export interface BlockedKey {
  readonly key: string;
  /** In a queue with groups, for which. */
  readonly group: string;
  /** The dead letters that it waits for: the queue they are in, and the seqs that they had here. */
  readonly deadLetters: readonly { readonly queue: string; readonly seq: number }[];
}

export interface UnblockOptions {
  /** In a queue with groups, for which. */
  readonly group?: string | undefined;
}

export class QueueKeys {
  readonly #core: QueueCore;

  constructor(core: QueueCore) {
    this.#core = core;
  }

  /** All keys that wait for a dead letter, of one group or of all. Throws NOT_FOUND, CLOSED. */
  blocked(options: UnblockOptions = {}): BlockedKey[] {
    this.#core.requireOpen();
    checkKnown(options, new Set(['group']));
    const { group: name } = options;
    const groups = name === undefined ? this.#core.state.groups.values() : [this.#core.group(name)];
    return [...groups].flatMap((group) =>
      [...group.lanes.blocks()].map(([key, blocks]) => {
        const deadLetters = blocks.map(({ in: queue, seq }) => ({ queue, seq }));
        return { key, group: group.name, deadLetters };
      }),
    );
  }

  /**
   * Lets a key go on without its dead letters, which stay where they are. False: it does not wait.
   * Durable when it resolves. Rejects with NOT_FOUND, IO, POISONED, CLOSED.
   */
  async unblock(key: string, options: UnblockOptions = {}): Promise<boolean> {
    this.#core.requireOpen();
    checkKnown(options, new Set(['group']));
    if (typeof key !== 'string') throw new TypeError('key must be a string');
    const { log } = this.#core;
    const group = this.#core.group(options.group);
    const isDone = await log.run(async () => {
      // It may have been deleted since, and is not to come back by this.
      if (this.#core.state.groups.get(group.name) !== group) return false;
      if (group.lanes.blocksOf(key).length === 0) return false;
      await log.operate({ o: 'unblock', g: groupField(group.name), k: key }, 'synced');
      return true;
    });
    if (isDone) this.#core.wake();
    return isDone;
  }
}
