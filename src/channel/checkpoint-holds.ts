/**
 * How far the folds that retention waits for have come: below which seq everything is in a durable
 * checkpoint of each of them. Where a fold is open it counts what that fold has loaded or written;
 * otherwise the newest whole checkpoint of its name in the channel's directory.
 *
 * Invariant: a checkpoint counts only once a sync of this process covers its name. A process before
 * may have died between its rename and the sync, and a power cut would bring the older one back.
 */
import type { ChannelContext } from './channel-context.js';
import {
  checkCheckpoint,
  checkpointDirectory,
  listCheckpoints,
  type CheckpointFile,
} from './checkpoint-files.js';
import { systemCodeOf } from '../fs/system-error.js';
import { ioError } from './io-error.js';

/** A fold that retention waits for. */
export interface AwaitedFold {
  readonly name: string;
  /** Of its newest checkpoint; undefined before the first: nothing is let go. */
  readonly seq: number | undefined;
}

export interface HoldParts {
  /** Syncs everything of the channel, with the names in its directory. */
  readonly syncNames: () => Promise<void>;
  /** Resolves when no change of the manifest is being made any more. */
  readonly manifestIdle: () => Promise<void>;
  /** A fold has got further. */
  readonly onSaved: (name: string) => void;
}

export interface KnownFold {
  /** Undefined: there is no checkpoint that the fold can use. */
  readonly seq: number | undefined;
  /** It was written, and its name synced, by this process. */
  readonly isOwn: boolean;
}

export class CheckpointHolds {
  readonly #context: ChannelContext;
  /** Absent where nothing may be written. */
  readonly #parts: HoldParts | undefined;
  /** Folds that have been open in this process. */
  readonly #known = new Map<string, KnownFold>();
  readonly #saved = new Map<string, number>();
  /** The newest whole checkpoint of a name: nobody ever writes to its file again. */
  readonly #whole = new Map<string, { readonly number: number; readonly seq: number }>();
  #naming: Promise<void> | undefined;
  /** A sync of the names failed: no later one says anything about what was there before it. */
  #isUnsure = false;

  constructor(context: ChannelContext, parts?: HoldParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /**
   * A fold is about to look for its checkpoint. Until it has told what it found nothing is let go
   * for it: it may not be able to use the newest one. Resolves to what was known of it before.
   */
  async onOpening(name: string): Promise<KnownFold | undefined> {
    const before = this.#known.get(name);
    this.#known.set(name, { seq: undefined, isOwn: true });
    await this.#parts?.manifestIdle();
    return before;
  }

  /** The fold goes on from this checkpoint of its own, or from none. */
  onLoaded(name: string, seq: number | undefined): void {
    const isOwn = seq === undefined || this.#saved.get(name) === seq;
    this.#known.set(name, { seq, isOwn });
  }

  /** It was not opened after all: what was known of it before counts, or what is in its files. */
  onRefused(name: string, before: KnownFold | undefined): void {
    if (before === undefined) this.#known.delete(name);
    else this.#known.set(name, before);
  }

  /** A checkpoint is durable. */
  onSaved(name: string, seq: number): void {
    this.#saved.set(name, seq);
    this.#known.set(name, { seq, isOwn: true });
    this.#parts?.onSaved(name);
  }

  /** The sync of the directory of checkpoints has failed. */
  onSyncFailed(): void {
    this.#isUnsure = true;
  }

  /** How far each of these folds has come. Rejects with IO. */
  async stateOf(names: readonly string[]): Promise<AwaitedFold[]> {
    const found: AwaitedFold[] = [];
    for (const name of names) {
      const known = this.#known.get(name);
      found.push({ name, seq: known === undefined ? await this.#newest(name) : known.seq });
    }
    return found;
  }

  /**
   * The same, once what it says is durable: for `heldFrom`. Rejects with IO, POISONED, and where
   * nothing may be written with what stands against it.
   */
  async durableStateOf(names: readonly string[]): Promise<AwaitedFold[]> {
    const found = await this.stateOf(names);
    const isDurable = found.every(({ name, seq }) => seq === undefined || this.#isOwn(name));
    if (!isDurable && !this.#isUnsure) {
      this.#naming ??= this.#syncNames();
      await this.#naming;
    }
    return found;
  }

  /**
   * The first seq that has to stay for folds of these names, as it is now: what was found before
   * counts for those that have not been open since.
   */
  heldFrom(names: readonly string[], found: readonly AwaitedFold[]): number {
    let from = Infinity;
    for (const name of names) {
      const known = this.#known.get(name) ?? found.find((each) => each.name === name);
      const isDurable = this.#isOwn(name) || !this.#isUnsure;
      from = Math.min(from, (isDurable ? known?.seq : undefined) ?? 0);
    }
    return from;
  }

  #isOwn(name: string): boolean {
    return this.#known.get(name)?.isOwn === true;
  }

  async #syncNames(): Promise<void> {
    const { fs, directory } = this.#context;
    try {
      await this.#parts?.syncNames();
      await fs.syncDirectory(checkpointDirectory(directory));
    } catch (error) {
      this.#isUnsure = true;
      throw ioError('sync', checkpointDirectory(directory), error, 'absent');
    }
  }

  #filesOf(name: string): readonly CheckpointFile[] {
    const { fs, directory } = this.#context;
    try {
      return listCheckpoints(fs, directory, name).files;
    } catch (error) {
      throw ioError('read', checkpointDirectory(directory), error, 'absent');
    }
  }

  /** The seq of the newest checkpoint that is whole, of any version of the fold. */
  async #newest(name: string): Promise<number | undefined> {
    const { fs, channelId } = this.#context;
    for (const { path, number } of this.#filesOf(name)) {
      const whole = this.#whole.get(name);
      if (whole?.number === number) return whole.seq;
      try {
        const read = await checkCheckpoint(fs, path, (header) => {
          const isOurs = Buffer.compare(header.channelId, channelId) === 0 && header.name === name;
          return isOurs ? undefined : 'identity';
        });
        if (!read.ok) continue;
        const { seq } = read.value;
        this.#whole.set(name, { number, seq });
        return seq;
      } catch (error) {
        // Its writer has newer ones: what is older says too little, and never too much.
        if (systemCodeOf(error) !== 'ENOENT') throw ioError('read', path, error, 'absent');
      }
    }
    return undefined;
  }
}
