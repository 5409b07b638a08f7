/**
 * Whether a channel still takes work. Poison is sticky: after a failed sync, or a failed write of
 * which something is left, nobody can say what is on the disk, so nothing is acknowledged any more
 * until the channel is opened again (RULES S3, W2).
 */
import { RedexError, redexError, type RedexErrorOf } from '../core/errors.js';
import { diagnostics } from '../core/runtime.js';
import { corruption } from '../segment/segment.js';
import type { ChannelContext } from './channel-context.js';
import type { SuffixDamage } from './recovery-report.js';
import type { Unsynced } from './unsynced.js';

/**
 * What has failed: a sync, cutting off what a failed write has left, or removing a segment that
 * could not be made.
 */
export type PoisonReason = 'sync' | 'cut' | 'remove';

const REASONS: Readonly<Record<PoisonReason, (path: string) => string>> = {
  sync: (path) => `a sync of ${path} failed`,
  cut: (path) => `what a failed write has left in ${path} could not be cut off`,
  remove: (path) => `a segment that could not be made could not be removed from ${path}`,
};

interface Poison {
  readonly path: string;
  readonly cause: unknown;
  readonly reason: PoisonReason;
}

export class Health {
  readonly #context: ChannelContext;
  readonly #damage: SuffixDamage | undefined;
  #poison: Poison | undefined;
  #closed = false;

  constructor(context: ChannelContext, damage: SuffixDamage | undefined) {
    this.#context = context;
    this.#damage = damage;
  }

  get isPoisoned(): boolean {
    return this.#poison !== undefined;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  get damage(): SuffixDamage | undefined {
    return this.#damage;
  }

  close(): void {
    this.#closed = true;
  }

  /** Takes the first failure; later ones change nothing. */
  poison(path: string, cause: unknown, reason: PoisonReason): void {
    if (this.#poison !== undefined) return;
    this.#poison = { path, cause, reason };
    // Of one that was deleted the files are elsewhere, and nothing is promised any more.
    if (this.#closed) return;
    const details = { channel: this.#context.name, path, cause };
    const message = `${REASONS[reason](path)}; the channel is poisoned`;
    this.#context.settings.logger.error(message, details);
    if (diagnostics.poison.hasSubscribers) diagnostics.poison.publish(details);
  }

  /** The error for an append or a sync, or undefined when there is nothing against it. */
  writeError(): RedexError | undefined {
    if (this.#closed) return this.closedError();
    if (this.#poison !== undefined) return this.poisonedError();
    const refusal = this.#context.journal?.refusal;
    if (refusal !== undefined) return refusal;
    if (this.#damage === undefined) return undefined;
    const { path, position, check, seqRange } = this.#damage;
    return corruption(path, position, check, seqRange);
  }

  /** Of what could not be redone the files are not touched, not even for a sync: throws why. */
  requireSynced({ durableSeq, writtenSeq }: Pick<Unsynced, 'durableSeq' | 'writtenSeq'>): void {
    const refusal = this.#context.journal?.refusal;
    if (refusal !== undefined && durableSeq < writtenSeq) throw refusal;
  }

  /** Runs `work`; what fails once the channel is closed, or deleted, fails because of that. */
  async unlessClosed<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (this.#closed && RedexError.is(error)) throw this.closedError(error);
      throw error;
    }
  }

  closedError(cause?: RedexError): RedexErrorOf<'CLOSED'> {
    const { name } = this.#context;
    const resource = `channel ${name}`;
    return redexError('CLOSED', `channel ${name} is closed`, { resource }, cause);
  }

  poisonedError(): RedexErrorOf<'POISONED'> {
    const { path = this.#context.directory, cause, reason = 'sync' } = this.#poison ?? {};
    const message =
      `${REASONS[reason](path)}: what was not synced before may be lost; ` +
      'open the channel again';
    return redexError('POISONED', message, { path, outcome: 'unknown' }, cause);
  }
}
