/**
 * Goal: whether a frame needs a new segment is one decision, whatever time passes while it is acted
 * on: a third segment is not begun before the first one is synced (RULES C2).
 * Method: a clock that goes on whenever it is asked, age limits that fall on each of its answers,
 * and syncs that do not return.
 */
import { expect, test } from 'vitest';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { DIRECTORY, GENERATION, outcomeOf, payload } from '../support/channel-kit.js';
import { openChannelIn } from '../support/open-channel.js';

class TickingRuntime extends ManualRuntime {
  /** Milliseconds that pass at each look. */
  stepMs = 0;
  #passedMs = 0;

  override now(): number {
    this.#passedMs += this.stepMs;
    return super.now() + this.#passedMs;
  }
}

/** With all input and output that it needs. */
async function done<T>(runtime: ManualRuntime, promise: Promise<T>): Promise<T> {
  const outcome = outcomeOf(promise);
  while (outcome.state === 'pending') {
    await runtime.settle();
    runtime.runIo();
  }
  return promise;
}

test('a third segment waits for a sync of the first, wherever the clock goes on', async () => {
  let waited = 0;
  for (let segmentMs = 3; segmentMs < 24; segmentMs += 1) {
    const runtime = new TickingRuntime({ seed: 1, ioOrder: 'oldest' });
    const fs = new CrashFs({ defer: runtime.deferIo });
    const opening = openChannelIn(DIRECTORY, { fs, runtime, segmentMs, sync: 'never' });
    const channel = await done(runtime, opening);
    runtime.stepMs = 1;
    const appends = [];
    for (let id = 0; id < 60; id += 1) {
      appends.push(outcomeOf(channel.append(payload(id))));
      await runtime.settle();
      const names = fs.readDirectorySync(GENERATION).map(({ name }) => name);
      const segments = names.filter((name) => name.endsWith('.dat')).length;
      expect(segments, `after append ${id}, with segments of ${segmentMs} ms`).toBeLessThan(3);
    }
    if (appends.at(-1)?.state === 'pending') waited += 1;
    runtime.stepMs = 0;
    await done(runtime, channel.sync());
    expect(appends.map(({ state }) => state)).toEqual(appends.map(() => 'resolved'));
    await done(runtime, channel.close());
  }
  expect(waited).toBe(21);
});
