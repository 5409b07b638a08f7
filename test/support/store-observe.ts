/**
 * Opens a data directory and looks at all that is in it, by its files and through the store; and
 * says whether that can be what is left of a run.
 */
import type { Channel } from '../../src/channel/channel.js';
import { readConfig } from '../../src/channel/channel-files.js';
import { readNameOf } from '../../src/channel/channel-names.js';
import { RedexError } from '../../src/core/errors.js';
import { encodeChannelName } from '../../src/format/channel-name.js';
import { Redex } from '../../src/store/redex.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { namesKey, type Names } from '../../src/crash-test/name-ledger.js';
import { foundOf, judge, Violation, type CrashKind, type Found } from './crash-model.js';
import { FIRST_SEQ_STEP, optionsKey, type StoreLedger, type StoreModel } from './store-model.js';
import { NAMES } from './store-program.js';

/** Its parents are missing at first. */
export const DIRECTORY = '/srv/deep/store';
export const CHANNELS: string = `${DIRECTORY}/channels`;
export const WORK_NAMES = ['.new', '.trash', '.rename'] as const;

interface ObservedChannel {
  readonly channel: Channel;
  /** Place in the list of creations. */
  readonly index: number;
  readonly id: string;
  /** Their seqs count from the first one of the channel. */
  readonly found: readonly Found[];
}

export interface Observed {
  readonly redex: Redex;
  readonly runtime: ManualRuntime;
  readonly storeId: string;
  readonly names: Names;
  readonly channels: ReadonlyMap<string, ObservedChannel>;
}

export interface ObserveSetting {
  readonly nowMs: number;
  /** For everything random in what is opened, the same in each run of a program. */
  readonly seeds: { next: number };
}

/** Opens a store and all of its channels. Throws a Violation when that fails. */
export async function observe(fs: CrashFs, setting: ObserveSetting): Promise<Observed> {
  const seed = (setting.seeds.next += 1);
  const runtime = new ManualRuntime({ seed, startMs: setting.nowMs, ioOrder: 'immediate' });
  try {
    const redex = await Redex.open(DIRECTORY, { fs, runtime });
    const channels = await observeChannels(redex, fs);
    const names = new Map([...channels].map(([name, { index }]) => [name, index]));
    const { storeId, channels: count } = await redex.stats();
    if (count !== channels.size) throw new Violation(`stats count ${count} channels`);
    for (const name of NAMES) {
      if ((await redex.hasChannel(name)) !== names.has(name)) {
        throw new Violation(`hasChannel(${name.slice(-8)}) does not fit what is there`);
      }
    }
    return { redex, runtime, storeId, names, channels };
  } catch (error) {
    if (error instanceof Violation) throw error;
    throw new Violation(`the store does not open: ${String(error)}`, { cause: error });
  }
}

async function observeChannels(
  redex: Redex,
  fs: CrashFs,
): Promise<ReadonlyMap<string, ObservedChannel>> {
  const channels = new Map<string, ObservedChannel>();
  const seen = new Set<string>();
  for (const { name: entry } of fs.readDirectorySync(CHANNELS)) {
    if (WORK_NAMES.some((work) => work === entry)) continue;
    const path = `${CHANNELS}/${entry}`;
    const name = readNameOf(fs, path);
    if (encodeChannelName(name) !== entry)
      throw new Violation(`${entry} is not the place of ${name}`);
    const id = Buffer.from(readConfig(fs, path).channelId).toString('hex');
    const channel = await redex.channel(name, { createIfMissing: false });
    const index = channel.firstSeq / FIRST_SEQ_STEP;
    if (seen.has(id) || seen.has(String(index))) throw new Violation(`${entry} is there twice`);
    seen.add(id).add(String(index));
    const found = await recordsOf(channel);
    const end = (found.at(-1)?.seq ?? -1) + 1 + channel.firstSeq;
    if (channel.nextSeq !== end) throw new Violation(`nextSeq of ${entry} is ${channel.nextSeq}`);
    channels.set(name, { channel, index, id, found });
  }
  return channels;
}

/** All records, their seqs counted from the first one of the channel. */
async function recordsOf(channel: Channel): Promise<readonly Found[]> {
  const records = await channel.readBatch();
  return records.map((record) => {
    const { id, seq, type, payload, timestamp } = foundOf(record);
    return { id, seq: seq - channel.firstSeq, type, payload, timestamp };
  });
}

/** What was learned of ids is kept in the model: all images of a run have to agree. */
export function judgeStore(
  observed: Observed,
  model: StoreModel,
  ledger: StoreLedger,
  kind: CrashKind,
): void {
  const { storeId, names, channels } = observed;
  if (ledger.storeId !== undefined && ledger.storeId !== storeId) {
    throw new Violation('N3: it is another store now');
  }
  const key = namesKey(names);
  if (!ledger.names.has(key)) {
    throw new Violation(`N1: the names are ${key}, not ${[...ledger.names].join(' or ')}`);
  }
  for (const [name, { channel, index, id, found }] of channels) {
    const asked = model.channels[index];
    const known = ledger.channels[index];
    if (asked === undefined || known === undefined) throw new Violation(`nobody created ${name}`);
    asked.id ??= id;
    if (asked.id !== id) throw new Violation(`the channel id of ${name} has changed`);
    const options = optionsKey(channel.options);
    if (!known.options.has(options)) {
      throw new Violation(`options ${options}, not ${[...known.options].join(' or ')}`);
    }
    judge(found, asked.records.attempts, known.records, kind);
  }
}

/** Throws a Violation when two views of a store differ in what a crash may not change. */
export function requireSame(before: Observed, now: Observed, rule: string): void {
  const [was, is] = [namesKey(before.names), namesKey(now.names)];
  if (was !== is) throw new Violation(`${rule}: the names are ${is} instead of ${was}`);
  if (before.storeId !== now.storeId) throw new Violation(`${rule}: it is another store`);
  for (const [name, { id }] of before.channels) {
    if (now.channels.get(name)?.id !== id) throw new Violation(`${rule}: ${name} has another id`);
  }
}

/** Lets the background finish; then nothing may be left of what is gone. */
export async function requireReclaimed(observed: Observed, fs: CrashFs): Promise<void> {
  const left = (): string[] => {
    return WORK_NAMES.flatMap((work) => {
      return fs.readDirectorySync(`${CHANNELS}/${work}`).map(({ name }) => `${work}/${name}`);
    });
  };
  for (let turn = 0; turn < 50 && left().length > 0; turn += 1) await observed.runtime.settle();
  if (left().length > 0) throw new Violation(`N1: left over: ${left().join(', ')}`);
}

/** While a store is open nobody else gets it, and trying changes nothing. */
export async function requireLocked(fs: CrashFs, setting: ObserveSetting): Promise<void> {
  const mutations = fs.mutations.total;
  const runtime = new ManualRuntime({ seed: 1, startMs: setting.nowMs, ioOrder: 'immediate' });
  const opening = Redex.open(DIRECTORY, { fs, runtime });
  // Before anything else can go on.
  const hasChanged = fs.mutations.total !== mutations;
  try {
    await opening;
  } catch (error) {
    if (!RedexError.is(error, 'LOCKED')) throw error;
    if (!hasChanged) return;
    throw new Violation('N3: an open that was refused has changed something', { cause: error });
  }
  throw new Violation('N3: the store could be opened twice');
}
