/**
 * Opens a data directory, looks at all that is in it through the public API, and says whether that
 * can be what is left of a run.
 */
import type { Channel } from '../channel/channel.js';
import type { RecoveryReport } from '../channel/recovery-report.js';
import { Redex } from '../store/redex.js';
import type { Logger } from '../core/runtime.js';
import type { CrashFs } from '../testing/crash-fs.js';
import { ManualRuntime } from '../testing/manual-runtime.js';
import { scaledSeed } from '../testing/choices.js';
import { judgeCommits } from './commit-judge.js';
import { namesKey, type Names } from './name-ledger.js';
import { judgeRecords, type CrashKind } from './record-judge.js';
import { foundOf, type Found } from './record-ledger.js';
import type { SceneKeeper } from './scene.js';
import type { StoreFacts } from './store-facts.js';
import { optionsKey, type StoreLedger } from './store-ledger.js';
import { Violation } from './violation.js';
import { NAMES } from './workload.js';

/** Its parents are missing at first. */
export const DIRECTORY = '/srv/store';

/** Apart from the seeds of the runs that the images come from. */
const LOOK_FACTOR = 0x27d4_eb2f;

/** What a channel said of itself when it had been read. */
type ChannelSays = Pick<
  Channel,
  'options' | 'durableSeq' | 'recoveryEpoch' | 'count' | 'firstSeq' | 'sizeBytes'
>;

export interface SeenLog {
  /** Place in the list of creations. */
  readonly index: number;
  readonly firstSeq: number;
  readonly nextSeq: number;
  readonly found: readonly Found[];
  readonly report: RecoveryReport | undefined;
  readonly says: ChannelSays;
}

interface SeenChannel extends SeenLog {
  readonly channel: Channel;
}

/** What a look has found: it is not open any more, or need not be. */
export interface SeenStore {
  readonly storeId: string;
  /** Unix milliseconds: retention by age has let go what was too old then. */
  readonly nowMs: number;
  readonly channels: ReadonlyMap<string, SeenLog>;
}

export interface Look extends SeenStore {
  readonly fs: CrashFs;
  readonly redex: Redex;
  readonly channels: ReadonlyMap<string, SeenChannel>;
}

/** How many processes have opened these files since the image was taken; random bytes differ. */
export type Depth = 1 | 2 | 3 | 4;

export interface LookSetting {
  readonly ledger: StoreLedger;
  readonly nowMs: number;
  /** For everything random in what is opened, the same in each run of a workload. */
  readonly seed: number;
  /** Where the scene of a failure is wanted. */
  readonly keeper: SceneKeeper | undefined;
}

/** Nothing that a crash leaves is an error: not what is refused without a word either. */
const STRICT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (message, details) => {
    throw new Violation(`I11: ${message}: ${JSON.stringify(details)}`);
  },
};

/** Opens a store and all of its channels. Throws a Violation when that fails. */
export async function look(fs: CrashFs, setting: LookSetting, depth: Depth): Promise<Look> {
  setting.keeper?.onLook(fs);
  // The same bytes lead to the same, whichever image they come from.
  const seed = scaledSeed(setting.seed, LOOK_FACTOR) + depth;
  const runtime = new ManualRuntime({ seed, startMs: setting.nowMs, ioOrder: 'immediate' });
  const reports = new Map<string, RecoveryReport>();
  const onRecovery = (report: RecoveryReport): void => {
    reports.set(report.channel, report);
    if (report.damage !== undefined) {
      throw new Violation(`I11: a legal image is called damaged: ${JSON.stringify(report.damage)}`);
    }
  };
  try {
    const redex = await Redex.open(DIRECTORY, { fs, runtime, onRecovery, logger: STRICT });
    const { storeId, channels: count } = await redex.stats();
    const channels = new Map<string, SeenChannel>();
    for (const name of NAMES) {
      if (channels.size === count) break;
      if (!(await redex.hasChannel(name))) continue;
      const channel = await redex.channel(name, { createIfMissing: false });
      const seen = await lookAt(channel, setting.ledger, reports.get(name));
      channels.set(name, seen);
    }
    if (count !== channels.size) throw new Violation(`stats count ${count} channels`);
    return { fs, redex, storeId, nowMs: setting.nowMs, channels };
  } catch (error) {
    if (error instanceof Violation) throw error;
    throw new Violation(`I11: it does not open: ${String(error)}`, { cause: error });
  }
}

async function lookAt(
  channel: Channel,
  ledger: StoreLedger,
  report: RecoveryReport | undefined,
): Promise<SeenChannel> {
  const { firstSeq } = channel;
  const found = (await channel.readBatch({ from: firstSeq })).map(foundOf);
  const { nextSeq, options, durableSeq, recoveryEpoch, count, sizeBytes } = channel;
  const { index } = ledger.channelAt(nextSeq);
  const says = { options, durableSeq, recoveryEpoch, count, firstSeq: channel.firstSeq, sizeBytes };
  return { channel, index, firstSeq, nextSeq, found, report, says };
}

/** What a look has found, without all that it has opened. */
export function foundBy({ storeId, nowMs, channels }: Look): SeenStore {
  const logs = [...channels].map(([name, { index, firstSeq, nextSeq, found, report, says }]) => {
    const log: SeenLog = { index, firstSeq, nextSeq, found, report, says };
    return [name, log] as const;
  });
  return { storeId, nowMs, channels: new Map(logs) };
}

export function namesOf({ channels }: SeenStore): Names {
  return new Map([...channels].map(([name, { index }]) => [name, index]));
}

/** Throws a Violation for what cannot be left of what was known. */
export function judgeLook(
  seen: SeenStore,
  ledger: StoreLedger,
  facts: StoreFacts,
  kind: CrashKind,
): void {
  if (facts.storeId !== undefined && facts.storeId !== seen.storeId) {
    throw new Violation('N3: it is another store now');
  }
  const key = namesKey(namesOf(seen));
  if (!facts.names.has(key)) {
    throw new Violation(`N1: the names are ${key}, not ${[...facts.names].join(' or ')}`);
  }
  for (const [name, there] of seen.channels) {
    const asked = ledger.channels[there.index];
    const known = facts.channels[there.index];
    if (asked === undefined || known === undefined) throw new Violation(`nobody created ${name}`);
    try {
      judgeChannel(there, known.options, known.records.epoch);
      judgeRecords({ ...there, nowMs: seen.nowMs }, asked.records.attempts, known.records, kind);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Violation(`${reason} (channel ${name.slice(-8)})`, { cause: error });
    }
  }
  judgeCommits(new Map([...seen.channels.values()].map((there) => [there.index, there])), facts);
}

/** What a channel says of itself has to fit what is in it. */
function judgeChannel(there: SeenLog, known: ReadonlySet<string>, epochBefore: number): void {
  const { says, found, report, firstSeq, nextSeq } = there;
  const { durableSeq, recoveryEpoch, count } = says;
  const options = optionsKey(says.options);
  if (!known.has(options)) {
    throw new Violation(`options ${options}, not ${[...known].join(' or ')}`);
  }
  const end = (found.at(-1)?.seq ?? -1) + 1;
  if (nextSeq < end) throw new Violation(`I3: nextSeq is ${nextSeq}, the records end at ${end}`);
  if (durableSeq > nextSeq) throw new Violation(`durableSeq ${durableSeq} above ${nextSeq}`);
  if (says.options.sync === 'always' && durableSeq !== nextSeq) {
    throw new Violation(`S4: opened with durableSeq ${durableSeq} of ${nextSeq}`);
  }
  // Retention may have gone on since.
  if (says.firstSeq === firstSeq && count !== found.length) {
    throw new Violation(`count is ${count}, there are ${found.length} records`);
  }
  const wasCut = report?.tornTail !== undefined;
  if (recoveryEpoch < epochBefore + (wasCut ? 1 : 0)) {
    throw new Violation(`C8: recovery epoch ${recoveryEpoch} after ${epochBefore}`);
  }
}

/** Throws a Violation when two looks differ in what nobody has changed. */
export function requireSame(before: SeenStore, now: SeenStore, rule: string): void {
  const [was, is] = [namesKey(namesOf(before)), namesKey(namesOf(now))];
  if (was !== is) throw new Violation(`${rule}: the names are ${is} instead of ${was}`);
  if (before.storeId !== now.storeId) throw new Violation(`${rule}: it is another store`);
  for (const [name, { found, nextSeq }] of before.channels) {
    const again = now.channels.get(name);
    if (again === undefined) throw new Violation(`${rule}: ${name} is gone`);
    // Retention by age may let go of more.
    const now2 = again.found;
    const skipped = found.length - now2.length;
    const isSuffix = skipped >= 0 && now2.every(({ id }, i) => found[skipped + i]?.id === id);
    const mayLose = again.firstSeq > (before.channels.get(name)?.firstSeq ?? 0);
    if (isSuffix && (skipped === 0 || mayLose) && again.nextSeq === nextSeq) continue;
    throw new Violation(`${rule}: records ${idsOf(now2)} instead of ${idsOf(found)} in ${name}`);
  }
}

/** The same without the records that `other` hides at the beginning of some channels. */
export function withoutFirst(
  seen: SeenStore,
  other: SeenStore,
  isConcerned: (log: SeenLog) => boolean = () => true,
): SeenStore {
  const channels = [...seen.channels].map(([name, there]): [string, SeenLog] => {
    const firstSeq = isConcerned(there) ? (other.channels.get(name)?.firstSeq ?? 0) : 0;
    return [name, { ...there, found: there.found.filter(({ seq }) => seq >= firstSeq) }];
  });
  return { ...seen, channels: new Map(channels) };
}

export function idsOf(found: readonly Found[]): string {
  return found.map(({ id, seq }) => `${seq}:${id}`).join();
}
