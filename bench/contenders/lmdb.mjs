/**
 * lmdb: integer keys and binary values. Of its ways to write, each shape takes the one that was
 * fastest: transactionSync with appending puts for batches, putSync for one at a time, and the
 * asynchronous put, which merges what is in flight, for records in flight.
 */
import { open as openLmdb } from 'lmdb';

/** @param {string} directory @param {import('../lib/types.js').OpenOptions} options */
export async function open(directory, options) {
  const database = openLmdb({
    path: directory,
    keyEncoding: 'uint32',
    encoding: 'binary',
    noSync: !options.synced,
    // A promise then means that the transaction is on the disk, not only committed.
    overlappingSync: false,
  });
  let next = database.getStats().entryCount;
  const appending = { append: true };
  /** @type {import('../lib/types.js').Store} */
  const store = {
    append: (payload) => {
      database.putSync(next++, payload, appending);
      return undefined;
    },
    enqueue: (payload) => database.put(next++, payload),
    appendBatch: (payloads) => {
      database.transactionSync(() => {
        for (const payload of payloads) database.putSync(next++, payload, appending);
      });
      return undefined;
    },
    scan: (request) => scan(database, request),
    getAll: (indices, visit) => getAll(database, indices, visit),
    count: () => database.getStats().entryCount,
    // The flags of the environment cannot be asked for; the count of its syncs is the proof.
    settings: () => ({ noSync: database.noSync, overlappingSync: database.overlappingSync }),
    close: () => database.close(),
  };
  return store;
}

async function scan(database, { until }) {
  let records = 0;
  let bytes = 0;
  let touched = 0;
  for (const { value } of database.getRange({})) {
    bytes += value.length;
    touched += value[0];
    records += 1;
    if (records % 1024 === 0 && until()) break;
  }
  return { records, bytes, touched };
}

async function getAll(database, indices, visit) {
  let touched = 0;
  for (const index of indices) {
    const payload = database.getBinary(index);
    touched += payload.length + payload[0];
    if (visit !== undefined) visit(index, payload);
  }
  return touched;
}
