/**
 * The commits of a workload: each is given, its answer told to the ledgers, and a reader that sees
 * one part of it looks for the others at once.
 */
import type { Channel } from '../channel/channel.js';
import type { RecordInput } from '../channel/record-input.js';
import { RedexError } from '../core/errors.js';
import type { CommitOperation, CommitResult } from '../store/commit-input.js';
import type { Redex } from '../store/redex.js';
import type { ManualRuntime } from '../testing/manual-runtime.js';
import type { ChannelCommands } from './channel-commands.js';
import type { CommitCommand, CommitPart } from './commit-draw.js';
import type { CommitEntryPart } from './store-facts.js';
import type { Counters } from './counters.js';
import type { Answer } from './name-ledger.js';
import { CONDEMNED, idOf, KEYS, payloadOf } from './record-ledger.js';
import type { ChannelLedger, StoreLedger } from './store-ledger.js';
import { Violation } from './violation.js';
import { NAMES, OPTIONS } from './workload.js';

/** Changes of names that are under way, and that have begun so far. */
export interface NameActivity {
  changing: number;
  begun: number;
}

interface CommitSetting {
  readonly redex: Redex;
  readonly ledger: StoreLedger;
  readonly counters: Counters;
  readonly runtime: ManualRuntime;
  readonly onChannel: ChannelCommands;
  readonly activity: NameActivity;
  readonly isAlive: () => boolean;
}

/** A part, and what its name led to when somebody looked. */
interface Place {
  readonly part: CommitPart;
  readonly name: string;
  readonly channel: Channel | undefined;
}

interface Planned {
  readonly name: string;
  readonly operation: CommitOperation;
  readonly entry: CommitEntryPart;
  /** Undefined for a deletion. */
  readonly known: ChannelLedger | undefined;
  readonly channel: Channel | undefined;
}

/** Further from the next seq than anything that is under way can bring it. */
const FAR_AHEAD = 400_000;
/** Records that a reader waits for before it gives up. */
const MAX_TAILED = 60;

export class CommitCommands {
  readonly #setting: CommitSetting;
  inFlight = 0;

  constructor(setting: CommitSetting) {
    this.#setting = setting;
  }

  /** Rejects with a Violation for what no fault explains. */
  async run({ parts }: CommitCommand): Promise<void> {
    const { activity, isAlive } = this.#setting;
    const { begun } = activity;
    const places: Place[] = [];
    for (const part of parts) {
      const place = await this.#look(part);
      if (!isAlive()) return;
      if (place !== undefined) places.push(place);
    }
    if (places.length === 0) return;
    // Only while no name has changed it is known which channels the names lead to.
    const isSure = activity.begun === begun && activity.changing === 0;
    await this.#give(places.map((place) => this.#plan(place, isSure)));
  }

  /** Undefined for what cannot take part. */
  async #look(part: CommitPart): Promise<Place | undefined> {
    const { redex, ledger, onChannel, isAlive } = this.#setting;
    const name = NAMES[part.name] ?? 'a';
    try {
      const channel = await redex.channel(name, { createIfMissing: false });
      if (isAlive()) onChannel.opened(channel, ledger.channelAt(channel.nextSeq));
      return { part, name, channel };
    } catch (error) {
      if (!RedexError.is(error)) throw error;
      const isMissing = error.code === 'NOT_FOUND' && part.does !== 'delete';
      return isMissing ? { part, name, channel: undefined } : undefined;
    }
  }

  #plan({ part, name, channel }: Place, isSure: boolean): Planned {
    const { ledger } = this.#setting;
    if (part.does === 'delete') {
      const index = channel === undefined ? -1 : ledger.channelAt(channel.nextSeq).index;
      const entry = { does: 'delete', channel: isSure ? index : -1, ...NO_RECORDS } as const;
      ledger.mayDelete(name);
      return { name, operation: { delete: name }, entry, known: undefined, channel: undefined };
    }
    if (channel === undefined || part.does === 'create') return this.#planCreation(part, name);
    const known = ledger.channelAt(channel.nextSeq);
    const { nextSeq: fromSeq } = channel;
    const { first, records } = this.#records(part, known);
    const { expects } = part;
    const isConditional = expects === 'next' || !isSure;
    return {
      name,
      operation: {
        channel: name,
        records,
        expectedSeq:
          expects === 'another' ? fromSeq + FAR_AHEAD : isConditional ? fromSeq : undefined,
      },
      entry: { does: 'append', channel: known.index, first, count: records.length, fromSeq },
      known,
      channel,
    };
  }

  /** Only a channel that is made begins at the seq that is the condition. */
  #planCreation(part: CommitPart, name: string): Planned {
    const stored = OPTIONS[part.options] ?? OPTIONS[0];
    if (stored === undefined) throw new Error('there are no options');
    const known = this.#setting.ledger.addChannel(stored);
    const { beginsAt: fromSeq } = known.records;
    const { first, records } = this.#records(part, known);
    return {
      name,
      operation: {
        channel: name,
        records,
        expectedSeq: fromSeq,
        create: { ...stored, firstSeq: fromSeq },
      },
      entry: { does: 'create', channel: known.index, first, count: records.length, fromSeq },
      known,
      channel: undefined,
    };
  }

  #records(
    { sizes, key }: CommitPart,
    { records }: ChannelLedger,
  ): { readonly first: number; readonly records: RecordInput[] } {
    const first = records.nextId;
    const timeMs = this.#setting.runtime.now();
    const inputs = sizes.map((size, index): RecordInput => {
      const id = first + index;
      const payload = payloadOf(id, size);
      const type = id * KEYS + key;
      records.add({
        batch: first,
        batchSize: sizes.length,
        type,
        payload,
        timeMs,
        isTimed: true,
        explicitSeq: undefined,
        skippedFrom: undefined,
      });
      return { payload, type, timestamp: timeMs };
    });
    return { first, records: inputs };
  }

  async #give(planned: readonly Planned[]): Promise<void> {
    const { redex, ledger, activity, isAlive } = this.#setting;
    const operation = ledger.names.beginCommit(
      planned.map(({ name, entry: { does, channel } }) => ({ does, name, channel })),
    );
    ledger.addCommit({ parts: planned.map(({ entry }) => entry) });
    const changes = planned.some(({ entry: { does } }) => does !== 'append') ? 1 : 0;
    activity.changing += changes;
    activity.begun += changes;
    this.inFlight += 1;
    const work = redex.commit(planned.map((each) => each.operation));
    const watch = this.#watch(planned, work);
    let answer: Answer;
    try {
      const result = await work;
      if (!isAlive()) return;
      this.#done(planned, result);
      for (const { name, entry } of planned) {
        if (entry.does === 'delete') this.#setting.onChannel.deleted(name);
      }
      answer = { kind: 'done' };
    } catch (error) {
      if (error instanceof Violation) throw error;
      if (!isAlive()) return;
      answer = this.#refused(planned, error);
    } finally {
      activity.changing -= changes;
      this.inFlight -= 1;
    }
    operation.answer = answer;
    await watch;
  }

  #done(planned: readonly Planned[], { channels }: CommitResult): void {
    const { ledger, counters } = this.#setting;
    counters.commits += 1;
    for (const { name, known, entry } of planned) {
      if (known === undefined) continue;
      const { firstSeq = -1, nextSeq = -1 } = channels[name] ?? {};
      if (ledger.channelAt(Math.max(0, firstSeq)) !== known) {
        throw new Violation(`J1: a commit went to ${firstSeq}, not to channel ${known.index}`);
      }
      if (nextSeq - firstSeq !== entry.count) {
        throw new Violation(`J1: a commit of ${entry.count} has ${firstSeq} to ${nextSeq}`);
      }
      for (let i = 0; i < entry.count; i += 1) {
        known.records.acked(entry.first + i, firstSeq + i, true);
      }
    }
  }

  #refused(planned: readonly Planned[], error: unknown): Answer {
    const { counters } = this.#setting;
    counters.refusals += 1;
    const isUnknown =
      (RedexError.is(error, 'IO') || RedexError.is(error, 'POISONED')) &&
      error.outcome === 'unknown';
    if (!isUnknown && !(RedexError.is(error) && EXPECTED.has(error.code))) {
      throw new Violation(`an unexpected error of a commit: ${String(error)}`, { cause: error });
    }
    if (RedexError.is(error, 'SEQ_CONFLICT')) counters.conflicts += 1;
    for (const { known, entry } of planned) {
      for (let i = 0; i < entry.count; i += 1) {
        known?.records.rejected(entry.first + i, isUnknown ? 'unknown' : 'absent');
      }
    }
    if (RedexError.is(error, 'NOT_FOUND')) return { kind: 'missing' };
    return { kind: isUnknown ? 'unclear' : 'refused' };
  }

  /** Whoever sees a part of a commit sees all of it. */
  async #watch(planned: readonly Planned[], work: Promise<unknown>): Promise<void> {
    const seen = planned.filter(({ channel, entry }) => channel !== undefined && entry.count > 0);
    const [watched, ...others] = seen;
    if (watched?.channel === undefined || others.length === 0) return;
    const settled = work.then(
      () => true,
      () => false,
    );
    const { first, count, fromSeq } = watched.entry;
    try {
      const tail = watched.channel.tail({ from: fromSeq, copy: true });
      const ending = settled.then((isDone) => (isDone ? undefined : tail.return?.()));
      for (let left = MAX_TAILED; left > 0; left -= 1) {
        const next = await tail.next();
        if (next.done === true || !this.#setting.isAlive()) break;
        const id = idOf(next.value.type, next.value.payload);
        if (id < first || id >= first + count) continue;
        for (const other of others) await this.#requireSeen(other, settled);
        this.#setting.counters.commitsWatched += 1;
        break;
      }
      await tail.return?.();
      await ending;
    } catch (error) {
      if (!RedexError.is(error)) throw error;
    }
  }

  async #requireSeen(
    { channel, known, entry: { first, count, fromSeq } }: Planned,
    settled: Promise<boolean>,
  ): Promise<void> {
    if (channel === undefined || known === undefined || channel.firstSeq > fromSeq) return;
    const found = await channel.readBatch({ from: fromSeq });
    const ids = new Set(found.map(({ type, payload }) => idOf(type, payload)));
    // One that could not take its part is poisoned.
    if (!(await settled) || !this.#setting.isAlive() || channel.firstSeq > fromSeq) return;
    const { flags } = known.records.facts();
    for (let id = first; id < first + count; id += 1) {
      if (ids.has(id) || ((flags[id - 1] ?? 0) & CONDEMNED) !== 0) continue;
      throw new Violation(`J1: a part of a commit was seen without record ${id} of another`);
    }
  }
}

const NO_RECORDS = { first: 1, count: 0, fromSeq: 0 } as const;

/** What says that nothing has changed. */
const EXPECTED: ReadonlySet<string> = new Set([
  'SEQ_CONFLICT',
  'NOT_FOUND',
  'OPTIONS_CONFLICT',
  'LIMIT',
  'IO',
  'POISONED',
  'CLOSED',
  'BUSY',
]);
