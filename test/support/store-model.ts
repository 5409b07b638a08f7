/**
 * What a run asked a store for and was told by it, so that any image of its directory can be
 * judged. A channel is known by its first seq: each creation is asked for with another one.
 *
 * The store is a map from names to channels. Answers that are not there yet, or that leave it open
 * what happened, leave several maps possible; each later answer rules some of them out. Commands on
 * one name take effect in the order of their calls, those on different names in any: applying them
 * in the order of the calls covers both.
 */
import {
  storedWith,
  type ConfigureOptions,
  type StoredChannelOptions,
} from '../../src/channel/options.js';
import { CrashModel, Violation, type Ledger } from './crash-model.js';

/** First seqs of two channels differ by at least this. */
export const FIRST_SEQ_STEP = 1_000_000;

/** Names and the channels they lead to. */
export type Names = ReadonlyMap<string, number>;

/** What the store said of a command. */
type Answer =
  /** Nothing yet. */
  | { readonly kind: 'open' }
  /** It failed, and nobody can say what a crash would leave. */
  | { readonly kind: 'unclear' }
  /** It is done, and the disk has it. */
  | { readonly kind: 'done' }
  /** Nothing has changed, for a reason that says nothing of names. */
  | { readonly kind: 'refused' }
  /** There is no channel of this name. */
  | { readonly kind: 'missing' }
  /** There is a channel of the new name. */
  | { readonly kind: 'taken' }
  /** The name led to this channel. */
  | { readonly kind: 'found'; readonly channel: number };

export interface NameOperation {
  readonly kind: 'create' | 'look' | 'delete' | 'rename';
  readonly name: string;
  /** The new name of a rename. */
  readonly to: string;
  /** What a creation would make. */
  readonly channel: number;
  /** Nothing else was under way that concerns its names. */
  readonly alone: boolean;
  answer: Answer;
}

interface OptionChange {
  readonly given: ConfigureOptions;
  state: 'open' | 'done' | 'refused';
}

/** One creation, whether it happened or not. */
export class ModelChannel {
  readonly index: number;
  readonly records: CrashModel = new CrashModel();
  /** Hex; known once somebody has seen it. */
  id: string | undefined;
  #base: readonly StoredChannelOptions[];
  #changes: OptionChange[] = [];

  constructor(index: number, stored: StoredChannelOptions) {
    this.index = index;
    this.#base = [stored];
  }

  get firstSeq(): number {
    return this.index * FIRST_SEQ_STEP;
  }

  change(given: ConfigureOptions): OptionChange {
    const change: OptionChange = { given, state: 'open' };
    this.#changes.push(change);
    return change;
  }

  /** All options that may be stored, as text. */
  get possibleOptions(): ReadonlySet<string> {
    let possible = [...this.#base];
    for (const { given, state } of this.#changes) {
      if (state === 'refused') continue;
      const changed = possible.map((stored) => storedWith(given, stored));
      possible = state === 'done' ? changed : [...possible, ...changed];
    }
    return new Set(possible.map(optionsKey));
  }

  /** A new process has seen these; unless they are durable the disk may have others. */
  seen(stored: StoredChannelOptions, isDurable: boolean): void {
    const others = isDurable ? [] : [...this.possibleOptions].map(parseOptions);
    this.#base = [stored, ...others];
    this.#changes = [];
  }
}

export function optionsKey({ sync, segmentBytes, segmentMs }: StoredChannelOptions): string {
  return JSON.stringify({ sync, segmentBytes, segmentMs });
}

function parseOptions(key: string): StoredChannelOptions {
  return JSON.parse(key) as StoredChannelOptions;
}

export function namesKey(names: Names): string {
  return JSON.stringify([...names].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** What was known of one channel at one moment. */
interface ChannelLedger {
  readonly options: ReadonlySet<string>;
  readonly records: Ledger;
}

/** What was known of the whole store at one moment. */
export interface StoreLedger {
  /** Keys of the maps that are possible. */
  readonly names: ReadonlySet<string>;
  readonly channels: readonly ChannelLedger[];
  /** Undefined while no open has returned. */
  readonly storeId: string | undefined;
}

export class StoreModel {
  readonly channels: ModelChannel[] = [];
  storeId: string | undefined;
  #base: readonly Names[] = [new Map()];
  #operations: NameOperation[] = [];

  /** A creation that is about to be asked for. */
  addChannel(stored: StoredChannelOptions): ModelChannel {
    const channel = new ModelChannel(this.channels.length, stored);
    this.channels.push(channel);
    return channel;
  }

  channelOf(firstSeq: number): ModelChannel {
    const channel = this.channels[firstSeq / FIRST_SEQ_STEP];
    if (channel === undefined) throw new Violation(`nobody asked for first seq ${firstSeq}`);
    return channel;
  }

  begin(
    kind: NameOperation['kind'],
    name: string,
    to: string = name,
    channel: number = -1,
  ): NameOperation {
    const concerned = new Set([name, to]);
    const alone = !this.#operations.some(
      (other) =>
        other.answer.kind === 'open' && (concerned.has(other.name) || concerned.has(other.to)),
    );
    const operation: NameOperation = { kind, name, to, channel, alone, answer: { kind: 'open' } };
    this.#operations.push(operation);
    return operation;
  }

  /** Every map of names that fits all answers. Throws a Violation when none does. */
  possibleNames(): readonly Names[] {
    this.#foldAnswered();
    const possible = this.#operations.reduce(after, this.#base);
    if (possible.length > 0) return possible;
    const told = this.#operations.map(({ kind, name, to, answer }) => {
      return `${kind} ${name} ${to === name ? '' : to} ${JSON.stringify(answer)}`;
    });
    throw new Violation(`no store could have answered so: ${told.join('; ')}`);
  }

  #foldAnswered(): void {
    while (this.#operations[0] !== undefined && this.#operations[0].answer.kind !== 'open') {
      const base = after(this.#base, this.#operations[0]);
      // Left in place for the message.
      if (base.length === 0) return;
      this.#base = base;
      this.#operations.shift();
    }
  }

  ledger(): StoreLedger {
    return {
      names: new Set(this.possibleNames().map(namesKey)),
      channels: this.channels.map(({ possibleOptions, records }) => ({
        options: possibleOptions,
        records: records.ledger(),
      })),
      storeId: this.storeId,
    };
  }

  /** A new process has seen this, and its open has made it durable. */
  seen(names: Names): void {
    this.#base = [names];
    this.#operations = [];
  }
}

/** What may be after an operation where one of `before` was. */
function after(before: readonly Names[], operation: NameOperation): readonly Names[] {
  const result = new Map<string, Names>();
  for (const names of before) {
    for (const next of outcomes(names, operation)) result.set(namesKey(next), next);
  }
  return [...result.values()];
}

function outcomes(names: Names, operation: NameOperation): readonly Names[] {
  const { name, to, answer, alone } = operation;
  switch (answer.kind) {
    case 'open':
    case 'unclear':
      return [names, effect(names, operation) ?? names];
    case 'done': {
      const changed = effect(names, operation);
      return changed === undefined ? [] : [changed];
    }
    case 'refused':
      return [names];
    case 'missing':
      return names.has(name) ? [] : [names];
    case 'taken':
      return names.has(to) ? [names] : [];
    case 'found':
      break;
  }
  // A channel that is open is handed out at once, before what is queued on its name.
  return !alone || names.get(name) === answer.channel ? [names] : [];
}

/** The names after a command; undefined when it is not possible. */
function effect(names: Names, { kind, name, to, channel }: NameOperation): Names | undefined {
  const present = names.get(name);
  const changed = new Map(names);
  switch (kind) {
    case 'look':
      return names;
    case 'create':
      return present === undefined ? changed.set(name, channel) : undefined;
    case 'delete':
      return changed.delete(name) ? changed : undefined;
    case 'rename':
      break;
  }
  if (present === undefined) return undefined;
  if (name === to) return names;
  if (names.has(to)) return undefined;
  changed.delete(name);
  return changed.set(to, present);
}
