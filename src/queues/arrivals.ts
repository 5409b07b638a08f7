/**
 * How many messages, and bytes of them, have come up to some places of the log: enough to say from
 * where on there are the newest so many. Places are as far apart as it takes for there to be few.
 */
import type { StateReader, StateWriter } from './state-bytes.js';

const FIRST_INTERVAL = 64;
const MOST_PLACES = 4096;

interface Place {
  readonly seq: number;
  /** What came before it. */
  readonly messages: number;
  readonly bytes: number;
}

export class Arrivals {
  #places: Place[] = [];
  #interval = FIRST_INTERVAL;
  #messages = 0;
  #bytes = 0;

  note(seq: number, size: number): void {
    const last = this.#places.at(-1);
    const isFar = last === undefined || this.#messages - last.messages >= this.#interval;
    if (isFar && seq > (last?.seq ?? -1)) {
      this.#places.push({ seq, messages: this.#messages, bytes: this.#bytes });
      if (this.#places.length > MOST_PLACES) this.#thin();
    }
    this.#messages++;
    this.#bytes += size;
  }

  #thin(): void {
    this.#places = this.#places.filter((_, index) => index % 2 === 0);
    this.#interval *= 2;
  }

  /** At least so many messages, or so many bytes, have come from there on; 0: not so many did. */
  newest(what: 'messages' | 'bytes', count: number): number {
    const all = what === 'messages' ? this.#messages : this.#bytes;
    return this.#places.findLast((place) => all - place[what] >= count)?.seq ?? 0;
  }

  /** Bytes that have come from a seq on, or somewhat more. */
  bytesFrom(seq: number): number {
    if (seq === Infinity) return 0;
    const place = this.#places.findLast((each) => each.seq <= seq);
    return this.#bytes - (place?.bytes ?? this.#places[0]?.bytes ?? this.#bytes);
  }

  /** The log begins here. */
  dropBelow(seq: number): void {
    const first = this.#places.findLastIndex((place) => place.seq <= seq);
    if (first > 0) this.#places = this.#places.slice(first);
  }

  encodeTo(writer: StateWriter): void {
    for (const value of [this.#messages, this.#bytes, this.#interval]) writer.f64(value);
    writer.u32(this.#places.length);
    for (const { seq, messages, bytes } of this.#places) {
      for (const value of [seq, messages, bytes]) writer.f64(value);
    }
  }

  /** Throws for what cannot be. */
  static decode(reader: StateReader): Arrivals {
    const arrivals = new Arrivals();
    arrivals.#messages = reader.f64();
    arrivals.#bytes = reader.f64();
    arrivals.#interval = reader.f64();
    let before = -1;
    for (let left = reader.u32(); left > 0; left--) {
      const place = { seq: reader.f64(), messages: reader.f64(), bytes: reader.f64() };
      const isAfter = Number.isSafeInteger(place.seq) && place.seq > before;
      if (!isAfter || !(place.messages <= arrivals.#messages)) {
        throw new Error('what came to a queue is in no order');
      }
      before = place.seq;
      arrivals.#places.push(place);
    }
    return arrivals;
  }
}
