/**
 * Copies of a CrashFs's state: what is left of it after a crash, or all of it for another process.
 * Invariant: a copy shares immutable bytes with its original and nothing else; the original is
 * never changed.
 */
import type { EntryChange, MemoryDirectory, MemoryFile, MemoryNode } from '../fs/memory-nodes.js';
import type { Choose } from './choices.js';
import {
  asCrash,
  CrashDirectory,
  CrashFile,
  EntryLog,
  entryOperation,
  type EntryOperation,
  type FileWrite,
  type Sequence,
} from './crash-nodes.js';
import type { Profile, Survival } from './crash-profiles.js';

export interface InFlightWrite {
  readonly file: CrashFile;
  readonly buffer: Uint8Array;
  readonly offset: number;
  readonly length: number;
  readonly position: number;
  /** The last operation before the call. */
  readonly after: number;
}

/** Removals of names that were called and are not complete. */
interface InFlightUnlink {
  /** The last operation before the call. */
  readonly after: number;
  readonly changes: () => readonly EntryChange[] | undefined;
}

/** Everything that a CrashFs remembers, apart from its handles. */
export interface CrashState {
  readonly root: CrashDirectory;
  readonly entries: EntryLog;
  readonly sequence: Sequence;
  readonly writes: Set<InFlightWrite>;
  readonly unlinks: Set<InFlightUnlink>;
  syncedSequence: number;
  /** Syncs that began on a handle while another one of it was in flight. */
  overlappingSyncs: number;
}

export function emptyState(): CrashState {
  return {
    root: new CrashDirectory(0),
    entries: new EntryLog(),
    sequence: { last: 0 },
    writes: new Set(),
    unlinks: new Set(),
    syncedSequence: 0,
    overlappingSyncs: 0,
  };
}

/** The state after a crash, in which everything is durable. */
export function crashState(source: CrashState, profile: Profile, choose: Choose): CrashState {
  const entries = [...source.entries.operations, ...inFlightUnlinks(source)];
  const { syncedSequence } = source;
  const lastSequence = source.sequence.last;
  const survival = profile.draw({ entries, lastSequence, syncedSequence }, choose);
  const { root, sequence } = new Image(source, survival, survivingNames(entries, survival));
  return { ...emptyState(), root, sequence, syncedSequence: sequence.last };
}

function inFlightUnlinks(source: CrashState): EntryOperation[] {
  const operations: EntryOperation[] = [];
  for (const unlink of source.unlinks) {
    const changes = unlink.changes();
    if (changes) operations.push(entryOperation(unlink.after, changes, true));
  }
  return operations;
}

type Names = Map<MemoryDirectory, Map<string, MemoryNode>>;

/** The names in each directory that is not as it is durable. */
function survivingNames(operations: readonly EntryOperation[], survival: Survival): Names {
  const names: Names = new Map();
  const reverted = new Set<string>();
  for (const operation of operations) {
    const possible = !operation.keys.some((key) => reverted.has(key));
    if (!possible || !survival.entry(operation)) {
      for (const key of operation.keys) reverted.add(key);
      continue;
    }
    for (const { directory, name, node } of operation.changes) {
      let changed = names.get(directory);
      if (changed === undefined) {
        changed = new Map(asCrash(directory).durable ?? directory.entries);
        names.set(directory, changed);
      }
      if (node === undefined) changed.delete(name);
      else changed.set(name, node);
    }
  }
  return names;
}

/** One walk over what can be reached by surviving names. */
class Image {
  readonly root: CrashDirectory;
  readonly sequence: Sequence = { last: 0 };
  readonly #survival: Survival;
  readonly #names: Names;
  readonly #inFlight: Map<MemoryNode, FileWrite[]>;
  readonly #copies: Map<MemoryNode, CrashFile | CrashDirectory> = new Map();

  constructor(source: CrashState, survival: Survival, names: Names) {
    this.#survival = survival;
    this.#names = names;
    this.#inFlight = inFlightWrites(source);
    this.root = this.#directory(source.root);
  }

  #copy(node: MemoryNode): CrashFile | CrashDirectory {
    const known = this.#copies.get(node);
    if (known !== undefined) return known;
    return node.kind === 'file' ? this.#file(node) : this.#directory(node);
  }

  #directory(original: MemoryDirectory): CrashDirectory {
    const copy = new CrashDirectory((this.sequence.last += 1));
    this.#copies.set(original, copy);
    const names = this.#names.get(original) ?? asCrash(original).durable ?? original.entries;
    for (const [name, node] of names) copy.entries.set(name, this.#copy(node));
    return copy;
  }

  #file(original: MemoryFile): CrashFile {
    const { unsynced, former } = original as CrashFile;
    const inFlight = this.#inFlight.get(original) ?? [];
    const bytes = this.#survival.file({ visible: original.bytes, unsynced, inFlight, former });
    const copy = new CrashFile(this.sequence, bytes);
    this.#copies.set(original, copy);
    return copy;
  }
}

function inFlightWrites(source: CrashState): Map<MemoryNode, FileWrite[]> {
  const byFile = new Map<MemoryNode, FileWrite[]>();
  for (const { file, buffer, offset, length, position, after } of source.writes) {
    const bytes = buffer.slice(offset, offset + length);
    const write: FileWrite = { kind: 'write', sequence: after, position, bytes, state: 'pending' };
    const writes = byFile.get(file);
    if (writes === undefined) byFile.set(file, [write]);
    else writes.push(write);
  }
  return byFile;
}

/** The state after the process died and the machine did not: nothing becomes durable by it. */
export function killState(source: CrashState, choose: Choose): CrashState {
  const clone = new Clone(source);
  const { state } = clone;
  for (const [file, writes] of inFlightWrites(source)) {
    for (const { bytes, position } of writes) {
      const length = bytes.length - choose(bytes.length + 1);
      clone.file(file as CrashFile).write(bytes, 0, length, position);
    }
  }
  for (const operation of inFlightUnlinks(source)) {
    if (choose(2) !== 0) continue;
    const changes = clone.changes(operation);
    state.entries.add(entryOperation((state.sequence.last += 1), changes));
    for (const { directory, name } of changes) directory.entries.delete(name);
  }
  return state;
}

/** One walk over everything that is visible, durable or in between. */
class Clone {
  readonly state: CrashState;
  readonly #copies: Map<MemoryNode, CrashFile | CrashDirectory> = new Map();

  constructor(source: CrashState) {
    const sequence: Sequence = { ...source.sequence };
    const { syncedSequence } = source;
    this.state = { ...emptyState(), sequence, syncedSequence, root: new CrashDirectory(0) };
    this.#fill(source.root, this.state.root);
    this.state.entries.operations = source.entries.operations.map((operation) => ({
      ...operation,
      changes: this.changes(operation),
    }));
  }

  changes(operation: EntryOperation): EntryChange[] {
    return operation.changes.map(({ directory, name, node }) => ({
      directory: this.#directory(asCrash(directory)),
      name,
      node: node === undefined ? undefined : this.#copy(node),
    }));
  }

  file(original: CrashFile): CrashFile {
    const known = this.#copies.get(original);
    if (known !== undefined) return known as CrashFile;
    const copy = new CrashFile(this.state.sequence, original.bytes.copy());
    copy.nextSync = original.nextSync;
    copy.former = original.former;
    if (original.errors !== undefined) copy.errors = { ...original.errors };
    if (original.unsynced !== undefined) {
      copy.unsynced = {
        durable: original.unsynced.durable.copy(),
        operations: original.unsynced.operations.map((operation) => ({ ...operation })),
      };
    }
    this.#copies.set(original, copy);
    return copy;
  }

  #copy(node: MemoryNode): CrashFile | CrashDirectory {
    return node.kind === 'file' ? this.file(node as CrashFile) : this.#directory(asCrash(node));
  }

  #directory(original: CrashDirectory): CrashDirectory {
    const known = this.#copies.get(original);
    if (known !== undefined) return known as CrashDirectory;
    const copy = new CrashDirectory(original.id);
    this.#fill(original, copy);
    return copy;
  }

  #fill(original: CrashDirectory, copy: CrashDirectory): void {
    this.#copies.set(original, copy);
    copy.unsynced = original.unsynced;
    copy.nextSync = original.nextSync;
    for (const [name, node] of original.entries) copy.entries.set(name, this.#copy(node));
    if (original.durable === undefined) return;
    copy.durable = new Map<string, CrashFile | CrashDirectory>();
    for (const [name, node] of original.durable) copy.durable.set(name, this.#copy(node));
  }
}
