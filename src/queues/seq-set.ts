/**
 * Seqs that are settled, mostly all of them from the lowest up: a floor, below which every seq is
 * in the set, and one bit for each seq above it, in pages that are there where a bit is. The floor
 * itself is never in the set: it moves by itself when the gap above it closes.
 *
 * Pages of which every bit is set are one and the same page, and those below the floor are gone. In
 * the page that the floor is in, bits below it mean nothing. A set without a seq above its floor
 * has no pages. There is one for 8192 seqs, so the Map of them is small for any backlog.
 */
import { assert } from '../core/assert.js';
import type { StateReader, StateWriter } from './state-bytes.js';

const PAGE_SEQS = 8192;
const PAGE_WORDS = PAGE_SEQS / 32;
/** One more than the highest seq. */
const END = Number.MAX_SAFE_INTEGER + 1;
/** What a Map can hold: bits for 137 thousand million seqs. */
const MOST_PAGES = 2 ** 24;

/** One bit for each of PAGE_SEQS seqs, and how many are set. */
interface Page {
  readonly words: Uint32Array;
  count: number;
}

/** In the place of every page that is full. Nothing may change it. */
const FULL: Page = { words: new Uint32Array(PAGE_WORDS).fill(0xffffffff), count: PAGE_SEQS };

export class SeqSet {
  readonly #pages: Map<number, Page> = new Map();
  #floor = 0;
  #countAbove = 0;
  /** The page that was looked up last, as the next seq is mostly near. */
  #lastIndex = -1;
  #lastPage: Page | undefined;

  /** Every seq below is in the set, this one is not. 2 ** 53 when all are. */
  get floor(): number {
    return this.#floor;
  }

  /** How many seqs above the floor are in the set. */
  get countAbove(): number {
    return this.#countAbove;
  }

  has(seq: number): boolean {
    if (seq < this.#floor) return true;
    if (this.#countAbove === 0) return false;
    const index = pageOf(seq);
    const page = this.#page(index);
    return page !== undefined && isSet(page, seq - index * PAGE_SEQS);
  }

  /** False when the seq was there already. */
  add(seq: number): boolean {
    assert(Number.isSafeInteger(seq) && seq >= 0, 'what is settled is a seq');
    if (seq < this.#floor) return false;
    if (seq === this.#floor) {
      this.#raise(seq + 1, 0);
      return true;
    }
    const index = pageOf(seq);
    const bit = seq - index * PAGE_SEQS;
    const page = this.#page(index) ?? this.#newPage(index);
    if (isSet(page, bit)) return false;
    const word = bit >>> 5;
    page.words[word] = (page.words[word] ?? 0) | (1 << (bit & 31));
    if (++page.count === PAGE_SEQS) this.#setPage(index, FULL);
    this.#countAbove++;
    return true;
  }

  /** Adds the seqs from `from` up to but not `to`. Returns how many were not there. */
  addRange(from: number, to: number): number {
    assert(Number.isSafeInteger(from) && from >= 0, 'a range begins at a seq');
    if (from <= this.#floor) return this.addBelow(to);
    assert(Number.isInteger(to) && to <= END, 'a range ends at a seq');
    let added = 0;
    for (let seq = from; seq < to;) {
      const index = pageOf(seq);
      const start = index * PAGE_SEQS;
      const end = Math.min(start + PAGE_SEQS, to);
      added += this.#fill(index, seq - start, end - start);
      seq = end;
    }
    this.#countAbove += added;
    return added;
  }

  /** Adds every seq below `seq`. Returns how many were not there. */
  addBelow(seq: number): number {
    assert(Number.isInteger(seq) && seq <= END, 'what is below a seq is settled');
    const floor = this.#floor;
    if (seq <= floor) return 0;
    const inside = this.countBetween(floor, seq);
    this.#raise(seq, inside);
    return seq - floor - inside;
  }

  /** How many seqs from `from` up to but not `to` are there. Takes time for each page. */
  countBetween(from: number, to: number): number {
    let found = Math.max(0, Math.min(to, this.#floor) - from);
    const above = Math.max(from, this.#floor);
    for (const [index, page] of this.#pages) {
      const start = index * PAGE_SEQS;
      found += countIn(page, Math.max(above - start, 0), Math.min(to - start, PAGE_SEQS));
    }
    return found;
  }

  /** The first seq at or above `seq` that is not there; 2 ** 53 when all are. */
  nextMissing(seq: number): number {
    return this.#missingFrom(Math.max(seq, this.#floor));
  }

  /** The last seq at or below `seq` that is not there. */
  prevMissing(seq: number): number | undefined {
    if (seq < this.#floor) return undefined;
    let last = seq;
    for (;;) {
      const index = pageOf(last);
      const page = this.#page(index);
      if (page === undefined) return last;
      const start = index * PAGE_SEQS;
      const bit = page === FULL ? -1 : lastClear(page, last - start);
      // The floor is missing, so the search ends there.
      if (bit >= 0) return start + bit;
      last = start - 1;
    }
  }

  encodeTo(writer: StateWriter): void {
    // Pairs of an index and how many pages in a row are full, which is 0 for one that is not.
    const directory: number[] = [];
    const partial: Page[] = [];
    for (const index of [...this.#pages.keys()].toSorted((a, b) => a - b)) {
      const page = this.#pages.get(index) ?? FULL;
      const run = directory.at(-1) ?? 0;
      if (page !== FULL) {
        directory.push(index, 0);
        partial.push(page);
      } else if (run > 0 && (directory.at(-2) ?? 0) + run === index) {
        directory[directory.length - 1] = run + 1;
      } else directory.push(index, 1);
    }
    writer.f64(this.#floor);
    writer.float64s(Float64Array.from(directory));
    for (const { words } of partial) writer.bytes(new Uint8Array(words.buffer));
  }

  /** Throws for what is no set of seqs. */
  static decode(reader: StateReader): SeqSet {
    const set = new SeqSet();
    const floor = reader.f64();
    const directory = reader.float64s();
    let next = pageOf(floor);
    if (!Number.isInteger(floor) || floor < 0 || floor > END) throw impossible();
    for (let at = 0; at < directory.length; at += 2) {
      const index = directory[at] ?? NaN;
      const run = directory[at + 1] ?? NaN;
      next = set.#readPages(reader, index, run, next);
    }
    set.#floor = floor;
    set.#countAbove = set.countBetween(floor, END);
    if (set.#missingFrom(floor) !== floor) throw impossible();
    if (set.#countAbove === 0) set.#dropPages(0, 0);
    return set;
  }

  /** Reads what an entry of the directory stands for; returns the lowest index of the next one. */
  #readPages(reader: StateReader, index: number, run: number, lowest: number): number {
    const isPlace = Number.isInteger(index) && index >= lowest;
    const end = index + Math.max(run, 1);
    const isRun = Number.isInteger(run) && run >= 0 && end <= END / PAGE_SEQS;
    if (!isPlace || !isRun || this.#pages.size + run > MOST_PAGES) throw impossible();
    for (let each = index; each < index + run; each++) this.#pages.set(each, FULL);
    if (run > 0) return end;
    const bytes = reader.bytes();
    const words = new Uint32Array(PAGE_WORDS);
    if (bytes.byteLength !== words.byteLength) throw impossible();
    new Uint8Array(words.buffer).set(bytes);
    const page = { words, count: countBits({ words }, 0, PAGE_SEQS) };
    if (page.count === PAGE_SEQS) throw impossible();
    this.#pages.set(index, page);
    return end;
  }

  /** Settles every seq below `to`, of which `inside` above the floor were settled before. */
  #raise(to: number, inside: number): void {
    const old = this.#floor;
    const floor = this.#countAbove === inside ? to : this.#missingFrom(to);
    this.#floor = floor;
    if (this.#countAbove === 0) return;
    this.#countAbove -= inside + (floor - to);
    this.#dropPages(pageOf(old), pageOf(floor));
  }

  /** Drops the pages from an index up to but not another one, or all when no seq is in them. */
  #dropPages(from: number, to: number): void {
    const pages = this.#pages;
    if (this.#countAbove === 0) {
      pages.clear();
      this.#lastIndex = -1;
    } else if (to - from <= pages.size) for (let each = from; each < to; each++) pages.delete(each);
    else for (const each of pages.keys()) if (each < to) pages.delete(each);
  }

  /** The first seq that is missing, from one on that is not below the floor. */
  #missingFrom(seq: number): number {
    let first = seq;
    for (;;) {
      const index = pageOf(first);
      const page = this.#page(index);
      if (page === undefined) return first;
      const start = index * PAGE_SEQS;
      const bit = page === FULL ? PAGE_SEQS : firstClear(page, first - start);
      first = start + bit;
      if (bit < PAGE_SEQS) return first;
    }
  }

  #page(index: number): Page | undefined {
    if (index === this.#lastIndex) return this.#lastPage;
    const page = this.#pages.get(index);
    this.#lastIndex = index;
    this.#lastPage = page;
    return page;
  }

  #setPage(index: number, page: Page): void {
    this.#pages.set(index, page);
    this.#lastIndex = index;
    this.#lastPage = page;
  }

  #newPage(index: number): Page {
    const page = { words: new Uint32Array(PAGE_WORDS), count: 0 };
    this.#setPage(index, page);
    return page;
  }

  /** Sets bits of a page; returns how many were not set. */
  #fill(index: number, from: number, to: number): number {
    const there = this.#page(index);
    if (there === FULL) return 0;
    const before = there?.count ?? 0;
    if (to - from === PAGE_SEQS) {
      this.#setPage(index, FULL);
      return PAGE_SEQS - before;
    }
    const page = there ?? this.#newPage(index);
    const added = to - from - countBits(page, from, to);
    setBits(page, from, to);
    page.count += added;
    if (page.count === PAGE_SEQS) this.#setPage(index, FULL);
    return added;
  }
}

function pageOf(seq: number): number {
  return Math.floor(seq / PAGE_SEQS);
}

function isSet({ words }: Page, bit: number): boolean {
  return (((words[bit >>> 5] ?? 0) >>> (bit & 31)) & 1) === 1;
}

/** The first bit from `bit` on that is not set, or PAGE_SEQS. */
function firstClear({ words }: Page, bit: number): number {
  let word = bit >>> 5;
  let clear = ~(words[word] ?? 0) & (-1 << (bit & 31));
  while (clear === 0) {
    if (++word === PAGE_WORDS) return PAGE_SEQS;
    clear = ~(words[word] ?? 0);
  }
  return 32 * word + 31 - Math.clz32(clear & -clear);
}

/** The last bit up to and with `bit` that is not set, or -1. */
function lastClear({ words }: Page, bit: number): number {
  let word = bit >>> 5;
  let clear = ~(words[word] ?? 0) & (-1 >>> (31 - (bit & 31)));
  while (clear === 0) {
    if (--word < 0) return -1;
    clear = ~(words[word] ?? 0);
  }
  return 32 * word + 31 - Math.clz32(clear);
}

/** The bits of a word that are in a range of bits of its page, of which it has at least one. */
function maskOf(word: number, from: number, to: number): number {
  const low = Math.max(from - 32 * word, 0);
  const high = Math.min(to - 32 * word, 32);
  return (-1 << low) & (-1 >>> (32 - high));
}

function setBits({ words }: Page, from: number, to: number): void {
  for (let word = from >>> 5; 32 * word < to; word++) {
    words[word] = (words[word] ?? 0) | maskOf(word, from, to);
  }
}

/** How many seqs of a page are there from `from` up to but not `to`: none when it is empty. */
function countIn(page: Page, from: number, to: number): number {
  return from <= 0 && to >= PAGE_SEQS ? page.count : countBits(page, from, to);
}

/** How many bits are set from `from` up to but not `to`: none when the range is empty. */
function countBits({ words }: Pick<Page, 'words'>, from: number, to: number): number {
  let count = 0;
  if (from >= to) return count;
  for (let word = from >>> 5; 32 * word < to; word++) {
    let bits = (words[word] ?? 0) & maskOf(word, from, to);
    bits -= (bits >>> 1) & 0x55555555;
    bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
    count += Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return count;
}

function impossible(): Error {
  return new Error('what is settled is no set of seqs');
}
