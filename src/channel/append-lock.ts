/** Keeps appends waiting while somebody works on the segments of a channel as a whole. */
export class AppendLock {
  #isHeld = false;
  readonly #waiters: (() => void)[] = [];

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Resolves when it is held by the caller and `isFree` says that nothing is being written. */
  async take(isFree: () => boolean): Promise<void> {
    while (this.#isHeld) await this.#change();
    this.#isHeld = true;
    while (!isFree()) await this.#change();
  }

  release(): void {
    this.#isHeld = false;
    this.wake();
  }

  /** Something that `isFree` asks about may have changed. */
  wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }
}
