/** redexlog itself, through its public entry. */
import { Redex } from 'redexlog';

/** @typedef {import('../lib/types.js').Store} Store */

/** @param {string} directory @param {import('../lib/types.js').OpenOptions} options */
export async function open(directory, options) {
  const redex = await Redex.open(`${directory}/data`);
  const channel = await redex.channel('log', { sync: options.synced ? 'always' : 'never' });
  /** @type {Store} */
  const store = {
    append: (payload) => channel.append(payload),
    enqueue: (payload) => channel.append(payload),
    appendBatch: (payloads) => channel.appendBatch(payloads),
    scan: (scan) =>
      scan.style === 'records' ? scanRecords(channel, scan) : scanBatches(channel, scan),
    getAll: (indices, visit) => getAll(channel, indices, visit),
    count: () => channel.nextSeq,
    settings: () => ({ sync: channel.options?.sync ?? 'not reported' }),
    close: () => redex.close(),
  };
  return store;
}

async function scanBatches(channel, { until }) {
  let records = 0;
  let bytes = 0;
  let touched = 0;
  for await (const batch of channel.readBatches({})) {
    for (let index = 0; index < batch.length; index += 1) {
      const { payload } = batch[index];
      bytes += payload.length;
      touched += payload[0];
    }
    records += batch.length;
    if (until()) break;
  }
  return { records, bytes, touched };
}

async function scanRecords(channel, { until }) {
  let records = 0;
  let bytes = 0;
  let touched = 0;
  for await (const { payload } of channel.read({})) {
    bytes += payload.length;
    touched += payload[0];
    records += 1;
    if (records % 1024 === 0 && until()) break;
  }
  return { records, bytes, touched };
}

async function getAll(channel, indices, visit) {
  let touched = 0;
  for (const index of indices) {
    const { payload } = await channel.get(index);
    touched += payload.length + payload[0];
    if (visit !== undefined) visit(index, payload);
  }
  return touched;
}
