/**
 * Fixtures with a journal that has something to redo: after a kill and after a power cut, whole and
 * damaged. The zeros behind the last group are left out, which a segment does not need.
 */
import { Machine } from './fixture-machine.mjs';

const CONTROL = 'journal/control';
const SEGMENT = 'journal/0000000001.journal';
const SLOT_BYTES = 512;
/** A position that is not a group's end, so that what is cut there is no group any more. */
const INSIDE = 100;

/** Three channels: by the journal alone, by both ways, and one that a commit has made. */
async function write(machine) {
  const redex = await machine.open();
  const orders = await redex.channel('orders', { sync: 'always' });
  const events = await redex.channel('events', { sync: 'never' });
  const gone = await redex.channel('gone', { sync: 'always' });
  await machine.account('orders').fill(orders, 5, 100);
  await machine.account('gone').fill(gone, 2, 20);
  await machine.account('events').fill(events, 3, 50);
  await events.sync();
  machine.runtime.setNow(machine.runtime.now() + 1);
  const records = (account, count) =>
    Array.from({ length: count }, (_, i) => ({ payload: account.text(account.nextSeq + i, 60) }));
  const parts = ['orders', 'events', 'made'].map((channel) => {
    const account = machine.account(channel);
    return { account, channel, records: records(account, 2) };
  });
  await redex.commit([
    ...parts.map(({ channel, records: all }) => {
      const create = channel === 'made' ? { create: { sync: 'always' } } : {};
      return { channel, records: all, ...create };
    }),
    { delete: 'gone' },
  ]);
  for (const { account, records: all } of parts) account.committed(all);
  await machine.account('orders').fill(orders, 3, 100);
  return redex;
}

/** The files of a machine as the next process finds them. */
async function written(seed, { closed = false, cut = false } = {}) {
  const machine = new Machine(seed);
  const redex = await write(machine);
  if (closed) await redex.close();
  const snapshot = cut ? machine.afterPowerCut() : machine.snapshot();
  return new JournalStore(machine, snapshot);
}

const channelOf = (account, changes = {}) => ({
  name: account.name,
  firstSeq: 0,
  nextSeq: account.nextSeq,
  generation: 1,
  recoveryEpoch: 0,
  records: account.between(0),
  ...changes,
});

class JournalStore {
  constructor(machine, { files, emptyDirectories }) {
    this.files = files;
    this.emptyDirectories = emptyDirectories;
    this.accounts = ['orders', 'events', 'made'].map((name) => machine.account(name));
    this.edit(SEGMENT, withoutZeros);
  }

  edit(path, change) {
    const bytes = Buffer.from(this.files.get(path));
    this.files.set(path, change(bytes) ?? bytes);
  }

  /** The groups of the segment: where each begins, and how long it is. */
  get groups() {
    const bytes = Buffer.from(this.files.get(SEGMENT));
    const groups = [];
    for (let at = 64; at + 72 <= bytes.length && bytes.toString('latin1', at, at + 4) === 'RXJG';) {
      const byteLength = bytes.readUInt32LE(at + 4);
      groups.push({ at, byteLength });
      at += byteLength;
    }
    return groups;
  }

  healthy(description, changes = {}) {
    const { files, emptyDirectories, accounts } = this;
    const channels = accounts.map((account) => channelOf(account, changes[account.name]));
    return { kind: 'healthy', description, files, emptyDirectories, channels };
  }

  refused(description, path, position, check) {
    const refused = { code: 'CORRUPT', path, position, check };
    return this.#damaged(description, refused);
  }

  refusedVersion(description, path) {
    return this.#damaged(description, { code: 'FORMAT_VERSION', path, found: 2, supported: 1 });
  }

  #damaged(description, refused) {
    const { files, emptyDirectories } = this;
    return { kind: 'damaged', description, files, emptyDirectories, refused, channels: [] };
  }
}

function withoutZeros(bytes) {
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
  return bytes.subarray(0, Math.ceil(end / SLOT_BYTES) * SLOT_BYTES);
}

/** The slot of the control block that was written last. */
function newestSlot(bytes) {
  const counters = [0, SLOT_BYTES].map((at) => Number(bytes.readBigUInt64LE(at + 24)));
  return counters[0] > counters[1] ? 0 : SLOT_BYTES;
}

const HEALTHY = {
  'journal-closed': async (seed) =>
    (await written(seed, { closed: true })).healthy('Commits and creations; closed.'),
  'journal-killed': async (seed) =>
    (await written(seed)).healthy('Killed: the journal has what no checkpoint has written.'),
  'journal-cut': async (seed) =>
    (await written(seed, { cut: true })).healthy('A power cut: all that is left is the journal.'),
  'journal-torn': async (seed) => {
    const store = await written(seed, { cut: true });
    const last = store.groups.at(-1);
    store.edit(SEGMENT, (bytes) => bytes.subarray(0, last.at + INSIDE));
    const orders = store.accounts.find(({ name }) => name === 'orders');
    const nextSeq = orders.nextSeq - 1;
    return store.healthy('A power cut in the middle of a write to the journal.', {
      orders: { nextSeq, records: orders.between(0, nextSeq) },
    });
  },
  'journal-slot-flipped': async (seed) => {
    const store = await written(seed, { closed: true });
    store.edit(CONTROL, (bytes) => {
      bytes[newestSlot(bytes) + 40] ^= 1;
    });
    return store.healthy('Closed; a flipped bit in the newer slot of the control block.');
  },
};

const DAMAGED = {
  'journal-flipped': async (seed) => {
    const store = await written(seed, { cut: true });
    const { at } = store.groups.at(-3);
    store.edit(SEGMENT, (bytes) => {
      bytes[at + INSIDE] ^= 1;
    });
    const description = 'A flipped bit in a group that a later one says was synced.';
    return store.refused(description, SEGMENT, at, 'chain');
  },
  'journal-missing': async (seed) => {
    const store = await written(seed, { cut: true });
    store.files.delete(SEGMENT);
    return store.refused('No segment, and a control block that needs one.', CONTROL, 40, 'missing');
  },
  'journal-control-missing': async (seed) => {
    const store = await written(seed, { cut: true });
    store.files.delete(CONTROL);
    return store.refused('Groups without a control block.', CONTROL, 0, 'missing');
  },
  'journal-foreign': async (seed) => {
    const store = await written(seed, { cut: true });
    const other = await written(seed + 1, { cut: true });
    store.files.set(CONTROL, other.files.get(CONTROL));
    return store.refused('The control block of another store.', CONTROL, 8, 'identity');
  },
  'journal-newer': async (seed) => {
    const store = await written(seed, { cut: true });
    store.edit(CONTROL, (bytes) => {
      bytes[newestSlot(bytes) + 4] = 2;
    });
    const description = 'A control block of a version that is not known.';
    return store.refusedVersion(description, CONTROL);
  },
};

export const JOURNAL = { ...HEALTHY, ...DAMAGED };
