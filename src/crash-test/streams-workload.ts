/**
 * Operations on streams, drawn from a seed: what the model says of each, and the call. Streams come
 * and go one at a time; appends to several streams go together.
 */
import type { StreamStore } from '../streams/stream-store.js';
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
  readonly refused?: string;
}

export const STREAM_NAMES: readonly string[] = ['a', 'b', 'c', 'd/1', 'd/2', 'd/3'];
export const MAX_TOTAL_BYTES = 6000;
const TEXT = 'text/plain';
/** How long streams live that expire. */
const LIFE_MS = 20_000;

export class StreamsWorkload {
  readonly #random: Random;
  readonly #model: StreamsModel;
  #number = 0;

  constructor(random: Random, model: StreamsModel) {
    this.#random = random;
    this.#model = model;
  }

  /** Steps that are done together: each is about other streams. */
  draw(nowMs: number): StreamStep[] {
    if (this.#random.below(5) < 2) {
      const step = this.#lifeStep(nowMs);
      return step === undefined ? [] : [step];
    }
    const count = 1 + this.#random.below(3);
    const live = STREAM_NAMES.filter((name) => this.#isLive(name, nowMs));
    const steps: StreamStep[] = [];
    for (let i = 0; i < count && live.length > 0; i++) {
      const [name = 'a'] = live.splice(this.#random.below(live.length), 1);
      steps.push(this.#appendStep(name));
    }
    return steps;
  }

  #isLive(name: string, nowMs: number): boolean {
    const { status, expiresAt = Infinity } = this.#model.last(name);
    return status === 'live' && nowMs < expiresAt;
  }

  #text(): string {
    return `${this.#number++} ${'x'.repeat(this.#random.below(200))}`;
  }

  #appendStep(name: string): StreamStep {
    const before = this.#model.last(name);
    const texts = Array.from({ length: this.#random.below(4) }, () => this.#text());
    const close = texts.length === 0 || this.#random.below(12) === 0;
    const isSynced = this.#random.below(3) > 0;
    const durability = isSynced ? ('synced' as const) : ('written' as const);
    const id = `p${this.#random.below(3)}`;
    const seq = (before.producers[id] ?? -1) + 1;
    const producer = this.#random.below(2) === 0 ? { id, epoch: 0, seq } : undefined;
    const grown = this.#random.below(3) === 0 ? before.streamSeq + 1 : undefined;
    const streamSeq = grown === undefined ? undefined : String(grown).padStart(6, '0');
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
      return { what, effects: {}, isSynced, run, ...(isDone ? {} : { refused: 'STREAM_CLOSED' }) };
    }
    return { what, effects: { [name]: after }, isSynced, run };
  }

  #lifeStep(nowMs: number): StreamStep | undefined {
    const name = STREAM_NAMES[this.#random.below(STREAM_NAMES.length)] ?? 'a';
    const { status, messages } = this.#model.last(name);
    if (status === 'gone') return this.#refusedCreation(name);
    if (status === 'none') {
      const sources = STREAM_NAMES.filter((each) => this.#isLive(each, nowMs));
      if (sources.length === 0 || this.#random.below(2) === 0) return this.#creation(name, nowMs);
      return this.#fork(name, sources[this.#random.below(sources.length)] ?? 'a');
    }
    // Expired ones are for the sweep.
    if (!this.#isLive(name, nowMs)) return undefined;
    if (messages.length > 2 && this.#random.below(3) === 0) return this.#trim(name);
    return this.#random.below(2) === 0 ? this.#deletion(name) : undefined;
  }

  #refusedCreation(name: string): StreamStep {
    const run = (streams: StreamStore): Promise<unknown> => streams.createStream(name);
    return { what: `create ${name}`, effects: {}, isSynced: true, run, refused: 'EXISTS' };
  }

  #creation(name: string, nowMs: number): StreamStep {
    const data = Array.from({ length: this.#random.below(3) }, () => this.#text());
    const closed = this.#random.below(8) === 0;
    const expiresAt = this.#random.below(3) === 0 ? nowMs + LIFE_MS : undefined;
    const sight: StreamSight = { ...NO_STREAM, status: 'live', messages: data, closed, expiresAt };
    const run = (streams: StreamStore): Promise<unknown> =>
      streams.createStream(name, { contentType: TEXT, closed, expiresAt }, { data });
    return { what: `create ${name}`, effects: { [name]: sight }, isSynced: true, run };
  }

  #fork(name: string, source: string): StreamStep {
    const { messages, expiresAt } = this.#model.last(source);
    const data = Array.from({ length: this.#random.below(2) }, () => this.#text());
    const sight: StreamSight = {
      ...NO_STREAM,
      status: 'live',
      messages: [...messages, ...data],
      inherited: messages.length,
      source,
      expiresAt,
    };
    const run = (streams: StreamStore): Promise<unknown> =>
      streams.createFork(name, source, {}, { data });
    return { what: `fork ${name} of ${source}`, effects: { [name]: sight }, isSynced: true, run };
  }

  #trim(name: string): StreamStep | undefined {
    const before = this.#model.last(name);
    // What forks read, and what is another's, stays here.
    if (before.source !== undefined || this.#model.forksOf(name).length > 0) return undefined;
    const after = { ...before, messages: before.messages.slice(-1) };
    const run = async (streams: StreamStore): Promise<void> => {
      const { messages, nextOffset } = await streams.read(name, { maxBytes: 1e6 });
      const last = messages.at(-1)?.length ?? 0;
      const [count = 0, bytes = 0] = nextOffset.split('_').map(Number);
      const digits = (value: number): string => String(value).padStart(16, '0');
      await streams.trimStream(name, { before: `${digits(count - 1)}_${digits(bytes - last)}` });
    };
    return { what: `trim ${name}`, effects: { [name]: after }, isSynced: true, run };
  }

  #deletion(name: string): StreamStep {
    const run = (streams: StreamStore): Promise<unknown> => streams.deleteStream(name);
    return { what: `delete ${name}`, effects: this.#removal(name), isSynced: true, run };
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

  /** Whether appends of these steps have room, whichever comes first. */
  hasRoomFor(steps: readonly StreamStep[]): boolean {
    const now = this.#model.all.reduce((sum, [, sight]) => sum + ownBytes(sight), 0);
    const grown = steps.reduce((sum, { effects }) => {
      const changed = Object.entries(effects);
      return changed.reduce(
        (bytes, [name, sight]) => bytes + ownBytes(sight) - ownBytes(this.#model.last(name)),
        sum,
      );
    }, now);
    return grown <= MAX_TOTAL_BYTES;
  }
}
