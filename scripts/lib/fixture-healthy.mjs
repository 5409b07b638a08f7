/** The healthy fixtures: what an open finds after each way in which a process may have ended. */
import { byName, Machine, unitsOf } from './fixture-machine.mjs';

const SMALL = { sync: 'always', segmentBytes: 4096 };
const LOOSE = { sync: 'never', segmentBytes: 4096 };

/** What a channel has to be, for the test. */
const channelOf = (account, more = {}) => ({
  name: account.name,
  firstSeq: 0,
  nextSeq: account.nextSeq,
  generation: 1,
  recoveryEpoch: 0,
  records: account.between(more.firstSeq ?? 0),
  ...more,
});

const bothWays = (note) => ({ readOnly: [note], writing: [note] });

const fixture = (description, snapshot, channels) => ({
  kind: 'healthy',
  description,
  ...snapshot,
  channels,
});

/** A store with one channel that `work` has filled, closed when `work` is done. */
async function closedStore(seed, name, options, work) {
  const machine = new Machine(seed);
  const account = machine.account(name);
  const redex = await machine.open(options);
  await work({ machine, redex, account, channel: await redex.channel(name) });
  await redex.close();
  return { machine, account, snapshot: machine.snapshot() };
}

async function empty(seed) {
  const machine = new Machine(seed);
  await (await machine.open()).close();
  return fixture('A store without channels.', machine.snapshot(), []);
}

async function closed(seed) {
  const options = { sync: { everyN: 10, intervalMs: 500 }, retention: { maxRecords: 1000 } };
  const { account, snapshot } = await closedStore(seed, 'orders', options, async (made) => {
    await made.account.append(made.channel, 'first');
    await made.account.append(made.channel, '');
    await made.account.append(made.channel, { payload: Buffer.from([0, 255, 128]), type: 65535 });
    const timestampNs = 1_800_000_000_123_456_789n;
    await made.account.append(made.channel, { payload: 'é', timestampNs, type: 1 });
  });
  const stored = { ...options, segmentBytes: 64 * 2 ** 20, segmentMs: 0 };
  return fixture('One channel, closed.', snapshot, [channelOf(account, { options: stored })]);
}

async function segments(seed) {
  const { account, snapshot } = await closedStore(seed, 'orders', SMALL, async (made) => {
    const { machine, channel, account: to } = made;
    await to.fill(channel, 30, 300);
    machine.runtime.advance(1000);
    await to.append(channel, ...['a', 'batch', 'of', 'four'].map((payload) => ({ payload })));
    await to.append(channel, { payload: 'skipped to', seq: 50 }, { payload: 'again', seq: 60 });
    // A frame of blocks, with all columns.
    const next = to.nextSeq;
    const blocks = Array.from({ length: 12 }, (_, i) => ({
      payload: to.text(next + 2 * i, 1000),
      seq: next + 2 * i,
      type: i,
      timestampNs: BigInt(machine.runtime.now()) * 1_000_000n + BigInt(i),
    }));
    await to.append(channel, ...blocks);
    machine.runtime.advance(1000);
    await to.append(channel, to.text(to.nextSeq, 20_000));
    await to.fill(channel, 5, 300);
  });
  const description = 'Rolls, batches, skipped seqs, a frame of blocks, a big record; closed.';
  return fixture(description, snapshot, [channelOf(account)]);
}

/** Killed with records that no sync covers, in the last two segments. */
async function killedStore(seed) {
  const machine = new Machine(seed);
  const redex = await machine.open(LOOSE);
  const channel = await redex.channel('orders');
  const account = machine.account('orders');
  await account.fill(channel, 20, 300);
  await channel.sync();
  await account.fill(channel, 18, 300);
  return { account, snapshot: machine.snapshot() };
}

async function killed(seed) {
  const { account, snapshot } = await killedStore(seed);
  const description = 'Killed: the last two segments end with records that no sync covered.';
  return fixture(description, snapshot, [channelOf(account)]);
}

/** The last dat file, by its base seq. */
function lastDat(files) {
  return [...files.keys()]
    .filter((path) => path.endsWith('.dat'))
    .toSorted(byName)
    .at(-1);
}

async function tornTail(seed) {
  const { account, snapshot } = await killedStore(seed);
  const path = lastDat(snapshot.files);
  const bytes = snapshot.files.get(path);
  const last = unitsOf(bytes).at(-1);
  const length = last.at + 100;
  snapshot.files.set(path, bytes.subarray(0, length));
  const region = { path, position: last.at, byteLength: length - last.at };
  const nextSeq = account.nextSeq - 1;
  const channel = channelOf(account, {
    nextSeq,
    records: account.between(0, nextSeq),
    tornTail: [region],
    recoveryEpoch: 1,
    recoveryEpochBefore: 0,
    notes: { readOnly: ['tail'], writing: ['kept-aside'] },
  });
  return fixture('Killed in the middle of a write: the last frame is not whole.', snapshot, [
    channel,
  ]);
}

async function zeroTail(seed) {
  const { account, snapshot } = await killedStore(seed);
  const path = lastDat(snapshot.files);
  const bytes = snapshot.files.get(path);
  snapshot.files.set(path, Buffer.concat([bytes, Buffer.alloc(700)]));
  const region = { path, position: bytes.length, byteLength: 700 };
  const channel = channelOf(account, {
    tornTail: [region],
    recoveryEpoch: 1,
    recoveryEpochBefore: 0,
    notes: { readOnly: ['tail'] },
  });
  const description = 'After a power cut: the file is longer than what was written, with zeros.';
  return fixture(description, snapshot, [channel]);
}

async function recovered(seed) {
  const torn = await tornTail(seed + 1);
  const machine = new Machine(seed);
  const account = machine.account('orders');
  account.records = torn.channels[0].records;
  account.nextSeq = torn.channels[0].nextSeq;
  machine.load(torn);
  machine.runtime.advance(1000);
  const redex = await machine.open();
  const channel = await redex.channel('orders');
  await account.fill(channel, 2, 100);
  await redex.close();
  const description = 'A torn tail was cut and kept aside, two records were appended; closed.';
  return fixture(description, machine.snapshot(), [
    channelOf(account, { recoveryEpoch: 1, notes: bothWays('kept-aside') }),
  ]);
}

async function trimmed(seed) {
  const { account, snapshot } = await closedStore(seed, 'orders', SMALL, async (made) => {
    await made.account.fill(made.channel, 30, 300);
    await made.channel.trim({ beforeSeq: 17 });
    await made.machine.settle();
  });
  const description = 'Trimmed in the middle of a segment; closed.';
  return fixture(description, snapshot, [channelOf(account, { firstSeq: 17 })]);
}

/** Retention has let go of every record; only the last segment's files are left. */
async function emptiedStore(seed) {
  const { account, snapshot } = await closedStore(seed, 'orders', SMALL, async (made) => {
    const { machine, channel, account: to } = made;
    await to.fill(channel, 25, 300);
    machine.runtime.setNow(machine.runtime.now() + 100_000);
    await channel.configure({ retention: { maxAgeMs: 1000 } });
    await channel.applyRetention();
    await machine.settle();
  });
  return { snapshot, channels: [channelOf(account, { firstSeq: 25 })] };
}

async function emptied(seed) {
  const { snapshot, channels } = await emptiedStore(seed);
  return fixture('Retention has let go of every record, seqs go on; closed.', snapshot, channels);
}

async function emptiedBare(seed) {
  const { snapshot, channels } = await emptiedStore(seed);
  const { files } = snapshot;
  const generation = 'channels/orders/v0000000001';
  for (const path of files.keys()) if (path.startsWith(generation)) files.delete(path);
  snapshot.emptyDirectories.push(generation);
  return fixture('The same, without a segment: only the manifest knows the next seq.', snapshot, [
    channels[0],
  ]);
}

async function beginsLater(seed) {
  const machine = new Machine(seed);
  const redex = await machine.open();
  await redex.channel('orders', { firstSeq: 1000 });
  await redex.close();
  const account = machine.account('orders');
  account.nextSeq = 1000;
  return fixture('Made to begin at seq 1000, without a record; closed.', machine.snapshot(), [
    channelOf(account, { firstSeq: 1000 }),
  ]);
}

/** Compacted twice: generation 3, with holes in the first segments. */
async function compactedStore(seed) {
  const keepers = [(seq) => seq % 4 !== 1, (seq) => seq < 3 || seq > 9];
  const made = await closedStore(seed, 'orders', SMALL, async ({ machine, channel, account }) => {
    await account.fill(channel, 25, 300);
    for (const keeps of keepers) {
      await channel.compact({ keep: (record) => keeps(record.seq) || record.seq > 14 });
      await machine.settle();
      await account.fill(channel, 2, 300);
    }
  });
  const survives = ([seq]) => keepers.every((keeps) => keeps(seq) || seq > 14);
  return { ...made, records: made.account.records.filter(survives) };
}

async function compacted(seed) {
  const { account, records, snapshot } = await compactedStore(seed);
  const description = 'Compacted twice: generation 3, some segments written anew, some linked.';
  return fixture(description, snapshot, [channelOf(account, { records, generation: 3 })]);
}

async function leftovers(seed) {
  const { account, records, snapshot } = await compactedStore(seed);
  const { files } = snapshot;
  const under = 'channels/orders';
  const live = [...files.keys()].filter((path) => path.includes('/v0000000003/'));
  // A compaction that never came to its swap, and one whose old generation was being removed.
  for (const orphan of ['v0000000002', 'v0000000004']) {
    for (const path of live.slice(0, 4)) {
      files.set(path.replace('v0000000003', orphan), files.get(path).slice(0, 200));
    }
  }
  files.set(`${under}/manifest.tmp`, files.get(`${under}/manifest`).slice(0, 77));
  files.set(`${live.find((path) => path.endsWith('.idx'))}.tmp`, Buffer.alloc(30, 1));
  const description = 'What interrupted compactions and replacements have left beside the log.';
  return fixture(description, snapshot, [
    channelOf(account, { records, generation: 3, notes: bothWays('leftover') }),
  ]);
}

/** A fold of all payload lengths, and an index of the first words. */
const FOLD = { name: 'bytes', version: 2 };
const bytesFold = {
  ...FOLD,
  initial: { bytes: 0, records: 0 },
  apply: (state, record) => ({
    bytes: state.bytes + record.byteLength,
    records: state.records + 1,
  }),
};

async function checkpoints(seed) {
  const { account, snapshot } = await closedStore(seed, 'orders', SMALL, async (made) => {
    const { channel, account: to } = made;
    const fold = await channel.fold(bytesFold);
    const index = await channel.index({ name: 'by type', key: (record) => `t${record.type}` });
    await to.fill(channel, 8, 200);
    await fold.caughtUp();
    await fold.checkpoint();
    await to.fill(channel, 8, 200);
    await index.close();
  });
  const { length } = account.records;
  const value = { bytes: length * 200, records: length };
  const folds = [{ ...FOLD, value, seq: length, restored: true }];
  const description = 'Checkpoints of a fold and of an index; closed.';
  return fixture(description, snapshot, [channelOf(account, { folds })]);
}

const NAMES = [
  'Orders',
  'orders',
  'a/b',
  'a%2fb',
  '..',
  '.new',
  'v1.',
  'con',
  'com1.log',
  ' ',
  'e\u0301',
  '\u00e9',
  '\u{1f600}',
  'é'.repeat(34),
  'x'.repeat(1024),
];

async function names(seed) {
  const machine = new Machine(seed);
  const redex = await machine.open();
  for (const name of NAMES) await machine.account(name).fill(await redex.channel(name), 1);
  await redex.close();
  const channels = NAMES.map((name) => channelOf(machine.account(name)));
  const description = 'Names that have to be escaped, and names too long for a directory; closed.';
  return fixture(description, machine.snapshot(), channels);
}

async function renamed(seed) {
  const machine = new Machine(seed);
  const redex = await machine.open();
  const account = machine.account('before');
  await account.fill(await redex.channel('before'), 3);
  await redex.renameChannel('before', 'after');
  await account.fill(await redex.channel('after'), 2);
  await redex.close();
  return fixture('A channel that has got another name; closed.', machine.snapshot(), [
    channelOf(account, { name: 'after' }),
  ]);
}

/** Two channels; `work` on the first is stopped before a step. */
async function stoppedStore(seed, isIt, nth, work) {
  const machine = new Machine(seed);
  const redex = await machine.open();
  await machine.account('orders').fill(await redex.channel('orders'), 3);
  await machine.account('other').fill(await redex.channel('other'), 3);
  await (await redex.channel('orders')).close();
  await (await redex.channel('other')).close();
  const snapshot = await machine.stoppedBefore(isIt, nth, async () => {
    await work(redex, machine);
    await machine.settle();
  });
  const orders = channelOf(machine.account('orders'));
  return { snapshot, orders, other: channelOf(machine.account('other')) };
}

async function renameStopped(seed) {
  const renames = (operation) =>
    operation.operation === 'renameSync' && operation.path.includes('/.rename/');
  const { snapshot, orders, other } = await stoppedStore(seed, renames, 1, (redex) =>
    redex.renameChannel('orders', 'archive'),
  );
  const description = 'A rename that stopped before the config with the new name was in place.';
  return fixture(description, snapshot, [{ ...orders, name: 'archive', passing: true }, other]);
}

async function renameLate(seed) {
  const renames = (operation) =>
    operation.operation === 'renameSync' && operation.path.includes('/.rename/');
  const { snapshot, orders, other } = await stoppedStore(seed, renames, 2, (redex) =>
    redex.renameChannel('orders', 'archive'),
  );
  const description = 'A rename that stopped before the directory was in its new place.';
  return fixture(description, snapshot, [{ ...orders, name: 'archive', passing: true }, other]);
}

async function deleteStopped(seed) {
  const unlinks = (operation) => operation.operation.startsWith('unlink');
  const { snapshot, other } = await stoppedStore(seed, unlinks, 2, (redex) =>
    redex.deleteChannel('orders'),
  );
  return fixture('A deletion that stopped while the files were removed.', snapshot, [other]);
}

async function createStopped(seed) {
  const renames = (operation) =>
    operation.operation === 'renameSync' && operation.path.includes('/.new/');
  const { snapshot, orders, other } = await stoppedStore(seed, renames, 1, (redex) =>
    redex.channel('third'),
  );
  const description = 'A creation that stopped before the directory was in its place.';
  return fixture(description, snapshot, [orders, other]);
}

export const HEALTHY = {
  empty,
  closed,
  segments,
  killed,
  'torn-tail': tornTail,
  'zero-tail': zeroTail,
  recovered,
  trimmed,
  emptied,
  'emptied-bare': emptiedBare,
  'begins-later': beginsLater,
  compacted,
  leftovers,
  checkpoints,
  names,
  renamed,
  'rename-stopped': renameStopped,
  'rename-stopped-late': renameLate,
  'delete-stopped': deleteStopped,
  'create-stopped': createStopped,
};
