/**
 * Goal: a consumer that asks for the next message as soon as it has settled one does not keep the
 * event loop from its turns, where all it waits for is there at once.
 */
import { expect, test } from 'vitest';
import type { Runtime } from '../../src/core/runtime.js';
import type { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { QueueLab } from '../support/queue-kit.js';

/** Milliseconds that pass from one look at the clock to the next. */
const LOOK_MS = 0.05;

/** A clock that goes on while there is work, and timers that come when the test lets them. */
function busy(runtime: ManualRuntime): Runtime {
  let passedMs = 0;
  return {
    now: () => runtime.now(),
    monotonic: () => runtime.monotonic() + (passedMs += LOOK_MS),
    random: (bytes) => runtime.random(bytes),
    defer: (task) => runtime.defer(task),
    schedule: (task, delayMs) => runtime.schedule(task, delayMs),
  };
}

test('a consumer that asks again at once lets timers run every ten milliseconds', async () => {
  const lab = await QueueLab.open({ wrap: busy });
  const queue = await lab.queues.queue('q');
  let handled = 0;
  const end = { hasCome: false };
  const consume = async (): Promise<void> => {
    while (!end.hasCome) {
      await queue.enqueue(Buffer.from('a'), { durability: 'written' });
      const [delivery] = await queue.receive();
      await delivery?.ack();
      handled++;
    }
  };
  /** Lets promises settle until nothing more comes of them: the rest waits for a timer. */
  const handledInTurn = async (): Promise<number> => {
    const before = handled;
    for (let left = 100; left > 0; left--) {
      const last = handled;
      await lab.runtime.settle();
      if (handled === last) return handled - before;
    }
    throw new Error(`${handled - before} messages, and no timer has had its turn`);
  };
  const consuming = consume();
  try {
    for (let turn = 0; turn < 3; turn++) {
      expect(await handledInTurn(), `turn ${turn}`).toBeGreaterThan(1);
      const mine = { hasCome: false };
      lab.runtime.schedule(() => (mine.hasCome = true), 0);
      while (!mine.hasCome) expect(lab.runtime.runNext()).toBe(true);
    }
  } finally {
    end.hasCome = true;
  }
  await handledInTurn();
  await consuming;
  await lab.close();
});
