/**
 * Appends and closes. What is accepted is written at once; what is refused, or was done before, is
 * told only when everything that the decision rests on is visible, or has failed: then it is
 * decided again.
 */
import type { Durability } from '../channel/record-input.js';
import { decideAppend, type AppendRequest } from './append-decision.js';
import { isEvicted, isStaying, type FoundStream, type StreamContext } from './stream-context.js';
import { StaleAppend } from './stream-log.js';
import { formatOffset, type StreamPosition } from './stream-position.js';
import type { ProducerTuple } from './stream-state.js';

export interface AppendResult {
  /** Where the first message is; of what had no message, or was done before, the tail. */
  readonly offset: string;
  /** The tail of the stream. */
  readonly nextOffset: string;
  readonly closed: boolean;
  /** It was done before: nothing was written. */
  readonly duplicate: boolean;
  /** Of a producer's append, the highest that was accepted of it. */
  readonly producer: ProducerTuple | undefined;
}

export async function appendTo(
  context: StreamContext,
  name: string,
  request: AppendRequest,
  durability: Durability,
): Promise<AppendResult> {
  for (;;) {
    const found = context.liveNow(name) ?? (await context.live(name));
    const result = await attempt(context, found, request, durability);
    if (result !== undefined) return result;
  }
}

/** Undefined when it has to be decided again. */
async function attempt(
  context: StreamContext,
  found: FoundStream,
  request: AppendRequest,
  durability: Durability,
): Promise<AppendResult | undefined> {
  const { entry, log } = found;
  const { settings } = context.parts;
  if (log.state === undefined) await log.use(() => log.ready());
  const { state } = log;
  if (state === undefined || isLeaving(context, found)) return undefined;
  const { contentType } = entry.config;
  const { maxStreamBytes, maxProducers } = settings;
  const limits = { stream: entry.name, contentType, maxStreamBytes, maxProducers };
  const decision = decideAppend(state, request, limits);
  if (decision.kind === 'write') {
    const { tail: from } = state;
    const tail = await write(context, found, { ...request, change: decision.change }, durability);
    if (tail === undefined) return undefined;
    const { producer, close } = request;
    return resultOf(from, tail, { closed: close, duplicate: false, producer });
  }
  if (!log.isSettled) {
    await log.settled();
    // Nothing that it rests on has failed, whatever was begun meanwhile.
    if (log.state !== state || isLeaving(context, found)) return undefined;
  }
  if (decision.kind === 'refused') throw decision.error;
  if (durability === 'synced' && !(await synced(context, found))) return undefined;
  context.use(entry);
  const { tail, closed } = log.view;
  return resultOf(tail, tail, { closed, duplicate: true, producer: decision.producer });
}

/** Undefined when another append has to be looked at first. */
async function write(
  context: StreamContext,
  { entry, log }: FoundStream,
  { messages, bytes, change }: Pick<AppendRequest, 'messages' | 'bytes'> & WithChange,
  durability: Durability,
): Promise<StreamPosition | undefined> {
  const { caps, hints } = context.parts;
  caps.reserve(entry, bytes);
  try {
    const { tail } = await log.write({ messages, change }, durability, context.runtime.now());
    // Before whoever waits for the end of this append asks whether the stream has expired.
    context.use(entry);
    entry.noteSize(log.view);
    hints.notify(entry.id);
    return tail;
  } catch (error) {
    caps.release(entry, bytes);
    if (error instanceof StaleAppend) return undefined;
    if (isEvicted(context, { entry, log }, error)) return undefined;
    throw error;
  }
}

/** What was done before may have been only written. False when it has to be looked at again. */
async function synced(context: StreamContext, found: FoundStream): Promise<boolean> {
  const { log } = found;
  if (log.channel.durableSeq >= log.view.nextSeq) return true;
  try {
    await log.use(() => log.channel.sync());
    return true;
  } catch (error) {
    if (isEvicted(context, found, error)) return false;
    throw error;
  }
}

type WithChange = { readonly change: Parameters<FoundStream['log']['write']>[0]['change'] };

function isLeaving({ isClosing }: StreamContext, { entry }: FoundStream): boolean {
  return isClosing || !isStaying(entry);
}

function resultOf(
  offset: StreamPosition,
  nextOffset: StreamPosition,
  rest: Omit<AppendResult, 'offset' | 'nextOffset'>,
): AppendResult {
  return { offset: formatOffset(offset), nextOffset: formatOffset(nextOffset), ...rest };
}
