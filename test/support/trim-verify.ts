/**
 * Opens an image of a crash of a channel that lets go of its beginning, and checks what has to
 * hold: acknowledged trims stay, what is kept is there, nothing below comes back, seqs go on, the
 * files below are swept, and a crash of the recovery changes none of that.
 */
import type { Channel } from '../../src/channel/channel.js';
import { choicesFromSeed, Random } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { inGroup } from '../../src/testing/operations.js';
import { payload, payloadId } from './channel-kit.js';
import { openChannelIn } from './open-channel.js';
import { basesOf } from './trim-kit.js';

export const DIRECTORY = '/data/log';

export interface TrimLedger {
  /** Ids of payloads below it were appended. */
  nextId: number;
  /** The id of the record that was acknowledged with a seq. */
  acked: Map<number, number>;
  /** Ids that were not there after a crash. */
  gone: Set<number>;
  /** Every record below it was said to be synced. */
  durableSeq: number;
  /** `firstSeq` was acknowledged to be at least this. */
  lower: number;
  /** What `firstSeq` may have been raised to. */
  candidates: Set<number>;
  /** A retention policy may raise it to other places. */
  readonly retains: boolean;
}

export interface TrimStats {
  images: number;
  killImages: number;
  nested: number;
  trims: number;
  faults: number;
  /** Images in which firstSeq lies inside of a segment. */
  midSegment: number;
  /** Images in which everything was let go. */
  emptied: number;
  /** Images with files that have to be swept. */
  leftovers: number;
  /** Images with another firstSeq than the one acknowledged. */
  inFlight: number;
  cutTails: number;
}

export function emptyTrimStats(): TrimStats {
  return {
    images: 0,
    killImages: 0,
    nested: 0,
    trims: 0,
    faults: 0,
    midSegment: 0,
    emptied: 0,
    leftovers: 0,
    inFlight: 0,
    cutTails: 0,
  };
}

export interface TrimImage {
  readonly ledger: TrimLedger;
  readonly kind: 'power' | 'kill';
  readonly place: string;
  readonly seed: number;
}

export interface FoundLog {
  readonly firstSeq: number;
  readonly nextSeq: number;
  readonly seqs: readonly number[];
  readonly ids: readonly number[];
}

/** Throws for an image that breaks a promise. */
export async function verifyTrimImage(
  fs: CrashFs,
  image: TrimImage,
  stats: TrimStats,
  depth = 0,
): Promise<FoundLog> {
  try {
    return await verify(fs, image, stats, depth);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${reason} [${image.kind}, ${image.place}]`, { cause: error });
  }
}

async function verify(
  fs: CrashFs,
  image: TrimImage,
  stats: TrimStats,
  depth: number,
): Promise<FoundLog> {
  const random = new Random(image.seed);
  const nested = depth < 2 && random.below(4) === 0 ? crashPoint(fs, random) : undefined;
  const before = basesOf(fs, 'dat', `${DIRECTORY}/v0000000001`);
  const runtime = new ManualRuntime({ seed: image.seed, ioOrder: 'immediate' });
  let damage: unknown;
  const channel = await openChannelIn(DIRECTORY, {
    fs,
    runtime,
    onRecovery: (report) => {
      damage = report.damage;
      if (report.tornTail !== undefined) stats.cutTails += 1;
    },
  });
  if (damage !== undefined) throw new Error(`a legal image is damaged: ${JSON.stringify(damage)}`);
  const found = await judge(channel, image, depth);
  await checkReads(channel, found, random);
  await goOn(channel, found);
  await runtime.settle();
  await channel.close();
  if (random.below(3) === 0) await checkSwept(fs, runtime);
  stats.images += 1;
  if (image.kind === 'kill') stats.killImages += 1;
  if (!before.includes(found.firstSeq) && found.firstSeq > 0) stats.midSegment += 1;
  if (found.seqs.length === 0 && found.nextSeq > 0) stats.emptied += 1;
  if (before.filter((base) => base <= found.firstSeq).length > 1) stats.leftovers += 1;
  if (found.firstSeq > image.ledger.lower) stats.inFlight += 1;
  if (nested?.image !== undefined) {
    stats.nested += 1;
    const candidates = new Set([...image.ledger.candidates, found.firstSeq]);
    const place = `${image.place}, then ${nested.place}`;
    const kind = nested.isKill ? image.kind : 'power';
    const ledger = { ...image.ledger, candidates };
    const next: TrimImage = { ledger, kind, place, seed: random.uint32() };
    const again = await verifyTrimImage(nested.image, next, stats, depth + 1);
    const isSame = image.kind === 'kill' || depth > 0 || again.nextSeq >= found.nextSeq;
    if (!isSame) throw new Error(`C6: nextSeq ${again.nextSeq} after ${found.nextSeq}`);
  }
  return found;
}

interface CrashPoint {
  image: CrashFs | undefined;
  isKill: boolean;
  place: string;
}

/** A crash at some operation of what comes next. */
function crashPoint(fs: CrashFs, random: Random): CrashPoint {
  const taken: CrashPoint = { image: undefined, isKill: false, place: '' };
  let left = random.below(24);
  fs.onOperation = ({ operation, path }) => {
    if (!inGroup(operation, 'anyMutation') && !inGroup(operation, 'anySync')) return;
    left -= 1;
    if (left !== 0) return;
    const choose = choicesFromSeed(random.uint32());
    taken.isKill = random.below(3) === 0;
    taken.image = taken.isKill ? fs.kill(choose) : fs.crash(choose);
    taken.place = `${operation} ${path}`;
  };
  return taken;
}

async function judge(channel: Channel, image: TrimImage, depth: number): Promise<FoundLog> {
  const { ledger, kind } = image;
  const { firstSeq } = channel;
  const records = await channel.readBatch({ from: firstSeq });
  const { nextSeq, count } = channel;
  if (firstSeq < ledger.lower) throw new Error(`firstSeq ${firstSeq} below ${ledger.lower}`);
  if (!ledger.retains && !ledger.candidates.has(firstSeq)) {
    throw new Error(`firstSeq ${firstSeq} is none of ${[...ledger.candidates].join()}`);
  }
  if (nextSeq < firstSeq || nextSeq < ledger.durableSeq) {
    throw new Error(`nextSeq ${nextSeq}, firstSeq ${firstSeq}, durable ${ledger.durableSeq}`);
  }
  if (count > records.length) throw new Error(`count ${count} of ${records.length}`);
  const ids: number[] = [];
  for (const [i, { seq, payload: bytes }] of records.entries()) {
    const id = payloadId(bytes);
    if (seq !== firstSeq + i) throw new Error(`seq ${seq} where ${firstSeq + i} was expected`);
    // What was appended by the check that was crashed.
    if (id !== undefined && id >= GOING_ON && depth > 0) break;
    if (id === undefined || id >= GOING_ON) throw new Error(`seq ${seq} has other bytes`);
    if (id >= ledger.nextId || ledger.gone.has(id)) throw new Error(`record ${id} is back`);
    const acked = ledger.acked.get(seq);
    if (acked !== undefined && acked !== id) throw new Error(`seq ${seq} is ${id}, not ${acked}`);
    ids.push(id);
  }
  for (const [seq, id] of ledger.acked) {
    const isPromised = seq < ledger.durableSeq || kind === 'kill';
    if (!isPromised || seq < firstSeq || seq < firstSeq + records.length) continue;
    throw new Error(`record ${id} (seq ${seq}) is gone; firstSeq ${firstSeq}, next ${nextSeq}`);
  }
  return { firstSeq, nextSeq, ids, seqs: records.map(({ seq }) => seq) };
}

/** Nobody sees what is below. */
async function checkReads(channel: Channel, found: FoundLog, random: Random): Promise<void> {
  const { firstSeq } = channel;
  if (firstSeq > 0) {
    const below = await channel.get(random.below(firstSeq)).then(
      () => 'a record',
      (error: { code?: string }) => error.code,
    );
    if (below !== 'OUT_OF_RANGE') throw new Error(`below firstSeq there is ${String(below)}`);
  }
  const first = await channel.seqAt(0);
  if (first < firstSeq) throw new Error(`seqAt(0) is ${first}, below ${firstSeq}`);
  const last = await channel.last(1000);
  if (last.length > found.seqs.length) throw new Error(`last finds ${last.length}`);
  const seq = found.seqs[random.below(found.seqs.length + 1)];
  if (seq === undefined || seq < channel.firstSeq) return;
  const record = await channel.get(seq);
  if (record?.seq !== seq) throw new Error(`get(${seq}) finds nothing`);
}

const GOING_ON = 1_000_000;

/** Seqs go on where they were, whatever was let go. */
async function goOn(channel: Channel, found: FoundLog): Promise<void> {
  const { firstSeq } = await channel.appendBatch([payload(GOING_ON), payload(GOING_ON + 1)]);
  if (firstSeq !== found.nextSeq) throw new Error(`C8: seq ${firstSeq}, not ${found.nextSeq}`);
  const record = await channel.get(firstSeq + 1);
  if (payloadId(record?.payload ?? new Uint8Array(0)) !== GOING_ON + 1) {
    throw new Error('what is appended afterwards is not found');
  }
}

/** What is wholly below firstSeq has gone from the disk, but for the last segment. */
async function checkSwept(fs: CrashFs, runtime: ManualRuntime): Promise<void> {
  const channel = await openChannelIn(DIRECTORY, { fs, runtime });
  await runtime.settle();
  const directory = `${DIRECTORY}/v0000000001`;
  const bases = basesOf(fs, 'dat', directory);
  const lost = bases.filter((_base, i) => (bases[i + 1] ?? Infinity) <= channel.firstSeq);
  if (lost.length > 0) throw new Error(`segments ${lost.join()} were not swept`);
  for (const kind of ['idx', 'ts'] as const) {
    const orphans = basesOf(fs, kind, directory).filter((base) => !bases.includes(base));
    if (orphans.length > 0) throw new Error(`${kind} of ${orphans.join()} was not swept`);
    const missing = bases
      .slice(0, -1)
      .filter((base) => !basesOf(fs, kind, directory).includes(base));
    if (missing.length > 0) throw new Error(`${kind} of ${missing.join()} is missing`);
  }
}
