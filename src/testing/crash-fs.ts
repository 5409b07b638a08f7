/**
 * A file system in memory that knows what is durable. `crash` returns what may be left after a
 * power cut (or a kill, by profile) as a new, independent CrashFs in which everything is durable;
 * `kill` returns what the next process finds when only this one died.
 *
 * Invariants
 * - A sync makes durable what was pending when it was called, nothing later.
 * - A name becomes durable by a sync of its directory alone, a rename as a whole.
 * - A failed sync loses what it captured without a trace: it stays visible, later syncs of the file
 *   succeed and do not cover it, and each handle that was open reports the failure once.
 * - Locks are held by handles, which belong to one CrashFs: in what a crash or a kill leaves, every
 *   file is free.
 * - Nothing here reads a clock, draws a random number or waits for anything but `defer`.
 */
import { systemRuntime } from '../core/runtime.js';
import type { DirectoryEntry, FileHandle, FileStat, OpenMode } from '../fs/file-system.js';
import { MemoryFs } from '../fs/memory-fs.js';
import type { EntryChange, MemoryDirectory, MemoryFile } from '../fs/memory-nodes.js';
import { benign, type Choose } from './choices.js';
import { CrashFileHandle } from './crash-file-handle.js';
import { crashState, emptyState, killState, type CrashState } from './crash-image.js';
import {
  asCrash,
  CrashDirectory,
  CrashFile,
  entryOperation,
  type SyncCapture,
  type SyncFault,
} from './crash-nodes.js';
import { strict, type Profile } from './crash-profiles.js';
import {
  OperationLog,
  type Defer,
  type OperationCounts,
  type OperationRecord,
} from './operations.js';

export interface CrashFsOptions {
  /** What `crash` may lose; `strict` when absent. */
  readonly profile?: Profile;
  /** When an asynchronous operation takes effect and settles; a microtask when absent. */
  readonly defer?: Defer;
  /** Called before each operation. What it throws fails the operation, which then has no effect. */
  readonly onOperation?: (operation: OperationRecord) => void;
}

/** What a FaultFs uses to let a sync fail as disks do. */
export interface SyncFaults {
  /** The next sync of this file or directory fails and loses what it was to make durable. */
  failSync(target: string | FileHandle, code?: string): void;
  /** The next sync of this file or directory does nothing and succeeds. */
  ignoreSync(target: string | FileHandle): void;
}

export class CrashFs extends MemoryFs implements SyncFaults {
  readonly profile: Profile;
  readonly #state: CrashState;
  readonly #log: OperationLog;

  /** `state` is for `crash` and `kill`. */
  constructor(options: CrashFsOptions = {}, state: CrashState = emptyState()) {
    super(state.root);
    this.profile = options.profile ?? strict;
    this.#state = state;
    this.#log = new OperationLog(
      options.defer ?? ((task) => systemRuntime.defer(task)),
      options.onOperation,
    );
  }

  /** What may be left after a crash now. Handles, and whatever is in flight, stay behind. */
  crash(choose: Choose, options: CrashFsOptions = {}): CrashFs {
    const profile = options.profile ?? this.profile;
    return new CrashFs({ ...options, profile }, crashState(this.#state, profile, choose));
  }

  /**
   * What the next process finds when this one is killed: all that is visible, and as little of it
   * durable as before. Writes in flight are cut by `choose`.
   */
  kill(choose: Choose = benign, options: CrashFsOptions = {}): CrashFs {
    const profile = options.profile ?? this.profile;
    return new CrashFs({ ...options, profile }, killState(this.#state, choose));
  }

  /** All that is visible, as no operation sees it: nobody may change it. */
  get contents(): MemoryDirectory {
    return this.root;
  }

  /** Every operation so far, in the order of the calls. */
  get operations(): readonly OperationRecord[] {
    return this.#log.operations;
  }

  /** The operations that changed bytes, sizes or names. */
  get mutations(): OperationCounts {
    return this.#log.mutations;
  }

  /**
   * Syncs that began on a handle while another one of it was in flight. A descriptor reports an
   * error once: whichever returns first takes it from the other.
   */
  get overlappingSyncs(): number {
    return this.#state.overlappingSyncs;
  }

  get onOperation(): ((operation: OperationRecord) => void) | undefined {
    return this.#log.onOperation;
  }

  set onOperation(hook: ((operation: OperationRecord) => void) | undefined) {
    this.#log.onOperation = hook;
  }

  failSync(target: string | FileHandle, code = 'EIO'): void {
    this.#faulty(target).nextSync = { error: code };
  }

  ignoreSync(target: string | FileHandle): void {
    const fault: SyncFault = 'ignore';
    this.#faulty(target).nextSync = fault;
  }

  /** Writing back a file in the background fails: like `failSync`, but nobody was told yet. */
  failWriteback(target: string | FileHandle, code = 'EIO'): void {
    const node = this.#faulty(target);
    if (node.kind === 'directory') throw new TypeError('a directory is not written back');
    node.lose(this.#state.sequence.last, code);
  }

  override openSync(path: string, mode: OpenMode): FileHandle {
    const operation = mode === 'create' ? 'createSync' : 'openSync';
    return this.#log.run(operation, path, () => super.openSync(path, mode));
  }

  override mkdirSync(path: string): void {
    this.#log.run('mkdirSync', path, () => super.mkdirSync(path));
  }

  override readDirectorySync(path: string): DirectoryEntry[] {
    return this.#log.run('readDirectorySync', path, () => super.readDirectorySync(path));
  }

  override statSync(path: string): FileStat | undefined {
    return this.#log.run('statSync', path, () => super.statSync(path));
  }

  override renameSync(from: string, to: string): void {
    this.#log.run('renameSync', from, () => super.renameSync(from, to), { to });
  }

  override linkSync(from: string, to: string): void {
    this.#log.run('linkSync', from, () => super.linkSync(from, to), { to });
  }

  override unlinkSync(path: string): void {
    this.#log.run('unlinkSync', path, () => super.unlinkSync(path));
  }

  override unlink(path: string): Promise<void> {
    return this.#log.runLater('unlink', path, () => {
      const after = this.#state.sequence.last;
      const inFlight = { after, changes: () => this.#unlinkChanges(path) };
      this.#state.unlinks.add(inFlight);
      return () => {
        this.#state.unlinks.delete(inFlight);
        super.unlinkSync(path);
      };
    });
  }

  override rmdirSync(path: string): void {
    this.#log.run('rmdirSync', path, () => super.rmdirSync(path));
  }

  override syncDirectorySync(path: string): void {
    this.#log.run('syncDirectorySync', path, () => {
      const directory = this.directory(path, 'syncDirectorySync');
      this.#syncDirectory(asCrash(directory), this.#beginSync(directory), path);
    });
  }

  override syncDirectory(path: string): Promise<void> {
    return this.#log.runLater('syncDirectory', path, () => {
      const directory = this.directory(path, 'syncDirectory');
      const capture = this.#beginSync(directory);
      return () => this.#syncDirectory(asCrash(directory), capture, path);
    });
  }

  override realpathSync(path: string): string {
    return this.#log.run('realpathSync', path, () => super.realpathSync(path));
  }

  protected override createFile(): MemoryFile {
    return new CrashFile(this.#state.sequence);
  }

  protected override createDirectory(): MemoryDirectory {
    return new CrashDirectory((this.#state.sequence.last += 1));
  }

  protected override createHandle(file: MemoryFile, path: string, mode: OpenMode): FileHandle {
    return new CrashFileHandle(file as CrashFile, path, mode, this.#state, this.#log);
  }

  protected override change(changes: readonly EntryChange[]): void {
    const { entries, sequence } = this.#state;
    entries.add(entryOperation((sequence.last += 1), changes));
    super.change(changes);
  }

  #beginSync(directory: MemoryDirectory): SyncCapture {
    const concerned = asCrash(directory);
    const fault = concerned.nextSync;
    concerned.nextSync = undefined;
    return { upTo: this.#state.sequence.last, fault };
  }

  #syncDirectory(directory: CrashDirectory, capture: SyncCapture, path: string): void {
    this.#state.entries.sync(directory, capture, path);
    if (capture.fault === undefined) noteSync(this.#state, capture);
  }

  #unlinkChanges(path: string): EntryChange[] | undefined {
    // Whether it would succeed is seen as late as possible: when it is asked for.
    try {
      const { directory, name, node } = this.locate(path, 'unlink');
      return node?.kind === 'file' ? [{ directory, name, node: undefined }] : undefined;
    } catch {
      return undefined;
    }
  }

  #faulty(target: string | FileHandle): CrashFile | CrashDirectory {
    if (target instanceof CrashFileHandle) return target.file;
    const path = typeof target === 'string' ? target : target.path;
    const { node } = this.locate(path, 'failSync');
    if (node === undefined) throw new Error(`no such file or directory: ${path}`);
    return node as CrashFile | CrashDirectory;
  }
}

function noteSync(state: CrashState, capture: SyncCapture): void {
  state.syncedSequence = Math.max(state.syncedSequence, capture.upTo);
}
