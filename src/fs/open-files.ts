/**
 * How many descriptors may be open at once, over all channels of a store. Who holds descriptors
 * registers; when another one needs room, those that were not used for the longest time are
 * closed. What is being used, or has bytes that no sync covers, is not closed (RULES S6): a writer
 * that needs room then waits until a sync has made some. Readers never wait: they may go a little
 * over the limit.
 */

/** Descriptors of one segment: they are opened and closed together. */
export interface FileHolder {
  /** How many it may have open. */
  readonly fileCount: number;
  /** Set with each use; cleared when it is passed over. */
  used: boolean;
  /** Closes its descriptors, unless something depends on them; `removed` is called by it. */
  tryClose(): boolean;
  /** Begins what has to happen before it can be closed; false when there is nothing to begin. */
  settle(): boolean;
  /** The same at once, as far as that is possible. */
  settleNow(): void;
}

/** Room for descriptors that are open elsewhere, or will be: nobody can close them. */
export class ReservedFiles implements FileHolder {
  used = true;
  readonly fileCount: number;

  constructor(fileCount: number) {
    this.fileCount = fileCount;
  }

  tryClose(): boolean {
    return false;
  }

  settle(): boolean {
    return false;
  }

  settleNow(): void {}
}

interface RoomWaiter {
  readonly fileCount: number;
  readonly proceed: () => void;
}

export class OpenFiles {
  readonly limit: number;
  /** In the order in which they will be looked at. */
  readonly #holders = new Set<FileHolder>();
  #count = 0;
  readonly #waiters: RoomWaiter[] = [];
  #isBusy = false;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Descriptors that are held. */
  get count(): number {
    return this.#count;
  }

  added(holder: FileHolder): void {
    this.#holders.add(holder);
    this.#count += holder.fileCount;
  }

  removed(holder: FileHolder): void {
    if (!this.#holders.delete(holder)) return;
    this.#count -= holder.fileCount;
  }

  /** Closes what it can until there is room for `fileCount` more. Returns whether there is. */
  makeRoom(fileCount: number): boolean {
    let looks = 2 * this.#holders.size;
    for (const holder of this.#holders) {
      if (this.#hasRoom(fileCount) || looks-- === 0) break;
      if (!holder.used && holder.tryClose()) continue;
      // A second chance for what was used since the last look.
      holder.used = false;
      this.#holders.delete(holder);
      this.#holders.add(holder);
    }
    return this.#hasRoom(fileCount);
  }

  /** The same for a caller that cannot wait: syncs, before it returns, what has to be synced. */
  makeRoomNow(fileCount: number): void {
    if (this.makeRoom(fileCount)) return;
    // The room is the caller's: nobody who waits is let on in the middle of it.
    this.#isBusy = true;
    try {
      // A copy: what a sync leads to puts holders in another order, and they would come again.
      for (const holder of Array.from(this.#holders)) {
        if (this.#hasRoom(fileCount)) return;
        if (this.#holders.has(holder)) holder.settleNow();
        if (this.#holders.has(holder)) holder.tryClose();
      }
    } finally {
      this.#isBusy = false;
    }
  }

  /** Calls `proceed` once there is room for `fileCount` more; it may be called again to wait. */
  whenRoom(fileCount: number, proceed: () => void): void {
    this.#waiters.push({ fileCount, proceed });
    this.#settleOne();
  }

  /**
   * Resolves when there is room for `fileCount` that is the caller's until the function that it
   * resolves to is called. Who waits for more may hold none: it would wait for itself.
   */
  reserve(fileCount: number): Promise<() => void> {
    const reserved = new ReservedFiles(fileCount);
    const giveBack = (): void => {
      this.removed(reserved);
      this.onMayClose();
    };
    if (this.#waiters.length === 0 && this.makeRoom(fileCount)) {
      this.added(reserved);
      return Promise.resolve(giveBack);
    }
    return new Promise((resolve) => {
      this.whenRoom(fileCount, () => {
        this.added(reserved);
        resolve(giveBack);
      });
    });
  }

  /** Somebody waits for room. */
  get isContended(): boolean {
    return this.#waiters.length > 0;
  }

  /** Something that could not be closed may be closable now. */
  onMayClose(): void {
    if (this.#isBusy) return;
    // What readers took beyond the limit is given back as soon as that is possible.
    if (this.#count > this.limit) this.makeRoom(0);
    for (;;) {
      const [waiter] = this.#waiters;
      if (waiter === undefined) return;
      if (!this.makeRoom(waiter.fileCount)) {
        this.#settleOne();
        return;
      }
      this.#waiters.shift();
      waiter.proceed();
    }
  }

  /** One for each that waits or is made to wait again: as many syncs go on side by side. */
  #settleOne(): void {
    for (const holder of this.#holders) if (holder.settle()) return;
  }

  #hasRoom(fileCount: number): boolean {
    return this.#count + fileCount <= this.limit;
  }
}
