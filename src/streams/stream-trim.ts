/**
 * How the beginning of a stream goes: first it is said so in the stream, then the space is freed.
 */
import { RedexError } from '../core/errors.js';
import { placeOf, rereading } from './stream-reads.js';
import { isEvicted, isStaying, type FoundStream, type StreamContext } from './stream-context.js';
import { invalidOffset } from './stream-errors.js';
import { StaleAppend, type StreamLog } from './stream-log.js';
import { START_OFFSET, type StreamPosition } from './stream-position.js';

/** Rejects with INVALID_OFFSET, OUT_OF_RANGE, and as `StreamContext.live` does. */
export async function trimTo(context: StreamContext, name: string, before: string): Promise<void> {
  for (;;) {
    const { found, floor } = await rereading(context, async () => {
      const stream = await context.live(name);
      return { found: stream, floor: await placeOf(context, stream, before) };
    });
    // What is before the start is gone already.
    if (before !== START_OFFSET && floor.count < (found.entry.fork?.at.count ?? 0)) {
      throw invalidOffset(name, before, 'what a fork has of its source cannot be let go of');
    }
    try {
      if (await letGo(context, found, floor)) return;
    } catch (error) {
      if (!isEvicted(context, found, error)) throw error;
    }
  }
}

/** Makes a place the first that may be read. False when the stream has to be looked at again. */
export function letGo(
  context: StreamContext,
  { entry, log }: FoundStream,
  floor: StreamPosition,
): Promise<boolean> {
  return log.use(async () => {
    if (log.state === undefined) await log.ready();
    const { state } = log;
    if (state === undefined || !isStaying(entry)) return false;
    if (floor.count <= state.floor.count) return true;
    const freed = floor.bytes - state.floor.bytes;
    const stateSeq = await writeFloor(context, log, floor);
    if (stateSeq === undefined) return false;
    context.parts.caps.release(entry, freed);
    entry.noteSize(log.view);
    await freeSpace(log, floor, stateSeq);
    return true;
  });
}

/** Writes the whole state and resolves to its seq; no state before it counts. Undefined: again. */
async function writeFloor(
  context: StreamContext,
  log: StreamLog,
  floor: StreamPosition,
): Promise<number | undefined> {
  try {
    const batch = { messages: [], change: { floor }, wantsSnapshot: true };
    const { nextSeq } = await log.write(batch, 'synced', context.runtime.now());
    return nextSeq - 1;
  } catch (error) {
    if (error instanceof StaleAppend) return undefined;
    throw error;
  }
}

/**
 * What a crash leaves of it goes with the next trim. At the tail no message may be left, and the
 * state is still needed.
 */
async function freeSpace(log: StreamLog, floor: StreamPosition, stateSeq: number): Promise<void> {
  const { tail, nextSeq } = log.view;
  const seq = await log.reader.find({ from: floor, to: tail, tail, nextSeq });
  try {
    if (seq !== undefined) await log.channel.trim({ beforeSeq: Math.min(seq, stateSeq) });
  } catch (error) {
    if (!RedexError.is(error, 'CLOSED')) throw error;
  }
}
