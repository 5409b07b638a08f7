/**
 * Files and directories that know what of them is durable.
 *
 * Invariants
 * - What is visible is what is durable with every operation of the list applied in order, whatever
 *   their state; without a list everything visible is durable, and nothing is kept twice.
 * - `lost` operations (their sync failed, the cache believes them clean) never become durable by a
 *   later sync of the file; they do if a later entry operation on the same name does.
 */
import type { ChunkedBytes } from '../fs/chunked-bytes.js';
import {
  MemoryDirectory,
  MemoryFile,
  type EntryChange,
  type MemoryNode,
} from '../fs/memory-nodes.js';
import { systemError } from '../fs/system-error.js';

/** Operations of files and of directories are numbered together. */
export interface Sequence {
  last: number;
}

type OperationState = 'pending' | 'lost' | 'durable';

export interface FileWrite {
  readonly kind: 'write';
  /** Of a write in flight: that of the last operation before its call. */
  readonly sequence: number;
  readonly position: number;
  readonly bytes: Uint8Array;
  state: OperationState;
}

interface FileTruncation {
  readonly kind: 'truncate';
  readonly sequence: number;
  readonly size: number;
  state: OperationState;
}

export type FileOperation = FileWrite | FileTruncation;

/** What the next sync of a file or directory does instead of syncing. */
export type SyncFault = { readonly error: string } | 'ignore';

/** What a sync will make durable: what was pending when it began. */
export interface SyncCapture {
  readonly upTo: number;
  readonly fault: SyncFault | undefined;
}

/** What a file was when it was last durable, and all that happened to it since. */
export interface Unsynced {
  durable: ChunkedBytes;
  operations: FileOperation[];
}

/** Counts failed write-backs, as the kernel does, so that each open handle can report one once. */
export interface WritebackErrors {
  count: number;
  /** Whether somebody was told of the last one; if not, a handle opened later is. */
  reported: boolean;
  code: string;
}

export class CrashFile extends MemoryFile {
  unsynced: Unsynced | undefined;
  nextSync: SyncFault | undefined;
  errors: WritebackErrors | undefined;
  /** What it was before it was last cut; never changed. */
  former: ChunkedBytes | undefined;
  readonly #sequence: Sequence;

  constructor(sequence: Sequence, bytes?: ChunkedBytes) {
    super(bytes);
    this.#sequence = sequence;
  }

  override write(buffer: Uint8Array, offset: number, length: number, position: number): void {
    if (length === 0) return;
    const bytes = buffer.slice(offset, offset + length);
    const sequence = (this.#sequence.last += 1);
    this.#list().push({ kind: 'write', sequence, position, bytes, state: 'pending' });
    super.write(bytes, 0, length, position);
  }

  override truncate(size: number): void {
    if (size === this.bytes.size) return;
    if (size < this.bytes.size) this.former = this.bytes.copy();
    const sequence = (this.#sequence.last += 1);
    this.#list().push({ kind: 'truncate', sequence, size, state: 'pending' });
    super.truncate(size);
  }

  beginSync(): SyncCapture {
    const fault = this.nextSync;
    this.nextSync = undefined;
    return { upTo: this.#sequence.last, fault };
  }

  /** Applies what the sync captured; a fault loses it instead and is to be reported. */
  endSync(capture: SyncCapture): void {
    const { upTo, fault } = capture;
    if (fault === 'ignore') return;
    if (fault !== undefined) this.lose(upTo, fault.error);
    else this.#promote(upTo);
  }

  /** Writing back what is pending up to `upTo` failed. */
  lose(upTo: number, code: string): void {
    for (const operation of this.unsynced?.operations ?? []) {
      if (operation.sequence > upTo) break;
      if (operation.state === 'pending') operation.state = 'lost';
    }
    this.errors = { count: (this.errors?.count ?? 0) + 1, reported: false, code };
  }

  /** The count from which a handle opened now reports. */
  get errorsSeen(): number {
    if (this.errors === undefined) return 0;
    return this.errors.reported ? this.errors.count : this.errors.count - 1;
  }

  #promote(upTo: number): void {
    if (this.unsynced === undefined) return;
    const { durable, operations } = this.unsynced;
    let settled = 0;
    let onlyDurable = true;
    for (const operation of operations) {
      if (operation.state === 'pending' && operation.sequence <= upTo) operation.state = 'durable';
      onlyDurable &&= operation.state === 'durable';
      if (onlyDurable) settled += 1;
    }
    if (onlyDurable) {
      this.unsynced = undefined;
      return;
    }
    for (const operation of operations.splice(0, settled)) applyTo(durable, operation);
  }

  #list(): FileOperation[] {
    this.unsynced ??= { durable: this.bytes.copy(), operations: [] };
    return this.unsynced.operations;
  }
}

export function applyTo(bytes: ChunkedBytes, operation: FileOperation): void {
  if (operation.kind === 'truncate') bytes.truncate(operation.size);
  else bytes.write(operation.bytes, 0, operation.bytes.length, operation.position);
}

export class CrashDirectory extends MemoryDirectory {
  readonly id: number;
  /** The durable names; absent while they are the visible ones. */
  durable: Map<string, MemoryNode> | undefined;
  /** How many operations of the entry log concern this directory. */
  unsynced = 0;
  nextSync: SyncFault | undefined;

  constructor(id: number) {
    super();
    this.id = id;
  }
}

/** One atomic change of names: one name, or both of a rename. */
export interface EntryOperation {
  /** Of an operation in flight: that of the last one before its call. */
  readonly sequence: number;
  readonly changes: readonly EntryChange[];
  readonly keys: readonly string[];
  state: 'pending' | 'lost';
  /** Called, but not complete at the crash. */
  readonly inFlight: boolean;
}

export function entryOperation(
  sequence: number,
  changes: readonly EntryChange[],
  inFlight = false,
): EntryOperation {
  const keys = changes.map((change) => `${asCrash(change.directory).id}/${change.name}`);
  return { sequence, changes, keys, state: 'pending', inFlight };
}

/** The changes of names that no sync of a directory covers, in the order in which they happened. */
export class EntryLog {
  operations: EntryOperation[] = [];

  /** To be called before the change is made visible. */
  add(operation: EntryOperation): void {
    for (const { directory } of operation.changes) {
      const concerned = asCrash(directory);
      concerned.durable ??= new Map(concerned.entries);
      concerned.unsynced += 1;
    }
    this.operations.push(operation);
  }

  sync(directory: CrashDirectory, capture: SyncCapture, path: string): void {
    const { upTo, fault } = capture;
    if (fault === 'ignore') return;
    if (fault !== undefined) {
      for (const operation of this.operations) {
        if (operation.sequence <= upTo && concerns(operation, directory)) operation.state = 'lost';
      }
      throw systemError(fault.error, 'syncDirectory', path);
    }
    if (directory.unsynced > 0) this.#promote(directory, upTo);
  }

  /** An operation takes the earlier ones on the same names with it, or a name would be torn. */
  #promote(directory: CrashDirectory, upTo: number): void {
    const keys = new Set<string>();
    const promoted: EntryOperation[] = [];
    const kept: EntryOperation[] = [];
    for (const operation of this.operations.toReversed()) {
      const captured =
        operation.sequence <= upTo &&
        operation.state === 'pending' &&
        concerns(operation, directory);
      if (captured || operation.keys.some((key) => keys.has(key))) {
        for (const key of operation.keys) keys.add(key);
        promoted.push(operation);
      } else kept.push(operation);
    }
    this.operations = kept.toReversed();
    for (const operation of promoted.toReversed()) settle(operation);
  }
}

function concerns(operation: EntryOperation, directory: CrashDirectory): boolean {
  return operation.changes.some((change) => change.directory === directory);
}

function settle(operation: EntryOperation): void {
  for (const { directory, name, node } of operation.changes) {
    const concerned = asCrash(directory);
    if (node === undefined) concerned.durable?.delete(name);
    else concerned.durable?.set(name, node);
    concerned.unsynced -= 1;
    if (concerned.unsynced === 0) concerned.durable = undefined;
  }
}

/** Every directory of a CrashFs is one. */
export function asCrash(directory: MemoryDirectory): CrashDirectory {
  return directory as CrashDirectory;
}
