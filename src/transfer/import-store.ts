/**
 * Imports. Every channel is first built under a name of its own, and checked to the last byte of
 * what is imported; only then do all of them get their names, one after the other. Whatever ends it
 * before has changed nothing.
 */
import { redexError, type RedexErrorOf, type SeqRange } from '../core/errors.js';
import type { Redex } from '../store/redex.js';
import { appendStage } from './import-append.js';
import { itemsOf } from './import-source.js';
import { ImportStage, removeLeftovers } from './import-stage.js';
import { checkName } from '../channel/options.js';
import { isStageName, type TransferItem, type TransferProgress } from './transfer-items.js';

export interface ImportOptions {
  /** What is done about a channel that is there already. Default: `error`, which is EXISTS. */
  readonly ifExists?: 'error' | 'append' | undefined;
  /** The name that a channel gets; undefined leaves it out. Default: the one it had. */
  readonly nameOf?: ((name: string) => string | undefined) | undefined;
  /** For errors: where the bytes come from. */
  readonly path?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: TransferProgress | undefined;
}

interface ImportedChannel {
  /** Its name in what was imported, and here. */
  readonly source: string;
  readonly name: string;
  /** It was there already, and the records were appended to it. */
  readonly appended: boolean;
  /** Records that it got. */
  readonly records: number;
  /** As they are now. */
  readonly firstSeq: number;
  readonly nextSeq: number;
  /** Seqs that could not be read where it was exported. */
  readonly damaged: readonly SeqRange[];
}

export interface ImportReport {
  readonly channels: readonly ImportedChannel[];
  readonly records: number;
  readonly payloadBytes: number;
}

/**
 * Imports an archive or lines of JSON, compressed or not. Rejects with CORRUPT, FORMAT_VERSION,
 * EXISTS, SEQ_CONFLICT, LIMIT, IO, POISONED, READ_ONLY, CLOSED, or the signal's reason. A channel
 * is there with all that was imported or not at all; with `append` one that was there before may
 * have a beginning of it, and the same import can be run again.
 */
export function importStore(
  redex: Redex,
  bytes: AsyncIterable<Uint8Array>,
  options: ImportOptions = {},
): Promise<ImportReport> {
  return importItems(redex, itemsOf(bytes, options.path ?? 'the import', options.signal), options);
}

/** The same of items that are there as such. */
export async function importItems(
  redex: Redex,
  items: AsyncIterable<TransferItem>,
  options: ImportOptions,
): Promise<ImportReport> {
  return new Import(redex, options).run(items);
}

interface Staged {
  readonly stage: ImportStage;
  readonly damaged: readonly SeqRange[];
}

class Import {
  readonly #redex: Redex;
  readonly #options: ImportOptions;
  readonly #stages: ImportStage[] = [];
  readonly #staged: Staged[] = [];
  readonly #targets = new Set<string>();
  #records = 0;
  #payloadBytes = 0;

  constructor(redex: Redex, options: ImportOptions) {
    this.#redex = redex;
    this.#options = options;
  }

  async run(items: AsyncIterable<TransferItem>): Promise<ImportReport> {
    this.#options.signal?.throwIfAborted();
    const { readOnly, directory: path } = await this.#redex.stats();
    if (readOnly) throw redexError('READ_ONLY', `${path} was opened with readOnly`, { path });
    await removeLeftovers(this.#redex);
    try {
      await this.#stage(items);
      const channels: ImportedChannel[] = [];
      for (const staged of this.#staged) channels.push(await this.#publish(staged));
      return { channels, records: this.#records, payloadBytes: this.#payloadBytes };
    } catch (error) {
      throw this.#stages.reduce((cause: unknown, stage) => stage.failure(cause), error);
    } finally {
      for (const stage of this.#stages) await stage.remove();
    }
  }

  async #stage(items: AsyncIterable<TransferItem>): Promise<void> {
    const { signal, onProgress, nameOf } = this.#options;
    let stage: ImportStage | undefined;
    for await (const item of items) {
      signal?.throwIfAborted();
      if (item.kind === 'channel') {
        const { name } = item.head;
        const target = nameOf === undefined ? name : nameOf(name);
        stage = target === undefined ? undefined : await this.#begin(item.head, target);
      } else if (stage !== undefined && item.kind === 'records') {
        await stage.add(item.records);
        this.#records += item.records.length;
        for (const { payload } of item.records) this.#payloadBytes += payload.byteLength;
        const { name: channel } = stage.head;
        onProgress?.({ channel, records: this.#records, payloadBytes: this.#payloadBytes });
      } else if (stage !== undefined && item.kind === 'channelEnd') {
        await stage.finish(signal);
        this.#staged.push({ stage, damaged: item.damaged });
        stage = undefined;
      }
    }
    signal?.throwIfAborted();
  }

  async #begin(head: ImportStage['head'], target: string): Promise<ImportStage> {
    if (this.#targets.has(target)) {
      throw new RangeError(`two channels would be imported to ${target}`);
    }
    this.#targets.add(target);
    checkName(target);
    if (isStageName(target)) throw new RangeError(`${target} is a name for imports alone`);
    if (this.#options.ifExists !== 'append' && (await this.#redex.hasChannel(target))) {
      throw taken(target);
    }
    const stage = await ImportStage.begin(this.#redex, head, target);
    this.#stages.push(stage);
    return stage;
  }

  async #publish({ stage, damaged }: Staged): Promise<ImportedChannel> {
    const { head, target } = stage;
    const isThere = this.#options.ifExists === 'append' && (await this.#redex.hasChannel(target));
    const found = { source: head.name, name: target, damaged };
    if (!isThere) {
      await stage.publish();
      const { firstSeq, nextSeq } = head;
      return { ...found, appended: false, records: stage.records, firstSeq, nextSeq };
    }
    const channel = await this.#redex.channel(target, { createIfMissing: false });
    const records = await appendStage(stage, channel, this.#options.signal);
    const { firstSeq, nextSeq } = channel;
    return { ...found, appended: true, records, firstSeq, nextSeq };
  }
}

function taken(resource: string): RedexErrorOf<'EXISTS'> {
  return redexError('EXISTS', `channel ${resource} is there already`, {
    kind: 'channel',
    resource,
  });
}
