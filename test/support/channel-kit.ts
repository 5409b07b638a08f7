/**
 * A channel on a machine that a test takes apart: a disk that crashes (CrashFs), faults (FaultFs),
 * a watch over descriptors (WatchFs) and a clock moved by hand. Histories are written as calls of
 * a `Lab`; a lab after a crash or a kill is the next process on the same machine.
 */
import { expect } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { openChannelIn } from './open-channel.js';
import type { AloneOptions } from './open-channel.js';
import { RedexError, type ErrorCode, type RedexErrorOf } from '../../src/core/errors.js';
import { decodeFileHeader, DAT_MAGIC, type FileHeader } from '../../src/format/file-header.js';
import {
  decodeUnitHeader,
  FRAME_MAGIC,
  SEAL_MAGIC,
  type UnitHeader,
} from '../../src/format/unit.js';
import { viewOf } from '../../src/format/bytes.js';
import { generationName } from '../../src/format/file-name.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { benign, type Choose } from '../../src/testing/choices.js';
import { CrashFs, type CrashFsOptions } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import type { InjectedFault } from '../../src/testing/fault-rules.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import type { OperationGroup, Operation } from '../../src/testing/operations.js';
import { WatchFs } from './channel-watch.js';

export const DIRECTORY = '/log';
export const GENERATION: string = `${DIRECTORY}/${generationName(1)}`;
/** A frame with a record of this size is written off the calling thread. */
export const LARGE: number = 600 * 1024;

type IoOrder = 'immediate' | 'oldest' | 'random';

export interface LabOptions {
  readonly seed?: number;
  /** `immediate`: nothing is held. Otherwise asynchronous operations wait for `done` or `runIo`. */
  readonly io?: IoOrder;
  readonly directory?: string;
}

export class Lab {
  readonly runtime: ManualRuntime;
  readonly disk: CrashFs;
  readonly faults: FaultFs;
  readonly watch: WatchFs;
  readonly directory: string;
  readonly #options: LabOptions;

  constructor(
    options: LabOptions = {},
    boot: (options: CrashFsOptions) => CrashFs = (given) => new CrashFs(given),
  ) {
    const { seed = 1, io = 'immediate', directory = DIRECTORY } = options;
    this.#options = { seed, io, directory };
    this.directory = directory;
    this.runtime = new ManualRuntime({ seed, ioOrder: io });
    const defer = this.runtime.deferIo;
    this.disk = boot({ defer });
    this.faults = new FaultFs(this.disk, { defer });
    this.watch = new WatchFs(this.faults);
  }

  open(options: AloneOptions = {}): Promise<Channel> {
    const { watch: fs, runtime, directory } = this;
    return this.done(openChannelIn(directory, { ...options, fs, runtime }));
  }

  #next(options: LabOptions): LabOptions {
    return { ...this.#options, seed: (this.#options.seed ?? 1) + 1, ...options };
  }

  /** The machine after a power cut. */
  cut(choose: Choose, options: LabOptions = {}): Lab {
    return new Lab(this.#next(options), (given) => this.disk.crash(choose, given));
  }

  /** The next process after this one was killed: the page cache is still there. */
  kill(options: LabOptions = {}, choose: Choose = benign): Lab {
    return new Lab(this.#next(options), (given) => this.disk.kill(choose, given));
  }

  /** Completes held operations, oldest first, until `promise` has settled. */
  async done<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    promise.then(settle, settle);
    for (;;) {
      await this.runtime.settle();
      if (settled) return promise;
      if (!this.runtime.runIo()) throw new Error('it waits for something that will never happen');
    }
  }

  /** Lets everything that is in flight complete, and what that leads to. */
  drain(): Promise<void> {
    return this.runtime.drainIo();
  }

  /** The `nth` matching operation fails, for `times`. */
  fail(
    operation: Operation | OperationGroup,
    path: RegExp,
    error: string,
    { nth = 1, times = 1 }: { nth?: number; times?: number } = {},
  ): InjectedFault {
    return this.faults.inject({ operation, path, nth, times, effect: { error } });
  }

  /** The next matching write stops after `short` bytes, the one after it fails. */
  cutShort(path: RegExp, short: number, thenError = 'ENOSPC', nth = 1): InjectedFault {
    const effect = { short, thenError };
    return this.faults.inject({ operation: 'anyWrite', path, nth, effect });
  }

  get datPaths(): string[] {
    const directory = `${this.directory}/${generationName(1)}`;
    return this.disk
      .readDirectorySync(directory)
      .map(({ name }) => `${directory}/${name}`)
      .filter((path) => path.endsWith('.dat'))
      .toSorted();
  }
}

/** Rows of 256 bytes that rise by 7, one for each first byte. */
const ROWS: readonly Uint8Array[] = Array.from({ length: 256 }, (_row, first) =>
  Uint8Array.from({ length: 256 }, (_byte, i) => first + i * 7),
);

/** Payload number `id`: its number, then bytes that no other payload has. */
export function payload(id: number, byteLength: number = 8 + (id % 5) * 7): Uint8Array {
  const bytes = new Uint8Array(Math.max(4, byteLength));
  // A row at a time, because a test makes many of them.
  for (let at = 0; at < bytes.byteLength; at += 256) {
    const row = ROWS[(id * 31 + (at >> 8)) & 0xff] ?? bytes;
    bytes.set(row.subarray(0, Math.min(256, bytes.byteLength - at)), at);
  }
  new DataView(bytes.buffer).setUint32(0, id);
  return bytes;
}

/** The number of a payload, when it is one that `payload` made and whole. */
export function payloadId(bytes: Uint8Array): number | undefined {
  if (bytes.byteLength < 4) return undefined;
  const id = viewOf(bytes).getUint32(0);
  return Buffer.compare(bytes, payload(id, bytes.byteLength)) === 0 ? id : undefined;
}

export interface Found {
  readonly seq: number;
  readonly id: number | undefined;
}

/** Every visible record, by the number of its payload. */
export async function readAll(lab: Lab, channel: Channel): Promise<Found[]> {
  const records = await lab.done(channel.readBatch());
  return records.map((record) => ({ seq: record.seq, id: payloadId(record.payload) }));
}

/** `ids` of records in order, for short expectations. */
export async function idsOf(lab: Lab, channel: Channel): Promise<(number | undefined)[]> {
  return (await readAll(lab, channel)).map(({ id }) => id);
}

/** What has become of a promise so far: `pending`, a value, or an error. */
export interface Outcome<T> {
  state: 'pending' | 'resolved' | 'rejected';
  value: T | undefined;
  error: unknown;
}

export function outcomeOf<T>(promise: Promise<T>): Outcome<T> {
  const outcome: Outcome<T> = { state: 'pending', value: undefined, error: undefined };
  promise.then(
    (value) => Object.assign(outcome, { state: 'resolved', value }),
    (error: unknown) => Object.assign(outcome, { state: 'rejected', error }),
  );
  return outcome;
}

/** The error of this code with which `promise` rejects. */
export async function rejection<C extends ErrorCode>(
  promise: Promise<unknown>,
  code: C,
): Promise<RedexErrorOf<C>> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return requireCode(error, code);
}

/** The error of this code that `run` throws. */
export function thrown<C extends ErrorCode>(run: () => unknown, code: C): RedexErrorOf<C> {
  try {
    run();
  } catch (error) {
    return requireCode(error, code);
  }
  throw new Error(`nothing was thrown, expected ${code}`);
}

export function requireCode<C extends ErrorCode>(error: unknown, code: C): RedexErrorOf<C> {
  if (!RedexError.is(error, code)) {
    expect(error, `an error ${code}`).toMatchObject({ code });
    throw error;
  }
  return error;
}

export function readFile(fs: FileSystem, path: string): Uint8Array {
  const file = fs.openSync(path, 'read');
  const bytes = new Uint8Array(file.sizeSync());
  file.readSync(bytes, 0, bytes.byteLength, 0);
  file.closeSync();
  return bytes;
}

export interface DatFile {
  readonly header: FileHeader;
  /** Frames and seals in order; blocks are part of their frame. */
  readonly units: UnitHeader[];
  readonly byteLength: number;
  readonly sealed: boolean;
}

/** The frames of a dat file as their headers describe them. Throws for what is none. */
export function parseDat(bytes: Uint8Array): DatFile {
  const header = decodeFileHeader(DAT_MAGIC, bytes.subarray(0, 64));
  if (!header.ok) throw new Error(`no dat header: ${header.check}`);
  const units: UnitHeader[] = [];
  let at = 64;
  while (at < bytes.byteLength) {
    const unit = decodeUnitHeader(viewOf(bytes), at, at, bytes.byteLength - at);
    if (typeof unit === 'string') throw new Error(`no unit at ${at}: ${unit}`);
    units.push(unit);
    at += unit.byteLength;
  }
  const sealed = units.at(-1)?.magic === SEAL_MAGIC;
  return { header: header.value, units, byteLength: bytes.byteLength, sealed };
}

/** All frames with records of the channel, in order. */
export function framesOf(lab: Lab): UnitHeader[] {
  return lab.datPaths
    .flatMap((path) => parseDat(readFile(lab.disk, path)).units)
    .filter(({ magic, recordCount }) => magic === FRAME_MAGIC && recordCount > 0);
}
