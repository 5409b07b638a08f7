/**
 * The life of one large log, step by step: a process takes the steps of its job, in their order,
 * with one store. Each step is timed, and the event loop and the memory are watched.
 */
import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Redex } from 'redexlog';
import { segmentsOf } from '../lib/log-files.mjs';
import { watchLoop } from '../lib/loop.mjs';
import { peakMiB, watchMemory } from '../lib/memory.mjs';
import { GROUP, mixedPayloads, randomIndices } from '../lib/payloads.mjs';

const GETS = 100_000;

/** @typedef {{ redex: Redex, channel: import('redexlog').Channel, payloads: Buffer[] }} Life */

const STEPS = {
  /** Nothing: what the process needs by itself. */
  async idle() {
    await new Promise((resolve) => setTimeout(resolve, 200));
  },
  async open(life, { directory, segmentBytes }) {
    life.redex = await Redex.open(`${directory}/data`);
    life.channel = await life.redex.channel('log', { sync: 'never', segmentBytes });
  },
  async close(life) {
    await life.redex.close();
  },
  /** Batches of 1,000; the loop turns once for each, as it would if they came from a socket. */
  async append({ channel, payloads }, { records }) {
    for (let left = records; left > 0; left -= GROUP) {
      await channel.appendBatch(payloads);
      await nextTurn();
    }
  },
  async scan({ channel, payloads }, { records }) {
    const seen = { records: 0, bytes: 0, touched: 0 };
    for await (const batch of channel.readBatches({})) {
      for (let index = 0; index < batch.length; index += 1) {
        const { payload } = batch[index];
        seen.bytes += payload.length;
        seen.touched += payload[0];
      }
      seen.records += batch.length;
    }
    checkSeen(seen, payloads, records);
  },
  async get({ channel, payloads }) {
    const indices = randomIndices(channel.nextSeq, GETS);
    for (const [turn, index] of indices.entries()) {
      const { payload } = await channel.get(index);
      if (Buffer.compare(payload, payloads[index % GROUP]) !== 0) {
        throw new Error(`record ${index} is not what was appended`);
      }
      if (turn % GROUP === 0) await nextTurn();
    }
  },
  async verify({ channel }) {
    const report = await channel.verify();
    if (!report.ok) throw new Error('verify found damage');
  },
  /** All records of the segment in the middle go. */
  async compact({ channel }, { directory }) {
    const segments = segmentsOf(directory);
    const middle = segments.length >> 1;
    const from = segments[middle].baseSeq;
    const to = segments[middle + 1]?.baseSeq ?? channel.nextSeq;
    const report = await channel.compact({ keep: ({ seq }) => seq < from || seq >= to });
    const dropped = report.recordsBefore - report.recordsAfter;
    if (dropped !== to - from) throw new Error(`${dropped} records went, not ${to - from}`);
  },
  async trim({ channel }) {
    const beforeSeq = channel.nextSeq >> 1;
    await channel.trim({ beforeSeq });
    if (channel.firstSeq !== beforeSeq) throw new Error('the log was not trimmed');
  },
};

/** That a scan saw what was appended: every length, every first byte. */
function checkSeen(seen, payloads, records) {
  const groups = records / GROUP;
  const bytes = payloads.reduce((sum, payload) => sum + payload.length, 0) * groups;
  const touched = payloads.reduce((sum, payload) => sum + payload[0], 0) * groups;
  if (seen.records !== records || seen.bytes !== bytes || seen.touched !== touched) {
    throw new Error(`a scan saw ${seen.records} records with ${seen.bytes} bytes`);
  }
}

/** Takes the steps; the value is the peak of the whole process. */
export async function run(job) {
  const life = { redex: undefined, channel: undefined, payloads: mixedPayloads() };
  const steps = [];
  for (const step of job.steps) {
    const memory = watchMemory();
    const loop = watchLoop();
    const start = performance.now();
    await STEPS[step](life, job);
    const seconds = (performance.now() - start) / 1000;
    steps.push({ step, seconds, loop: loop(), peakMiB: peakMiB(), memory: memory() });
  }
  return { value: peakMiB(), steps, nextSeq: life.channel?.nextSeq };
}
