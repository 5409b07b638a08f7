/**
 * The operations of the FileSystem port as the test kit names, groups, counts and records them: by
 * the method, except that opening in mode `create` is `createSync`.
 */

export type Operation =
  | 'openSync'
  | 'createSync'
  | 'mkdirSync'
  | 'readDirectorySync'
  | 'statSync'
  | 'renameSync'
  | 'linkSync'
  | 'unlinkSync'
  | 'unlink'
  | 'rmdirSync'
  | 'syncDirectorySync'
  | 'syncDirectory'
  | 'realpathSync'
  | 'readSync'
  | 'read'
  | 'writeSync'
  | 'write'
  | 'truncateSync'
  | 'sizeSync'
  | 'datasyncSync'
  | 'datasync'
  | 'tryLockSync'
  | 'closeSync';

export type OperationGroup = 'any' | 'anyRead' | 'anyWrite' | 'anySync' | 'anyMutation';

const GROUPS: Readonly<Record<Exclude<OperationGroup, 'any'>, ReadonlySet<Operation>>> = {
  anyRead: new Set<Operation>(['readSync', 'read']),
  anyWrite: new Set<Operation>(['writeSync', 'write']),
  anySync: new Set<Operation>(['datasyncSync', 'datasync', 'syncDirectorySync', 'syncDirectory']),
  anyMutation: new Set<Operation>([
    'createSync',
    'mkdirSync',
    'renameSync',
    'linkSync',
    'unlinkSync',
    'unlink',
    'rmdirSync',
    'writeSync',
    'write',
    'truncateSync',
  ]),
};

const OUTSIDE_GROUPS: ReadonlySet<string> = new Set<Operation | 'any'>([
  'any',
  'openSync',
  'readDirectorySync',
  'statSync',
  'realpathSync',
  'sizeSync',
  'tryLockSync',
  'closeSync',
]);

/** Whether an operation, or a group of them, has this name. */
export function isOperation(name: unknown): boolean {
  if (typeof name !== 'string') return false;
  if (OUTSIDE_GROUPS.has(name) || Object.hasOwn(GROUPS, name)) return true;
  return Object.values(GROUPS).some((group) => (group as ReadonlySet<string>).has(name));
}

export function inGroup(operation: Operation, group: Operation | OperationGroup): boolean {
  if (group === 'any') return true;
  if (group === operation) return true;
  return group in GROUPS && GROUPS[group as keyof typeof GROUPS].has(operation);
}

/** How often what was done, and to which path. */
export class OperationCounts {
  #total = 0;
  readonly #byOperation: Map<Operation, number> = new Map();
  readonly #byPath: Map<string, number> = new Map();

  get total(): number {
    return this.#total;
  }

  of(operation: Operation): number {
    return this.#byOperation.get(operation) ?? 0;
  }

  /** The number of operations in a group. */
  in(group: OperationGroup): number {
    let count = 0;
    for (const [operation, n] of this.#byOperation) if (inGroup(operation, group)) count += n;
    return count;
  }

  at(path: string): number {
    return this.#byPath.get(path) ?? 0;
  }

  /** Every path that was touched, for messages. */
  get paths(): string[] {
    return [...this.#byPath.keys()];
  }

  add(operation: Operation, path: string): void {
    this.#total += 1;
    this.#byOperation.set(operation, this.of(operation) + 1);
    this.#byPath.set(path, this.at(path) + 1);
  }

  reset(): void {
    this.#total = 0;
    this.#byOperation.clear();
    this.#byPath.clear();
  }
}

export interface OperationRecord {
  readonly index: number;
  readonly operation: Operation;
  readonly path: string;
  /** The second path of a rename or a link. */
  readonly to: string | undefined;
  readonly position: number | undefined;
  readonly length: number | undefined;
  /** What it returned, when that is a number; undefined while it is in flight. */
  result: number | undefined;
  /** The errno name with which it failed. */
  error: string | undefined;
}

export type OperationDetails = Partial<Pick<OperationRecord, 'to' | 'position' | 'length'>>;

/** Decides when an asynchronous operation takes effect and settles. */
export type Defer = (complete: () => void) => void;

/**
 * Runs operations: tells the hook before each, records it, counts it when it changed something,
 * and puts asynchronous ones off until `defer` completes them.
 */
export class OperationLog {
  readonly operations: OperationRecord[] = [];
  readonly mutations: OperationCounts = new OperationCounts();
  onOperation: ((operation: OperationRecord) => void) | undefined;
  readonly #defer: Defer;

  constructor(defer: Defer, onOperation: ((operation: OperationRecord) => void) | undefined) {
    this.#defer = defer;
    this.onOperation = onOperation;
  }

  run<T>(operation: Operation, path: string, effect: () => T, details?: OperationDetails): T {
    return this.#complete(this.#begin(operation, path, details), effect);
  }

  /** `begin` runs at the call and returns what takes effect when `defer` says so. */
  async runLater<T>(
    operation: Operation,
    path: string,
    begin: () => () => T,
    details?: OperationDetails,
  ): Promise<T> {
    const record = this.#begin(operation, path, details);
    const effect = this.#recordFailure(record, begin);
    // An async function takes effect where it is called and turns what it throws into a rejection.
    const complete = async (): Promise<T> => this.#complete(record, effect);
    return await new Promise<T>((resolve) => {
      this.#defer(() => resolve(complete()));
    });
  }

  #begin(operation: Operation, path: string, details?: OperationDetails): OperationRecord {
    const record: OperationRecord = {
      index: this.operations.length,
      operation,
      path,
      to: details?.to,
      position: details?.position,
      length: details?.length,
      result: undefined,
      error: undefined,
    };
    this.onOperation?.(record);
    this.operations.push(record);
    return record;
  }

  #complete<T>(record: OperationRecord, effect: () => T): T {
    const result = this.#recordFailure(record, effect);
    if (typeof result === 'number') record.result = result;
    if (GROUPS.anyMutation.has(record.operation)) this.mutations.add(record.operation, record.path);
    return result;
  }

  #recordFailure<T>(record: OperationRecord, step: () => T): T {
    try {
      return step();
    } catch (error) {
      record.error = (error as { code?: string }).code ?? 'unknown';
      throw error;
    }
  }
}
