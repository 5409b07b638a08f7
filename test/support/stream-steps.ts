/** Streams whose I/O completes one step at a time, so that what races can begin at every step. */
import { Redex } from '../../src/store/redex.js';
import { StreamStore } from '../../src/streams/stream-store.js';
import type { StreamStoreOptions } from '../../src/streams/stream-settings.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';

/** Completes all I/O until the work has ended, the oldest first or the newest. */
export async function done<T>(
  runtime: ManualRuntime,
  work: Promise<T>,
  isNewestFirst = false,
): Promise<T> {
  const progress = { isDone: false };
  const ended = work.finally(() => {
    progress.isDone = true;
  });
  ended.catch(() => undefined);
  await runtime.settle();
  while (!progress.isDone) {
    const index = isNewestFirst && runtime.heldIo > 0 ? runtime.heldIo - 1 : undefined;
    if (!runtime.runIo(index) && !runtime.runNext()) throw new Error('nothing goes on');
    await runtime.settle();
  }
  return ended;
}

export interface StepLab {
  readonly disk: CrashFs;
  readonly runtime: ManualRuntime;
  readonly redex: Redex;
  readonly streams: StreamStore;
}

/** A store in which something was prepared, opened again, so that no stream of it is open. */
export async function stepLab(
  prepare: (streams: StreamStore) => Promise<unknown>,
  options: StreamStoreOptions = {},
): Promise<StepLab> {
  const runtime = new ManualRuntime();
  const disk = new CrashFs({ defer: runtime.deferIo });
  const redex = await done(runtime, Redex.open('/data', { fs: disk, runtime }));
  const first = await done(runtime, StreamStore.open(redex, { ...options, runtime }));
  await done(runtime, prepare(first));
  await done(runtime, first.close());
  const streams = await done(runtime, StreamStore.open(redex, { ...options, runtime }));
  return { disk, runtime, redex, streams };
}

/** Lets so many pieces of I/O complete. */
export async function steps(runtime: ManualRuntime, count: number): Promise<void> {
  for (let step = 0; step < count; step++) {
    await runtime.settle();
    runtime.runIo();
  }
}
