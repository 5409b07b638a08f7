/**
 * One piece of work at a time for each name. Work on several names holds all of them; it is queued
 * on all at once, so that two such pieces can never wait for each other.
 */
export class NamedLocks {
  /** The end of the last work that was queued for a name. */
  readonly #last = new Map<string, Promise<void>>();

  async run<T>(names: readonly string[], work: () => Promise<T>): Promise<T> {
    const before = names.map((name) => this.#last.get(name) ?? Promise.resolve());
    let release: () => void = () => undefined;
    const done = new Promise<void>((resolve) => {
      release = resolve;
    });
    for (const name of names) this.#last.set(name, done);
    await Promise.all(before);
    try {
      return await work();
    } finally {
      for (const name of names) {
        if (this.#last.get(name) === done) this.#last.delete(name);
      }
      release();
    }
  }

  /** Resolves when all work that was queued before the call is done. */
  async idle(): Promise<void> {
    await Promise.all(this.#last.values());
  }
}
