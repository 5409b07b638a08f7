/**
 * The manifest of an open channel, and its changes: one after the other, each made from what the
 * one before has left, so that none takes back what another has changed (RULES G2, G5).
 */
import { encodeManifest, type Manifest } from '../format/manifest.js';
import { MANIFEST_NAME, MANIFEST_TEMPORARY_NAME } from '../format/file-name.js';
import { removeUnfinished, writeWholeFile } from '../fs/whole-file.js';
import type { ChannelContext } from './channel-context.js';
import { readManifest } from './channel-files.js';
import { damagedFile } from './damaged-file.js';
import type { Health } from './health.js';
import { ioError } from './io-error.js';
import { settleJournal } from './settle-journal.js';

export class ManifestKeeper {
  readonly #context: ChannelContext;
  readonly #health: Health;
  readonly #poison: (path: string, cause: unknown) => void;
  /** Every record below it is known to be synced. */
  readonly #durableSeq: () => number;
  #current: Manifest;
  /** A process before may have died between its rename and the sync of that (RULES S4). */
  #isInherited = true;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    context: ChannelContext,
    health: Health,
    manifest: Manifest,
    poison: (path: string, cause: unknown) => void,
    durableSeq: () => number,
  ) {
    this.#context = context;
    this.#health = health;
    this.#current = manifest;
    this.#poison = poison;
    this.#durableSeq = durableSeq;
  }

  /** As it is on disk; durably, unless it is still the one that was there at the open. */
  get current(): Manifest {
    return this.#current;
  }

  /**
   * Replaces the manifest by what `change` makes of it and resolves when that is durable. Rejects
   * with IO, CORRUPT or FORMAT_VERSION when nothing has changed, with POISONED when nobody can say
   * which one is on the disk.
   */
  update(change: (manifest: Manifest) => Manifest): Promise<Manifest> {
    const update = this.#last.then(() => this.#update(change));
    this.#last = update.catch(() => undefined);
    return update;
  }

  /** The check that comes before each change, behind those that are being made. */
  async checkKnown(): Promise<void> {
    await this.#last;
    // After a sync that failed the disk has what nobody here goes by.
    const refusal = this.#health.writeError();
    if (refusal !== undefined) throw refusal;
    this.#requireKnown();
  }

  /**
   * Throws CORRUPT, FORMAT_VERSION or IO unless the manifest on the disk is the one that this
   * process has read or written last: nothing may be made of another one, nor take its place.
   */
  #requireKnown(): void {
    const { fs, directory, channelId } = this.#context;
    let found: Manifest;
    try {
      found = readManifest(fs, directory, channelId);
    } catch (error) {
      throw ioError('read the manifest', directory, error, 'absent');
    }
    const differs = differenceAt(encodeManifest(found), encodeManifest(this.#current));
    if (differs === undefined) return;
    throw damagedFile('manifest', `${directory}/${MANIFEST_NAME}`, differs, 'fields');
  }

  /** Replaces it by itself unless it is known to be durable, whoever has written it (RULES S4). */
  async makeDurable(): Promise<void> {
    await this.update((manifest) => (this.#isInherited ? { ...manifest } : manifest));
  }

  /** Makes durable which names there are beside the manifest. Rejects with POISONED. */
  syncNames(): Promise<void> {
    const sync = this.#last.then(() => this.#syncNames());
    this.#last = sync.catch(() => undefined);
    return sync;
  }

  /** Resolves when no change is being made any more. */
  async idle(): Promise<void> {
    await this.#last;
  }

  async #update(change: (manifest: Manifest) => Manifest): Promise<Manifest> {
    const refusal = this.#health.writeError();
    if (refusal !== undefined) throw refusal;
    this.#requireKnown();
    if (change(this.#current) === this.#current) return this.#current;
    // What the journal has for the channel is in its files before they change (RULES J5).
    await settleJournal(this.#context, this.#health);
    const before = this.#current;
    const changed = change(before);
    if (changed === before) return before;
    const next = { ...changed, ...this.#redo() };
    const { fs, directory } = this.#context;
    const temporary = `${directory}/${MANIFEST_TEMPORARY_NAME}`;
    try {
      if (fs.statSync(temporary) !== undefined) fs.unlinkSync(temporary);
      await writeWholeFile(fs, temporary, encodeManifest(next));
      fs.renameSync(temporary, `${directory}/${MANIFEST_NAME}`);
    } catch (error) {
      removeUnfinished(fs, temporary);
      throw ioError('replace the manifest', directory, error, 'absent');
    }
    await this.#syncNames();
    // A sync that failed meanwhile elsewhere says nothing about this one.
    this.#current = next;
    this.#isInherited = false;
    return next;
  }

  /** From where on the journal has something to say about the channel's files. */
  #redo(): Partial<Manifest> {
    const filed = this.#context.journal?.filed;
    if (filed === undefined) return {};
    const { redoSeq } = this.#current;
    return {
      redoSeq: Math.max(redoSeq, this.#durableSeq()),
      redoSegment: filed.baseSeq,
      redoPosition: filed.position,
    };
  }

  async #syncNames(): Promise<void> {
    const { fs, directory } = this.#context;
    try {
      await fs.syncDirectory(directory);
    } catch (error) {
      this.#poison(directory, error);
      throw this.#health.poisonedError();
    }
  }
}

/** The first place at which two encodings of one length differ. */
function differenceAt(a: Uint8Array, b: Uint8Array): number | undefined {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at < 0 ? undefined : at;
}
