/** classic-level (LevelDB): big-endian 8-byte keys, chained batches. */
import { ClassicLevel } from 'classic-level';

/** @param {string} directory @param {import('../lib/types.js').OpenOptions} options */
export async function open(directory, options) {
  const database = new ClassicLevel(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await database.open();
  const sync = { sync: options.synced };
  let next = await endOf(database);
  const put = (payload) => database.put(keyOf(next++), payload, sync);
  /** @type {import('../lib/types.js').Store} */
  const store = {
    append: put,
    enqueue: put,
    appendBatch: (payloads) => {
      const batch = database.batch();
      for (const payload of payloads) batch.put(keyOf(next++), payload);
      return batch.write(sync);
    },
    scan: (request) => scan(database, request),
    getAll: (indices, visit) => getAll(database, indices, visit),
    count: () => next,
    // LevelDB has no setting to read back: `sync` is an argument of each write.
    settings: () => ({ sync: sync.sync, compression: 'snappy (default)' }),
    close: () => database.close(),
  };
  return store;
}

function keyOf(index) {
  const key = Buffer.allocUnsafe(8);
  key.writeUInt32BE(Math.floor(index / 2 ** 32), 0);
  key.writeUInt32BE(index % 2 ** 32, 4);
  return key;
}

async function endOf(database) {
  const [key] = await database.keys({ reverse: true, limit: 1 }).all();
  return key === undefined ? 0 : key.readUInt32BE(0) * 2 ** 32 + key.readUInt32BE(4) + 1;
}

async function scan(database, { until }) {
  let records = 0;
  let bytes = 0;
  let touched = 0;
  // Faster than its for await.
  const values = database.values();
  for (;;) {
    const some = await values.nextv(1000);
    for (const payload of some) {
      bytes += payload.length;
      touched += payload[0];
    }
    records += some.length;
    if (some.length === 0 || until()) break;
  }
  await values.close();
  return { records, bytes, touched };
}

async function getAll(database, indices, visit) {
  let touched = 0;
  for (const index of indices) {
    const payload = await database.get(keyOf(index));
    touched += payload.length + payload[0];
    if (visit !== undefined) visit(index, payload);
  }
  return touched;
}
