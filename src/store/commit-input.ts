/** Checks what redex.commit is given, before anything is opened or written. */
import { checkChannelOptions, checkName, type ChannelOptions } from '../channel/options.js';
import { checkKnown } from '../channel/option-checks.js';
import { checkSeq, type Appendable } from '../channel/record-input.js';

/** A batch of one channel, all or nothing with the others of the commit. */
export interface CommitAppend {
  readonly channel: string;
  readonly records: readonly Appendable[];
  /** The seq that the first record is expected to get. */
  readonly expectedSeq?: number | undefined;
  /** Creates the channel when it is missing; otherwise these have to be its options. */
  readonly create?: ChannelOptions | undefined;
}

/** The channel is deleted together with what else the commit does. */
export interface CommitDelete {
  readonly delete: string;
}

export type CommitOperation = CommitAppend | CommitDelete;

export interface CommitResult {
  /** By name, of the channels that were appended to. */
  readonly channels: Readonly<
    Record<string, { readonly firstSeq: number; readonly nextSeq: number }>
  >;
}

const APPEND: ReadonlySet<string> = new Set(['channel', 'records', 'expectedSeq', 'create']);
const DELETE: ReadonlySet<string> = new Set(['delete']);

export function isDelete(operation: CommitOperation): operation is CommitDelete {
  return 'delete' in operation;
}

export function nameOf(operation: CommitOperation): string {
  return isDelete(operation) ? operation.delete : operation.channel;
}

/** A copy that the caller cannot change any more. Throws TypeError or RangeError. */
export function checkCommit(operations: readonly CommitOperation[]): CommitOperation[] {
  if (!Array.isArray(operations)) throw new TypeError('a commit must be an array of operations');
  const names = new Set<string>();
  const checked: CommitOperation[] = [];
  for (const given of operations as readonly unknown[]) {
    if (typeof given !== 'object' || given === null) {
      throw new TypeError('an operation of a commit must be { channel, records } or { delete }');
    }
    const operation = { ...(given as CommitOperation) };
    checkOperation(operation);
    const name = nameOf(operation);
    if (names.has(name)) throw new TypeError(`channel ${name} is in the commit twice`);
    names.add(name);
    checked.push(operation);
  }
  return checked;
}

function checkOperation(operation: CommitOperation): void {
  if (isDelete(operation)) {
    checkKnown(operation, DELETE);
    checkName(operation.delete);
    return;
  }
  checkKnown(operation, APPEND);
  checkName(operation.channel);
  if (!Array.isArray(operation.records)) throw new TypeError('records must be an array');
  if (operation.expectedSeq !== undefined) checkSeq('expectedSeq', operation.expectedSeq);
  if (operation.create !== undefined) checkChannelOptions(operation.create);
}
