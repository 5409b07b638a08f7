/**
 * Wraps any file system, makes chosen operations fail, and watches what was synced in time.
 *
 * Invariants
 * - An operation that is made to fail has no effect on the file system below, except that a failed
 *   sync on a CrashFs loses what it was to make durable, and a failed close closes.
 * - A handle has unsynced bytes until a sync through it succeeds that began after its last write or
 *   truncation ended. A sync that lies counts: the caller cannot know.
 */
import { systemRuntime } from '../core/runtime.js';
import type {
  DirectoryEntry,
  FileHandle,
  FileStat,
  FileSystem,
  OpenMode,
} from '../fs/file-system.js';
import { FaultContext, type FaultEvent } from './fault-context.js';
import { FaultFileHandle } from './fault-file-handle.js';
import type { FaultRule, InjectedFault } from './fault-rules.js';
import type { Defer, OperationCounts } from './operations.js';

export interface FaultFsOptions {
  /** When an asynchronous operation that does not reach the file system below settles. */
  readonly defer?: Defer;
}

export class FaultFs implements FileSystem {
  readonly inner: FileSystem;
  readonly #context: FaultContext;

  constructor(inner: FileSystem, options: FaultFsOptions = {}) {
    this.inner = inner;
    this.#context = new FaultContext(inner, options.defer ?? ((task) => systemRuntime.defer(task)));
  }

  /** TypeError or RangeError for a rule that could never fire. */
  inject(rule: FaultRule): InjectedFault {
    return this.#context.rules.inject(rule);
  }

  clearFaults(): void {
    this.#context.rules.clear();
  }

  /** Every call so far, failed ones too. */
  get calls(): OperationCounts {
    return this.#context.calls;
  }

  get events(): readonly FaultEvent[] {
    return this.#context.events;
  }

  /** Adds an event of the test's own, such as an acknowledgement. */
  mark(label: string): void {
    this.#context.events.push({ kind: 'mark', path: label });
  }

  /** The paths of handles that were closed with unsynced bytes, in order. */
  get closedUnsynced(): readonly string[] {
    return this.#context.closedUnsynced;
  }

  /** The paths of the handles that are open. */
  get openPaths(): string[] {
    return [...this.#context.open].map((handle) => handle.path);
  }

  openSync(path: string, mode: OpenMode): FileHandle {
    const operation = mode === 'create' ? 'createSync' : 'openSync';
    return this.#context.run(operation, path, () => {
      const handle = new FaultFileHandle(this.inner.openSync(path, mode), this.#context);
      this.#context.open.add(handle);
      return handle;
    });
  }

  mkdirSync(path: string): void {
    this.#context.run('mkdirSync', path, () => this.inner.mkdirSync(path));
  }

  readDirectorySync(path: string): DirectoryEntry[] {
    const effect = (): DirectoryEntry[] => this.inner.readDirectorySync(path);
    return this.#context.run('readDirectorySync', path, effect);
  }

  statSync(path: string): FileStat | undefined {
    return this.#context.run('statSync', path, () => this.inner.statSync(path));
  }

  renameSync(from: string, to: string): void {
    this.#context.run('renameSync', from, () => this.inner.renameSync(from, to), to);
  }

  linkSync(from: string, to: string): void {
    this.#context.run('linkSync', from, () => this.inner.linkSync(from, to), to);
  }

  unlinkSync(path: string): void {
    this.#context.run('unlinkSync', path, () => this.inner.unlinkSync(path));
  }

  unlink(path: string): Promise<void> {
    return this.#context.runLater('unlink', path, () => this.inner.unlink(path));
  }

  rmdirSync(path: string): void {
    this.#context.run('rmdirSync', path, () => this.inner.rmdirSync(path));
  }

  syncDirectorySync(path: string): void {
    const { events } = this.#context;
    events.push({ kind: 'syncBegin', path });
    let ok = false;
    try {
      this.#context.syncNow('syncDirectorySync', path, path, () =>
        this.inner.syncDirectorySync(path),
      );
      ok = true;
    } finally {
      events.push({ kind: 'syncEnd', path, ok });
    }
  }

  async syncDirectory(path: string): Promise<void> {
    const { events } = this.#context;
    events.push({ kind: 'syncBegin', path });
    let ok = false;
    try {
      await this.#context.syncLater('syncDirectory', path, path, () =>
        this.inner.syncDirectory(path),
      );
      ok = true;
    } finally {
      events.push({ kind: 'syncEnd', path, ok });
    }
  }

  realpathSync(path: string): string {
    return this.#context.run('realpathSync', path, () => this.inner.realpathSync(path));
  }
}
