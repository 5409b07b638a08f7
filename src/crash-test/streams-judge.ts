/**
 * Opens what a crash has left and compares it with what may be there: messages, closes, producers,
 * Stream-Seq, references and counted bytes.
 */
import { RedexError } from '../core/errors.js';
import { Redex } from '../store/redex.js';
import type { AppendResult } from '../streams/stream-appends.js';
import { StreamStore } from '../streams/stream-store.js';
import { Random } from '../testing/choices.js';
import type { CrashFs } from '../testing/crash-fs.js';
import { ManualRuntime } from '../testing/manual-runtime.js';
import { changesState } from './image.js';
import { NO_STREAM, ownBytes, type Possible, type StreamSight } from './streams-model.js';
import { MAX_TOTAL_BYTES, PRODUCERS, streamSeqOf } from './streams-workload.js';
import { Violation } from './violation.js';

/** What is done with an image beside opening it and comparing. */
export type StreamsDepth =
  /** Nothing. */
  | 'open'
  /** The streams, and then the store, are closed and opened again: they are the same. */
  | 'again'
  /** The opening is crashed, and what that leaves is judged, too. */
  | 'nested';

export interface StreamsImage {
  readonly fs: CrashFs;
  readonly depth: StreamsDepth;
  readonly possible: Possible;
  readonly nowMs: number;
  readonly where: string;
}

/**
 * Judges the image. Resolves with what another crash has left while it was opened and looked at, if
 * there was one. Rejects with a Violation.
 */
export async function judgeStreams(image: StreamsImage): Promise<StreamsImage | undefined> {
  const random = new Random(seedOf(image.where));
  const { fs, depth, where } = image;
  let left: CrashFs | undefined;
  if (depth === 'nested') {
    let operations = random.below(RECOVERY_OPERATIONS);
    fs.onOperation = (operation) => {
      if (changesState(operation) && operations-- === 0) left = fs.crash((n) => random.below(n));
    };
  }
  try {
    await judgeImage(image, random.uint32());
  } catch (error) {
    throw new Violation(`${where}: ${String(error)}`, { cause: error });
  }
  fs.onOperation = undefined;
  if (left === undefined) return undefined;
  return { ...image, fs: left, depth: 'open', where: `${where}, and again in recovery` };
}

/** Operations among which the second crash is, if there are so many. */
const RECOVERY_OPERATIONS = 60;

/** From where the crash was: the same image has the same second crash. */
function seedOf(where: string): number {
  return Buffer.from(where).reduce((seed, byte) => Math.imul(seed, 31) + byte, 0);
}

/**
 * What was opened is left as it is unless it is opened again: nothing of it is outside the memory.
 * The seed is for the names of files, of which no two processes draw the same.
 */
async function judgeImage(
  { fs, possible, nowMs, depth }: StreamsImage,
  seed: number,
): Promise<void> {
  const runtime = new ManualRuntime({ startMs: nowMs, ioOrder: 'immediate', seed });
  const redex = await Redex.open('/data', { fs, runtime });
  const { streams, found } = await judgeOnce(redex, runtime, possible, nowMs);
  if (depth !== 'again') return;
  await streams.close();
  // What was found once stays, whether what was counted was written down or not.
  const second = await judgeOnce(redex, runtime, asPossible(found), nowMs);
  await second.streams.close();
  await redex.close();
  const again = await Redex.open('/data', { fs, runtime });
  await judgeOnce(again, runtime, asPossible(second.found), nowMs);
}

type Found = ReadonlyMap<string, StreamSight>;

const asPossible = (found: Found): Possible =>
  new Map([...found].map(([name, sight]) => [name, [sight]]));

async function judgeOnce(
  redex: Redex,
  runtime: ManualRuntime,
  possible: Possible,
  nowMs: number,
): Promise<{ readonly streams: StreamStore; readonly found: Found }> {
  const streams = await StreamStore.open(redex, { maxTotalBytes: MAX_TOTAL_BYTES, runtime });
  const found = new Map<string, StreamSight>();
  for (const [name, sights] of possible) {
    const mayBeSwept = isSwept(possible, name, nowMs);
    found.set(name, await matching(streams, name, sights, { nowMs, mayBeSwept }));
  }
  await judgeWhole(redex, streams, found);
  return { streams, found };
}

/** Whether a tombstone may go at the open, with a fork that has expired. */
function isSwept(possible: Possible, name: string, nowMs: number): boolean {
  return [...possible].some(([fork, sights]) =>
    sights.some(({ status, source, expiresAt = Infinity }) => {
      if (source !== name) return false;
      return status === 'gone' ? isSwept(possible, fork, nowMs) : nowMs >= expiresAt;
    }),
  );
}

/** The state that the stream is in. An expired one that is listed has been removed at the open. */
async function matching(
  streams: StreamStore,
  name: string,
  sights: readonly StreamSight[],
  { nowMs, mayBeSwept }: { readonly nowMs: number; readonly mayBeSwept: boolean },
): Promise<StreamSight> {
  const { status, messages, closed } = await look(streams, name);
  const memory = status === 'live' ? await memoryOf(streams, name, closed) : undefined;
  const isSame = (sight: StreamSight): boolean =>
    sight.status === status &&
    (status !== 'live' || (sight.closed === closed && sameTexts(sight.messages, messages)));
  for (const sight of sights) {
    if (isSame(sight) && (memory === undefined || isRemembered(sight, memory))) return sight;
    const { expiresAt = Infinity } = sight;
    if (sight.status === 'gone' && status === 'none' && mayBeSwept) return NO_STREAM;
    const hasExpired = sight.status === 'live' && nowMs >= expiresAt;
    if (hasExpired && status === 'none') return NO_STREAM;
    if (hasExpired && status === 'gone') return { ...sight, status };
  }
  const seen = JSON.stringify({ status, closed, messages: messages.map(shortened), ...memory });
  const expected = sights.map((sight) => {
    const texts = sight.messages.map(shortened).join('; ');
    const { producers, streamSeq } = sight;
    return `${sight.status} ${sight.closed} ${texts} ${JSON.stringify({ producers, streamSeq })}`;
  });
  throw new Violation(`stream ${name} is ${seen}, not one of ${JSON.stringify(expected)}`);
}

const shortened = (text: string): string => text.slice(0, 6).trim();

const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, i) => text === b[i]);

async function look(
  streams: StreamStore,
  name: string,
): Promise<Pick<StreamSight, 'status' | 'messages' | 'closed'>> {
  try {
    const { messages, closed, atTail } = await streams.read(name);
    if (!atTail) throw new Violation(`a page of stream ${name} ends too early`);
    return {
      status: 'live',
      messages: messages.map((each) => Buffer.from(each).toString()),
      closed,
    };
  } catch (error) {
    if (RedexError.is(error, 'NOT_FOUND')) return { status: 'none', messages: [], closed: false };
    if (RedexError.is(error, 'STREAM_GONE')) return { status: 'gone', messages: [], closed: false };
    throw error;
  }
}

/** What a stream remembers beside its messages. */
type Memory = Pick<StreamSight, 'producers' | 'streamSeq'>;

/** Asked for by appends that are refused whatever the stream remembers: nothing changes by it. */
async function memoryOf(streams: StreamStore, name: string, closed: boolean): Promise<Memory> {
  const producers: Record<string, number> = {};
  for (const id of PRODUCERS) {
    const seq = closed ? 0 : FAR_SEQ;
    const answer = await answerTo(
      streams.append(name, 'probe', { producer: { id, epoch: 0, seq } }),
    );
    const known = lastSeqIn(answer);
    if (known !== undefined && known >= 0) producers[id] = known;
  }
  // Nobody can say of a closed stream what Stream-Seq it has had.
  if (closed) return { producers, streamSeq: 0 };
  const tooMuch = 'x'.repeat(2 * MAX_TOTAL_BYTES);
  const answer = await answerTo(streams.append(name, tooMuch, { streamSeq: streamSeqOf(0) }));
  const last = RedexError.is(answer, 'SEQ_CONFLICT') ? answer.lastStreamSeq : undefined;
  return { producers, streamSeq: Number(last ?? 0) };
}

/** What an answer says of the last seq of a producer; below 0 for none. */
function lastSeqIn(answer: AppendResult | RedexError): number | undefined {
  if (RedexError.is(answer, 'PRODUCER_GAP')) return answer.expectedSeq - 1;
  return RedexError.is(answer) ? undefined : answer.producer?.seq;
}

/** No producer gets so far. */
const FAR_SEQ = 1_000_000;

async function answerTo(append: Promise<AppendResult>): Promise<AppendResult | RedexError> {
  try {
    return await append;
  } catch (error) {
    if (RedexError.is(error)) return error;
    throw error;
  }
}

/** Whether producers and Stream-Seq are neither ahead of the messages nor behind. */
function isRemembered({ closed, producers, streamSeq }: StreamSight, memory: Memory): boolean {
  const ids = Object.keys(producers);
  if (ids.length !== Object.keys(memory.producers).length) return false;
  if (ids.some((id) => producers[id] !== memory.producers[id])) return false;
  return closed || streamSeq === memory.streamSeq;
}

/** References, channels and counted bytes fit what was found. */
async function judgeWhole(redex: Redex, streams: StreamStore, found: Found): Promise<void> {
  const there = [...found].filter(([, { status }]) => status !== 'none');
  const gone = there.filter(([, { status }]) => status === 'gone');
  for (const [name] of gone) {
    if (there.some(([, { source }]) => source === name)) continue;
    throw new Violation(`stream ${name} is kept for forks that are gone`);
  }
  const stats = await streams.stats();
  const bytes = there.reduce((sum, [, sight]) => sum + ownBytes(sight), 0);
  if (stats.totalBytes !== bytes) {
    throw new Violation(`${stats.totalBytes} bytes are counted, ${bytes} are there`);
  }
  let channels = 0;
  for await (const { name, error } of redex.channels({ prefix: '$streams/' })) {
    if (error !== undefined) throw new Violation(`channel ${name} is damaged`, { cause: error });
    channels++;
  }
  const entries = stats.streams + stats.tombstones;
  if (stats.tombstones !== gone.length || entries !== there.length || channels !== entries + 1) {
    const seen = JSON.stringify({ ...stats, channels });
    throw new Violation(`${seen} do not fit ${there.length} streams, ${gone.length} of them gone`);
  }
}
