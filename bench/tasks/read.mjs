/** Scans and random gets of a store that was filled before, from the file cache. */
import { performance } from 'node:perf_hooks';
import { GROUP, payloadsOf, randomIndices } from '../lib/payloads.mjs';

/** Gets between two looks at the clock. */
const STRIDE = 512;

const timer = (seconds) => {
  const end = performance.now() + seconds * 1000;
  return () => performance.now() >= end;
};

/** Whole scans until time is up; a slow contender is stopped within its first. */
export async function scan(store, job) {
  const style = job.style ?? 'batches';
  const raw = job.contender === 'raw';
  const warm = timer(job.warmSeconds);
  do checkScan(await store.scan({ style, until: warm }), job, raw);
  while (!warm());
  const until = timer(job.seconds);
  const start = performance.now();
  const total = { records: 0, bytes: 0 };
  do {
    const pass = await store.scan({ style, until });
    total.records += pass.records;
    total.bytes += pass.bytes;
  } while (!until());
  const seconds = (performance.now() - start) / 1000;
  const unit = job.unit === 'bytes' ? total.bytes : total.records;
  return { value: unit / seconds, records: total.records, bytesPerSecond: total.bytes / seconds };
}

/** That the scan saw what was appended: each record's length and first byte. */
function checkScan(pass, job, raw) {
  if (pass.bytes !== pass.records * job.size) {
    throw new Error(`a scan saw ${pass.bytes} bytes in ${pass.records} records`);
  }
  if (raw || pass.records % GROUP !== 0) return;
  const each = payloadsOf(job.size).reduce((sum, payload) => sum + payload[0], 0);
  const expected = (pass.records / GROUP) * each;
  if (pass.touched !== expected) throw new Error('a scan saw other bytes than were appended');
}

/** Random gets, one after the other, in the same sequence for every contender. */
export async function get(store, job) {
  const indices = randomIndices(job.filled, 1 << 18);
  const payloads = payloadsOf(job.size);
  await store.getAll(indices.subarray(0, STRIDE), (index, payload) => {
    if (Buffer.compare(payload, payloads[index % GROUP]) !== 0) {
      throw new Error(`record ${index} is not what was appended`);
    }
  });
  await getFor(store, indices, job.warmSeconds);
  const { done, seconds } = await getFor(store, indices, job.seconds);
  return { value: done / seconds, records: done };
}

async function getFor(store, indices, budget) {
  const until = timer(budget);
  const start = performance.now();
  let done = 0;
  do {
    const at = done % indices.length;
    await store.getAll(indices.subarray(at, at + STRIDE));
    done += STRIDE;
  } while (!until());
  return { done, seconds: (performance.now() - start) / 1000 };
}
