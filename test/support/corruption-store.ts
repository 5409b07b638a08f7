/**
 * A small data directory with everything that a store can hold, and the truth about it: every
 * record that was ever written, and what a healthy open of the directory finds. Three images of it:
 * cleanly closed; killed, with an unfinished suffix and a tail that the process before had left
 * unsynced; and what a power cut left of that.
 */
import type { Channel } from '../../src/channel/channel.js';
import type { IndexOptions } from '../../src/channel/channel-index.js';
import type { FoldOptions } from '../../src/channel/fold-options.js';
import type { Appendable } from '../../src/channel/record-input.js';
import type { RecoveryReport } from '../../src/channel/recovery-report.js';
import type { LogRecord } from '../../src/core/record.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { Redex } from '../../src/store/redex.js';
import { benign, choicesFromSeed } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { CorruptFs, filesUnder, type Files } from './corruption-fs.js';
import { DATA } from './store-kit.js';

/** `ledger` is trimmed and compacted, `twin` has the same base seqs, `events` has a tail. */
export const NAMES = ['ledger', 'twin', 'events'] as const;
export type Name = (typeof NAMES)[number];

export interface WrittenRecord {
  readonly type: number;
  readonly timestampNs: bigint;
  readonly payload: Uint8Array;
}

/** What a healthy open of an image finds in a channel. */
export interface ChannelTruth {
  readonly firstSeq: number;
  readonly nextSeq: number;
  readonly records: ReadonlyMap<number, WrittenRecord>;
  /** What a fold has to say that has seen all that was ever written below a seq. */
  readonly states: ReadonlyMap<number, FoldState>;
  /** Base seqs of the segments that an open scans. */
  readonly scanned: number;
}

export interface Image {
  readonly name: string;
  readonly files: Files;
  readonly channels: Readonly<Record<Name, ChannelTruth>>;
  /** Bytes of each dat file that a healthy open keeps. */
  readonly kept: ReadonlyMap<string, number>;
}

export interface FoldState {
  readonly records: number;
  readonly sum: number;
}

export const FOLD: FoldOptions<FoldState> = {
  name: 'sum',
  version: 1,
  initial: { records: 0, sum: 0 },
  apply: ({ records, sum }, record) => ({
    records: records + 1,
    sum: (sum * 31 + record.seq + checkOf(record.payload)) % 1_000_003,
  }),
};

export const INDEX: IndexOptions = { name: 'keys', key: keyOf };

function keyOf({ type, byteLength }: LogRecord): string {
  return `${type % 3}-${byteLength % 2}`;
}

function checkOf(payload: Uint8Array): number {
  let sum = 0;
  for (const byte of payload) sum = (sum * 7 + byte) % 65_521;
  return sum;
}

/** Everything that was written, by seq; what is lost in a cut may be written over. */
type Ledger = Record<Name, Map<number, WrittenRecord>>;

class Machine {
  readonly written: Ledger = { ledger: new Map(), twin: new Map(), events: new Map() };
  readonly runtime: ManualRuntime = new ManualRuntime({ seed: 41, ioOrder: 'immediate' });
  fs: CrashFs = new CrashFs({ defer: this.runtime.deferIo });
  redex: Redex | undefined;
  #count = 0;

  async open(name: Name): Promise<Channel> {
    const { fs, runtime } = this;
    this.redex ??= await Redex.open(DATA, { fs, runtime, segmentMs: 1000 });
    return this.redex.channel(name, name === 'events' ? { sync: 'never' } : {});
  }

  /** Appends one batch of records with these sizes; `skip` leaves seqs out before the last one. */
  async append(name: Name, sizes: readonly number[], skip = 0): Promise<void> {
    const channel = await this.open(name);
    const batch: Exclude<Appendable, string | Uint8Array>[] = sizes.map((byteLength, i) => {
      this.#count += 1;
      const payload = Uint8Array.from({ length: byteLength }, (_, at) => this.#count * 29 + at * 7);
      const type = this.#count % 4 === 0 ? 0 : this.#count;
      const seq = channel.nextSeq + i + (i === sizes.length - 1 ? skip : 0);
      return { payload, type, seq };
    });
    const plain = skip === 0 ? batch.map(({ seq: _seq, ...rest }) => rest) : batch;
    const timestampNs = BigInt(this.runtime.now()) * 1_000_000n;
    await channel.appendBatch(plain);
    for (const { payload, type, seq } of batch) {
      if (typeof payload === 'string') throw new Error('payloads are bytes here');
      this.written[name].set(seq ?? 0, { payload, type: type ?? 0, timestampNs });
    }
  }

  /** The next append begins another segment. */
  age(): void {
    this.runtime.advance(1000);
  }

  async close(): Promise<void> {
    await this.redex?.close();
    this.redex = undefined;
  }

  /** The process dies; the page cache stays. */
  kill(): void {
    this.fs = this.fs.kill(benign, { defer: this.runtime.deferIo });
    this.redex = undefined;
  }
}

async function checkpoints(machine: Machine, name: Name): Promise<void> {
  const channel = await machine.open(name);
  const fold = await channel.fold(FOLD);
  const index = await channel.index(INDEX);
  await fold.caughtUp();
  await index.caughtUp();
  await fold.checkpoint();
  await index.checkpoint();
}

async function firstProcess(machine: Machine): Promise<void> {
  for (const name of ['ledger', 'twin'] as const) {
    await machine.append(name, [9]);
    await machine.append(name, [5, 0, 17]);
    machine.age();
    await machine.append(name, [11, 6, 3], 4);
    await machine.append(name, [8]);
    await checkpoints(machine, name);
    machine.age();
    await machine.append(name, [4, 5]);
    await machine.append(name, [30]);
  }
  const ledger = await machine.open('ledger');
  await ledger.trim({ beforeSeq: 2 });
  await ledger.compact({ keep: ({ seq }) => seq !== 5 });
  machine.age();
  await machine.append('ledger', [12, 13]);
  await checkpoints(machine, 'ledger');
  await machine.append('events', [7, 7]);
  machine.age();
  await machine.append('events', [950, 950, 950, 950, 950, 950, 950, 950, 950]);
  await machine.append('events', [3]);
}

/** More records, none of which is synced at the end in `events`. */
async function secondProcess(machine: Machine): Promise<void> {
  await machine.append('events', [21]);
  const events = await machine.open('events');
  await events.sync();
  machine.age();
  await machine.append('events', [6, 2]);
  await machine.append('events', [1]);
  await machine.append('twin', [14]);
  machine.kill();
  // What this process finds at the end of `events` no sync covers.
  await machine.append('events', [10]);
  machine.age();
  await machine.append('events', [13, 12]);
  await machine.append('events', [18]);
  await machine.append('ledger', [19, 1]);
}

/** All images. The same calls, seeds and bytes each time. */
export async function makeImages(): Promise<Image[]> {
  const closed = new Machine();
  await firstProcess(closed);
  await closed.close();
  const machine = new Machine();
  await firstProcess(machine);
  await machine.close();
  await secondProcess(machine);
  const { written } = machine;
  const cut = machine.fs.crash(choicesFromSeed(19));
  return [
    await imageOf('closed', closed.fs, closed.written),
    await imageOf('killed', machine.fs.kill(benign), written),
    await imageOf('power cut', cut, written),
  ];
}

async function imageOf(name: string, fs: FileSystem, written: Ledger): Promise<Image> {
  const files = filesUnder(fs, DATA);
  const reports = new Map<string, RecoveryReport>();
  const runtime = new ManualRuntime({ seed: 5, ioOrder: 'immediate' });
  const copy = new CorruptFs(files);
  const redex = await Redex.open(DATA, {
    fs: copy,
    runtime,
    onRecovery: (report) => void reports.set(report.channel, report),
  });
  const channels: Partial<Record<Name, ChannelTruth>> = {};
  for (const channelName of NAMES) {
    const channel = await redex.channel(channelName);
    const { ok, problems } = await channel.verify();
    if (!ok) throw new Error(`${name}: ${problems[0]?.message}`);
    const scanned = reports.get(channelName)?.scannedSegments ?? 0;
    channels[channelName] = await truthOf(channel, written[channelName], scanned);
  }
  await redex.close();
  const { ledger, twin, events } = channels;
  if (ledger === undefined || twin === undefined || events === undefined) throw new Error(name);
  const kept = new Map<string, number>();
  for (const [path, bytes] of filesUnder(copy, DATA)) {
    if (path.endsWith('.dat')) kept.set(path, bytes?.byteLength ?? 0);
  }
  return { name, files, channels: { ledger, twin, events }, kept };
}

async function truthOf(
  channel: Channel,
  written: ReadonlyMap<number, WrittenRecord>,
  scanned: number,
): Promise<ChannelTruth> {
  const { firstSeq, nextSeq, name } = channel;
  const records = new Map<number, WrittenRecord>();
  for (const record of await channel.readBatch()) {
    const known = written.get(record.seq);
    if (known === undefined || !isRecord(record, known)) {
      throw new Error(`record ${record.seq} of ${name} is not what was written`);
    }
    records.set(record.seq, known);
  }
  return { firstSeq, nextSeq, records, states: statesOf(written), scanned };
}

function statesOf(written: ReadonlyMap<number, WrittenRecord>): Map<number, FoldState> {
  let { records, sum } = { records: 0, sum: 0 };
  const states = new Map([[0, { records, sum }]]);
  for (const [seq, { payload }] of written) {
    records += 1;
    sum = (sum * 31 + seq + checkOf(payload)) % 1_000_003;
    states.set(seq + 1, { records, sum });
  }
  return states;
}

export function isRecord(record: LogRecord, known: WrittenRecord): boolean {
  return (
    record.type === known.type &&
    record.timestampNs === known.timestampNs &&
    Buffer.compare(record.payload, known.payload) === 0
  );
}
