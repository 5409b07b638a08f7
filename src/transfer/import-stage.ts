/**
 * A channel that is being built. It has a name that no export has and no reader asks for, so that
 * whatever ends the import, nothing half has the name that it is for.
 */
import { assert } from '../core/assert.js';
import { RedexError } from '../core/errors.js';
import { ioError } from '../channel/io-error.js';
import { encodeChannelName } from '../format/channel-name.js';
import { systemCodeOf } from '../fs/system-error.js';
import type { Channel } from '../channel/channel.js';
import type { Redex } from '../store/redex.js';
import { isStageName, STAGE_PREFIX, type ChannelHead } from './transfer-items.js';
import type { TransferRecord } from './transfer-items.js';

/** A batch is appended when it has so many records or bytes. */
const BATCH_RECORDS = 4096;
const BATCH_BYTES = 512 * 1024;
/** The seqs of one batch lie closer together than this. */
const MAX_BATCH_SPAN = 0x7fffffff;

/** Stages that imports of this process are building, and the number of the next one. */
const building = new WeakMap<Redex, { readonly names: Set<string>; next: number }>();

function stagesOf(redex: Redex): { readonly names: Set<string>; next: number } {
  const found = building.get(redex) ?? { names: new Set<string>(), next: 0 };
  building.set(redex, found);
  return found;
}

/** Deletes what imports have left that were killed: nobody builds there any more. */
export async function removeLeftovers(redex: Redex): Promise<void> {
  const { names } = stagesOf(redex);
  const left: string[] = [];
  for await (const { name } of redex.channels({ prefix: STAGE_PREFIX })) {
    if (isStageName(name) && !names.has(name)) left.push(name);
  }
  for (const name of left) await redex.deleteChannel(name);
}

export class ImportStage {
  readonly head: ChannelHead;
  /** The name that the records are for. */
  readonly target: string;
  readonly name: string;
  readonly #redex: Redex;
  readonly #channel: Channel;
  #batch: TransferRecord[] = [];
  #batchBytes = 0;
  records = 0;
  #lastTime = 0n;
  #isPublished = false;

  private constructor(redex: Redex, channel: Channel, head: ChannelHead, target: string) {
    this.#redex = redex;
    this.#channel = channel;
    this.name = channel.name;
    this.head = head;
    this.target = target;
  }

  static async begin(redex: Redex, head: ChannelHead, target: string): Promise<ImportStage> {
    const stages = stagesOf(redex);
    const name = `${STAGE_PREFIX}${stages.next++}`;
    stages.names.add(name);
    try {
      const { firstSeq, options } = head;
      // Synced once, at its end; and nothing goes before it is all there.
      const built = { ...options, sync: 'never', retention: null } as const;
      return new ImportStage(
        redex,
        await redex.channel(name, { ...built, firstSeq }),
        head,
        target,
      );
    } catch (error) {
      stages.names.delete(name);
      throw error;
    }
  }

  /** The payloads may be written to again when it resolves. */
  async add(records: readonly TransferRecord[]): Promise<void> {
    for (const record of records) {
      if (!this.#fits(record)) await this.#flush();
      this.#batch.push(record);
      this.#batchBytes += record.payload.byteLength;
    }
    await this.#flush();
  }

  #fits(record: TransferRecord): boolean {
    const [first] = this.#batch;
    if (first === undefined) return true;
    const isFull = this.#batch.length >= BATCH_RECORDS || this.#batchBytes >= BATCH_BYTES;
    return !isFull && record.seq - first.seq < MAX_BATCH_SPAN;
  }

  async #flush(): Promise<void> {
    const last = this.#batch.at(-1);
    if (last === undefined) return;
    await this.#channel.appendBatch(this.#batch.map(inputOf));
    this.records += this.#batch.length;
    this.#lastTime = last.timestampNs;
    this.#batch = [];
    this.#batchBytes = 0;
  }

  /** Everything is there and synced, with the options that the channel is to have. */
  async finish(signal: AbortSignal | undefined): Promise<void> {
    const { nextSeq, options } = this.head;
    if (this.#channel.nextSeq < nextSeq) await this.#skipTo(nextSeq, signal);
    assert(this.#channel.nextSeq === nextSeq, 'an import ends at another seq');
    // The rename would sync it, too; what fails now fails before it has the name.
    await this.#channel.sync();
    const { sync, retention = null } = options;
    await this.#channel.configure({ sync, retention });
    // An import may have thousands of them.
    await this.#channel.close();
  }

  /**
   * Seqs at the end that have no record are seqs of records that were compacted away: so they are
   * made. The record that stands for them is in no channel that anybody has seen.
   */
  async #skipTo(nextSeq: number, signal: AbortSignal | undefined): Promise<void> {
    const seq = nextSeq - 1;
    const timestampNs = this.#lastTime;
    await this.#channel.append(new Uint8Array(), { seq, timestampNs });
    await this.#channel.compact({ keep: (record) => record.seq !== seq, signal });
  }

  /** To read the records, for a channel that is there already. */
  open(): Promise<Channel> {
    return this.#redex.channel(this.name, { createIfMissing: false });
  }

  /** Gives it its name: from here on it is the channel. */
  async publish(): Promise<void> {
    await this.#redex.renameChannel(this.name, this.target);
    this.#isPublished = true;
    stagesOf(this.#redex).names.delete(this.name);
  }

  /**
   * What an import is to fail with: a stage that was poisoned is gone, and nobody has to open
   * anything again; the full disk, say, that did it is what has to be told.
   */
  failure(error: unknown): unknown {
    if (!RedexError.is(error, 'POISONED')) return error;
    const isOwn = error.path.includes(`/${encodeChannelName(this.name)}`);
    if (!isOwn || systemCodeOf(error.cause) === undefined) return error;
    return ioError('import', error.path, error.cause, 'absent');
  }

  /** Nothing is left of it, unless it was published. What cannot be deleted goes another time. */
  async remove(): Promise<void> {
    if (this.#isPublished) return;
    try {
      await this.#redex.deleteChannel(this.name);
    } catch {
      // The next import finds it: what went wrong before is what has to be told.
    }
    stagesOf(this.#redex).names.delete(this.name);
  }
}

export function inputOf({ seq, type, timestampNs, payload }: TransferRecord): {
  readonly seq: number;
  readonly type: number;
  readonly timestampNs: bigint;
  readonly payload: Uint8Array;
} {
  return { seq, type, timestampNs, payload };
}
