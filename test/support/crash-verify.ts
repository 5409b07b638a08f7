/**
 * Opens an image of a crash and checks all that has to hold of it: that it opens, that nothing
 * acknowledged is missing and nothing else is there, that a second open writes nothing, that a
 * crash of the recovery itself leads to the same records, and that the log goes on.
 */
import { openChannelIn } from './open-channel.js';
import type { Channel } from '../../src/channel/channel.js';
import type { SyncPolicy } from '../../src/channel/options.js';
import type { RecoveryReport } from '../../src/channel/recovery-report.js';
import { benign, worst, type Choose } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { inGroup, type OperationRecord } from '../../src/testing/operations.js';
import {
  ACKED,
  foundOf,
  GONE,
  judge,
  rebased,
  Violation,
  type Attempt,
  type CrashKind,
  type Found,
  type Ledger,
} from './crash-model.js';
import type { CrashStats } from './crash-stats.js';

export const DIRECTORY = '/data/log';
const GENERATION: string = `${DIRECTORY}/v0000000001`;

export interface ImageSetting {
  readonly sync: SyncPolicy;
  readonly segmentBytes: number;
  readonly nowMs: number;
  readonly attempts: readonly Attempt[];
  readonly stats: CrashStats;
  /** For the nonces of all that is opened, the same in each run of a program. */
  readonly seeds: { next: number };
}

export interface Image {
  readonly fs: CrashFs;
  readonly ledger: Ledger;
  /** What must be there. */
  readonly kind: CrashKind;
  /** It is what a power cut left; after a kill the page cache holds more than the disk. */
  readonly allDurable: boolean;
  /** Where it was taken, for messages. */
  readonly place: string;
}

interface Opened {
  readonly channel: Channel;
  readonly found: readonly Found[];
  readonly report: RecoveryReport | undefined;
}

/** Crashes of one recovery that are followed up. */
const NESTED_IMAGES = 6;

async function openImage(fs: CrashFs, setting: ImageSetting): Promise<Opened> {
  const { sync, segmentBytes, nowMs } = setting;
  const seed = (setting.seeds.next += 1);
  const runtime = new ManualRuntime({ seed, startMs: nowMs, ioOrder: 'immediate' });
  let report: RecoveryReport | undefined;
  const onRecovery = (given: RecoveryReport): void => {
    report = given;
  };
  let channel: Channel;
  try {
    channel = await openChannelIn(DIRECTORY, { fs, runtime, sync, segmentBytes, onRecovery });
  } catch (error) {
    throw new Violation(`I11: the image does not open: ${String(error)}`, { cause: error });
  }
  if (report?.damage !== undefined) {
    throw new Violation(`I11: a legal image is called damaged: ${JSON.stringify(report.damage)}`);
  }
  const found = (await channel.readBatch()).map(foundOf);
  return { channel, found, report };
}

/** Checks one image; `depth` says how many of the dearer checks are made. */
export async function verifyImage(
  image: Image,
  setting: ImageSetting,
  depth: number,
  choose: Choose,
): Promise<void> {
  try {
    await verify(image, setting, depth, choose);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Violation(`${reason} [${image.kind} ${image.place}]`, { cause: error });
  }
}

async function verify(
  image: Image,
  setting: ImageSetting,
  depth: number,
  choose: Choose,
): Promise<void> {
  const { fs, ledger, kind } = image;
  const { attempts, stats } = setting;
  const before = fs.kill();
  if (fs.statSync(DIRECTORY) === undefined) stats.notCreated += 1;
  const opened = await openImage(fs, setting);
  const { channel, found, report } = opened;
  judge(found, attempts, ledger, kind);
  checkPromises(opened, ledger, setting);
  count(opened, image, setting);
  if (report?.tornTail !== undefined) checkKeptAside(fs, before.kill(), report);
  await checkLookups(channel, found, depth);
  await checkSecondOpen(fs, opened, setting);
  if (depth % 8 === 1) await appendAndCrash(image, opened, setting, choose);
  if (depth % 8 === 3) await closeAndOpen(opened, image, setting);
  if (depth % 8 === 5 || depth % 8 === 7) {
    const nested = { ...image, fs: before };
    await crashRecovery(nested, found, setting, choose, depth % 16 === 5 ? 2 : 1);
  }
  stats.images += 1;
}

function checkPromises(opened: Opened, ledger: Ledger, setting: ImageSetting): void {
  const { channel, found, report } = opened;
  const end = (found.at(-1)?.seq ?? -1) + 1;
  const { nextSeq, durableSeq, recoveryEpoch, count: records } = channel;
  if (nextSeq !== end) throw new Violation(`I3: nextSeq is ${nextSeq}, the records end at ${end}`);
  if (nextSeq < ledger.durableSeq) throw new Violation(`I1: nextSeq went back to ${nextSeq}`);
  if (durableSeq > nextSeq) throw new Violation(`durableSeq ${durableSeq} above ${nextSeq}`);
  if (setting.sync === 'always' && durableSeq !== nextSeq) {
    throw new Violation(`S4: opened with durableSeq ${durableSeq} of ${nextSeq}`);
  }
  if (records !== found.length) throw new Violation(`count ${records} of ${found.length}`);
  const wasCut = report?.tornTail !== undefined;
  if (recoveryEpoch < ledger.epoch + (wasCut ? 1 : 0)) {
    throw new Violation(`C8: recovery epoch ${recoveryEpoch} after ${ledger.epoch}`);
  }
}

function count(opened: Opened, { fs, kind, ledger }: Image, setting: ImageSetting): void {
  const { found, report } = opened;
  const { stats, attempts } = setting;
  if (kind === 'kill') stats.killImages += 1;
  if (report === undefined) stats.cleanOpens += 1;
  else stats.uncleanOpens += 1;
  const tail = report?.tornTail;
  if (tail !== undefined) {
    stats.tornTails += 1;
    if (!tail.mayHaveBeenAcknowledged) stats.certainTails += 1;
    if (tail.regions.some(({ position }) => position === 0)) stats.droppedSegments += 1;
    if (tail.regions.some(({ keptAside }) => keptAside !== undefined)) stats.keptAside += 1;
  }
  const names = fs.readDirectorySync(GENERATION).map(({ name }) => name);
  if (names.filter((name) => name.endsWith('.dat')).length > 1) stats.imagesWithRoll += 1;
  const asked = found.map(({ id }) => attempts[id - 1]);
  if (asked.some((attempt) => (attempt?.batchSize ?? 0) > 1)) stats.imagesWithBatch += 1;
  if (asked.some((attempt) => attempt?.explicitSeq !== undefined)) stats.imagesWithSkip += 1;
  if (ledger.states.length > found.length) stats.lostRecords += 1;
  const rewrites = fs.operations.some(
    ({ operation, path }) => operation === 'write' && path.endsWith('.dat'),
  );
  if (rewrites) stats.inheritedRewritten += 1;
}

/** C5: what was cut is in a file of its own, unless it was nothing but zeros. */
function checkKeptAside(fs: CrashFs, before: CrashFs, report: RecoveryReport): void {
  for (const { path, position, byteLength, keptAside } of report.tornTail?.regions ?? []) {
    const cut = bytesAt(before, path, position, byteLength);
    if (keptAside === undefined) {
      if (cut.some((byte) => byte !== 0)) throw new Violation(`C5: ${path} was not kept aside`);
      continue;
    }
    const kept = bytesAt(fs, keptAside, 0, byteLength + 1);
    if (Buffer.compare(kept, cut) !== 0) throw new Violation(`C5: ${keptAside} has other bytes`);
  }
}

function bytesAt(fs: CrashFs, path: string, position: number, length: number): Uint8Array {
  const file = fs.openSync(path, 'read');
  const bytes = new Uint8Array(length);
  const filled = file.readSync(bytes, 0, length, position);
  file.closeSync();
  return bytes.subarray(0, filled);
}

/** Whatever the derived files were left as, they lead to the same records. */
async function checkLookups(
  channel: Channel,
  found: readonly Found[],
  depth: number,
): Promise<void> {
  if (found.length === 0) return;
  const chosen = found[depth % found.length] as Found;
  const record = await channel.get(chosen.seq);
  if (record === undefined) throw new Violation(`get(${chosen.seq}) finds nothing`);
  if (Buffer.compare(record.payload, chosen.payload) !== 0) {
    throw new Violation(`get(${chosen.seq}) has other bytes`);
  }
  const seq = await channel.seqAt(chosen.timestamp);
  const first = found.find(({ timestamp }) => timestamp >= chosen.timestamp);
  if (seq !== first?.seq) throw new Violation(`seqAt(${chosen.timestamp}) is ${seq}`);
  const [last] = await channel.last(1);
  if (last?.seq !== found.at(-1)?.seq) throw new Violation(`last(1) is ${last?.seq}`);
}

function sameRecords(a: readonly Found[], b: readonly Found[], rule: string): void {
  const ids = (list: readonly Found[]): string => list.map(({ id, seq }) => `${seq}:${id}`).join();
  if (ids(a) !== ids(b)) throw new Violation(`${rule}: records ${ids(b)} instead of ${ids(a)}`);
}

/**
 * What was changed but derived files: these are not synced, and a cut before makes a segment whose
 * ones nobody had looked at the last one.
 */
function writtenFiles(fs: CrashFs): string[] {
  return fs.mutations.paths.filter((path) => !/\.(idx|ts)(\.tmp)?$/.test(path));
}

/** C6: the next process finds the same and writes nothing. */
async function checkSecondOpen(
  fs: CrashFs,
  first: Opened,
  setting: ImageSetting,
): Promise<CrashFs> {
  const second = fs.kill();
  const again = await openImage(second, setting);
  sameRecords(first.found, again.found, 'I6');
  if (again.channel.recoveryEpoch !== first.channel.recoveryEpoch) {
    throw new Violation('C6: the second open raised the recovery epoch');
  }
  const written = writtenFiles(second);
  if (written.length > 0) throw new Violation(`C6: the second open wrote ${written.join(', ')}`);
  return second;
}

/** I5 and I11: the log goes on, and what is synced now is there after the next crash. */
async function appendAndCrash(
  image: Image,
  opened: Opened,
  setting: ImageSetting,
  choose: Choose,
): Promise<void> {
  const { channel, found } = opened;
  const { nextSeq, durableSeq } = channel;
  const attempts = [...setting.attempts];
  const added = [33, 5000].map((size): Attempt => {
    const id = attempts.length + 1;
    const payload = new Uint8Array(size).fill(id);
    const attempt: Attempt = {
      id,
      batch: id,
      batchSize: 1,
      type: id,
      payload,
      timeMs: setting.nowMs,
      timed: true,
      explicitSeq: undefined,
    };
    attempts.push(attempt);
    return attempt;
  });
  const after = rebased(image.ledger, found, durableSeq);
  const states = new Uint8Array(attempts.length);
  states.set(after.states.subarray(0, after.states.length));
  // Attempts of the run that were made after the image stay unknown to it: nothing of them is here.
  states.fill(GONE, after.states.length, setting.attempts.length);
  const seqs = new Float64Array(attempts.length);
  seqs.set(after.seqs);
  const durable = new Uint8Array(attempts.length);
  durable.set(after.durable);
  for (const [index, { id, payload, type, timeMs }] of added.entries()) {
    const options = { type, timestamp: timeMs, durability: 'synced' as const };
    const seq = await channel.append(payload, options);
    if (seq !== nextSeq + index) throw new Violation(`I11: appended as ${seq}, not ${nextSeq}`);
    states[id - 1] = ACKED;
    seqs[id - 1] = seq;
    durable[id - 1] = 1;
  }
  const ledger: Ledger = {
    states,
    seqs,
    durable,
    durableSeq: channel.durableSeq,
    epoch: channel.recoveryEpoch,
  };
  if (channel.durableSeq < nextSeq + added.length) throw new Violation('I11: not synced');
  const picks = [worst, choose, benign];
  for (const pick of picks) {
    const cut = image.fs.crash(pick);
    const again = await openImage(cut, { ...setting, attempts });
    judge(again.found, attempts, ledger, 'power');
  }
  setting.stats.appendedAfter += 1;
}

/** C7: after a close the next open believes the clean mark and finds the same. */
async function closeAndOpen(
  opened: Opened,
  { fs, allDurable }: Image,
  setting: ImageSetting,
): Promise<void> {
  await opened.channel.close();
  const cut = fs.crash(worst);
  const again = await openImage(cut, setting);
  sameRecords(opened.found, again.found, 'C7');
  // A clean mark may be in the page cache only, of a process that was killed before its sync.
  if (!allDurable) return;
  if (again.report !== undefined && opened.found.length > 0) {
    throw new Violation('C7: a closed channel was scanned');
  }
  const written = writtenFiles(cut);
  if (written.length > 0) throw new Violation(`C7: a clean open wrote ${written.join(', ')}`);
}

/** I6: crashes at every change that a recovery makes; each must lead to the same records. */
async function crashRecovery(
  image: Image,
  expected: readonly Found[],
  setting: ImageSetting,
  choose: Choose,
  levels: number,
): Promise<void> {
  const cuts: { fs: CrashFs; place: string }[] = [];
  const victim = image.fs.kill();
  victim.onOperation = (operation) => {
    if (!changesState(operation)) return;
    const place = `${image.place} / recovery ${operation.index} ${operation.operation}`;
    for (const pick of [choose, worst]) cuts.push({ fs: victim.crash(pick), place });
  };
  await openImage(victim, setting);
  victim.onOperation = undefined;
  const stride = Math.ceil(cuts.length / (levels > 1 ? 4 : NESTED_IMAGES));
  for (const { fs, place } of cuts.filter((_cut, index) => index % stride === 0)) {
    const before = levels > 1 ? fs.kill() : undefined;
    const again = await openImage(fs, setting);
    judge(again.found, setting.attempts, image.ledger, 'power');
    checkPromises(again, image.ledger, setting);
    // Where everything was durable the second recovery has no way to differ.
    if (image.allDurable) sameRecords(expected, again.found, 'I6');
    await checkSecondOpen(fs, again, setting);
    setting.stats.nested += 1;
    if (before === undefined) continue;
    const deeper: Image = { ...image, fs: before, kind: 'power', allDurable: true, place };
    await crashRecovery(deeper, again.found, setting, choose, levels - 1);
  }
}

/** Operations before and after which an image can differ. */
export function changesState({ operation }: OperationRecord): boolean {
  return inGroup(operation, 'anyMutation') || inGroup(operation, 'anySync');
}
