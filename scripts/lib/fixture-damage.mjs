/**
 * The store that the damaged fixtures are made of, and ways to damage it. `orders` has four
 * segments of six records, a frame each; `other` has two, and is never damaged.
 */
import { Machine, unitsOf } from './fixture-machine.mjs';

export const PER_SEGMENT = 6;
const END = 24;
const CHANNEL = 'channels/orders';
export const OTHER = 'channels/other';
export const MANIFEST = `${CHANNEL}/manifest`;
export const CONFIG = `${CHANNEL}/config`;
export const CLEAN = `${CHANNEL}/clean`;
export const GENERATION = `${CHANNEL}/v0000000001`;

/** A file of the segment with this base seq. */
export const fileOf = (baseSeq, kind = 'dat', generation = GENERATION) =>
  `${generation}/${String(baseSeq).padStart(20, '0')}.${kind}`;

/** Fills a channel segment by segment, by their age. */
async function fillSegments(machine, redex, name, segmentCount, length) {
  const channel = await redex.channel(name);
  for (let i = 0; i < segmentCount; i += 1) {
    machine.runtime.setNow(machine.runtime.now() + 1000);
    await machine.account(name).fill(channel, PER_SEGMENT, length);
  }
  return channel;
}

/** A store that is damaged step by step, with what has to be found in it. */
export class Damaged {
  constructor(machine, snapshot) {
    this.files = snapshot.files;
    this.emptyDirectories = snapshot.emptyDirectories;
    this.account = machine.account('orders');
    this.other = machine.account('other');
    /** What of `orders` cannot be read, and why. */
    this.lost = [];
    this.expected = {};
    this.store = undefined;
  }

  bytes(path) {
    const bytes = this.files.get(path);
    if (bytes === undefined) throw new Error(`no ${path}`);
    return bytes;
  }

  units(baseSeq) {
    return unitsOf(this.bytes(fileOf(baseSeq)));
  }

  /** The frame of a record. */
  frame(seq) {
    const base = seq - (seq % PER_SEGMENT);
    return this.units(base).find((unit) => unit.magic === 'RXFR' && unit.baseSeq === seq);
  }

  edit(path, change) {
    const bytes = Buffer.from(this.bytes(path));
    this.files.set(path, change(bytes) ?? bytes);
  }

  flip(path, at) {
    this.edit(path, (bytes) => {
      bytes[at] ^= 1;
    });
  }

  cut(path, length) {
    this.edit(path, (bytes) => bytes.subarray(0, length));
  }

  remove(...paths) {
    for (const path of paths) if (!this.files.delete(path)) throw new Error(`no ${path}`);
  }

  copy(from, to) {
    this.files.set(to, this.bytes(from));
  }

  /** Records that get CORRUPT from now on. */
  lose(from, to, path, position, check) {
    const seqRange = { firstSeq: from, nextSeq: to };
    this.lost.push({ from, to, error: { code: 'CORRUPT', path, position, check, seqRange } });
  }

  /** A problem that a verification of `orders` has to find. */
  problem(severity, kind, path, position, check, more = {}) {
    this.expected.verify ??= [];
    this.expected.verify.push({ severity, kind, path, position, check, ...more });
  }

  /** A verification finds what was lost last, and so many records behind it. */
  verifyLoss(kind, recordsBehind, more = {}) {
    const { path, position, check, seqRange } = this.lost.at(-1).error;
    const where = { path, position, ...more };
    this.problem('damage', kind, where.path, where.position, check, { seqRange, recordsBehind });
  }

  /** Appends reject with the error of what was lost. */
  stopAppends() {
    this.expected.append = this.lost.at(-1).error;
  }

  /** `orders` is not opened at all. */
  refuse(path, position, check) {
    this.expected.refused = { code: 'CORRUPT', path, position, check };
  }

  refuseVersion(path) {
    this.expected.refused = { code: 'FORMAT_VERSION', path, found: 2, supported: 1 };
  }

  /** As it is written down. */
  result(description) {
    const { files, emptyDirectories, account, other, lost, store } = this;
    const { nextSeq = account.nextSeq } = this.expected;
    const isLost = ([seq]) => lost.some(({ from, to }) => seq >= from && seq < to);
    const whole = { firstSeq: 0, generation: 1, recoveryEpoch: 0 };
    const orders = {
      name: 'orders',
      ...whole,
      nextSeq,
      records: account.between(0, nextSeq).filter((record) => !isLost(record)),
      ...(lost.length > 0 ? { lost } : {}),
      ...this.expected,
    };
    if (orders.refused !== undefined) delete orders.records;
    const neighbour = {
      name: 'other',
      ...whole,
      nextSeq: other.nextSeq,
      records: other.records,
    };
    const channels = store === undefined ? [orders, neighbour] : [];
    const refused = store === undefined ? {} : { refused: store };
    return { kind: 'damaged', description, files, emptyDirectories, ...refused, channels };
  }
}

/** Both channels closed. */
export async function closedStore(seed, work = async () => undefined) {
  const machine = new Machine(seed);
  const redex = await machine.open({ segmentMs: 100 });
  await fillSegments(machine, redex, 'other', 2, 0);
  const channel = await fillSegments(machine, redex, 'orders', END / PER_SEGMENT, 100);
  await work(channel, machine);
  await redex.close();
  return new Damaged(machine, machine.snapshot());
}

/** Killed: of eight more records of `orders` the first five are synced, and the others say so. */
export async function killedStore(seed) {
  const machine = new Machine(seed);
  const redex = await machine.open({ segmentMs: 100, sync: 'never' });
  const other = await fillSegments(machine, redex, 'other', 2, 0);
  await other.close();
  const channel = await fillSegments(machine, redex, 'orders', 2, 100);
  const account = machine.account('orders');
  machine.runtime.setNow(machine.runtime.now() + 1000);
  await account.fill(channel, 5, 100);
  await channel.sync();
  await account.fill(channel, 3, 100);
  return new Damaged(machine, machine.snapshot());
}
