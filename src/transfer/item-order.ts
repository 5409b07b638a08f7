/**
 * Whether what is read makes sense as a whole: channels one after the other with names of their
 * own, records in order and inside of the seqs of their channel, totals that add up.
 */
import type { SeqRange } from '../core/errors.js';
import { noTotals, type ChannelHead, type Totals, type TransferRecord } from './transfer-items.js';

export class ItemOrder {
  readonly totals: Totals = noTotals();
  readonly #names = new Set<string>();
  #head: ChannelHead | undefined;
  #nextSeq = 0;
  #lastTime = 0n;
  /** What the channel has so far. */
  records = 0;
  payloadBytes = 0;

  /** The channel that is being read. */
  get head(): ChannelHead | undefined {
    return this.#head;
  }

  /** Each of these says what is wrong, if anything is. */
  begin(head: ChannelHead): string | undefined {
    if (this.#head !== undefined) return `channel ${this.#head.name} has no end`;
    if (this.#names.has(head.name)) return `channel ${head.name} is there twice`;
    this.#names.add(head.name);
    this.#head = head;
    this.#nextSeq = head.firstSeq;
    this.#lastTime = 0n;
    this.records = 0;
    this.payloadBytes = 0;
    this.totals.channels++;
    return undefined;
  }

  add({ seq, timestampNs, payload }: TransferRecord): string | undefined {
    if (this.#head === undefined) return 'a record outside of a channel';
    if (seq < this.#nextSeq || seq >= this.#head.nextSeq) {
      return `seq ${seq} in a channel that is to go on with ${this.#nextSeq}`;
    }
    if (timestampNs < this.#lastTime) return `the time of seq ${seq} goes back`;
    this.#nextSeq = seq + 1;
    this.#lastTime = timestampNs;
    this.records++;
    this.payloadBytes += payload.byteLength;
    this.totals.records++;
    this.totals.payloadBytes += payload.byteLength;
    return undefined;
  }

  end(records: number, payloadBytes: number, damaged: readonly SeqRange[]): string | undefined {
    const head = this.#head;
    if (head === undefined) return 'an end outside of a channel';
    if (records !== this.records || payloadBytes !== this.payloadBytes) {
      return `channel ${head.name} has other records than its end says`;
    }
    let from = head.firstSeq;
    for (const { firstSeq, nextSeq } of damaged) {
      if (firstSeq < from || nextSeq <= firstSeq || nextSeq > head.nextSeq) {
        return `damage from ${firstSeq} to ${nextSeq} in channel ${head.name}`;
      }
      from = nextSeq;
    }
    this.#head = undefined;
    return undefined;
  }

  /** All channels are there. */
  finish(): string | undefined {
    return this.#head === undefined ? undefined : `channel ${this.#head.name} has no end`;
  }
}
