/**
 * A small store that a test damages, and what a repair has to leave of it: records by channel and
 * seq, channels that verify and go on, and the same bytes kept aside.
 */
import { RedexError } from '../../src/core/errors.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { planRepair, repair, type RepairOptions } from '../../src/repair/repair.js';
import type { RepairPlan, RepairReport } from '../../src/repair/repair-report.js';
import { Redex } from '../../src/store/redex.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { channelPath, DATA } from './store-kit.js';

let seed = 900;

export function newRuntime(): ManualRuntime {
  seed += 1;
  return new ManualRuntime({ seed, ioOrder: 'immediate' });
}

/** The live generation of the channel `log`. */
const LIVE: string = `${channelPath('log')}/v0000000001`;

export function dat(base: number): string {
  return `${LIVE}/${String(base).padStart(20, '0')}.dat`;
}

/** What is in a store: `seq:type:time:payload` by channel. */
export type Contents = Record<string, string[]>;

export async function contentsOf(fs: FileSystem): Promise<Contents> {
  const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
  const contents: Contents = {};
  for await (const { name } of redex.channels()) {
    const channel = await redex.channel(name);
    contents[name] = (await channel.readBatch()).map(
      ({ seq, type, timestampNs, payload }) =>
        `${seq}:${type}:${timestampNs}:${Buffer.from(payload).toString('hex')}`,
    );
  }
  await redex.close();
  return contents;
}

export const seqOf = (row: string): number => Number(row.slice(0, row.indexOf(':')));

/** A plan, which must not change anything. */
export function planOn(fs: FileSystem, options: RepairOptions = {}): Promise<RepairPlan> {
  return planRepair(DATA, { fs, runtime: newRuntime(), ...options });
}

export function repairOn(fs: FileSystem, options: RepairOptions = {}): Promise<RepairReport> {
  return repair(DATA, { fs, runtime: newRuntime(), ...options });
}

/** What is wrong with a store that was repaired: nothing, and every channel takes appends. */
export async function troubleIn(fs: FileSystem): Promise<string[]> {
  const trouble: string[] = [];
  const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
  try {
    for await (const { name, error } of redex.channels()) {
      if (error !== undefined) {
        trouble.push(`${name}: ${error.message}`);
        continue;
      }
      const channel = await redex.channel(name);
      await troubleOf(channel, trouble);
    }
  } catch (error) {
    if (!RedexError.is(error)) throw error;
    trouble.push(error.message);
  }
  await redex.close();
  return trouble;
}

async function troubleOf(
  channel: Awaited<ReturnType<Redex['channel']>>,
  trouble: string[],
): Promise<void> {
  const { problems } = await channel.verify();
  for (const { severity, message } of problems) {
    if (severity !== 'note') trouble.push(`${channel.name}: ${message}`);
  }
  const { nextSeq } = channel;
  const seq = await channel.append('goes on', { durability: 'synced' });
  if (seq !== nextSeq) trouble.push(`${channel.name}: appended at ${seq}, not ${nextSeq}`);
  const [last] = await channel.last(1);
  if (last?.seq !== seq) trouble.push(`${channel.name}: ${last?.seq} is the last, not ${seq}`);
}

export interface Sample {
  readonly fs: MemoryFs;
  readonly contents: Contents;
}

/** Four segments of four frames, and another channel. */
export async function sample(): Promise<Sample> {
  const fs = new MemoryFs();
  const runtime = newRuntime();
  const redex = await Redex.open(DATA, { fs, runtime, segmentMs: 1000, sync: 'never' });
  const log = await redex.channel('log');
  const other = await redex.channel('other');
  for (let segment = 0; segment < 4; segment++) {
    for (let i = 0; i < 4; i++) {
      await log.appendBatch([`record ${segment} ${i}`, { payload: 'x'.repeat(i * 9), type: i }]);
      await other.append(`other ${i}`);
      runtime.advance(7);
    }
    runtime.advance(1000);
  }
  await redex.close();
  return { fs, contents: await contentsOf(fs) };
}

export function truncate(fs: FileSystem, path: string, size: number): void {
  const file = fs.openSync(path, 'write');
  file.truncateSync(size);
  file.closeSync();
}

export function zero(fs: FileSystem, path: string, from: number, to: number): void {
  const file = fs.openSync(path, 'write');
  file.writeSync(new Uint8Array(to - from), 0, to - from, from);
  file.closeSync();
}

export function swap(fs: FileSystem, a: string, b: string): void {
  fs.renameSync(a, `${a}.swap`);
  fs.renameSync(b, a);
  fs.renameSync(`${a}.swap`, b);
}
