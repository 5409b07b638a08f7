/**
 * Which operation is to fail, and how: the n-th that matches, for one time or more.
 */
import { inGroup, isOperation, type Operation, type OperationGroup } from './operations.js';

export interface FaultRule {
  readonly operation: Operation | OperationGroup;
  /** Either path of a rename or a link may match; every path when absent. */
  readonly path?: RegExp | ((path: string) => boolean);
  /** 1 for the next operation that matches. */
  readonly nth: number;
  /** How many in a row from the n-th; 1 when absent, Infinity for good. */
  readonly times?: number;
  readonly effect: FaultEffect;
}

/**
 * - `error`: the operation has no effect and fails with this errno name. A sync on a CrashFs also
 *   loses what it was to make durable, and a close gives the descriptor back, as Linux does.
 * - `short`: of a write, at most so many bytes are written; the next write through the handle fails
 *   with `thenError` (ENOSPC when absent). Of a read, at most so many bytes are read, as if the
 *   file ended there; the next read through the handle fails with `thenError` if there is one.
 * - `lie`: a sync does nothing and succeeds.
 */
export type FaultEffect = { readonly error: string } | ShortEffect | { readonly lie: true };

interface ShortEffect {
  readonly short: number;
  readonly thenError?: string;
}

/** A rule in use. */
export interface InjectedFault {
  readonly rule: FaultRule;
  /** How many operations have matched. */
  readonly matched: number;
  /** How many of them were made to fail. */
  readonly fired: number;
  remove(): void;
}

interface Counter {
  readonly rule: FaultRule;
  matched: number;
  fired: number;
  remove(): void;
}

export class FaultRules {
  readonly #counters: Set<Counter> = new Set();

  /** TypeError or RangeError for a rule that could never fire. */
  inject(rule: FaultRule): InjectedFault {
    requireApplicable(rule);
    const remove = (): void => {
      this.#counters.delete(counter);
    };
    const counter: Counter = { rule, matched: 0, fired: 0, remove };
    this.#counters.add(counter);
    return counter;
  }

  clear(): void {
    this.#counters.clear();
  }

  /** Counts the operation against every rule; the effect is that of the first one due. */
  match(operation: Operation, paths: readonly string[]): FaultEffect | undefined {
    let effect: FaultEffect | undefined;
    for (const counter of this.#counters) {
      const { rule } = counter;
      if (!inGroup(operation, rule.operation)) continue;
      if (!paths.some((path) => matchesPath(rule.path, path))) continue;
      counter.matched += 1;
      const due = counter.matched >= rule.nth && counter.fired < (rule.times ?? 1);
      if (!due || effect !== undefined) continue;
      counter.fired += 1;
      effect = rule.effect;
    }
    return effect;
  }
}

function matchesPath(pattern: FaultRule['path'], path: string): boolean {
  if (pattern === undefined) return true;
  if (typeof pattern === 'function') return pattern(path);
  // A sticky or global pattern would remember where the last match ended.
  return path.search(pattern) >= 0;
}

const TRANSFERS: ReadonlySet<string> = new Set([
  'anyRead',
  'readSync',
  'read',
  'anyWrite',
  'writeSync',
  'write',
]);
const SYNCS: ReadonlySet<string> = new Set([
  'anySync',
  'datasyncSync',
  'datasync',
  'syncDirectorySync',
  'syncDirectory',
]);

/** A rule that can never fire, or not as it says, would make a test pass that tests nothing. */
function requireApplicable({ operation, path, nth, times, effect }: FaultRule): void {
  if (!isOperation(operation)) throw new TypeError(`no operation is called ${operation as string}`);
  if (path !== undefined && typeof path !== 'function' && !(path instanceof RegExp)) {
    throw new TypeError('path must be a RegExp or a function');
  }
  requireCount('nth', nth, 1);
  if (times !== undefined && times !== Infinity) requireCount('times', times, 1);
  if (typeof effect !== 'object' || effect === null) throw new TypeError('a rule has an effect');
  const kinds = ['error', 'short', 'lie'].filter((kind) => kind in effect);
  if (kinds.length !== 1) throw new TypeError('an effect is one of error, short and lie');
  if ('error' in effect) requireErrno(effect.error);
  if ('short' in effect) requireShort(operation, effect);
  if (!('lie' in effect)) return;
  if (!effect.lie) throw new TypeError('lie must be true');
  if (!SYNCS.has(operation)) throw new TypeError(`only a sync can lie, not ${operation}`);
}

function requireShort(operation: string, { short, thenError }: ShortEffect): void {
  if (!TRANSFERS.has(operation)) {
    throw new TypeError(`only a read or a write can be short, not ${operation}`);
  }
  requireCount('short', short, 0);
  if (thenError !== undefined) requireErrno(thenError);
}

function requireErrno(code: string): void {
  if (typeof code !== 'string' || code === '') throw new TypeError('an error is an errno name');
}

function requireCount(name: string, value: number, min: number): void {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (Number.isSafeInteger(value) && value >= min) return;
  throw new RangeError(`${name} must be an integer from ${min}, not ${value}`);
}
