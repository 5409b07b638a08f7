/**
 * The folds and indexes of an open channel, each once: they share the checkpoint files of their
 * name. Asking again with the same options gives the same one, with others OPTIONS_CONFLICT.
 */
import { redexError } from '../core/errors.js';
import type { LogRecord } from '../core/record.js';
import { encodeChannelName } from '../format/channel-name.js';
import { CHECKPOINT_OF_FOLD, CHECKPOINT_OF_INDEX } from '../format/checkpoint.js';
import { ChannelIndex, checkIndexOptions, type IndexOptions } from './channel-index.js';
import type { Codec } from './codec.js';
import type { FoldHost } from './fold-host.js';
import { checkFoldOptions, foldPlan, type FoldOptions, type FoldPlan } from './fold-options.js';
import { Fold } from './fold.js';
import {
  checkKeptOptions,
  KeptCheckpoints,
  type KeptCheckpointOptions,
} from './kept-checkpoints.js';
import { typedRecord, type TypedRecord } from './typed-record.js';

/** Checkpoints without a fold: no kind of a file, but no two of one name are open. */
const KEPT = 0;

interface Closable {
  readonly isClosed: boolean;
  close(): Promise<void>;
}

interface Entry {
  readonly kind: number;
  readonly given: Readonly<Record<string, unknown>>;
  readonly opening: Promise<Closable>;
}

export class Folds {
  readonly #host: FoldHost;
  readonly #entries = new Map<string, Entry>();
  #isFinishing = false;

  constructor(host: FoldHost) {
    this.#host = host;
  }

  /** See Channel.fold. */
  async fold<S>(options: FoldOptions<S>): Promise<Fold<S>> {
    checkFoldOptions(options);
    const plan = foldPlan(options, CHECKPOINT_OF_FOLD, options.apply);
    return this.#open(plan, { ...options });
  }

  /** See TypedChannel.fold. A record that does not decode stops the fold with a DecodeError. */
  async typedFold<S, T>(
    options: FoldOptions<S, TypedRecord<T>>,
    values: Codec<T>,
  ): Promise<Fold<S>> {
    checkFoldOptions(options);
    const { apply } = options;
    const plan = foldPlan(options, CHECKPOINT_OF_FOLD, (state: S, record) =>
      apply(state, typedRecord(values, record)),
    );
    return this.#open(plan, { ...options, values });
  }

  async #open<S>(plan: FoldPlan<S>, given: Entry['given']): Promise<Fold<S>> {
    const { kind, name } = plan;
    const open = (onClosed: () => void): Promise<Fold<S>> => Fold.open(this.#host, plan, onClosed);
    return (await this.#share(name, { kind, given }, open)) as Fold<S>;
  }

  /** See Channel.index. */
  async index(options: IndexOptions): Promise<ChannelIndex> {
    return this.#openIndex(options, { ...options }, (record) => record);
  }

  /** See TypedChannel.index. */
  async typedIndex<T>(
    options: IndexOptions<TypedRecord<T>>,
    values: Codec<T>,
  ): Promise<ChannelIndex> {
    return this.#openIndex(options, { ...options, values }, (record) =>
      typedRecord(values, record),
    );
  }

  async #openIndex<R>(
    options: IndexOptions<R>,
    given: Entry['given'],
    view: (record: LogRecord) => R,
  ): Promise<ChannelIndex> {
    checkIndexOptions(options);
    const asked = { kind: CHECKPOINT_OF_INDEX, given };
    const open = (onClosed: () => void): Promise<ChannelIndex> =>
      ChannelIndex.open(this.#host, { ...options }, view, onClosed);
    return (await this.#share(options.name, asked, open)) as ChannelIndex;
  }

  /** See Channel.checkpoints. */
  async checkpoints(options: KeptCheckpointOptions): Promise<KeptCheckpoints> {
    checkKeptOptions(options);
    const asked = { kind: KEPT, given: { ...options } };
    const open = (onClosed: () => void): Promise<KeptCheckpoints> =>
      Promise.resolve(new KeptCheckpoints(this.#host, options, onClosed));
    return (await this.#share(options.name, asked, open)) as KeptCheckpoints;
  }

  /** Whether a fold or index whose checkpoints have this entry is open, or being opened. */
  isOpen(entry: string): boolean {
    return [...this.#entries.keys()].some((name) => encodeChannelName(name) === entry);
  }

  async #share(
    name: string,
    asked: Omit<Entry, 'opening'>,
    open: (onClosed: () => void) => Promise<Closable>,
  ): Promise<Closable> {
    for (;;) {
      const { health, isClosing } = this.#host;
      if (isClosing || this.#isFinishing) throw health.closedError();
      const present = this.#entries.get(name);
      if (present === undefined) break;
      const opened = await present.opening.catch(() => undefined);
      if (opened?.isClosed === false) {
        refuseConflict(name, present, asked);
        return opened;
      }
      await opened?.close();
    }
    const forget = (): void => {
      if (this.#entries.get(name) === entry) this.#entries.delete(name);
    };
    // The name is taken before `initial` is called, which may ask for a fold itself.
    let begin: (opening: Promise<Closable>) => void = () => {};
    const opening = new Promise<Closable>((resolve) => {
      begin = resolve;
    });
    const entry: Entry = { ...asked, opening };
    this.#entries.set(name, entry);
    begin(open(forget));
    opening.catch(forget);
    return opening;
  }

  /** Before the channel is closed: each writes a last checkpoint if it can. Never rejects. */
  async finish(): Promise<void> {
    this.#isFinishing = true;
    const closings = [...this.#entries.values()].map(async ({ opening }) => {
      const opened = await opening.catch(() => undefined);
      await opened?.close();
    });
    await Promise.all(closings);
  }
}

/** The name of what is open is taken by something else. */
function refuseConflict(name: string, present: Entry, asked: Omit<Entry, 'opening'>): void {
  const { kind, given } = present;
  const keys = [...new Set([...Object.keys(given), ...Object.keys(asked.given)])];
  const other = keys.find((key) => !Object.is(given[key], asked.given[key]));
  if (kind === asked.kind && other === undefined) return;
  const option = kind === asked.kind ? (other ?? 'name') : 'kind';
  throw redexError(
    'OPTIONS_CONFLICT',
    `fold ${name} is open with another ${option}; close that one first`,
    { option, stored: given[option], given: asked.given[option] },
  );
}
