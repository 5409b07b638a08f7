/**
 * Space that is kept for a full disk: two channels of zeros. The first is deleted when an operation
 * on a queue finds no room, so that messages can be delivered and settled and the queues drain; the
 * second when there is none for giving back the space of those. From the first on no message is
 * taken, until there is room for the zeros again.
 *
 * What is made of it is no promise: others may take the space, and a journal that holds more than
 * the reserve for its channels needs more. Who cannot be served is told, or waits for `turn`.
 */
import { redexError, RedexError } from '../core/errors.js';
import type { Cancel, Logger, Runtime } from '../core/runtime.js';
import type { Redex } from '../store/redex.js';

const FOR_OPERATIONS = '$queues.reserve/1';
const FOR_RECLAIM = '$queues.reserve/2';
/** Until it is looked again whether there is room. */
const LOOK_MS = 1000;
const PIECE_BYTES = 64 * 1024;

export interface ReserveParts {
  readonly redex: Redex;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** 0: nothing is kept. */
  readonly bytes: number;
  /** Gives back the space of what is done with. */
  readonly reclaim: () => Promise<void>;
}

export class DiskReserve {
  readonly #parts: ReserveParts;
  #isFull = false;
  #filling: Promise<void> | undefined;
  #releasing: Promise<boolean> | undefined;
  #cancel: Cancel | undefined;
  #waiting: (() => void)[] = [];
  #isClosed = false;

  constructor(parts: ReserveParts) {
    this.#parts = parts;
  }

  /** Throws IO while the disk is full: what room there is, is for settling. */
  requireRoom(queue: string): void {
    if (!this.#isFull) return;
    throw redexError('IO', `the disk is full: queue ${queue} takes no messages`, {
      operation: 'write',
      path: queue,
      systemCode: 'ENOSPC',
      outcome: 'absent',
    });
  }

  /** Keeps the space, if it is not kept. Once. What is in the way is logged. */
  begin(): void {
    if (this.#parts.bytes === 0 || this.#filling !== undefined) return;
    const { logger } = this.#parts;
    this.#filling = this.#fill().catch((error: unknown) => {
      if (this.#isClosed) return;
      logger.warn('no space could be kept for a full disk', { error });
    });
  }

  async #fill(): Promise<void> {
    const { bytes } = this.#parts;
    await this.#fillOne(FOR_RECLAIM, bytes / 4);
    await this.#fillOne(FOR_OPERATIONS, bytes);
  }

  async #fillOne(name: string, bytes: number): Promise<void> {
    const channel = await this.#parts.redex.channel(name);
    try {
      while (channel.sizeBytes < bytes && !this.#isClosed) {
        await channel.append(new Uint8Array(PIECE_BYTES), { durability: 'synced' });
      }
    } finally {
      await channel.close();
    }
  }

  /** Whether there may be room, after this error, for what is tried once more. */
  async release(error: unknown): Promise<boolean> {
    if (!isNoSpace(error) || this.#isClosed) return false;
    this.#releasing ??= this.#release(error);
    try {
      return await this.#releasing;
    } finally {
      this.#releasing = undefined;
    }
  }

  async #release(error: unknown): Promise<boolean> {
    const { logger } = this.#parts;
    if (!this.#isFull) {
      this.#isFull = true;
      logger.error('the disk is full: queues take no messages until there is space', { error });
      this.#look();
    }
    await this.#filling;
    return this.#delete(FOR_OPERATIONS);
  }

  async #delete(name: string): Promise<boolean> {
    try {
      return await this.#parts.redex.deleteChannel(name);
    } catch {
      return false;
    }
  }

  /** Whether it is worth another try, later: resolves when that is. */
  async turn(error: unknown): Promise<boolean> {
    if (!isNoSpace(error) || !this.#isFull || this.#isClosed) return false;
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
    });
    return true;
  }

  #look(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#parts.runtime.schedule(() => void this.#lookNow(), LOOK_MS);
  }

  async #lookNow(): Promise<void> {
    const { logger } = this.#parts;
    this.#next();
    try {
      await this.#reclaim();
      await this.#fill();
    } catch {
      this.#look();
      return;
    }
    this.#isFull = false;
    logger.info('there is space again: queues take messages', {});
    this.#next();
  }

  async #reclaim(): Promise<void> {
    const { reclaim } = this.#parts;
    try {
      await reclaim();
    } catch (error) {
      if (!(await this.#delete(FOR_RECLAIM))) throw error;
      await reclaim();
    }
  }

  #next(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  /** Waits for what is under way. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    this.#next();
    await this.#filling;
    await this.#releasing;
  }
}

/** An operation is small: no journal that has room refuses it. */
function isNoSpace(error: unknown): boolean {
  if (RedexError.is(error, 'LIMIT')) return error.what === 'journalBytes';
  if (!RedexError.is(error, 'IO') || error.outcome !== 'absent') return false;
  return error.systemCode === 'ENOSPC' || error.systemCode === 'EDQUOT';
}
