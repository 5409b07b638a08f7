/**
 * Whether a channel still takes work. Poison is sticky: after a failed sync nobody can say what is
 * on the disk, so nothing is acknowledged any more until the channel is opened again (RULES S3).
 */
import { redexError, type RedexError, type RedexErrorOf } from '../core/errors.js';
import { diagnostics } from '../core/runtime.js';
import { corruption } from '../segment/segment.js';
import type { ChannelContext } from './channel-context.js';
import type { SuffixDamage } from './recovery-report.js';

export class Health {
  readonly #context: ChannelContext;
  readonly #damage: SuffixDamage | undefined;
  #poison: { readonly path: string; readonly cause: unknown } | undefined;
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
  poison(path: string, cause: unknown): void {
    if (this.#poison !== undefined) return;
    this.#poison = { path, cause };
    const details = { channel: this.#context.name, path, cause };
    this.#context.settings.logger.error('a sync failed; the channel is poisoned', details);
    if (diagnostics.poison.hasSubscribers) diagnostics.poison.publish(details);
  }

  /** The error for an append or a sync, or undefined when there is nothing against it. */
  writeError(): RedexError | undefined {
    if (this.#closed) return this.closedError();
    if (this.#poison !== undefined) return this.poisonedError();
    if (this.#damage === undefined) return undefined;
    const { path, position, check, seqRange } = this.#damage;
    return corruption(path, position, check, seqRange);
  }

  closedError(): RedexErrorOf<'CLOSED'> {
    const { name } = this.#context;
    return redexError('CLOSED', `channel ${name} is closed`, { resource: `channel ${name}` });
  }

  poisonedError(): RedexErrorOf<'POISONED'> {
    const path = this.#poison?.path ?? this.#context.directory;
    return redexError(
      'POISONED',
      `a sync of ${path} failed: what was not synced before may be lost; open the channel again`,
      { path, outcome: 'unknown' },
      this.#poison?.cause,
    );
  }
}
