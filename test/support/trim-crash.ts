/**
 * Random lives of a channel that lets go of its beginning, on a disk that loses what no sync
 * covers; images of crashes are opened and compared with what was asked for and acknowledged.
 */
import type { Channel } from '../../src/channel/channel.js';
import type { SyncPolicy } from '../../src/channel/options.js';
import type { RetentionPolicy } from '../../src/channel/retention.js';
import { RedexError } from '../../src/core/errors.js';
import type { LogRecord } from '../../src/core/record.js';
import { systemError } from '../../src/fs/system-error.js';
import { choicesFromSeed, Random, worst } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import { CrashFs as Disk } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { inGroup, type OperationRecord } from '../../src/testing/operations.js';
import { turns } from '../../src/crash-test/pump.js';
import { payload } from './channel-kit.js';
import { openChannelIn } from './open-channel.js';
import { DIRECTORY, verifyTrimImage, type TrimLedger, type TrimStats } from './trim-verify.js';

const POLICIES: readonly SyncPolicy[] = ['always', 'never', { everyN: 3 }, { intervalMs: 20 }];
const RETENTIONS: readonly (RetentionPolicy | undefined)[] = [
  undefined,
  undefined,
  { maxRecords: 4 },
  { maxBytes: 700 },
  { maxAgeMs: 45 },
];
const IMAGES_A_LIFE = 40;

/** One program: a few lives of one channel. */
export class TrimRun {
  readonly #random: Random;
  readonly #stats: TrimStats;
  readonly #sync: SyncPolicy;
  readonly #retention: RetentionPolicy | undefined;
  #disk: CrashFs = new Disk();
  #runtime: ManualRuntime = new ManualRuntime();
  #channel: Channel | undefined;
  #ledger: TrimLedger;
  #openedAt = 0;
  #images: { fs: CrashFs; ledger: TrimLedger; kind: 'power' | 'kill'; place: string }[] = [];
  #pending: Promise<unknown>[] = [];
  #reads: AsyncIterableIterator<LogRecord[]>[] = [];
  #violation: Error | undefined;
  /** The next of these operations fails. */
  #fault: { readonly operation: string; readonly path: RegExp } | undefined;
  #hasFailed = false;

  constructor(seed: number, stats: TrimStats) {
    this.#random = new Random(seed);
    this.#stats = stats;
    this.#sync = this.#pick(POLICIES);
    this.#retention = this.#pick(RETENTIONS);
    this.#ledger = {
      nextId: 1,
      acked: new Map(),
      gone: new Set(),
      durableSeq: 0,
      lower: 0,
      candidates: new Set([0]),
      retains: this.#retention !== undefined,
    };
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random.below(list.length)] as T;
  }

  async run(): Promise<void> {
    for (let life = 1 + this.#random.below(3); life > 0; life -= 1) {
      await this.#live();
      for (const { fs, ledger, kind, place } of this.#images.splice(0)) {
        const seed = this.#random.uint32();
        await verifyTrimImage(fs, { ledger, kind, place, seed }, this.#stats);
      }
    }
  }

  async #live(): Promise<void> {
    this.#begin();
    this.#channel = await this.#pump(this.#open());
    this.#openedAt = this.#channel.firstSeq;
    this.#ledger.candidates.add(this.#openedAt);
    for (let step = 4 + this.#random.below(24); step > 0; step -= 1) {
      this.#step(this.#channel);
      await turns(12);
      const count = this.#random.below(6);
      if (count === 5) await this.#runtime.drainIo();
      for (let i = 0; i < count && this.#runtime.runIo(); i += 1) await turns(12);
      this.#observe(this.#channel);
      this.#sample('after a step');
    }
    await this.#end(this.#channel);
  }

  #begin(): void {
    const startMs = Math.max(1_700_000_000_000, this.#runtime.now());
    const ioOrder = this.#pick(['oldest', 'random'] as const);
    this.#runtime = new ManualRuntime({ seed: this.#random.uint32(), startMs, ioOrder });
    const { deferIo: defer } = this.#runtime;
    this.#disk = this.#next === undefined ? new Disk({ defer }) : this.#next(defer);
    this.#disk.onOperation = (operation) => this.#before(operation);
    this.#hasFailed = false;
  }

  #next: ((defer: (complete: () => void) => void) => CrashFs) | undefined;

  #open(): Promise<Channel> {
    const { sync, retention } = { sync: this.#sync, retention: this.#retention };
    const options = { fs: this.#disk, runtime: this.#runtime, sync, segmentMs: 10 };
    return openChannelIn(DIRECTORY, retention === undefined ? options : { ...options, retention });
  }

  #before(record: OperationRecord): void {
    const { operation, path } = record;
    const changes = inGroup(operation, 'anyMutation') || inGroup(operation, 'anySync');
    // Creating the channel is tested elsewhere.
    if (changes && this.#channel !== undefined) this.#sample(`before ${operation} ${path}`);
    const fault = this.#fault;
    if (fault?.operation !== operation || !fault.path.test(path)) return;
    this.#fault = undefined;
    this.#hasFailed = true;
    this.#stats.faults += 1;
    throw systemError('EIO', operation, path);
  }

  #step(channel: Channel): void {
    const ledger = this.#ledger;
    const what = this.#random.below(20);
    if (what < 8) this.#append(channel, 1 + this.#random.below(3));
    else if (what < 11) this.#runtime.advance(10);
    else if (what < 14) this.#trim(channel);
    else if (what === 14) this.#watch(channel.sync());
    else if (what === 15) this.#watch(channel.applyRetention());
    else if (what === 16) this.#reads.push(channel.readBatches());
    else if (what === 17) this.#watch(this.#reads.shift()?.return?.());
    else if (what === 18) this.#watch(this.#pick(this.#reads)?.next());
    else if (this.#random.below(3) === 0) this.#setFault();
    ledger.durableSeq = Math.max(ledger.durableSeq, channel.durableSeq);
  }

  #setFault(): void {
    this.#fault = this.#pick([
      { operation: 'unlink', path: /./ },
      { operation: 'renameSync', path: /manifest/ },
      { operation: 'datasync', path: /manifest/ },
      { operation: 'syncDirectory', path: /log$/ },
      { operation: 'createSync', path: /manifest/ },
    ]);
  }

  /** What fails is a known error; anything else is a violation. */
  #watch(promise: Promise<unknown> | undefined, onDone: () => void = () => undefined): void {
    if (promise === undefined) return;
    const watched = promise.then(onDone, (error: unknown) => {
      const codes = this.#hasFailed ? ['IO', 'POISONED', 'CLOSED', 'OUT_OF_RANGE'] : [];
      if (RedexError.is(error) && codes.includes(error.code)) return;
      this.#violation ??= new Error(`unexpected: ${String(error)}`, { cause: error });
    });
    this.#pending.push(watched);
  }

  #append(channel: Channel, count: number): void {
    const ledger = this.#ledger;
    const first = ledger.nextId;
    ledger.nextId += count;
    const records = Array.from({ length: count }, (_, i) => payload(first + i));
    this.#watch(
      channel.appendBatch(records).then(({ firstSeq }) => {
        for (let i = 0; i < count; i += 1) ledger.acked.set(firstSeq + i, first + i);
        if (this.#sync === 'always') {
          ledger.durableSeq = Math.max(ledger.durableSeq, firstSeq + count);
        }
      }),
    );
  }

  #trim(channel: Channel): void {
    const ledger = this.#ledger;
    const { firstSeq, nextSeq } = channel;
    const from = Math.max(0, firstSeq - 1);
    const beforeSeq = from + this.#random.below(nextSeq - from + 1);
    ledger.candidates.add(beforeSeq);
    this.#watch(channel.trim({ beforeSeq }), () => {
      this.#stats.trims += 1;
      if (channel.firstSeq < beforeSeq) {
        this.#violation ??= new Error(`trim(${beforeSeq}) left firstSeq ${channel.firstSeq}`);
      }
      ledger.lower = Math.max(ledger.lower, beforeSeq);
    });
  }

  #observe(channel: Channel): void {
    if (this.#violation !== undefined) throw this.#violation;
    const ledger = this.#ledger;
    const { firstSeq, durableSeq } = channel;
    if (firstSeq > durableSeq) throw new Error(`G1: firstSeq ${firstSeq} above ${durableSeq}`);
    if (firstSeq < ledger.lower) throw new Error(`firstSeq went back to ${firstSeq}`);
    ledger.durableSeq = Math.max(ledger.durableSeq, durableSeq);
    // What this process has raised is durable; what it found may be inherited.
    if (firstSeq > this.#openedAt) ledger.lower = Math.max(ledger.lower, firstSeq);
    ledger.candidates.add(firstSeq);
  }

  #sample(place: string): void {
    if (this.#images.length >= IMAGES_A_LIFE || this.#random.below(3) === 0) return;
    const channel = this.#channel;
    if (channel !== undefined) {
      this.#ledger.durableSeq = Math.max(this.#ledger.durableSeq, channel.durableSeq);
    }
    const ledger = {
      ...this.#ledger,
      acked: new Map(this.#ledger.acked),
      gone: new Set(this.#ledger.gone),
      candidates: new Set(this.#ledger.candidates),
    };
    const turn = this.#random.below(8);
    const choose = turn === 0 ? worst : choicesFromSeed(this.#random.uint32());
    const kind = turn >= 6 ? 'kill' : 'power';
    const fs = kind === 'kill' ? this.#disk.kill(choose) : this.#disk.crash(choose);
    this.#images.push({ fs, ledger, kind, place });
  }

  async #end(channel: Channel): Promise<void> {
    const ledger = this.#ledger;
    const how = this.#random.below(3);
    this.#fault = undefined;
    if (how === 0) {
      this.#hasFailed = true;
      this.#watch(channel.close());
      await this.#runtime.drainIo();
      await Promise.all(this.#pending);
    }
    this.#observe(channel);
    this.#disk.onOperation = undefined;
    this.#channel = undefined;
    this.#pending = [];
    this.#reads = [];
    const choose = choicesFromSeed(this.#random.uint32());
    const kind = how === 1 ? 'power' : 'kill';
    // What the next process finds is what there is from then on.
    const probe = kind === 'power' ? this.#disk.crash(choose) : this.#disk.kill(choose);
    const seed = this.#random.uint32();
    const left = probe.kill();
    this.#next = (defer) => left.kill(undefined, { defer });
    const found = await verifyTrimImage(probe, { ledger, kind, place: 'end', seed }, this.#stats);
    const there = new Set(found.ids);
    // What is below firstSeq may be seen again, as long as that is not acknowledged.
    const hidden = [...ledger.acked].filter(([seq]) => seq < found.firstSeq);
    const first = found.ids[0] ?? (found.firstSeq > 0 ? ledger.nextId : 0);
    for (let id = first; id < ledger.nextId; id += 1) if (!there.has(id)) ledger.gone.add(id);
    ledger.acked = new Map(hidden);
    for (const [i, id] of found.ids.entries()) ledger.acked.set(found.firstSeq + i, id);
    if (kind === 'power') {
      ledger.durableSeq = Math.max(ledger.durableSeq, found.nextSeq);
      ledger.lower = Math.max(ledger.lower, found.firstSeq);
    }
    ledger.candidates.add(found.firstSeq);
  }

  async #pump<T>(promise: Promise<T>): Promise<T> {
    const state = { settled: false };
    const settle = (): void => void (state.settled = true);
    promise.then(settle, settle);
    let idle = 0;
    for (await turns(8); !state.settled; await turns(8)) {
      idle = this.#runtime.runIo() ? 0 : idle + 1;
      if (idle > 100) throw new Error('a call never settles');
    }
    return promise;
  }
}
