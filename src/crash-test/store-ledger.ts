/**
 * What a run asked a store for and was told by it, so that any image of its directory can be
 * judged. A channel is known by its first seq: each creation is asked for with another one.
 */
import {
  storedWith,
  type ConfigureOptions,
  type StoredChannelOptions,
} from '../channel/options.js';
import { NameLedger, namesKey } from './name-ledger.js';
import { RecordLedger } from './record-ledger.js';
import type { CommitEntry, StoreFacts } from './store-facts.js';
import { Violation } from './violation.js';

/** First seqs of two channels differ by at least this. */
const FIRST_SEQ_STEP = 1_000_000;

interface OptionChange {
  readonly given: ConfigureOptions;
  state: 'open' | 'done' | 'refused';
}

/** One creation, whether it happened or not. */
export class ChannelLedger {
  readonly index: number;
  readonly records: RecordLedger;
  #base: readonly StoredChannelOptions[];
  #changes: OptionChange[] = [];

  constructor(index: number, stored: StoredChannelOptions) {
    this.index = index;
    this.records = new RecordLedger(index * FIRST_SEQ_STEP);
    this.#base = [stored];
    this.#retains(stored);
  }

  change(given: ConfigureOptions): OptionChange {
    const change: OptionChange = { given, state: 'open' };
    this.#changes.push(change);
    this.#retains(given);
    return change;
  }

  #retains({ retention }: ConfigureOptions): void {
    if (retention !== undefined && retention !== null) this.records.retentions.push(retention);
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
  rebase(stored: StoredChannelOptions, isDurable: boolean): void {
    if (isDurable) this.#base = [stored];
    else {
      const others = [...this.possibleOptions].map(parseOptions);
      this.#base = [stored, ...others];
    }
    this.#changes = [];
  }
}

/** `undefined` has no form in JSON. */
export function optionsKey(options: StoredChannelOptions): string {
  const { sync, segmentBytes, segmentMs, retention = null } = options;
  return JSON.stringify({ sync, segmentBytes, segmentMs, retention });
}

function parseOptions(key: string): StoredChannelOptions {
  const { retention, ...rest } = JSON.parse(key) as StoredChannelOptions;
  return { ...rest, retention: retention ?? undefined };
}

export class StoreLedger {
  readonly channels: ChannelLedger[] = [];
  readonly names: NameLedger = new NameLedger();
  readonly #commits: CommitEntry[] = [];
  readonly #deletions = new Map<number, number>();
  storeId: string | undefined;

  addCommit(commit: CommitEntry): void {
    this.#commits.push(commit);
  }

  /** A deletion of this name is about to be asked for. */
  mayDelete(name: string): void {
    const channels = new Set(this.names.possible().map((names) => names.get(name)));
    for (const index of channels) {
      if (index !== undefined) this.#deletions.set(index, (this.#deletions.get(index) ?? 0) + 1);
    }
  }

  /** A creation that is about to be asked for. */
  addChannel(stored: StoredChannelOptions): ChannelLedger {
    const channel = new ChannelLedger(this.channels.length, stored);
    this.channels.push(channel);
    return channel;
  }

  /** The channel in which this is the next seq. */
  channelAt(nextSeq: number): ChannelLedger {
    const channel = this.channels[Math.floor(nextSeq / FIRST_SEQ_STEP)];
    if (channel === undefined) throw new Violation(`nobody asked for a channel at ${nextSeq}`);
    return channel;
  }

  facts(): StoreFacts {
    return {
      names: new Set(this.names.possible().map(namesKey)),
      channels: this.channels.map(({ possibleOptions, records }) => ({
        options: possibleOptions,
        records: records.facts(),
      })),
      commits: [...this.#commits],
      deletions: new Map(this.#deletions),
      storeId: this.storeId,
    };
  }
}
