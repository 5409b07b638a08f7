/**
 * How streams come and go: each step is one commit of the catalog and of the channels that it is
 * about. A stream that has forks is not removed but made a tombstone; with the last fork of a
 * tombstone goes the tombstone, and so on up to the first source.
 */
import type { CommitOperation } from '../store/commit-input.js';
import { channelNameOf, type CatalogEntry } from './catalog-entry.js';
import type { CatalogRecord, ForkLink } from './catalog-records.js';
import type { CatalogPlan } from './catalog-writer.js';
import { firstBatch } from './stream-batch.js';
import type { StreamConfig } from './stream-config.js';
import type { StreamContext } from './stream-context.js';
import { isDamage, notFound, overLimit, streamGone } from './stream-errors.js';
import { isGone } from './stream-info.js';
import { FIRST_POSITION } from './stream-position.js';
import { StreamState } from './stream-state.js';

/** A stream that is to be made. */
export interface NewStream {
  readonly name: string;
  readonly config: StreamConfig;
  readonly fork: ForkLink | undefined;
  /** Records of messages, without their places. */
  readonly messages: readonly Uint8Array[];
  /** Bytes of the messages. */
  readonly bytes: number;
  readonly closed: boolean;
}

/**
 * Makes a stream, in place of one that has expired if there is one. Resolves to its entry, or to
 * undefined when the catalog has changed meanwhile. Rejects with LIMIT, IO, POISONED.
 */
export async function makeStream(
  context: StreamContext,
  wanted: NewStream,
  expired: CatalogEntry | undefined,
): Promise<CatalogEntry | undefined> {
  const { catalog, writer, settings } = context.parts;
  if (wanted.bytes > settings.maxStreamBytes) {
    throw overLimit('maxStreamBytes', settings.maxStreamBytes, wanted.bytes);
  }
  if (expired !== undefined) await count(context, expired);
  let made: CatalogEntry | undefined;
  const work = (): Promise<unknown> =>
    writer.submit((seq) => {
      if (catalog.find(wanted.name) !== expired) return undefined;
      const source = wanted.fork === undefined ? undefined : catalog.get(wanted.fork.source);
      const isSourceGone = source === undefined || source.isTombstone;
      if (wanted.fork !== undefined && (isSourceGone || source.leaving !== undefined)) {
        return undefined;
      }
      const removal = expired === undefined ? undefined : planRemoval(context, expired);
      if (removal !== undefined && !removal.isWhole) return undefined;
      made = undefined;
      return planCreation(context, wanted, seq, removal, (entry) => {
        made = entry;
      });
    });
  if (expired === undefined) await work();
  else {
    const isExpired = (): boolean => context.isExpiredNow(expired);
    await leave(context, expired, async () => isExpired() && (await work()));
  }
  // It is there; whoever uses it is told when its channel is not.
  if (made !== undefined) await context.parts.open.open(made).catch(() => undefined);
  return made;
}

function planCreation(
  context: StreamContext,
  wanted: NewStream,
  seq: number,
  removal: Removal | undefined,
  onMade: (entry: CatalogEntry) => void,
): CatalogPlan {
  const { catalog, caps, open, settings } = context.parts;
  const { name, config, fork, messages, bytes, closed } = wanted;
  const nowMs = context.runtime.now();
  const id = seq + (removal?.records.length ?? 0);
  const state = new StreamState(fork?.at ?? FIRST_POSITION);
  state.closed = closed;
  const { records, chain } = firstBatch(state, messages, nowMs);
  const counted = { bytes: undefined };
  caps.reserve(counted, bytes, removal?.bytes ?? 0);
  const { segmentBytes } = settings;
  const create = { sync: 'always', segmentBytes, segmentMs: 0, retention: null } as const;
  const listed: CatalogRecord = { type: 'listed', name, config, createdAtMs: nowMs, fork };
  return {
    records: [...(removal?.records ?? []), listed],
    operations: [
      ...(removal?.operations ?? []),
      { channel: channelNameOf(id, name), records, create, expectedSeq: 0 },
    ],
    bytes,
    keys: [name, ...(removal?.keys ?? []), ...(fork === undefined ? [] : [fork.source])],
    onDone: () => {
      removal?.onDone();
      const entry = catalog.get(id);
      if (entry === undefined) return;
      entry.bytes = bytes;
      open.adopt(entry, { state, chain, nextSeq: records.length });
      onMade(entry);
    },
    onFailed: () => caps.release(counted, bytes),
  };
}

interface Removal extends Pick<CatalogPlan, 'records' | 'operations' | 'keys'> {
  /** It is gone, not only a tombstone. */
  readonly isWhole: boolean;
  /** Channels that go. */
  readonly removed: readonly CatalogEntry[];
  /** Bytes that are given back. */
  readonly bytes: number;
  readonly onDone: () => void;
}

/** What the deletion of a stream means, as the catalog is now. */
function planRemoval(context: StreamContext, entry: CatalogEntry): Removal {
  const { catalog, caps, open, hints } = context.parts;
  if (entry.forks.size > 0) {
    return {
      records: [{ type: 'tombstone', id: entry.id }],
      operations: [],
      keys: [entry.id],
      isWhole: false,
      removed: [],
      bytes: 0,
      onDone: () => hints.end(entry.id),
    };
  }
  const removed = [entry];
  let source = catalog.sourceOf(entry);
  while (source?.isTombstone === true && source.forks.size === 1) {
    removed.push(source);
    source = catalog.sourceOf(source);
  }
  const operations: CommitOperation[] = removed.map((each) => ({ delete: each.channelName }));
  return {
    records: removed.map(({ id }) => ({ type: 'deleted', id })),
    operations,
    // The source that stays loses a fork: what becomes of it is for the next commit to say.
    keys: [...removed.map(({ id }) => id), ...(source === undefined ? [] : [source.id])],
    isWhole: true,
    removed,
    bytes: removed.reduce((sum, { bytes = 0 }) => sum + bytes, 0),
    onDone: () => {
      for (const each of removed) {
        caps.remove(each);
        open.forget(each);
        context.used.delete(each);
        context.looked.delete(each);
        hints.end(each.id);
      }
    },
  };
}

/** Rejects with NOT_FOUND, STREAM_GONE, IO, POISONED, CLOSED. */
export async function deleteStream(context: StreamContext, name: string): Promise<void> {
  const present = context.present(name);
  // In the turn of the call, if it can be: what is asked for later finds nothing.
  const entry = present instanceof Promise ? await present : present;
  if (entry === undefined) throw notFound(name);
  if (entry.isTombstone) throw streamGone(name);
  if (context.isExpiredNow(entry) && (await isGone(context, entry))) throw notFound(name);
  if (!(await removeStream(context, entry))) throw notFound(name);
}

/**
 * Removes a stream, or makes it a tombstone; false when it was gone already, or `isWanted` says no
 * when nothing is under way in it any more. Rejects with IO, POISONED, CLOSED.
 */
export async function removeStream(
  context: StreamContext,
  entry: CatalogEntry,
  isWanted: () => boolean = () => true,
): Promise<boolean> {
  return leave(context, entry, async () => {
    if (entry.isRemoved || entry.isTombstone || !isWanted()) return false;
    await count(context, entry);
    try {
      return await submitRemoval(context, entry);
    } catch (error) {
      if (!isDamage(error)) throw error;
      return removeDamaged(context, entry);
    }
  });
}

function submitRemoval(context: StreamContext, entry: CatalogEntry): Promise<boolean> {
  return context.parts.writer.submit(() => {
    if (entry.isRemoved || entry.isTombstone) return undefined;
    return { ...planRemoval(context, entry), bytes: 0 };
  });
}

/**
 * Channels that cannot be opened cannot take part in a commit. They go first: when that is
 * interrupted the stream is still listed, and can be deleted again.
 */
async function removeDamaged(context: StreamContext, entry: CatalogEntry): Promise<boolean> {
  const { redex, writer } = context.parts;
  const gone = new Set<CatalogEntry>();
  for (const each of planRemoval(context, entry).removed) {
    await redex.deleteChannel(each.channelName);
    gone.add(each);
  }
  return writer.submit(() => {
    const plan = planRemoval(context, entry);
    // The last other fork of its source may have gone meanwhile: then that goes, too.
    const left = plan.removed.filter((each) => !gone.has(each));
    const operations = left.map((each) => ({ delete: each.channelName }));
    return { ...plan, bytes: 0, operations };
  });
}

/** Runs what takes a stream away, when nothing is under way in it; who asks for it waits. */
async function leave<T>(
  context: StreamContext,
  entry: CatalogEntry,
  work: () => Promise<T>,
): Promise<T> {
  while (entry.leaving !== undefined) await entry.leaving;
  let release: () => void = () => undefined;
  entry.leaving = new Promise((resolve) => {
    release = resolve;
  });
  try {
    await context.parts.open.find(entry)?.settled();
    return await work();
  } finally {
    entry.leaving = undefined;
    release();
  }
}

/** What is freed with a stream has to be known; of one that cannot be read it is nothing. */
async function count(context: StreamContext, entry: CatalogEntry): Promise<void> {
  const { catalog, open, caps } = context.parts;
  let each: CatalogEntry | undefined = entry;
  while (each !== undefined && (each === entry || each.isTombstone)) {
    try {
      if (each.bytes === undefined) await open.open(each);
    } catch (error) {
      if (!isDamage(error)) throw error;
      caps.lost();
    }
    each = catalog.sourceOf(each);
  }
}
