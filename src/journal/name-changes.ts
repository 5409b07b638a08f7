/**
 * Channels that come and go: the journal says so, and is synced, before their names change. Until a
 * sync of the directories has covered the new names, the journal keeps what it says (RULES J5).
 */

/** One channel whose name changes. */
export interface NameChange {
  readonly group: number;
  /** The rename has been made; before that no sync can cover it. */
  isMade: boolean;
  /** And a sync has covered it. */
  isSynced: boolean;
}

export class NameChanges {
  readonly #changes = new Set<NameChange>();

  /** The journal says it in this group. */
  begin(group: number): NameChange {
    const change = { group, isMade: false, isSynced: false };
    this.#changes.add(change);
    return change;
  }

  get isEmpty(): boolean {
    return this.#changes.size === 0;
  }

  /** Those that a sync covers that begins now. */
  made(): NameChange[] {
    return [...this.#changes].filter(({ isMade }) => isMade);
  }

  synced(changes: readonly NameChange[]): void {
    for (const change of changes) {
      change.isSynced = true;
      this.#changes.delete(change);
    }
  }

  /** The first group that has to be kept for them; Infinity for none. */
  get oldestGroup(): number {
    let oldest = Infinity;
    for (const { group } of this.#changes) oldest = Math.min(oldest, group);
    return oldest;
  }
}
