/**
 * What a run asked a store for and was told by it, so that any image of its directory can be
 * judged. A channel is known by its first seq: each creation is asked for with another one.
 */
import {
  storedWith,
  type ConfigureOptions,
  type StoredChannelOptions,
} from '../../src/channel/options.js';
import { NameLedger, namesKey } from '../../src/crash-test/name-ledger.js';
import { CrashModel, Violation, type Ledger } from './crash-model.js';

/** First seqs of two channels differ by at least this. */
export const FIRST_SEQ_STEP = 1_000_000;

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
  readonly names: NameLedger = new NameLedger();

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

  ledger(): StoreLedger {
    return {
      names: new Set(this.names.possible().map(namesKey)),
      channels: this.channels.map(({ possibleOptions, records }) => ({
        options: possibleOptions,
        records: records.ledger(),
      })),
      storeId: this.storeId,
    };
  }
}
