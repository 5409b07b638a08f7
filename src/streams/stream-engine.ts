/**
 * What a StreamStore runs on: how the streams of a Redex begin and end. What an open that fails has
 * begun is ended again, and a close waits for what is under way: the Redex may be somebody else's,
 * who goes on using it.
 */
import { redexError } from '../core/errors.js';
import type { Redex } from '../store/redex.js';
import { ByteCaps } from './byte-caps.js';
import { Catalog } from './catalog.js';
import { CatalogWriter } from './catalog-writer.js';
import type { CatalogRecord } from './catalog-records.js';
import { Hints } from './hints.js';
import { OpenStreams } from './open-streams.js';
import { StreamContext } from './stream-context.js';
import { StreamCounter } from './stream-counter.js';
import type { StreamSettings } from './stream-settings.js';
import { StreamSweeper } from './stream-sweeper.js';

/** Two writers of one catalog would contradict each other. */
const taken = new WeakSet<Redex>();

export class StreamEngine {
  readonly context: StreamContext;
  readonly counter: StreamCounter;
  readonly sweeper: StreamSweeper;

  private constructor(context: StreamContext) {
    this.context = context;
    this.counter = new StreamCounter(context);
    this.sweeper = new StreamSweeper(context);
  }

  /** Rejects with BUSY, CORRUPT, FORMAT_VERSION, IO, POISONED, CLOSED, READ_ONLY. */
  static async open(redex: Redex, settings: StreamSettings): Promise<StreamEngine> {
    if (taken.has(redex)) {
      throw redexError('BUSY', 'this Redex has a StreamStore already', { reason: 'streams' });
    }
    taken.add(redex);
    let engine: StreamEngine | undefined;
    try {
      const catalog = await Catalog.open(redex);
      const { maxTotalBytes, maxOpenStreams, logger } = settings;
      const caps = new ByteCaps(maxTotalBytes, catalog.closedTotalBytes);
      const writer = new CatalogWriter(redex, catalog);
      const open = new OpenStreams({ redex, caps, logger, maxOpenStreams });
      const parts = { redex, settings, catalog, writer, open, caps, hints: new Hints() };
      engine = new StreamEngine(new StreamContext(parts));
      await engine.#begin();
      return engine;
    } catch (error) {
      if (engine !== undefined) await engine.#abandon();
      taken.delete(redex);
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const { catalog, settings } = this.context.parts;
    // What was counted is not believed again before the next close.
    if (catalog.isClosed) await this.#write({ type: 'opened' });
    if (settings.maxTotalBytes !== Infinity) await this.counter.countAll();
    await this.sweeper.begin();
  }

  async #abandon(): Promise<void> {
    const { catalog, open } = this.context.parts;
    this.context.isClosing = true;
    await open.closeAll();
    await catalog.channel.close().catch(() => undefined);
  }

  /** Rejects with IO, POISONED: everything is closed all the same. */
  async close(): Promise<void> {
    const { context } = this;
    const { redex, catalog, open, caps, hints } = context.parts;
    context.isClosing = true;
    hints.endAll();
    try {
      await this.sweeper.stop();
      await context.changesEnded();
      await open.closeAll();
      await this.sweeper.writeTimes();
      await this.#write({ type: 'closed', totalBytes: caps.isExact ? caps.total : undefined });
    } finally {
      await catalog.channel.close().finally(() => taken.delete(redex));
    }
  }

  async #write(record: CatalogRecord): Promise<void> {
    await this.context.parts.writer.submit(() => {
      return { records: [record], operations: [], bytes: 0, keys: [] };
    });
  }
}
