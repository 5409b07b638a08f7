/**
 * What a FaultFs shares with its handles: the rules, what was counted and recorded, and how an
 * operation runs when a rule may take its place.
 */
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { systemError } from '../fs/system-error.js';
import type { SyncFaults } from './crash-fs.js';
import { FaultRules, type FaultEffect } from './fault-rules.js';
import { OperationCounts, type Defer, type Operation } from './operations.js';

/** What happened to bytes and names, in order; `mark` is what a test added itself. */
export interface FaultEvent {
  readonly kind: 'writeBegin' | 'writeEnd' | 'syncBegin' | 'syncEnd' | 'mark';
  /** The path of the file or directory, or the label of a mark. */
  readonly path: string;
  /** Of an end: whether it succeeded. */
  readonly ok?: boolean;
  /** Of a write: its place; absent for a truncation. */
  readonly position?: number;
  readonly length?: number;
}

export class FaultContext {
  readonly rules: FaultRules = new FaultRules();
  readonly calls: OperationCounts = new OperationCounts();
  readonly events: FaultEvent[] = [];
  readonly closedUnsynced: string[] = [];
  readonly open: Set<FileHandle> = new Set();
  /** The file system below, if it can let a sync fail or lie. */
  readonly syncFaults: SyncFaults | undefined;
  readonly #defer: Defer;

  constructor(inner: FileSystem, defer: Defer) {
    this.syncFaults = 'failSync' in inner ? (inner as FileSystem & SyncFaults) : undefined;
    this.#defer = defer;
  }

  /** Counts the call, and returns what is to happen instead of it. */
  call(operation: Operation, path: string, to: string = path): FaultEffect | undefined {
    this.calls.add(operation, path);
    return this.rules.match(operation, to === path ? [path] : [path, to]);
  }

  /** Runs `effect` unless the operation is to fail. */
  run<T>(operation: Operation, path: string, effect: () => T, to?: string): T {
    const fault = this.call(operation, path, to);
    if (fault !== undefined && 'error' in fault) throw systemError(fault.error, operation, path);
    return effect();
  }

  async runLater<T>(operation: Operation, path: string, effect: () => Promise<T>): Promise<T> {
    const fault = this.call(operation, path);
    if (fault !== undefined && 'error' in fault) {
      await this.later();
      throw systemError(fault.error, operation, path);
    }
    return effect();
  }

  later(): Promise<void> {
    return new Promise((resolve) => {
      this.#defer(resolve);
    });
  }

  /** Runs a sync, or what a fault makes of it. `target` is what the file system below knows. */
  syncNow(operation: Operation, path: string, target: string | FileHandle, sync: () => void): void {
    const fault = this.call(operation, path);
    if (this.#reaches(fault, target)) sync();
    else if (fault !== undefined && 'error' in fault) {
      throw systemError(fault.error, operation, path);
    }
  }

  async syncLater(
    operation: Operation,
    path: string,
    target: string | FileHandle,
    sync: () => Promise<void>,
  ): Promise<void> {
    const fault = this.call(operation, path);
    if (this.#reaches(fault, target)) return sync();
    await this.later();
    if (fault !== undefined && 'error' in fault) throw systemError(fault.error, operation, path);
  }

  /** Hands the fault to the file system below where that is possible. */
  #reaches(fault: FaultEffect | undefined, target: string | FileHandle): boolean {
    if (fault === undefined || 'short' in fault) return true;
    if (this.syncFaults === undefined) return false;
    if ('error' in fault) this.syncFaults.failSync(target, fault.error);
    else this.syncFaults.ignoreSync(target);
    return true;
  }
}
