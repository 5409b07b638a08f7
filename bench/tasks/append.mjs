/** Appends for a while, in one shape; tells the rate, the event loop's delay and the CPU used. */
import { performance } from 'node:perf_hooks';
import { watchLoop } from '../lib/loop.mjs';
import { GROUP, payloadsOf } from '../lib/payloads.mjs';

/** Single appends between two looks at the clock. */
const STRIDE = 64;

/** One step appends this many records and returns once each is acknowledged. */
const SHAPES = {
  /** One atomic batch of 1,000. */
  batch: (store, payloads) => ({
    records: GROUP,
    async step() {
      const done = store.appendBatch(payloads);
      if (done !== undefined) await done;
    },
  }),
  /** The next is appended when the one before is acknowledged. */
  single: (store, payloads) => {
    let next = 0;
    return {
      records: STRIDE,
      async step() {
        for (let left = STRIDE; left > 0; left -= 1) {
          const done = store.append(payloads[next]);
          next = (next + 1) % GROUP;
          if (done !== undefined) await done;
        }
      },
    };
  },
  /** 1,000 appends are started, each has its own acknowledgement, all are awaited. */
  inFlight: (store, payloads) => ({
    records: GROUP,
    async step() {
      const pending = [];
      for (const payload of payloads) pending.push(store.enqueue(payload));
      if (pending[0] !== undefined) await Promise.all(pending);
    },
  }),
};

async function repeat(shape, records, seconds) {
  const start = performance.now();
  const end = start + seconds * 1000;
  let done = 0;
  while (done < records && performance.now() < end) {
    await shape.step();
    done += shape.records;
  }
  return { done, seconds: (performance.now() - start) / 1000 };
}

/** @param {import('../lib/types.js').Store} store */
export async function append(store, job) {
  const shape = SHAPES[job.shape](store, payloadsOf(job.size));
  const before = store.count() ?? 0;
  const warm = await repeat(shape, job.warmRecords, job.warmSeconds);
  const cpu = process.cpuUsage();
  const loop = watchLoop();
  const timed = await repeat(shape, job.records, job.seconds);
  const figures = loop();
  const used = process.cpuUsage(cpu);
  const after = store.count();
  const expected = before + warm.done + timed.done;
  if (after !== undefined && after !== expected) {
    throw new Error(`the store holds ${after} records, not ${expected}`);
  }
  return {
    value: timed.done / timed.seconds,
    records: timed.done,
    cpu: (used.user + used.system) / 1e6 / timed.seconds,
    loop: figures,
  };
}

/** Fills a store with exactly `records` records, batch by batch or one by one. */
export async function fill(store, job) {
  const payloads = payloadsOf(job.size);
  for (let done = 0; done < job.records; done += GROUP) {
    if (job.shape === 'single') {
      for (const payload of payloads) {
        const pending = store.append(payload);
        if (pending !== undefined) await pending;
      }
    } else {
      const pending = store.appendBatch(payloads);
      if (pending !== undefined) await pending;
    }
  }
  return { records: job.records };
}
