/**
 * A machine in memory on which a fixture is written: a disk, a clock moved by hand, randomness from
 * a seed; and an account of what was appended, kept apart from the engine. Everything that is
 * written depends on the code and the seed alone.
 */
import { createHash } from 'node:crypto';
import { Redex } from 'redexlog';
import { benign, CrashFs, ManualRuntime, worst } from 'redexlog/testing';

const DATA = '/data';
/** The lock is not part of the data: every open makes the file anew where it is missing. */
const LEFT_OUT = new Set(['LOCK', 'LOCK.info']);

export class Machine {
  constructor(seed) {
    this.disk = new CrashFs();
    this.runtime = new ManualRuntime({ seed, ioOrder: 'immediate' });
    this.accounts = new Map();
  }

  open(options = {}) {
    const { disk: fs, runtime } = this;
    return Redex.open(DATA, { ...options, fs, runtime });
  }

  /** What was appended to the channel of this name. */
  account(name) {
    const account = this.accounts.get(name) ?? new Account(name, this.runtime);
    this.accounts.set(name, account);
    return account;
  }

  /** Lets background work finish that waits for no timer. */
  settle() {
    return this.runtime.settle();
  }

  /** The files as the next process finds them. */
  snapshot() {
    return snapshotOf(this.disk.kill(benign));
  }

  /** The files after a power cut that leaves nothing but what was synced. */
  afterPowerCut() {
    return snapshotOf(this.disk.crash(worst));
  }

  /** Puts files on the disk, before anything else. */
  load({ files, emptyDirectories }) {
    for (const path of emptyDirectories) this.#makeDirectory(`${DATA}/${path}`);
    for (const [path, bytes] of files) {
      this.#makeDirectory(`${DATA}/${path}`.replace(/\/[^/]+$/, ''));
      const file = this.disk.openSync(`${DATA}/${path}`, 'create');
      file.writeSync(bytes, 0, bytes.length, 0);
      file.closeSync();
    }
  }

  #makeDirectory(path) {
    if (path === '' || this.disk.statSync(path) !== undefined) return;
    this.#makeDirectory(path.slice(0, path.lastIndexOf('/')));
    this.disk.mkdirSync(path);
  }

  /** Runs `work`, and returns the files as they were just before the `nth` operation like this. */
  async stoppedBefore(isIt, nth, work) {
    let count = 0;
    let found;
    this.disk.onOperation = (operation) => {
      if (found !== undefined || !isIt(operation)) return;
      count += 1;
      if (count !== nth) return;
      this.disk.onOperation = undefined;
      found = this.snapshot();
    };
    await work();
    this.disk.onOperation = undefined;
    if (found === undefined) throw new Error(`there was no operation number ${nth} like this`);
    return found;
  }
}

/** Records of one channel as they were given, with the seqs that they must have got. */
class Account {
  constructor(name, runtime) {
    this.name = name;
    this.runtime = runtime;
    this.records = [];
    this.nextSeq = 0;
  }

  /** Appends records, one batch, and writes down what it must have done. */
  async append(channel, ...inputs) {
    await channel.appendBatch(inputs);
    for (const input of inputs) this.#note(typeof input === 'string' ? { payload: input } : input);
  }

  /** Writes down what a commit has appended. */
  committed(records) {
    for (const record of records) this.#note(record);
  }

  #note({ payload, type = 0, timestampNs, seq = this.nextSeq }) {
    const bytes = Buffer.from(payload);
    const nanos = timestampNs ?? BigInt(this.runtime.now()) * 1_000_000n;
    const sha256 = createHash('sha256').update(bytes).digest('hex').slice(0, 32);
    this.records.push([seq, type, nanos.toString(), bytes.length, sha256]);
    this.nextSeq = seq + 1;
  }

  /** The records with seqs from `from` to `to` - 1. */
  between(from, to = Infinity) {
    return this.records.filter(([seq]) => seq >= from && seq < to);
  }

  /** The payload that record `seq` gets in most fixtures. */
  text(seq, length = 0) {
    return `${this.name.slice(0, 20)} ${seq} `.padEnd(length, '.');
  }

  /** Appends `count` of them, a millisecond apart, a frame each. */
  async fill(channel, count, length = 0) {
    for (let i = 0; i < count; i += 1) {
      this.runtime.setNow(this.runtime.now() + 1);
      await this.append(channel, { payload: this.text(this.nextSeq, length), type: i % 3 });
    }
  }
}

/** The order of names, the same everywhere. */
export const byName = (a, b) => (a < b ? -1 : Number(a > b));

/** Files by their paths below the data directory, and the directories without any. */
export function snapshotOf(fs) {
  const files = new Map();
  const emptyDirectories = [];
  const visit = (directory, prefix) => {
    const entries = fs.readDirectorySync(directory).toSorted((a, b) => byName(a.name, b.name));
    if (entries.length === 0) emptyDirectories.push(prefix.slice(0, -1));
    for (const { name, kind } of entries) {
      const path = `${directory}/${name}`;
      if (kind === 'directory') visit(path, `${prefix}${name}/`);
      else if (!LEFT_OUT.has(path.slice(DATA.length + 1)))
        files.set(prefix + name, bytesOf(fs, path));
    }
  };
  visit(DATA, '');
  return { files, emptyDirectories };
}

function bytesOf(fs, path) {
  const file = fs.openSync(path, 'read');
  const bytes = new Uint8Array(file.sizeSync());
  file.readSync(bytes, 0, bytes.length, 0);
  file.closeSync();
  return bytes;
}

/** The units of a dat file by their own lengths: where they start, and what they are. */
export function unitsOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const units = [];
  for (let at = 64; at + 48 <= bytes.length;) {
    const byteLength = view.getUint32(at + 12, true);
    if (byteLength === 0) break;
    const magic = Buffer.from(bytes.subarray(at + 8, at + 12)).toString();
    units.push({ at, byteLength, magic, baseSeq: Number(view.getBigUint64(at + 16, true)) });
    at += byteLength;
  }
  return units;
}
