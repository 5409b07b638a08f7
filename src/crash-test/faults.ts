/** The faults of a workload, put into a FaultFs. */
import { systemError } from '../fs/system-error.js';
import type { FaultFs } from '../testing/fault-fs.js';
import type { FaultRule, InjectedFault } from '../testing/fault-rules.js';
import type { OperationRecord } from '../testing/operations.js';
import type { Fault, FaultKind } from './workload.js';

export class Faults {
  readonly #fs: FaultFs;
  #injected: InjectedFault[] = [];
  #firedBefore = 0;
  /** The sync of a directory that fails without a loss; 0 for none. */
  #failNames = 0;
  /** Names were lost by a failed sync: no later process can count on what is visible. */
  hasLostNames = false;
  /** Some fault was asked for in this life. */
  isUsed = false;

  constructor(fs: FaultFs) {
    this.#fs = fs;
  }

  inject(fault: Fault): void {
    const { fault: kind, nth, code } = fault;
    this.isUsed = true;
    if (kind === 'failNames') this.#failNames = nth;
    else this.#injected.push(this.#fs.inject(ruleOf(kind, nth, code)));
    if (kind === 'loseNames' || kind === 'loseSegmentNames') this.hasLostNames = true;
  }

  clear(): void {
    this.#fs.clearFaults();
    this.#failNames = 0;
  }

  /** To be called before each operation: a sync of a directory that fails throws here. */
  before({ operation, path }: OperationRecord): void {
    if (this.#failNames === 0 || !operation.startsWith('syncDirectory')) return;
    this.#failNames -= 1;
    if (this.#failNames === 0) throw systemError('EIO', operation, path);
  }

  /** Whether one has fired since the last call. */
  haveFired(): boolean {
    const fired = this.#injected.reduce((sum, fault) => sum + fault.fired, 0);
    const isNew = fired !== this.#firedBefore;
    this.#firedBefore = fired;
    return isNew;
  }
}

function ruleOf(
  fault: Exclude<FaultKind, 'failNames'>,
  nth: number,
  code: Fault['code'],
): FaultRule {
  const path = /\.dat$/;
  const effect = { error: code };
  const write = { nth, operation: 'anyWrite', path } as const;
  const rules: Readonly<Record<typeof fault, FaultRule>> = {
    noSpace: { ...write, effect: { error: 'ENOSPC' } },
    shortWrite: { ...write, effect: { short: nth * 70, thenError: code } },
    failWrite: { ...write, effect },
    failSync: {
      nth: Math.ceil(nth / 2),
      operation: nth % 2 === 0 ? 'datasync' : 'datasyncSync',
      path: nth > 4 ? /manifest|config/ : path,
      effect,
    },
    failMutation: { nth: nth * 3, operation: 'anyMutation', effect },
    failCreate: { nth, operation: 'createSync', path, effect },
    failTruncate: { nth, operation: 'truncateSync', effect },
    failDerived: { nth, operation: 'any', path: /\.(?:idx|ts)$/, effect },
    loseSegmentNames: { nth, operation: 'anySync', path: /v\d{10}$/, effect },
    loseNames: { nth, operation: 'anySync', path: /channels(?:\/\.\w+)?$/, effect },
  };
  return rules[fault];
}
