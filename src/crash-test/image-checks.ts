/**
 * Checks an image: it opens to what the ledger allows, a second open finds the same and writes
 * nothing, and by turns one of the dearer things: going on and crashing again, closing, crashing
 * the recovery, folding, looking without a lock.
 */
import { RedexError } from '../core/errors.js';
import { microtasksDone } from '../core/runtime.js';
import { CHANNELS_NAME, RENAME_NAME } from '../format/file-name.js';
import { Redex } from '../store/redex.js';
import { benign, worst, type Choose } from '../testing/choices.js';
import type { CrashFs } from '../testing/crash-fs.js';
import { ManualRuntime } from '../testing/manual-runtime.js';
import { judgeCommits, type FoundPart } from './commit-judge.js';
import type { CheckSetting } from './check-setting.js';
import type { Counters } from './counters.js';
import type { Image } from './image.js';
import { imageKey } from './image-key.js';
import {
  DIRECTORY,
  foundBy,
  idsOf,
  judgeLook,
  look,
  requireSame,
  withoutFirst,
  type Look,
  type SeenStore,
} from './look.js';
import { countJournal } from './journal-count.js';
import { hasCut, judgeCuts, RecoveryCuts, requireKept } from './recovery-crashes.js';
import { foundOf, payloadOf } from './record-ledger.js';
import { judgeSeen, seenFold } from './seen-fold.js';
import { Violation } from './violation.js';
import { writtenFiles } from './written-files.js';

/** Throws a Violation when the image breaks a promise. `turn` chooses the dearer checks. */
export async function checkImage(
  image: Image,
  setting: CheckSetting,
  turn: number,
  choose: Choose,
): Promise<void> {
  try {
    const { fs, seen, place, operation } = image;
    if (seen !== undefined) setting.keeper?.onImage({ fs, seen, place, operation });
    await check(image, setting, turn, choose);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Violation(`${reason} [${image.kind}, ${image.place}]`, { cause: error });
  }
}

async function check(
  image: Image,
  setting: CheckSetting,
  turn: number,
  choose: Choose,
): Promise<void> {
  const { fs, facts, kind, place } = image;
  const { counters, ledger, known } = setting;
  const deeper = turn % 8;
  const key = imageKey(fs);
  if (known.addImage(key)) counters.distinct += 1;
  const same = known.find(key, 1);
  // The same bytes again, and something else was known of them. What is drawn anew goes on.
  if (same !== undefined && deeper !== 1 && deeper !== 5) {
    judgeLook(same, ledger, facts, kind);
    counters.images += 1;
    counters.repeated += 1;
    return;
  }
  if (deeper === 2) await lookOnly(fs.kill(), image, setting);
  countJournal(image, counters);
  const cuts = deeper === 5 ? new RecoveryCuts(fs, place, choose) : undefined;
  const seen = await look(fs, setting, 1);
  cuts?.stop();
  known.add(key, 1, foundBy(seen));
  judgeLook(seen, ledger, facts, kind);
  count(seen, image, counters);
  await lookUp(seen, turn);
  if (deeper === 4) await verifyAll(await lookAgain(seen, setting), counters);
  else if (deeper === 7) await foldUp(await lookAgain(seen, setting), image, setting);
  else await lookOnceMore(seen, setting);
  if (image.isDurable && hasCut(seen)) requireKept(seen, fs.crash(worst), undefined);
  if (deeper === 1) await goOn(seen, image, setting, choose);
  else if (deeper === 3) await closeAndLook(seen, image, setting);
  else if (cuts !== undefined) {
    await judgeCuts(cuts.stop(), seen, image, setting, choose, turn % 32 === 5 ? 2 : 1);
  }
}

function count({ fs, channels }: Look, { kind, facts }: Image, counters: Counters): void {
  counters.images += 1;
  counters.opens += 1;
  counters.openOperations += fs.operations.length;
  if (kind === 'kill') counters.killImages += 1;
  if (facts.storeId === undefined) counters.noStore += 1;
  let records = 0;
  for (const { found, report, index, firstSeq, channel } of channels.values()) {
    records += found.length;
    const known = facts.channels[index]?.records;
    const tail = report?.tornTail;
    if (tail !== undefined) {
      counters.tornTails += 1;
      if (!tail.mayHaveBeenAcknowledged) counters.certainTails += 1;
      if (tail.regions.some(({ keptAside }) => keptAside !== undefined)) counters.keptAside += 1;
    }
    if (known === undefined) continue;
    if (known.states.length > found.length) counters.lostRecords += 1;
    if (firstSeq > known.beginsAt) counters.imagesTrimmed += 1;
    const span = (found.at(-1)?.seq ?? -1) - (found[0]?.seq ?? 0) + 1;
    if (found.length > 0 && span > found.length) counters.imagesWithHole += 1;
    if (channel.sizeBytes > channel.options.segmentBytes) counters.imagesWithRoll += 1;
  }
  counters.records += records;
  if (channels.size > 1 && records >= 20) counters.wholeImages += 1;
}

/** Whatever the derived files were left as, they lead to the same records. */
async function lookUp({ channels }: Look, turn: number): Promise<void> {
  for (const { channel, found } of channels.values()) {
    const chosen = found[turn % Math.max(1, found.length)];
    if (chosen === undefined || chosen.seq < channel.firstSeq) continue;
    const record = await channel.get(chosen.seq);
    if (record === undefined || Buffer.compare(record.payload, chosen.payload) !== 0) {
      throw new Violation(`get(${chosen.seq}) finds something else`);
    }
    if (turn % 4 !== 0) continue;
    // Retention by age may let go of something meanwhile.
    const later = found.filter(({ timestamp }) => timestamp >= chosen.timestamp);
    const before = later.find((one) => one.seq >= channel.firstSeq)?.seq ?? channel.nextSeq;
    const seq = await channel.seqAt(chosen.timestamp);
    const after = later.find((one) => one.seq >= channel.firstSeq)?.seq ?? channel.nextSeq;
    if (seq !== before && seq !== after) {
      throw new Violation(`seqAt(${chosen.timestamp}) is ${seq}, not ${before}`);
    }
    const [last] = await channel.last(1);
    const end = found.at(-1)?.seq;
    // Retention by age may let go of everything meanwhile.
    if (last?.seq !== end && (last !== undefined || (end ?? 0) >= channel.firstSeq)) {
      throw new Violation(`last(1) is ${last?.seq}, not ${end}`);
    }
  }
}

/** C6: the next process finds the same and writes nothing. */
async function lookAgain(seen: Look, setting: CheckSetting): Promise<Look> {
  // What the first one reclaims in the background is not a part of its open.
  await microtasksDone();
  const again = await look(seen.fs.kill(), setting, 2);
  setting.counters.opens += 1;
  judgeAgain(seen, again, writtenFiles(again));
  return again;
}

/** The same, unless it is known of another image that led to the same bytes. */
async function lookOnceMore(seen: Look, setting: CheckSetting): Promise<void> {
  await microtasksDone();
  const again = await setting.known.look(seen.fs.kill(), setting, 2);
  if (again.isNew) setting.counters.opens += 1;
  else setting.counters.sameAfter += 1;
  judgeAgain(seen, again.seen, again.written);
}

function judgeAgain(seen: Look, again: SeenStore, written: readonly string[]): void {
  requireSame(seen, again, 'I6');
  for (const [name, { says }] of again.channels) {
    if (says.recoveryEpoch === seen.channels.get(name)?.says.recoveryEpoch) continue;
    throw new Violation('C6: the second open raised the recovery epoch');
  }
  if (written.length > 0) throw new Violation(`C6: the second open wrote ${written.join(', ')}`);
}

/** I5 and I11: each log goes on, and what is synced now is there after the next crash. */
async function goOn(
  seen: Look,
  { fs, isDurable }: Image,
  setting: CheckSetting,
  choose: Choose,
): Promise<void> {
  const added = new Map<string, { seq: number; size: number }[]>();
  for (const [name, { channel, nextSeq }] of seen.channels) {
    const records: { seq: number; size: number }[] = [];
    for (const size of [33, 5000]) {
      const payload = payloadOf(1 + size, size);
      const seq = await channel.append(payload, { durability: 'synced' });
      if (seq !== nextSeq + records.length) throw new Violation(`I11: appended as ${seq}`);
      records.push({ seq, size });
    }
    if (channel.durableSeq < nextSeq + 2) throw new Violation('I11: not synced');
    added.set(name, records);
  }
  for (const pick of [worst, choose, benign]) {
    const { seen: cut } = await setting.known.look(fs.crash(pick), setting, 2);
    // A trim of the process that was killed may be taken back: nobody was told that it is done.
    const again = isDurable ? cut : withoutFirst(cut, seen);
    for (const [name, records] of added) {
      const there = again.channels.get(name);
      for (const { seq, size } of records) {
        const record = there?.found.find((found) => found.seq === seq);
        const isSame = Buffer.compare(
          record?.payload ?? payloadOf(1, 1),
          payloadOf(1 + size, size),
        );
        const isHidden = seq < (there?.firstSeq ?? 0);
        if (isSame !== 0 && !isHidden) throw new Violation(`I1: seq ${seq} was synced and is gone`);
      }
      requireOnly(seen, again, name, records.length);
    }
  }
  setting.counters.appendedAfter += 1;
}

/** What was there is there, and nothing but what was appended has come to it. */
function requireOnly(before: Look, now: SeenStore, name: string, added: number): void {
  const was = before.channels.get(name);
  const is = now.channels.get(name);
  if (was === undefined || is === undefined) throw new Violation(`I11: ${name} is gone`);
  const kept = was.found.filter(({ seq }) => seq >= is.firstSeq);
  const rest = is.found.slice(0, kept.length);
  const isSame = kept.every(({ id }, index) => rest[index]?.id === id);
  if (isSame && is.nextSeq === was.nextSeq + added) return;
  const told = `${idsOf(is.found)} up to ${is.nextSeq} instead of ${idsOf(was.found)} and ${added}`;
  throw new Violation(`I11: after another crash ${name} has ${told}`);
}

/** C7: after a close the next open believes the clean mark and finds the same. */
async function closeAndLook(
  seen: Look,
  { fs, isDurable }: Image,
  setting: CheckSetting,
): Promise<void> {
  await seen.redex.close();
  const again = await look(fs.crash(worst), setting, 2);
  setting.counters.closedAfter += 1;
  // A manifest or clean mark may be in the page cache only, of a process that was killed before its
  // sync: what a trim has hidden may be there again, but nothing that was there may be missing.
  if (!isDurable) return requireSame(seen, withoutFirst(again, seen), 'C7');
  requireSame(seen, again, 'C7');
  for (const [name, { report, found }] of again.channels) {
    if (report === undefined || found.length === 0) continue;
    throw new Violation(`C7: ${name} was closed and is scanned`);
  }
  // Names that were removed may be there again: removing them is not synced.
  const { mutations } = seen.fs;
  if (mutations.of('unlink') + mutations.of('unlinkSync') + mutations.of('rmdirSync') > 0) return;
  const written = writtenFiles(again);
  if (written.length > 0) throw new Violation(`C7: a clean open wrote ${written.join(', ')}`);
}

/** N5: a fold goes on from its checkpoint, or begins anew where all of the history is there. */
async function foldUp(seen: Look, { facts }: Image, setting: CheckSetting): Promise<void> {
  const { counters } = setting;
  for (const [name, there] of seen.channels) {
    const records = facts.channels[there.index]?.records;
    if (records === undefined) continue;
    try {
      const fold = await there.channel.fold(seenFold(records.beginsAt));
      await fold.caughtUp();
      if (fold.seq < there.nextSeq) throw new Violation(`fold: at ${fold.seq}, not at the end`);
      judgeSeen(fold.value, fold.seq, there, records);
      if (there.firstSeq > records.beginsAt) counters.foldsRestored += 1;
      else counters.foldsAfter += 1;
    } catch (error) {
      if (!RedexError.is(error, 'OUT_OF_RANGE')) throw error;
      if (there.firstSeq <= Math.max(records.beginsAt, records.foldedTo)) {
        throw new Violation(`N5: ${name} has what the fold needs: ${String(error)}`);
      }
      counters.foldsRefused += 1;
    }
  }
}

async function verifyAll({ channels }: Look, counters: Counters): Promise<void> {
  for (const [name, { channel }] of channels) {
    const { problems } = await channel.verify();
    const problem = problems.find(({ severity }) => severity === 'damage');
    if (problem !== undefined) {
      throw new Violation(`verify of ${name}: ${JSON.stringify(problem)}`);
    }
    counters.verified += 1;
  }
}

function isRenaming(fs: CrashFs): boolean {
  const directory = `${DIRECTORY}/${CHANNELS_NAME}/${RENAME_NAME}`;
  return fs.statSync(directory) !== undefined && fs.readDirectorySync(directory).length > 0;
}

/** I13: a look without a lock changes nothing, whatever it finds. */
async function lookOnly(fs: CrashFs, { facts }: Image, setting: CheckSetting): Promise<void> {
  setting.keeper?.onLook(fs);
  const before = fs.mutations.total;
  const runtime = new ManualRuntime({ startMs: setting.nowMs, ioOrder: 'immediate' });
  try {
    const redex = await Redex.open(DIRECTORY, { fs, runtime, readOnly: true });
    const seen = new Map<number, FoundPart>();
    for await (const info of redex.channels()) {
      if (info.error !== undefined) throw new Violation(`I11: read-only: ${String(info.error)}`);
      const channel = await redex.channel(info.name, { createIfMissing: false });
      const records = await channel.readBatch({ from: channel.firstSeq });
      if (records.length !== info.count) {
        throw new Violation(`${info.name} is listed with ${info.count} of ${records.length}`);
      }
      const { firstSeq, nextSeq } = channel;
      const { index } = setting.ledger.channelAt(nextSeq);
      seen.set(index, { firstSeq, found: records.map(foundOf) });
    }
    // Who only reads sees neither name of what is on its way from one to the other.
    if (!isRenaming(fs)) judgeCommits(seen, facts);
    await redex.close();
  } catch (error) {
    // A store that is only half made.
    if (!RedexError.is(error, 'NOT_FOUND')) throw error;
  }
  if (fs.mutations.total !== before) {
    throw new Violation(`I13: a look has changed ${fs.mutations.paths.join(', ')}`);
  }
  setting.counters.readOnlyLooks += 1;
}
