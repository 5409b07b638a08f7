/**
 * Opens an image of a crash of a store and checks all that has to hold of it: each channel is there
 * whole or not at all, what was acknowledged stays, a second open changes nothing, crashes of the
 * recovery lead to the same, and what an open has shown is durable (RULES N1, N3, S4).
 */
import { benign, worst, type Choose } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import { Violation, type CrashKind } from './crash-model.js';
import { changesState } from './crash-verify.js';
import { namesKey } from '../../src/crash-test/name-ledger.js';
import { type StoreLedger, type StoreModel } from './store-model.js';
import {
  CHANNELS,
  DIRECTORY,
  judgeStore,
  observe,
  requireLocked,
  requireReclaimed,
  requireSame,
  WORK_NAMES,
  type Observed,
  type ObserveSetting,
} from './store-observe.js';
import type { StoreStats } from './store-stats.js';

export interface StoreImageSetting extends ObserveSetting {
  readonly model: StoreModel;
  readonly stats: StoreStats;
}

export interface StoreImage {
  readonly fs: CrashFs;
  readonly ledger: StoreLedger;
  readonly kind: CrashKind;
  /** It is what a kill left: the page cache holds more than the disk. */
  readonly isKill: boolean;
  /** Where it was taken, for messages. */
  readonly place: string;
}

/** Crashes of one recovery that are followed up. */
const NESTED_IMAGES = 6;

/** Checks one image; `depth` says which of the dearer checks are made. */
export async function verifyStoreImage(
  image: StoreImage,
  setting: StoreImageSetting,
  depth: number,
  choose: Choose,
): Promise<void> {
  const { fs, kind, place } = image;
  const opened = fs.kill();
  try {
    await verify(image, opened, setting, depth, choose);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const log = opened.operations
      .filter(changesState)
      .map(({ operation, path, to }) => `${operation} ${path}${to === undefined ? '' : ` ${to}`}`);
    throw new Violation(`${reason} [${kind} ${place}]\nthe open did: ${log.join('; ')}`, {
      cause: error,
    });
  }
}

async function verify(
  image: StoreImage,
  opened: CrashFs,
  setting: StoreImageSetting,
  depth: number,
  choose: Choose,
): Promise<void> {
  const { ledger, kind, isKill } = image;
  count(image, setting.stats);
  const observed = await observe(opened, setting);
  judgeStore(observed, setting.model, ledger, kind);
  setting.stats.channels += observed.channels.size;
  // After a kill this is the point of the open; after a power cut all was durable before.
  if (isKill || depth % 4 === 0) await requireDurable(opened, observed, image, setting, choose);
  if (depth % 8 === 2) await requireLocked(opened, setting);
  if (depth % 8 === 5) return goOn(opened, observed, setting, choose);
  if (depth % 16 === 3) await crashRecovery(image, setting, choose, depth % 64 === 3 ? 2 : 1);
  await requireReclaimed(observed, opened);
  requireLockFile(opened);
  if (depth % 4 === 1) await closeAndOpen(opened, observed, image, setting);
}

function count({ fs, ledger, isKill }: StoreImage, stats: StoreStats): void {
  stats.images += 1;
  if (isKill) stats.killImages += 1;
  if (ledger.names.size > 1) stats.undecided += 1;
  if (fs.statSync(`${DIRECTORY}/redex.json`) === undefined) {
    stats.notCreated += 1;
    return;
  }
  const [inNew, inTrash, inRename] = WORK_NAMES.map((work) => {
    const path = `${CHANNELS}/${work}`;
    return fs.statSync(path) === undefined ? 0 : fs.readDirectorySync(path).length;
  });
  if (inNew) stats.leftInNew += 1;
  if (inTrash) stats.leftInTrash += 1;
  if (inRename) stats.leftInRename += 1;
}

/** S4: what an open has shown is there after the next power cut, whoever wrote it. */
async function requireDurable(
  fs: CrashFs,
  observed: Observed,
  { ledger }: StoreImage,
  setting: StoreImageSetting,
  choose: Choose,
): Promise<void> {
  for (const pick of [worst, choose]) {
    const again = await observe(fs.crash(pick), setting);
    requireSame(observed, again, 'S4');
    judgeStore(again, setting.model, ledger, 'power');
  }
}

/** N3: the lock file is made once and never moved or removed. */
function requireLockFile(fs: CrashFs): void {
  const lock = `${DIRECTORY}/LOCK`;
  const touched = fs.operations.some(
    ({ operation, path, to }) =>
      /^(?:rename|link|unlink|rmdir)/.test(operation) && (path === lock || to === lock),
  );
  if (touched) throw new Violation('N3: LOCK was replaced');
}

/** C6: after a close the next open changes nothing but who holds the lock. */
async function closeAndOpen(
  fs: CrashFs,
  observed: Observed,
  { isKill }: StoreImage,
  setting: StoreImageSetting,
): Promise<void> {
  await observed.redex.close();
  for (const [isCut, next] of [[false, fs.kill()] as const, [true, fs.crash(worst)] as const]) {
    const again = await observe(next, setting);
    requireSame(observed, again, 'C6');
    for (const [name, { channel, found }] of observed.channels) {
      const now = again.channels.get(name);
      const ids = (list: readonly { id: number }[] = []): string => list.map(({ id }) => id).join();
      if (ids(now?.found) !== ids(found)) throw new Violation(`C6: ${name} has other records`);
      // A configure that was under way at a kill may be undone by a power cut.
      const isOpen = isKill && isCut;
      if (!isOpen && JSON.stringify(now?.channel.options) !== JSON.stringify(channel.options)) {
        throw new Violation(`C6: ${name} has other options`);
      }
    }
    await again.redex.close();
    // A clean mark may be in the page cache only, of a process that was killed before its sync.
    if (isKill && isCut) continue;
    // No sync covers what was reclaimed: after a power cut it is reclaimed again.
    const reclaimed = isCut
      ? /channels\/\.(?:new|trash)\/|\/(?:config\.next|manifest\.tmp)$/
      : /^$/;
    const written = next.mutations.paths.filter(
      (path) => !path.endsWith('/LOCK.info') && !reclaimed.test(path),
    );
    if (written.length > 0) throw new Violation(`C6: a second open wrote ${written.join(', ')}`);
  }
}

/** Crashes at every change that an open makes; each must lead to something that may be. */
async function crashRecovery(
  image: StoreImage,
  setting: StoreImageSetting,
  choose: Choose,
  levels: number,
): Promise<void> {
  const cuts: StoreImage[] = [];
  const victim = image.fs.kill();
  victim.onOperation = (operation) => {
    if (!changesState(operation)) return;
    const place = `${image.place} / open ${operation.index} ${operation.operation}`;
    for (const pick of [choose, worst]) {
      cuts.push({ ...image, fs: victim.crash(pick), kind: 'power', isKill: false, place });
    }
    cuts.push({ ...image, fs: victim.kill(choose), isKill: true, place });
  };
  const first = await observe(victim, setting);
  await requireReclaimed(first, victim);
  victim.onOperation = undefined;
  const stride = Math.ceil(cuts.length / (levels > 1 ? 4 : NESTED_IMAGES));
  for (const cut of cuts.filter((_cut, index) => (index + setting.stats.images) % stride === 0)) {
    const fs = cut.fs.kill();
    const again = await observe(fs, setting);
    judgeStore(again, setting.model, image.ledger, cut.kind);
    if (cut.isKill) await requireDurable(fs, again, image, setting, choose);
    await requireReclaimed(again, fs);
    setting.stats.nested += 1;
    if (levels > 1) await crashRecovery(cut, setting, choose, levels - 1);
  }
}

/** The store goes on, and what it acknowledges now is there after the next power cut. */
async function goOn(
  fs: CrashFs,
  { redex, channels, names }: Observed,
  setting: StoreImageSetting,
  choose: Choose,
): Promise<void> {
  const expected = new Map(names);
  const lengths = new Map<string, number>();
  const [first, second, ...others] = [...channels.keys()];
  for (const [name, { channel, found }] of channels) {
    const durability = 'synced' as const;
    const seq = await channel.append(`after ${name}`, { durability, type: 60_000 });
    if (seq !== channel.firstSeq + (found.at(-1)?.seq ?? -1) + 1) {
      throw new Violation(`${name} goes on with seq ${seq}`);
    }
    lengths.set(name, found.length + 1);
  }
  const swap = async (from: string, to: string): Promise<void> => {
    await redex.renameChannel(from, to);
    expected.set(to, expected.get(from) ?? -1).delete(from);
    lengths.set(to, lengths.get(from) ?? -1).delete(from);
  };
  if (first !== undefined) await swap(first, 'third');
  if (first !== undefined && second !== undefined) await swap(second, first);
  if (second !== undefined) await swap('third', second);
  for (const name of others) {
    await redex.deleteChannel(name);
    expected.delete(name);
    lengths.delete(name);
  }
  for (const pick of [worst, choose, benign]) {
    const again = await observe(fs.crash(pick), setting);
    if (namesKey(again.names) !== namesKey(expected)) {
      throw new Violation(`N1: went on to ${namesKey(expected)}, found ${namesKey(again.names)}`);
    }
    for (const [name, { found }] of again.channels) {
      if (found.length !== lengths.get(name)) throw new Violation(`I1: ${name} lost a record`);
    }
  }
  setting.stats.wentOn += 1;
}
