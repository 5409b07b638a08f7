/**
 * All streams of a store: names, configurations, and who is a fork of whom. It is kept in a channel
 * of its own, and in memory; the channel of a stream comes and goes in the same commit as its
 * record here. References are not counted: they are the forks that are listed.
 */
import type { Channel } from '../channel/channel.js';
import type { LogRecord } from '../core/record.js';
import { redexError } from '../core/errors.js';
import type { Redex } from '../store/redex.js';
import { CATALOG_CHANNEL, CatalogEntry } from './catalog-entry.js';
import {
  ACCESSED,
  decodeCatalogRecord,
  encodeCatalogRecord,
  KEPT,
  LISTED,
  STREAMS_VERSION,
  type CatalogRecord,
} from './catalog-records.js';
import { strangeRecord } from './stream-errors.js';

/** Records that are not worth a compaction. */
const FREE_RECORDS = 1024;

export class Catalog {
  readonly channel: Channel;
  readonly #byName = new Map<string, CatalogEntry>();
  readonly #byId = new Map<number, CatalogEntry>();
  /** Those that expire some day. */
  readonly #mortal = new Set<CatalogEntry>();
  /** Those that do not keep everything. */
  readonly #retained = new Set<CatalogEntry>();
  #last: CatalogRecord | undefined;
  /** Behind the last record that was taken in. */
  #nextSeq = 0;

  private constructor(channel: Channel) {
    this.channel = channel;
  }

  /** Rejects with CORRUPT, FORMAT_VERSION, IO, POISONED, CLOSED, READ_ONLY. */
  static async open(redex: Redex): Promise<Catalog> {
    if (!(await redex.hasChannel(CATALOG_CHANNEL))) {
      const records = [encodeCatalogRecord({ type: 'format', version: STREAMS_VERSION })];
      const create = { sync: 'always', retention: null } as const;
      await redex.commit([{ channel: CATALOG_CHANNEL, records, create }]);
    }
    const catalog = new Catalog(await redex.channel(CATALOG_CHANNEL, { createIfMissing: false }));
    try {
      await catalog.#replay();
      return catalog;
    } catch (error) {
      await catalog.channel.close().catch(() => undefined);
      throw error;
    }
  }

  async #replay(): Promise<void> {
    const { channel } = this;
    let isFirst = true;
    for await (const records of channel.readBatches()) {
      for (const record of records) {
        const decoded = decodeCatalogRecord(record);
        if (decoded === undefined || isFirst !== (decoded.type === 'format')) {
          throw strangeRecord(channel.name, record.seq, 'no record of a list of streams');
        }
        if (decoded.type === 'format') this.#requireVersion(decoded.version);
        isFirst = false;
        this.apply(record.seq, decoded);
      }
    }
    if (isFirst) throw strangeRecord(channel.name, 0, 'the list of streams is empty');
  }

  #requireVersion(found: number): void {
    if (found === STREAMS_VERSION) return;
    const path = this.channel.name;
    const message = `the streams have the version ${found}: this build knows ${STREAMS_VERSION}`;
    throw redexError('FORMAT_VERSION', message, { path, found, supported: STREAMS_VERSION });
  }

  /** The bytes of all streams, when they were closed and nothing was done since. */
  get closedTotalBytes(): number | undefined {
    return this.#last?.type === 'closed' ? this.#last.totalBytes : undefined;
  }

  /** Whether a record has to say that the streams are in use. */
  get isClosed(): boolean {
    return this.#last?.type === 'closed';
  }

  /** A stream or a tombstone. */
  find(name: string): CatalogEntry | undefined {
    return this.#byName.get(name);
  }

  get(id: number): CatalogEntry | undefined {
    return this.#byId.get(id);
  }

  get entries(): IterableIterator<CatalogEntry> {
    return this.#byId.values();
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Those that expire some day, tombstones excluded. */
  get mortal(): IterableIterator<CatalogEntry> {
    return this.#mortal.values();
  }

  /** Those that do not keep everything, tombstones excluded. */
  get retained(): IterableIterator<CatalogEntry> {
    return this.#retained.values();
  }

  /** The stream that a fork was made of; undefined for one that is no fork. */
  sourceOf({ fork }: CatalogEntry): CatalogEntry | undefined {
    return fork === undefined ? undefined : this.#byId.get(fork.source);
  }

  /** Takes in a record that is in the channel. */
  apply(seq: number, record: CatalogRecord): void {
    this.#last = record;
    this.#nextSeq = seq + 1;
    switch (record.type) {
      case 'listed':
        this.#list(new CatalogEntry(seq, record));
        return;
      case 'tombstone':
        this.#bury(seq, record.id);
        return;
      case 'deleted':
        this.#remove(record.id);
        return;
      case 'accessed':
        for (const [id, ms] of record.times) this.#access(id, ms);
        return;
      case 'kept':
        for (const [id, ms] of record.times) this.#keep(id, ms);
        return;
      case 'format':
      case 'opened':
      case 'closed':
    }
  }

  #list(entry: CatalogEntry): void {
    const { id, name, config } = entry;
    const taken = this.#byName.get(name);
    const source = this.sourceOf(entry);
    if (taken !== undefined || (entry.fork !== undefined && source === undefined)) {
      throw strangeRecord(this.channel.name, id, `stream ${name} cannot be listed`);
    }
    this.#byName.set(name, entry);
    this.#byId.set(id, entry);
    source?.forks.add(id);
    if (config.ttlSeconds !== undefined || config.expiresAtMs !== undefined) {
      this.#mortal.add(entry);
    }
    if (config.retention !== undefined) this.#retained.add(entry);
  }

  #bury(seq: number, id: number): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    entry.tombstoneSeq = seq;
    this.#mortal.delete(entry);
    this.#retained.delete(entry);
  }

  #remove(id: number): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    entry.isRemoved = true;
    this.#byId.delete(id);
    this.#byName.delete(entry.name);
    this.#mortal.delete(entry);
    this.#retained.delete(entry);
    this.sourceOf(entry)?.forks.delete(id);
  }

  #access(id: number, ms: number): void {
    const entry = this.#byId.get(id);
    if (entry !== undefined) entry.accessedAtMs = Math.max(entry.accessedAtMs, ms);
  }

  #keep(id: number, ms: number): void {
    const entry = this.#byId.get(id);
    if (entry !== undefined) entry.keptFromMs = Math.max(entry.keptFromMs, ms);
  }

  /** Most of the channel is about streams that are gone. */
  get wantsCompaction(): boolean {
    return this.channel.count > FREE_RECORDS + 4 * this.#byId.size;
  }

  /**
   * What a compaction keeps: what says something now; times only from `timesSeq` on. What is
   * not taken in yet, and what comes meanwhile, is kept with all that it refers to.
   */
  keeper(timesSeq: number): (record: LogRecord) => boolean {
    const end = this.#nextSeq;
    const there: ReadonlySet<number> = new Set(this.#byId.keys());
    return (record) => {
      if (record.seq >= end) return true;
      if (record.type === LISTED) return there.has(record.seq);
      if (record.type === ACCESSED || record.type === KEPT) return record.seq >= timesSeq;
      const decoded = decodeCatalogRecord(record);
      if (decoded?.type === 'tombstone') return there.has(decoded.id);
      return decoded?.type === 'format';
    };
  }
}
