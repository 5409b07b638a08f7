/** A sync that the journal rests on has failed: the store is poisoned (RULES S3). */
export class JournalSyncError extends Error {
  readonly path: string;

  constructor(path: string, cause: unknown) {
    super(`a sync of ${path} failed`, { cause });
    this.path = path;
  }
}

/** Runs a sync of a path. Throws JournalSyncError. */
export function syncOf(path: string, sync: () => void): void {
  try {
    sync();
  } catch (error) {
    throw new JournalSyncError(path, error);
  }
}
