/** Counts the bytes of all streams, once, where they were not written down by a close. */
import type { CatalogEntry } from './catalog-entry.js';
import type { StreamContext } from './stream-context.js';

/** Streams that are opened at once. */
const COUNTED_AT_ONCE = 16;

export class StreamCounter {
  readonly #context: StreamContext;
  #counting: Promise<void> | undefined;

  constructor(context: StreamContext) {
    this.#context = context;
  }

  /** Resolves when the total has every stream. Never rejects for a stream that is damaged. */
  countAll(): Promise<void> {
    this.#counting ??= this.#count().catch((error: unknown) => {
      this.#counting = undefined;
      throw error;
    });
    return this.#counting;
  }

  async #count(): Promise<void> {
    const { catalog, caps } = this.#context.parts;
    if (caps.isComplete) return;
    const all = [...catalog.entries].filter(({ bytes }) => bytes === undefined);
    for (let i = 0; i < all.length; i += COUNTED_AT_ONCE) {
      this.#context.requireOpen();
      await Promise.all(all.slice(i, i + COUNTED_AT_ONCE).map((entry) => this.#countOne(entry)));
    }
    caps.complete();
  }

  /** One that cannot be read does not keep the others from being used. */
  async #countOne(entry: CatalogEntry): Promise<void> {
    if (entry.isRemoved || entry.bytes !== undefined) return;
    try {
      await this.#context.parts.open.open(entry);
    } catch (error) {
      this.#context.logger.warn('a stream cannot be read', { stream: entry.name, error });
      this.#context.parts.caps.missed(entry);
    }
  }
}
