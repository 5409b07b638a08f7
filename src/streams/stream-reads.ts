/**
 * Reads of messages. A fork has the messages of its source up to where it left it, and the source
 * of that those of its own: a page goes from channel to channel until it is full.
 */
import { RedexError } from '../core/errors.js';
import type { CatalogEntry } from './catalog-entry.js';
import { Page, type MessageRange, type MessageReader, type PageLimits } from './message-reader.js';
import type { FoundStream, StreamContext } from './stream-context.js';
import { belowFloor, invalidOffset } from './stream-errors.js';
import type { StreamLog, StreamView } from './stream-log.js';
import {
  FIRST_POSITION,
  formatOffset,
  isSamePosition,
  parseOffset,
  START_OFFSET,
  TAIL_OFFSET,
  type StreamPosition,
} from './stream-position.js';

export interface ReadResult {
  /** In bytes of their own. */
  readonly messages: readonly Uint8Array[];
  /** Where the first of them is. */
  readonly offset: string;
  /** Where the next read goes on. */
  readonly nextOffset: string;
  /** There was nothing behind them. */
  readonly atTail: boolean;
  /** The stream is closed: behind the tail nothing will come. */
  readonly closed: boolean;
}

/** A read that is overtaken so often is told so. */
const ATTEMPTS = 5;

/** A stream, or one that it is a fork of, with the messages that are to be read in it. */
interface Part {
  readonly log: StreamLog;
  readonly view: StreamView;
  readonly from: StreamPosition;
  readonly to: StreamPosition;
}

/** Rejects with INVALID_OFFSET, OUT_OF_RANGE, and as `StreamContext.live` does. */
export function readFrom(
  context: StreamContext,
  name: string,
  offset: string,
  limits: PageLimits,
): Promise<ReadResult> {
  return rereading(context, async () => {
    const found = context.liveNow(name) ?? (await context.live(name));
    const page = await found.log.use(() => readPage(context, found, offset, limits));
    context.use(found.entry);
    return page;
  });
}

/** A stream of those that are read let go of what was to be read in it. */
class Overtaken extends Error {}

/**
 * Runs what reads a stream, and again when what it read was let go of meanwhile, or a channel was
 * closed between two turns.
 */
export async function rereading<T>(context: StreamContext, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isOvertaken = error instanceof Overtaken;
      const isAgain = isOvertaken || RedexError.is(error, 'CLOSED');
      if (isAgain && !context.isClosing && attempt < ATTEMPTS) continue;
      throw isOvertaken ? error.cause : error;
    }
  }
}

async function readPage(
  context: StreamContext,
  found: FoundStream,
  offset: string,
  limits: PageLimits,
): Promise<ReadResult> {
  const { view } = found.log;
  const { tail, closed } = view;
  const from = await startOf(context, found, view, offset);
  const page = new Page(limits);
  let position = from;
  for (const part of await partsFrom(context, found, view, from)) {
    const reached = await inPart(part, (reader, range) => reader.read(range, page));
    if (reached === undefined) throw noMessage(found.entry.name, offset);
    position = reached;
    if (!isSamePosition(reached, part.to)) break;
  }
  return {
    messages: page.messages,
    offset: formatOffset(from),
    nextOffset: formatOffset(position),
    atTail: isSamePosition(position, tail),
    closed,
  };
}

/** The place that an offset means, not below what the stream still has, nor above its tail. */
async function startOf(
  context: StreamContext,
  found: FoundStream,
  view: StreamView,
  offset: string,
): Promise<StreamPosition> {
  const { name } = found.entry;
  const { tail } = view;
  if (offset === TAIL_OFFSET) return tail;
  const asked = offset === START_OFFSET ? undefined : parseOffset(offset);
  if (asked === undefined && offset !== START_OFFSET) {
    throw invalidOffset(name, offset, `${JSON.stringify(offset)} is no offset`);
  }
  if (asked !== undefined && asked.count > tail.count) {
    throw invalidOffset(name, offset, `${offset} is behind the tail, ${formatOffset(tail)}`);
  }
  // What is read most needs no look at where the stream begins.
  if (asked !== undefined && isSamePosition(asked, tail)) return asked;
  const floor = await floorOf(context, found.entry, view);
  if (asked === undefined) return floor;
  if (asked.count < floor.count) throw belowFloor(name, asked.count, floor.count, tail.count);
  return asked;
}

/** The first place that may be read: its own, or one in what it has of its source. */
async function floorOf(
  context: StreamContext,
  entry: CatalogEntry,
  view: StreamView,
): Promise<StreamPosition> {
  const { catalog, open } = context.parts;
  let end = view.tail;
  let { floor } = view;
  let { fork } = entry;
  // What has let go of nothing of its own has all that its source has.
  while (fork !== undefined && isSamePosition(floor, fork.at)) {
    const source = catalog.get(fork.source);
    if (source === undefined) break;
    end = firstOf(end, fork.at);
    ({ floor } = (await open.open(source)).view);
    ({ fork } = source);
  }
  return firstOf(floor, end);
}

function firstOf(a: StreamPosition, b: StreamPosition): StreamPosition {
  return a.count <= b.count ? a : b;
}

/** The channels that have the messages from a place on, each with those that are to be read. */
async function partsFrom(
  context: StreamContext,
  { entry, log }: FoundStream,
  view: StreamView,
  from: StreamPosition,
): Promise<Part[]> {
  const { catalog, open } = context.parts;
  const parts: Part[] = [];
  let part = { log, view, to: view.tail };
  for (let owner = entry; ;) {
    const base = owner.fork?.at ?? FIRST_POSITION;
    const isOwn = base.count <= from.count;
    // A fork may have left its source in what that has of its own source.
    if (isOwn || base.count < part.to.count) parts.unshift({ ...part, from: isOwn ? from : base });
    const source = catalog.sourceOf(owner);
    if (isOwn || source === undefined) return parts;
    const next = await open.open(source);
    part = { log: next, view: next.view, to: firstOf(part.to, base) };
    owner = source;
  }
}

async function inPart<T>(
  { log, view: { tail, nextSeq }, from, to }: Part,
  work: (reader: MessageReader, range: MessageRange) => Promise<T>,
): Promise<T> {
  try {
    return await log.use(() => work(log.reader, { from, to, tail, nextSeq }));
  } catch (error) {
    // What is told of a stream is told before: this is about a channel.
    if (RedexError.is(error, 'OUT_OF_RANGE')) throw new Overtaken(undefined, { cause: error });
    throw error;
  }
}

/**
 * The place that an offset of the stream means, where a message begins or the tail is. Rejects with
 * INVALID_OFFSET, OUT_OF_RANGE, CORRUPT, IO, POISONED, CLOSED; to be called in `rereading`.
 */
export async function placeOf(
  context: StreamContext,
  found: FoundStream,
  offset: string,
): Promise<StreamPosition> {
  const { view } = found.log;
  const place = await startOf(context, found, view, offset);
  if (isSamePosition(place, view.tail)) return place;
  const [part] = await partsFrom(context, found, view, place);
  const seq = part && (await inPart(part, (reader, range) => reader.find(range)));
  if (seq === undefined) throw noMessage(found.entry.name, offset);
  return place;
}

function noMessage(stream: string, offset: string): Error {
  return invalidOffset(stream, offset, `there is no message at ${offset}`);
}
