/** What the runner of crash programs feeds to the engine: faults and choices. */
import type { FaultRule } from '../../src/testing/fault-rules.js';
import type { Choose } from '../../src/testing/choices.js';
import type { Command } from './crash-program.js';

export type FaultCommand = Omit<Extract<Command, { kind: 'fault' }>, 'kind'>;

/** The rule for a fault of a program; undefined for a failing sync of a directory. */
export function ruleOf({ fault, nth, short }: FaultCommand): FaultRule | undefined {
  const path = /\.dat$/;
  const write = { nth, operation: 'anyWrite', path } as const;
  const sync = nth % 2 === 0 ? 'datasync' : 'datasyncSync';
  const rules: Readonly<Record<FaultCommand['fault'], FaultRule | undefined>> = {
    noSpace: { ...write, effect: { error: 'ENOSPC' } },
    shortWrite: { ...write, effect: { short } },
    failWrite: { ...write, effect: { error: 'EIO' } },
    failSync: { nth: Math.ceil(nth / 2), operation: sync, path, effect: { error: 'EIO' } },
    failDirectorySync: undefined,
    failCreate: { nth, operation: 'createSync', path, effect: { error: 'ENOSPC' } },
    failTruncate: { nth, operation: 'truncateSync', effect: { error: 'EIO' } },
    failDerived: { nth, operation: 'any', path: /\.(idx|ts)$/, effect: { error: 'EIO' } },
  };
  return rules[fault];
}

/** Part `draw` of a choice stream; where the stream has 0 it stays 0. */
export function choicesOf(stream: readonly number[], draw: number): Choose {
  let next = 0;
  return (n) => {
    const value = stream[(draw * 31 + next) % stream.length] ?? 0;
    const factor = 2 * (draw * 7919 + next * 104_729) + 1;
    next += 1;
    return Math.floor((((value * factor) % 65_536) * n) / 65_536);
  };
}
