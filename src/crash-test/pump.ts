/** Turns of the event loop without an event loop. */
import type { ManualRuntime } from '../testing/manual-runtime.js';
import { Violation } from './violation.js';

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
    if (idle > 100) throw new Violation('I11: a call never settles');
  }
  return await promise;
}
