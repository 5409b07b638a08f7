/** What the runner of crash programs feeds to the engine: payloads, faults, turns of the loop. */
import type { FaultRule } from '../../src/testing/fault-rules.js';
import type { Choose } from '../../src/testing/choices.js';
import type { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { Violation } from './crash-model.js';
import type { Command } from './crash-program.js';

/** Microtask turns after a step: more than the awaits between two operations of the engine. */
export async function turns(count = 24): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
}

/** Waits for a promise and lets completions through until it settles. */
export async function pumped<T>(runtime: ManualRuntime, promise: Promise<T>): Promise<T> {
  const state = { settled: false };
  const onSettled = (): void => {
    state.settled = true;
  };
  promise.then(onSettled, onSettled);
  let idle = 0;
  for (await turns(8); !state.settled; await turns(8)) {
    idle = runtime.runIo() ? 0 : idle + 1;
    if (idle > 100) throw new Violation('a call never settles');
  }
  return promise;
}

/** Bytes that name their record at the start, where there is room for it. */
export function payloadOf(id: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  // Some payloads are zeros but for that: what was never written looks like them.
  if (id % 3 !== 0) for (let i = 0; i < size; i += 1) bytes[i] = (id * 31 + i * 7 + (i >> 8)) & 255;
  if (size >= 4) new DataView(bytes.buffer).setUint32(0, id);
  return bytes;
}

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
