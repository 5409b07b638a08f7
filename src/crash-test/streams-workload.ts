/**
 * Operations on streams, drawn from a seed: what the model says of each, and the call. Those that
 * are done together change different streams, and none that another rests on.
 */
import type { StreamData, StreamStore } from '../streams/stream-store.js';
import type { Random } from '../testing/choices.js';
import {
  NO_STREAM,
  ownBytes,
  type Effects,
  type StreamSight,
  type StreamsModel,
} from './streams-model.js';

export interface StreamStep {
  readonly what: string;
  readonly effects: Effects;
  readonly isSynced: boolean;
  readonly run: (streams: StreamStore) => Promise<unknown>;
  /** The code that it has to be refused with; then nothing changes. */
  readonly refused?: string | undefined;
  /** What it may have made of the streams before it is done, one after the other. */
  readonly passing?: readonly Effects[];
  /** Streams that it rests on, beside those that it changes. */
  readonly reads?: readonly string[];
}

export const STREAM_NAMES: readonly string[] = ['a', 'b', 'c', 'd/1', 'd/2', 'd/3'];
export const MAX_TOTAL_BYTES = 6000;
export const PRODUCERS: readonly string[] = ['p0', 'p1', 'p2'];
const TEXT = 'text/plain';
/** How long streams live that expire. */
const LIFE_MS = 20_000;
const KEPT_MESSAGES = 2;
const LARGE = ['x', 'x'.repeat(MAX_TOTAL_BYTES)];

export class StreamsWorkload {
  readonly #random: Random;
  readonly #model: StreamsModel;
  #number = 0;

  constructor(random: Random, model: StreamsModel) {
    this.#random = random;
    this.#model = model;
  }

  /** Steps that are begun in one turn. */
  draw(nowMs: number): StreamStep[] {
    const chance = this.#random.below(20);
    if (chance === 0) return this.#retention(nowMs);
    if (chance === 1) return this.#replacement(nowMs);
    const count = 1 + this.#random.below(3);
    const steps: StreamStep[] = [];
    for (let i = 0; i < count; i++) {
      const step =
        this.#random.below(5) < 2 ? this.#lifeStep(nowMs) : this.#appendStep(this.#live(nowMs));
      if (step !== undefined && !steps.some((other) => areRelated(other, step))) steps.push(step);
    }
    return steps;
  }

  /** A stream that is there, if there is one. */
  #live(nowMs: number): string | undefined {
    const live = STREAM_NAMES.filter((name) => this.#isLive(name, nowMs));
    return live[this.#random.below(live.length)];
  }

  #isLive(name: string, nowMs: number): boolean {
    const { status, expiresAt = Infinity } = this.#model.last(name);
    return status === 'live' && nowMs < expiresAt;
  }

  #text(): string {
    return `${this.#number++} ${'x'.repeat(this.#random.below(200))}`;
  }

  #appendStep(name: string | undefined): StreamStep | undefined {
    if (name === undefined) return undefined;
    const before = this.#model.last(name);
    if (!before.closed && this.#random.below(12) === 0) return this.#appendOverLimit(name);
    const texts = Array.from({ length: this.#random.below(4) }, () => this.#text());
    const close = texts.length === 0 || this.#random.below(12) === 0;
    const isSynced = this.#random.below(3) > 0;
    const durability = isSynced ? ('synced' as const) : ('written' as const);
    const id = PRODUCERS[this.#random.below(PRODUCERS.length)] ?? 'p0';
    const seq = (before.producers[id] ?? -1) + 1;
    const producer = this.#random.below(2) === 0 ? { id, epoch: 0, seq } : undefined;
    const grown = this.#random.below(3) === 0 ? before.streamSeq + 1 : undefined;
    const streamSeq = grown === undefined ? undefined : streamSeqOf(grown);
    const options = { close, durability, producer, streamSeq };
    const after: StreamSight = {
      ...before,
      messages: [...before.messages, ...texts],
      closed: close,
      streamSeq: grown ?? before.streamSeq,
      producers: producer === undefined ? before.producers : { ...before.producers, [id]: seq },
    };
    const run = (streams: StreamStore): Promise<unknown> =>
      streams.appendBatch(name, texts, options);
    const what = `append ${texts.length} to ${name}${close ? ', close' : ''}, ${durability}`;
    if (before.closed) {
      const isDone = texts.length === 0 && producer === undefined;
      const refused = isDone ? undefined : 'STREAM_CLOSED';
      return { what, effects: {}, isSynced, run, refused, reads: [name] };
    }
    return { what, effects: { [name]: after }, isSynced, run };
  }

  /** Whatever else runs: these bytes have no place beside others. */
  #appendOverLimit(name: string): StreamStep {
    const { producers } = this.#model.last(name);
    const producer = { id: 'p0', epoch: 0, seq: (producers['p0'] ?? -1) + 1 };
    const options = { producer, streamSeq: '999999', close: true };
    const run = (streams: StreamStore): Promise<unknown> =>
      streams.appendBatch(name, ['x', 'x'.repeat(MAX_TOTAL_BYTES)], options);
    const what = `exceed in ${name}`;
    return { what, effects: {}, isSynced: true, run, refused: 'LIMIT', reads: [name] };
  }

  #lifeStep(nowMs: number): StreamStep | undefined {
    const name = STREAM_NAMES[this.#random.below(STREAM_NAMES.length)] ?? 'a';
    const { status } = this.#model.last(name);
    if (status === 'gone') return this.#refusedCreation(name, 'EXISTS', {});
    if (status === 'none') {
      const sources = STREAM_NAMES.filter((each) => this.#isLive(each, nowMs));
      const chance = this.#random.below(8);
      if (chance === 0) return this.#refusedCreation(name, 'LIMIT', { data: LARGE });
      if (sources.length === 0 || chance < 4) return this.#creation(name, nowMs);
      return this.#fork(name, sources[this.#random.below(sources.length)] ?? 'a');
    }
    // Expired ones are for the sweep.
    if (!this.#isLive(name, nowMs)) return undefined;
    if (this.#random.below(3) === 0) return this.#trim(name);
    return this.#random.below(2) === 0 ? this.#deletion(name) : undefined;
  }

  #refusedCreation(name: string, refused: string, data: StreamData): StreamStep {
    const run = (streams: StreamStore): Promise<unknown> => streams.createStream(name, {}, data);
    return { what: `refuse ${name}`, effects: {}, isSynced: true, run, refused, reads: [name] };
  }

  #creation(name: string, nowMs: number): StreamStep {
    const data = Array.from({ length: this.#random.below(3) }, () => this.#text());
    const closed = this.#random.below(8) === 0;
    const expiresAt = this.#random.below(3) === 0 ? nowMs + LIFE_MS : undefined;
    const keeps = this.#random.below(3) === 0 ? KEPT_MESSAGES : undefined;
    const retention = keeps === undefined ? null : { maxMessages: keeps };
    const live = { status: 'live', messages: data, closed, expiresAt, keeps } as const;
    const sight: StreamSight = { ...NO_STREAM, ...live };
    const options = { contentType: TEXT, closed, expiresAt, retention };
    const run = (streams: StreamStore): Promise<unknown> =>
      streams.createStream(name, options, { data });
    return { what: `create ${name}`, effects: { [name]: sight }, isSynced: true, run };
  }

  /** At the tail, or before a message, or within one: then it has the beginning of that. */
  #fork(name: string, source: string): StreamStep {
    const { messages, expiresAt } = this.#model.last(source);
    const data = Array.from({ length: this.#random.below(2) }, () => this.#text());
    const inherited = this.#random.below(messages.length + 1);
    const within = messages[inherited] ?? '';
    const subOffset = within.length < 2 ? 0 : this.#random.below(within.length);
    const own = subOffset === 0 ? data : [within.slice(0, subOffset), ...data];
    const keeps = this.#random.below(3) === 0 ? KEPT_MESSAGES : undefined;
    const retention = keeps === undefined ? null : { maxMessages: keeps };
    const sight: StreamSight = {
      ...NO_STREAM,
      status: 'live',
      messages: [...messages.slice(0, inherited), ...own],
      inherited,
      source,
      expiresAt,
      keeps,
    };
    const run = async (streams: StreamStore): Promise<void> => {
      const offset = await placeOf(streams, source, inherited);
      await streams.createFork(name, source, { offset, subOffset, retention }, { data });
    };
    const what = `fork${subOffset === 0 ? '' : '-within'} ${name} of ${source}`;
    return { what, effects: { [name]: sight }, isSynced: true, run, reads: [source] };
  }

  /** All but the last message goes, or that too. */
  #trim(name: string): StreamStep | undefined {
    const { messages, inherited } = this.#model.last(name);
    const count = messages.length - this.#random.below(2);
    // What is another's stays here.
    if (count <= inherited) return undefined;
    const effects = this.#withoutFirst(name, count);
    const run = async (streams: StreamStore): Promise<void> => {
      const place = await placeOf(streams, name, count);
      await streams.trimStream(name, { before: place });
    };
    return { what: `trim ${name}`, effects, isSynced: true, run };
  }

  /** So many messages of a stream go, and of its forks what they have of these. */
  #withoutFirst(name: string, count: number, changed: Effects = {}): Effects {
    const before = changed[name] ?? this.#model.last(name);
    const { messages, inherited } = before;
    const left = { messages: messages.slice(count), inherited: Math.max(0, inherited - count) };
    let effects: Effects = { ...changed, [name]: { ...before, ...left } };
    for (const fork of this.#model.forksOf(name)) {
      const its = changed[fork] ?? this.#model.last(fork);
      effects = this.#withoutFirst(fork, Math.min(count, its.inherited), effects);
    }
    return effects;
  }

  /** Everything that has more messages than it keeps lets go of some; nothing else runs. */
  #retention(nowMs: number): StreamStep[] {
    let effects: Effects = {};
    const passing: Effects[] = [];
    const excessive: string[] = [];
    for (const name of this.#sourcesFirst) {
      const { messages, inherited, keeps = Infinity } = effects[name] ?? this.#model.last(name);
      if (!this.#isLive(name, nowMs) || messages.length - inherited <= keeps) continue;
      effects = this.#withoutFirst(name, messages.length - keeps, effects);
      passing.push(effects);
      excessive.push(name);
    }
    const run = async (streams: StreamStore): Promise<void> => {
      // What was not used since the store was opened is not known to have too much.
      for (const name of excessive) await streams.head(name);
      await streams.applyRetention();
    };
    return [{ what: 'retain', effects, passing, isSynced: true, run }];
  }

  get #sourcesFirst(): string[] {
    return STREAM_NAMES.toSorted((a, b) => this.#sourcesOf(a).length - this.#sourcesOf(b).length);
  }

  /** A stream is deleted and made again in one turn. */
  #replacement(nowMs: number): StreamStep[] {
    const name = this.#live(nowMs);
    if (name === undefined || this.#model.forksOf(name).length > 0) return [];
    const sight: StreamSight = { ...NO_STREAM, status: 'live' };
    const run = (streams: StreamStore): Promise<unknown> =>
      streams.createStream(name, { contentType: TEXT });
    const what = `replace ${name}`;
    return [this.#deletion(name), { what, effects: { [name]: sight }, isSynced: true, run }];
  }

  #deletion(name: string): StreamStep {
    const run = (streams: StreamStore): Promise<unknown> => streams.deleteStream(name);
    const effects = this.#removal(name);
    // Whether these go, too, is for one deletion to say.
    const reads = [...this.#model.forksOf(name), ...this.#sourcesOf(name)];
    return { what: `delete ${name}`, effects, isSynced: true, run, reads };
  }

  #sourcesOf(name: string): string[] {
    const { source } = this.#model.last(name);
    return source === undefined ? [] : [source, ...this.#sourcesOf(source)];
  }

  #removal(name: string): Effects {
    const sight = this.#model.last(name);
    if (this.#model.forksOf(name).length > 0) return { [name]: { ...sight, status: 'gone' } };
    const effects: Record<string, StreamSight> = { [name]: NO_STREAM };
    let { source } = sight;
    while (source !== undefined) {
      const above: StreamSight = this.#model.last(source);
      if (above.status !== 'gone' || this.#model.forksOf(source).length !== 1) break;
      effects[source] = NO_STREAM;
      ({ source } = above);
    }
    return effects;
  }

  /** What a sweep does with the next stream that has expired; undefined when there is none. */
  expired(nowMs: number): Effects | undefined {
    const found = this.#model.all.find(
      ([, { status, expiresAt = Infinity }]) => status === 'live' && nowMs >= expiresAt,
    );
    return found === undefined ? undefined : this.#removal(found[0]);
  }

  /** Whether these steps have room, whichever comes first. */
  hasRoomFor(steps: readonly StreamStep[]): boolean {
    const now = this.#model.all.reduce((sum, [, sight]) => sum + ownBytes(sight), 0);
    const changed = steps.flatMap(({ effects }) => Object.entries(effects));
    const grown = changed.reduce((sum, [name, sight]) => {
      return sum + Math.max(0, ownBytes(sight) - ownBytes(this.#model.last(name)));
    }, now);
    return grown <= MAX_TOTAL_BYTES;
  }
}

/** In the order of the numbers, compared as bytes. */
export function streamSeqOf(number: number): string {
  return String(number).padStart(6, '0');
}

/** Whether one of them changes what the other rests on; two deletions also when both rest on it. */
function areRelated(a: StreamStep, b: StreamStep): boolean {
  const [changedByA, changedByB] = [a, b].map(({ effects }) => Object.keys(effects));
  const restsOn = ({ effects, reads = [] }: StreamStep): Set<string> =>
    new Set([...Object.keys(effects), ...reads]);
  const [ofA, ofB] = [restsOn(a), restsOn(b)];
  if (changedByA?.some((name) => ofB.has(name)) === true) return true;
  if (changedByB?.some((name) => ofA.has(name)) === true) return true;
  const areDeletions = [a, b].every(({ what }) => what.startsWith('delete'));
  return areDeletions && [...ofA].some((name) => ofB.has(name));
}

/** The offset of a message, counted from the first that is there. */
async function placeOf(streams: StreamStore, name: string, message: number): Promise<string> {
  const { messages, offset } = await streams.read(name, { maxBytes: 1e6 });
  const [count = 0, bytes = 0] = offset.split('_').map(Number);
  const before = messages.slice(0, message).reduce((sum, { length }) => sum + length, bytes);
  const digits = (value: number): string => String(value).padStart(16, '0');
  return `${digits(count + message)}_${digits(before)}`;
}
