/** An image of what a crash has left, and what was known when it was taken. */
import type { CrashFs } from '../testing/crash-fs.js';
import { inGroup, type OperationRecord } from '../testing/operations.js';
import type { CrashKind } from './record-judge.js';
import type { StoreFacts } from './store-facts.js';

export interface Image {
  readonly fs: CrashFs;
  readonly facts: StoreFacts;
  /** `power` also for a kill after which nobody has looked. */
  readonly kind: CrashKind;
  /** Nothing of it is only in a page cache. */
  readonly isDurable: boolean;
  /** What was under way, for messages. */
  readonly place: string;
  /** The operations of the process, and how many of them came before the crash. */
  readonly log: readonly OperationRecord[];
  readonly operation: number;
  /** What the process saw, where the run keeps the scene. */
  readonly seen: CrashFs | undefined;
}

/** Operations before and after which an image can differ. */
export function changesState({ operation }: OperationRecord): boolean {
  return inGroup(operation, 'anyMutation') || inGroup(operation, 'anySync');
}
