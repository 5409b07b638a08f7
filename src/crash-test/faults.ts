/** The faults of a workload, put into a FaultFs. */
import { systemError } from '../fs/system-error.js';
import type { FaultFs } from '../testing/fault-fs.js';
import type { FaultRule, InjectedFault } from '../testing/fault-rules.js';
import type { OperationRecord } from '../testing/operations.js';
import type { Fault } from './workload.js';

export class Faults {
  readonly #fs: FaultFs;
  #injected: InjectedFault[] = [];
  #firedBefore = 0;
  /** The sync of a directory that fails without a loss; 0 for none. */
  #failNames = 0;
  /** Names were lost by a failed sync: no later process can count on what is visible. */
  hasLostNames = false;

  constructor(fs: FaultFs) {
    this.#fs = fs;
  }

  inject(fault: Fault): void {
    const rule = ruleOf(fault);
    if (rule === undefined) this.#failNames = fault.nth;
    else this.#injected.push(this.#fs.inject(rule));
    if (fault.fault === 'loseNames') this.hasLostNames = true;
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

/** Undefined for a sync of a directory that loses nothing. */
function ruleOf({ fault, nth, code }: Fault): FaultRule | undefined {
  const path = /\.dat$/;
  const write = { nth, operation: 'anyWrite', path } as const;
  switch (fault) {
    case 'noSpace':
      return { ...write, effect: { error: 'ENOSPC' } };
    case 'shortWrite':
      return { ...write, effect: { short: nth * 70, thenError: code } };
    case 'failWrite':
      return { ...write, effect: { error: code } };
    case 'failSync': {
      const operation = nth % 2 === 0 ? 'datasync' : 'datasyncSync';
      const target = nth > 4 ? /manifest|config/ : path;
      return { nth: Math.ceil(nth / 2), operation, path: target, effect: { error: code } };
    }
    case 'failMutation':
      return { nth: nth * 3, operation: 'anyMutation', effect: { error: code } };
    case 'failTruncate':
      return { nth, operation: 'truncateSync', effect: { error: code } };
    case 'failDerived':
      return { nth, operation: 'any', path: /\.(?:idx|ts)$/, effect: { error: code } };
    case 'loseNames':
      return { nth, operation: 'anySync', path: /channels(?:\/\.\w+)?$/, effect: { error: code } };
    case 'failNames':
      return undefined;
  }
}
