/** What all parts of an open StreamStore share, and how a stream is found by its name. */
import type { Logger, Runtime } from '../core/runtime.js';
import { RedexError } from '../core/errors.js';
import type { Redex } from '../store/redex.js';
import type { ByteCaps } from './byte-caps.js';
import type { Catalog } from './catalog.js';
import type { CatalogEntry } from './catalog-entry.js';
import type { CatalogWriter } from './catalog-writer.js';
import type { Hints } from './hints.js';
import type { OpenStreams } from './open-streams.js';
import { isExpired } from './stream-config.js';
import { notFound, storeClosed, streamGone } from './stream-errors.js';
import type { StreamLog } from './stream-log.js';
import type { StreamSettings } from './stream-settings.js';

export interface FoundStream {
  readonly entry: CatalogEntry;
  readonly log: StreamLog;
}

export interface StreamParts {
  readonly redex: Redex;
  readonly settings: StreamSettings;
  readonly catalog: Catalog;
  readonly writer: CatalogWriter;
  readonly open: OpenStreams;
  readonly caps: ByteCaps;
  readonly hints: Hints;
}

export class StreamContext {
  readonly parts: StreamParts;
  isClosing = false;
  /** Changes of the list of streams that are under way. */
  readonly #changes = new Set<Promise<unknown>>();
  /** Streams with a time to live that were used since that was last written down. */
  readonly used: Set<CatalogEntry> = new Set();
  /** Streams of which is known anew how old their messages are at most. */
  readonly looked: Set<CatalogEntry> = new Set();

  constructor(parts: StreamParts) {
    this.parts = parts;
  }

  get runtime(): Runtime {
    return this.parts.settings.runtime;
  }

  get logger(): Logger {
    return this.parts.settings.logger;
  }

  /** Throws CLOSED. */
  requireOpen(): void {
    if (!this.isClosing) return;
    throw storeClosed();
  }

  /** Runs what makes, removes or trims streams: a close waits for it. Rejects with CLOSED. */
  async changing<T>(work: () => Promise<T>): Promise<T> {
    this.requireOpen();
    const change = work();
    this.#changes.add(change);
    try {
      return await change;
    } finally {
      this.#changes.delete(change);
    }
  }

  /** Resolves when no change is under way; called when no more can be begun. */
  async changesEnded(): Promise<void> {
    await Promise.allSettled(this.#changes);
  }

  /** The same as `live` without waiting for anything; undefined where that is not possible. */
  liveNow(name: string): FoundStream | undefined {
    const { catalog, open } = this.parts;
    const entry = catalog.find(name);
    if (entry === undefined || entry.leaving !== undefined || entry.isTombstone) return undefined;
    if (this.isClosing || this.isExpiredNow(entry)) return undefined;
    const log = open.find(entry);
    return log === undefined ? undefined : { entry, log };
  }

  /**
   * The stream of this name, opened. Rejects with NOT_FOUND for one that is missing or expired,
   * STREAM_GONE, CORRUPT, IO, POISONED, CLOSED.
   */
  async live(name: string): Promise<FoundStream> {
    for (;;) {
      const entry = await this.present(name);
      if (entry === undefined) throw notFound(name);
      if (entry.isTombstone) throw streamGone(name);
      if (this.#isPastEnd(entry)) throw notFound(name);
      const log = this.parts.open.find(entry) ?? (await this.#opened(entry));
      if (log === undefined || entry.leaving !== undefined || entry.isRemoved) continue;
      if (this.isExpiredNow(entry)) throw notFound(name);
      return { entry, log };
    }
  }

  /** What the catalog has of this name, when nothing is under way that takes it away. */
  present(name: string): CatalogEntry | undefined | Promise<CatalogEntry | undefined> {
    this.requireOpen();
    const entry = this.parts.catalog.find(name);
    return entry?.leaving === undefined ? entry : this.#presentLater(name);
  }

  async #presentLater(name: string): Promise<CatalogEntry | undefined> {
    for (;;) {
      this.requireOpen();
      const entry = this.parts.catalog.find(name);
      if (entry?.leaving === undefined) return entry;
      await entry.leaving;
    }
  }

  /** Undefined when it was deleted meanwhile. */
  async #opened(entry: CatalogEntry): Promise<StreamLog | undefined> {
    try {
      return await this.parts.open.open(entry);
    } catch (error) {
      if (entry.isRemoved || entry.leaving !== undefined) return undefined;
      throw error;
    }
  }

  /** Whether it is expired by all that is known; a stream that was not opened may not be. */
  isExpiredNow({ config, accessedAtMs }: CatalogEntry): boolean {
    return isExpired(config, accessedAtMs, this.runtime.now());
  }

  /** Whether it is expired, as far as that can be said without opening its channel. */
  isExpiredForSure(entry: CatalogEntry): boolean {
    return this.#isPastEnd(entry) || (entry.isKnown && this.isExpiredNow(entry));
  }

  /** The time that it was created with has come, whatever was done to it. */
  #isPastEnd({ config: { expiresAtMs } }: CatalogEntry): boolean {
    return expiresAtMs !== undefined && this.runtime.now() >= expiresAtMs;
  }

  /** Whether it is expired; its channel is opened where that has to be known. */
  async isExpired(entry: CatalogEntry): Promise<boolean> {
    if (!this.isExpiredNow(entry)) return false;
    if (this.#isPastEnd(entry)) return true;
    if (!entry.isKnown) await this.parts.open.open(entry);
    return this.isExpiredNow(entry);
  }

  /** A read or a write: the time to live begins anew. */
  use(entry: CatalogEntry): void {
    if (entry.config.ttlSeconds === undefined) return;
    entry.accessedAtMs = Math.max(entry.accessedAtMs, this.runtime.now());
    this.used.add(entry);
  }
}

/** It is there, and nothing is under way that takes it away. */
export function isStaying({ isRemoved, isTombstone, leaving }: CatalogEntry): boolean {
  return !isRemoved && !isTombstone && leaving === undefined;
}

/** Its channel was closed for others, between two turns: it can be opened again. */
export function isEvicted(
  { isClosing, parts }: StreamContext,
  { entry, log }: FoundStream,
  error: unknown,
): boolean {
  return RedexError.is(error, 'CLOSED') && !isClosing && !parts.open.has(entry, log);
}
