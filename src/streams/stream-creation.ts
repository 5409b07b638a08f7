/**
 * Creating a stream or a fork, which can be done again: what is there already is compared with what
 * is asked for, the state that it is in now included.
 */
import type { CatalogEntry } from './catalog-entry.js';
import type { ForkLink } from './catalog-records.js';
import {
  checkStreamOptions,
  configOf,
  differingField,
  normalContentType,
  type StreamConfig,
  type StreamOptions,
} from './stream-config.js';
import type { FoundStream, StreamContext } from './stream-context.js';
import { configMismatch, contentTypeMismatch, isGoneError, pathTaken } from './stream-errors.js';
import { checkForkOptions, forkPoint, type ForkOptions, type ForkPoint } from './stream-forks.js';
import { makeStream, removeStream, type NewStream } from './stream-lifecycle.js';
import { formatOffset, parseOffset, isSamePosition } from './stream-position.js';
import { rereading } from './stream-reads.js';
import { recordOf } from './stream-records.js';

export interface CreateResult {
  /** False when it was there already. */
  readonly created: boolean;
  /** The tail. */
  readonly nextOffset: string;
  readonly closed: boolean;
}

/** What is not given is the source's: the content type, how long it lives, and what it keeps. */
export interface CreateForkOptions extends StreamOptions, ForkOptions {}

interface Messages {
  readonly messages: readonly Uint8Array[];
  readonly bytes: number;
}

const FORK: ReadonlySet<string> = new Set([
  'contentType',
  'ttlSeconds',
  'expiresAt',
  'closed',
  'retention',
  'offset',
  'subOffset',
]);

export async function createStream(
  context: StreamContext,
  name: string,
  options: StreamOptions,
  data: Messages,
): Promise<CreateResult> {
  const wanted: NewStream = {
    name,
    config: configOf(options, context.parts.settings.retention),
    closed: options.closed === true,
    fork: undefined,
    ...data,
  };
  for (;;) {
    const place = await placeFor(context, name);
    if (place.found !== undefined) return compare(place.found, wanted, options);
    const made = await make(context, wanted, place.expired);
    if (made !== undefined) return made;
  }
}

interface Place {
  /** The stream that has the name. */
  readonly found: FoundStream | undefined;
  /** One that has expired and is to be removed. */
  readonly expired: CatalogEntry | undefined;
}

/** Rejects with EXISTS for the path of a tombstone. */
async function placeFor(context: StreamContext, name: string): Promise<Place> {
  for (;;) {
    const entry = await context.present(name);
    if (entry === undefined) return { found: undefined, expired: undefined };
    if (entry.isTombstone) throw pathTaken(name);
    if (await context.isExpired(entry)) {
      if (entry.forks.size === 0) return { found: undefined, expired: entry };
      await removeStream(context, entry, () => context.isExpiredNow(entry));
      continue;
    }
    try {
      return { found: await context.live(name), expired: undefined };
    } catch (error) {
      // It has gone meanwhile.
      if (!isGoneError(error)) throw error;
    }
  }
}

async function make(
  context: StreamContext,
  wanted: NewStream,
  expired: CatalogEntry | undefined,
): Promise<CreateResult | undefined> {
  const entry = await makeStream(context, wanted, expired);
  if (entry === undefined) return undefined;
  const at = wanted.fork?.at ?? { count: 0, bytes: 0 };
  const tail = { count: at.count + wanted.messages.length, bytes: at.bytes + wanted.bytes };
  return { created: true, nextOffset: formatOffset(tail), closed: wanted.closed };
}

/** The stream as it is now, when everything that was begun in it has ended. */
async function compare(
  { entry, log }: FoundStream,
  { name, config, closed }: Pick<NewStream, 'name' | 'config' | 'closed'>,
  options: StreamOptions,
  compareForks: () => void = () => refuseFork(entry),
): Promise<CreateResult> {
  await log.use(() => log.settled());
  const { view } = log;
  const difference =
    differingField(entry.config, config, options) ??
    (view.closed === closed ? undefined : { field: 'closed', stored: view.closed, given: closed });
  if (difference !== undefined) throw configMismatch(name, difference);
  compareForks();
  return { created: false, nextOffset: formatOffset(view.tail), closed: view.closed };
}

function refuseFork({ name, fork }: CatalogEntry): void {
  if (fork === undefined) return;
  throw configMismatch(name, { field: 'forkedFrom', stored: fork.source, given: undefined });
}

export async function createFork(
  context: StreamContext,
  name: string,
  source: string,
  options: CreateForkOptions,
  data: Messages,
): Promise<CreateResult> {
  checkStreamOptions(options, FORK);
  checkForkOptions(options);
  const closed = options.closed === true;
  for (;;) {
    const place = await placeFor(context, name);
    if (place.found !== undefined) {
      const { entry } = place.found;
      const origin = context.parts.catalog.sourceOf(entry);
      const config = forkConfig(options, origin?.config ?? entry.config);
      const wanted = { name, config, closed };
      return compare(place.found, wanted, options, () => {
        compareFork(entry, origin, source, options);
      });
    }
    const { origin, at, prefix } = await rereading(context, () =>
      forkOrigin(context, source, options),
    );
    const { offset, subOffset = 0 } = options;
    const fork: ForkLink = { source: origin.id, at, offset, subOffset };
    const messages = prefix === undefined ? data.messages : [recordOf(prefix), ...data.messages];
    const bytes = data.bytes + (prefix?.length ?? 0);
    const config = forkConfig(options, origin.config);
    const made = await make(
      context,
      { name, config, fork, messages, bytes, closed },
      place.expired,
    );
    if (made !== undefined) return made;
  }
}

/** The source as it is, and where the fork leaves it. */
async function forkOrigin(
  context: StreamContext,
  source: string,
  options: CreateForkOptions,
): Promise<ForkPoint & { readonly origin: CatalogEntry }> {
  const found = await context.live(source);
  const { contentType } = found.entry.config;
  if (options.contentType !== undefined) {
    const given = normalContentType(options.contentType);
    if (given !== contentType) throw contentTypeMismatch(source, contentType, given);
  }
  return { origin: found.entry, ...(await forkPoint(context, found, options)) };
}

/** Its own time to live, or its own end, or those of the source; likewise what it keeps. */
function forkConfig(options: CreateForkOptions, source: StreamConfig): StreamConfig {
  const { ttlSeconds, expiresAt } = options;
  const contentType = options.contentType ?? source.contentType;
  const own = configOf({ ...options, contentType }, source.retention);
  const isOwn = ttlSeconds !== undefined || expiresAt !== undefined;
  if (isOwn) return own;
  return { ...own, ttlSeconds: source.ttlSeconds, expiresAtMs: source.expiresAtMs };
}

function compareFork(
  { name, fork }: CatalogEntry,
  origin: CatalogEntry | undefined,
  source: string,
  { offset, subOffset = 0 }: CreateForkOptions,
): void {
  if (fork === undefined || origin?.name !== source) {
    const stored = origin?.name;
    throw configMismatch(name, { field: 'forkedFrom', stored, given: source });
  }
  if (offset !== undefined && !isForkOffset(fork, offset)) {
    const stored = fork.offset ?? formatOffset(fork.at);
    throw configMismatch(name, { field: 'offset', stored, given: offset });
  }
  if (subOffset !== fork.subOffset) {
    throw configMismatch(name, { field: 'subOffset', stored: fork.subOffset, given: subOffset });
  }
}

/** The offset that was given, or that of the tail where none was. */
function isForkOffset(fork: ForkLink, offset: string): boolean {
  if (fork.offset !== undefined) return fork.offset === offset;
  const position = parseOffset(offset);
  return position !== undefined && isSamePosition(position, fork.at);
}
