/** hypercore: an append-only log of blocks. It never syncs, so it has no synced rows. */
import Hypercore from 'hypercore';

/** Gets in flight while scanning: it has no faster iterator. */
const AHEAD = 64;

/** @param {string} directory @param {import('../lib/types.js').OpenOptions} options */
export async function open(directory, options) {
  if (options.synced) throw new Error('hypercore has no synced append');
  const core = new Hypercore(directory);
  await core.ready();
  /** @type {import('../lib/types.js').Store} */
  const store = {
    append: (payload) => core.append(payload),
    enqueue: (payload) => core.append(payload),
    appendBatch: (payloads) => core.append(payloads),
    scan: (request) => scan(core, request),
    getAll: (indices, visit) => getAll(core, indices, visit),
    count: () => core.length,
    settings: () => ({ sync: 'none' }),
    close: () => core.close(),
  };
  return store;
}

async function scan(core, { until }) {
  let records = 0;
  let bytes = 0;
  let touched = 0;
  while (records < core.length) {
    const ahead = Math.min(AHEAD, core.length - records);
    const blocks = Array.from({ length: ahead }, (_, index) => core.get(records + index));
    for (const payload of await Promise.all(blocks)) {
      bytes += payload.length;
      touched += payload[0];
    }
    records += ahead;
    if (until()) break;
  }
  return { records, bytes, touched };
}

async function getAll(core, indices, visit) {
  let touched = 0;
  for (const index of indices) {
    const payload = await core.get(index);
    touched += payload.length + payload[0];
    if (visit !== undefined) visit(index, payload);
  }
  return touched;
}
