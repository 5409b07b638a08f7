/** What may and must be in a queue, by what its consumers and producers have told. */
import type { QueueKillMessage } from './process-queue-load.js';
import {
  MAX_DELIVERIES,
  type Ending,
  type FoundLetter,
  type FoundMessage,
  type FoundQueues,
} from './process-queue-records.js';

interface Known {
  readonly number: number;
  id: string | undefined;
  seq: number | undefined;
  /** Where it must be when nothing is under way; `begun`: nobody was told that it is there. */
  state: 'begun' | 'there' | 'gone' | 'dead';
  /** Deliveries that count. */
  count: number;
  /** What was begun and not acknowledged. */
  pending: Pending | undefined;
}

interface Pending {
  readonly token: number;
  readonly ending: Ending | 'move';
}

export class QueueLedger {
  readonly #known = new Map<number, Known>();
  readonly #ids = new Map<string, number>();
  /** Messages at most of each receive that was begun. */
  readonly #receiving = new Map<number, number>();
  /** Acknowledged in one step with the other, which was begun. */
  readonly #moving = new Map<number, number>();
  readonly counts: Map<string, number> = new Map();

  get enqueued(): number {
    return this.counts.get('enqueued') ?? 0;
  }

  /** Throws for what must not be told. */
  take(message: QueueKillMessage): void {
    switch (message[0]) {
      case 'enqueue':
        for (const number of message[1]) this.#begin(number);
        return;
      case 'enqueued':
        for (const each of message[1]) this.#enqueued(each);
        return;
      case 'receive':
        this.#receiving.set(message[1], message[2]);
        return;
      case 'received':
        this.#receiving.delete(message[1]);
        for (const each of message[2]) this.#delivered(each);
        return;
      case 'settle': {
        const [, token, number, ending] = message;
        this.#of(number).pending = { token, ending };
        return;
      }
      case 'settled':
        this.#settled(this.#of(message[2]), message[1]);
        return;
      case 'move': {
        const [, token, from, to] = message;
        this.#of(from).pending = { token, ending: 'move' };
        this.#begin(to);
        this.#moving.set(from, to);
        return;
      }
      case 'moved':
        this.#moving.delete(message[2]);
        this.#enqueued(message[3]);
        this.#settled(this.#of(message[2]), message[1]);
        return;
      case 'found':
        this.check(message[1]);
        return;
      case 'start':
      case 'open':
      case 'failed':
    }
  }

  #count(what: string, by: number = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  #of(number: number): Known {
    const known = this.#known.get(number);
    if (known === undefined) throw new Error(`nobody has enqueued message ${number}`);
    return known;
  }

  #begin(number: number): void {
    const fresh = { number, id: undefined, seq: undefined, count: 0, pending: undefined };
    this.#known.set(number, { ...fresh, state: 'begun' });
  }

  #enqueued({ number, id, seq }: FoundMessage): void {
    const known = this.#of(number);
    this.#name(known, id, seq);
    // It may have been delivered, and ended, before its producer was told.
    if (known.state === 'begun') known.state = 'there';
    this.#count('enqueued');
  }

  /** The id is that of this message alone, and stays so. */
  #name(known: Known, id: string, seq: number): void {
    const other = this.#ids.get(id) ?? known.number;
    if (other !== known.number) throw new Error(`id ${id} of ${known.number} is that of ${other}`);
    if ((known.id ?? id) !== id || (known.seq ?? seq) !== seq) {
      throw new Error(`message ${known.number} was ${known.id ?? ''}, and is ${id}, seq ${seq}`);
    }
    this.#ids.set(id, known.number);
    known.id = id;
    known.seq = seq;
  }

  #delivered({ number, id, seq, count }: FoundMessage): void {
    const known = this.#of(number);
    this.#name(known, id, seq);
    // Others get it before its last consumer is told that he has given it back.
    if (known.pending !== undefined) this.#settled(known, known.pending.token);
    if (count !== known.count + 1 || count > MAX_DELIVERIES) {
      throw new Error(`delivery ${count} of message ${number}, which had ${known.count}`);
    }
    if (known.state === 'gone' || known.state === 'dead') {
      throw new Error(`message ${number} is ${known.state}, and was delivered`);
    }
    known.state = 'there';
    known.count = count;
    this.#count('delivered');
  }

  #settled(known: Known, token: number): void {
    if (known.pending?.token !== token) return;
    const { ending } = known.pending;
    known.pending = undefined;
    this.#count(ending);
    if (ending === 'release') known.count--;
    else if (ending === 'reject') known.state = 'dead';
    else if (ending !== 'nack') known.state = 'gone';
    else if (known.count >= MAX_DELIVERIES) known.state = 'dead';
  }

  /** What a process finds when it begins. Throws for whatever is wrong. */
  check({ work, dead, counted }: FoundQueues): void {
    if (counted !== work.length)
      throw new Error(`${counted} are counted, ${work.length} are there`);
    const messages = new Map<number, FoundMessage>();
    for (const each of work) {
      if (messages.has(each.number)) throw new Error(`message ${each.number} is there twice`);
      messages.set(each.number, each);
    }
    const letters = new Map<number, FoundLetter>();
    for (const each of dead) {
      const { number } = each;
      if (letters.has(number)) throw new Error(`message ${number} is a dead letter twice`);
      if (messages.has(number)) throw new Error(`message ${number} is dead, and is not`);
      letters.set(number, each);
    }
    for (const number of [...messages.keys(), ...letters.keys()]) this.#of(number);
    this.#checkMoves(messages);
    let unreported = 0;
    for (const known of this.#known.values()) {
      unreported += this.#checkOne(known, messages.get(known.number), letters.get(known.number));
    }
    const most = [...this.#receiving.values()].reduce((sum, max) => sum + max, 0);
    if (unreported > most) {
      throw new Error(`${unreported} deliveries that nobody got, of ${most} that were asked for`);
    }
    this.#count('deliveries that nobody got', unreported);
    this.#receiving.clear();
    this.#moving.clear();
  }

  /** Both are done, or neither. */
  #checkMoves(messages: ReadonlyMap<number, FoundMessage>): void {
    for (const [from, to] of this.#moving) {
      // What was enqueued may have been received, and ended, before its producer was told.
      if (this.#of(to).state !== 'begun') continue;
      if (messages.has(from) !== messages.has(to)) continue;
      const what = messages.has(from) ? 'there' : 'gone';
      throw new Error(`messages ${from} and ${to} are both ${what}, of one step`);
    }
  }

  /** Returns how many deliveries it had that nobody was told of. */
  #checkOne(
    known: Known,
    message: FoundMessage | undefined,
    letter: FoundLetter | undefined,
  ): number {
    const { number, state } = known;
    const pending = known.pending?.ending;
    const found = message ?? letter;
    if (state === 'gone' && found !== undefined) throw new Error(`message ${number} is back`);
    if (state === 'dead' && letter === undefined) throw new Error(`dead letter ${number} is lost`);
    const mayBeGone = pending === 'move' || pending?.startsWith('ack') === true;
    if (state === 'there' && found === undefined && !mayBeGone) {
      throw new Error(`message ${number} is lost`);
    }
    const before = known.count;
    known.pending = undefined;
    if (found === undefined) {
      known.state = 'gone';
      return 0;
    }
    if (letter === undefined) {
      this.#name(known, found.id, found.seq);
      known.state = 'there';
      known.count = found.count;
      const least = pending === 'release' ? before - 1 : before;
      // One that was received before, and ended, may have been received again.
      if (found.count >= least && found.count <= Math.min(before + 1, MAX_DELIVERIES)) {
        return Math.max(0, found.count - before);
      }
      throw new Error(`message ${number} had ${before} deliveries, and has ${found.count}`);
    }
    return this.#checkLetter(known, letter, pending);
  }

  #checkLetter(known: Known, letter: FoundLetter, pending: Ending | 'move' | undefined): number {
    const { number, count, state } = known;
    this.#name(known, letter.id, letter.originSeq);
    const { cause, originCount } = letter;
    known.state = 'dead';
    known.count = originCount;
    if (state === 'dead') {
      if (originCount === count) return 0;
      throw new Error(`dead letter ${number} had ${originCount} deliveries, not ${count}`);
    }
    this.#count('dead letters that nobody was told of');
    const isMeant = pending === 'reject' ? cause === 'rejected' : originCount === MAX_DELIVERIES;
    const extra = originCount - count;
    if (isMeant && extra >= 0 && extra <= 1) return extra;
    throw new Error(`message ${number} is dead by ${cause}, with ${originCount}, not ${count}`);
  }
}
