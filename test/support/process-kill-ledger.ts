/**
 * What a store that is killed again and again was asked for and has answered, as its programs said
 * it on the pipe; and whether what the next one finds can be what is left.
 */
import {
  applyRecord,
  isCondemned,
  kindOf,
  TOKEN_SEQS,
  type FoundChannel,
  type KillMessage,
  type Kind,
  type NameChange,
} from './process-kill-records.js';

/** `kill`: everything acknowledged must be there. `power`: everything synced. */
export type LossKind = 'kill' | 'power';

type Names = ReadonlyMap<string, number>;

class ChannelLedger {
  readonly token: number;
  readonly kind: Kind;
  readonly base: number;
  submitted: number;
  acknowledged: number;
  durable: number;
  trimAsked: number;
  trimDone: number;
  compactAsked = 0;
  compactDone = 0;
  /** Seqs at and above `firstSeq` that were found missing. */
  #gone = new Set<number>();
  /** Which life appends from a seq on. */
  #owners: { readonly from: number; readonly life: number }[] = [];

  constructor(token: number, life: number) {
    this.token = token;
    this.kind = kindOf(token);
    this.base = token * TOKEN_SEQS;
    this.submitted = this.base;
    this.acknowledged = this.base;
    this.durable = this.base;
    this.trimAsked = this.base;
    this.trimDone = this.base;
    this.#owners = [{ from: this.base, life }];
  }

  judge(found: FoundChannel, loss: LossKind): string[] {
    const { firstSeq, nextSeq } = found;
    const problems = [...found.wrong];
    const promised = loss === 'kill' ? this.acknowledged : this.durable;
    if (nextSeq < promised) problems.push(`ends at ${nextSeq}, promised was ${promised}`);
    if (nextSeq > this.submitted) {
      problems.push(`ends at ${nextSeq}, nothing was appended from ${this.submitted} on`);
    }
    if (firstSeq < this.trimDone) problems.push(`${firstSeq} is back, trimmed to ${this.trimDone}`);
    const kept = this.kind.options.retention?.maxRecords;
    const isRetained = kept !== undefined && nextSeq - firstSeq >= kept;
    if (firstSeq > this.trimAsked && !isRetained) {
      problems.push(`begins at ${firstSeq}, which nobody asked for`);
    }
    problems.push(...this.#judgeRecords(found));
    if (this.kind.folds === true) problems.push(...this.#judgeFold(found));
    return problems;
  }

  #judgeRecords({ firstSeq, nextSeq, runs }: FoundChannel): string[] {
    const problems: string[] = [];
    let next = firstSeq;
    for (const [from, to, life] of [...runs, [nextSeq, nextSeq, -1] as const]) {
      if (from < next || from > nextSeq || to > nextSeq) {
        problems.push(`${from} where ${next} was expected`);
      }
      for (let seq = next; seq < from; seq++) {
        const mayMiss = this.#gone.has(seq) || isCondemned(this.kind, seq, this.compactAsked);
        if (!mayMiss) problems.push(`${seq} is lost`);
      }
      for (let seq = from; seq < to; seq++) {
        if (this.#gone.has(seq) || isCondemned(this.kind, seq, this.compactDone)) {
          problems.push(`${seq} was gone and is back`);
        }
        const owner = this.#ownerOf(seq);
        if (life !== owner) problems.push(`${seq} is of life ${life}, not ${owner}`);
      }
      next = to;
    }
    return problems.slice(0, 5);
  }

  #ownerOf(seq: number): number | undefined {
    return this.#owners.findLast(({ from }) => from <= seq)?.life;
  }

  #judgeFold({ fold, nextSeq }: FoundChannel): string[] {
    const state = { count: 0, sum: 0 };
    for (let seq = this.base; seq < nextSeq; seq++) applyRecord(state, { seq });
    const { count, sum } = state;
    const isRight = fold?.seq === nextSeq && fold.count === count && fold.sum === sum;
    return isRight ? [] : [`the fold is ${JSON.stringify(fold)}, not ${JSON.stringify(state)}`];
  }

  /** The program that goes on begins with this. */
  rebase({ firstSeq, nextSeq, durableSeq, runs }: FoundChannel, life: number): void {
    this.submitted = nextSeq;
    this.acknowledged = nextSeq;
    this.durable = Math.max(this.durable, durableSeq);
    this.trimAsked = firstSeq;
    this.trimDone = firstSeq;
    this.compactAsked = this.compactDone;
    this.#gone = new Set();
    let next = firstSeq;
    for (const [from, to] of [...runs, [nextSeq, nextSeq] as const]) {
      for (let seq = next; seq < from; seq++) this.#gone.add(seq);
      next = to;
    }
    this.#owners = this.#owners.filter(({ from }) => from < nextSeq);
    this.#owners.push({ from: nextSeq, life });
  }
}

export class KillLedger {
  readonly loss: LossKind;
  /** Records that were acknowledged (`kill`), or synced (`power`). */
  promised = 0;
  /** The same in this life. */
  promisedInLife = 0;
  readonly events: Map<string, number> = new Map();
  #life = 0;
  #names: Names = new Map();
  #change: NameChange | undefined;
  #channels = new Map<number, ChannelLedger>();
  #found: FoundChannel[] = [];

  constructor(loss: LossKind) {
    this.loss = loss;
  }

  begin(life: number): void {
    this.#life = life;
    this.#found = [];
    this.promisedInLife = 0;
  }

  /** Throws when a program has found what cannot be left. */
  take(message: KillMessage): void {
    const [what] = message;
    if (what === 'found') this.#found.push(message[1]);
    else if (what === 'verified') this.#judge();
    else if (what === 'name') this.#begin(message[1]);
    else if (what === 'named') this.#finish();
    else if (what === 'event') this.count(message[1]);
    else if (what === 'ack') this.#acknowledge(message[1], message[2], message[3]);
    else if (what === 'submit') this.#channel(message[1]).submitted = message[2];
    else if (what === 'trim') raise(this.#channel(message[1]), 'trimAsked', message[2]);
    else if (what === 'trimmed') raise(this.#channel(message[1]), 'trimDone', message[2]);
    else if (what === 'compact') raise(this.#channel(message[1]), 'compactAsked', message[2]);
    else if (what === 'compacted') raise(this.#channel(message[1]), 'compactDone', message[2]);
    if (what === 'trimmed' || what === 'compacted') this.count(what);
  }

  /** Judges what somebody else has found who changes nothing. */
  check(found: readonly FoundChannel[]): void {
    this.begin(this.#life + 1);
    this.#found = [...found];
    this.#judge();
  }

  count(event: string): void {
    this.events.set(event, (this.events.get(event) ?? 0) + 1);
  }

  #channel(token: number): ChannelLedger {
    const channel = this.#channels.get(token);
    if (channel === undefined) throw new Error(`no channel ${token}`);
    return channel;
  }

  #acknowledge(token: number, seq: number, durable: number): void {
    const channel = this.#channel(token);
    const before = this.loss === 'kill' ? channel.acknowledged : channel.durable;
    raise(channel, 'acknowledged', seq);
    raise(channel, 'durable', channel.kind.options.sync === 'always' ? seq : durable);
    const after = this.loss === 'kill' ? channel.acknowledged : channel.durable;
    this.promised += after - before;
    this.promisedInLife += after - before;
  }

  #begin(change: NameChange): void {
    this.#change = change;
    const { token } = change;
    if (token !== undefined) this.#channels.set(token, new ChannelLedger(token, this.#life));
  }

  #finish(): void {
    if (this.#change === undefined) throw new Error('no change of names was begun');
    this.#names = changed(this.#names, this.#change);
    this.count(this.#change.kind);
    this.#change = undefined;
  }

  #judge(): void {
    const found = new Map(
      this.#found.map((each) => [each.name, Math.floor(each.nextSeq / TOKEN_SEQS)]),
    );
    const possible = [this.#names];
    if (this.#change !== undefined) possible.push(changed(this.#names, this.#change));
    if (!possible.some((names) => keyOf(names) === keyOf(found))) {
      const told = possible.map(keyOf).join(' or ');
      throw new Error(`the names are ${keyOf(found)}, not ${told}`);
    }
    const problems: string[] = [];
    for (const each of this.#found) {
      const channel = this.#channel(found.get(each.name) ?? -1);
      for (const problem of channel.judge(each, this.loss))
        problems.push(`${each.name}: ${problem}`);
      channel.rebase(each, this.#life);
    }
    if (problems.length > 0) throw new Error(problems.join('; '));
    this.#names = found;
    this.#change = undefined;
    const live = new Set(found.values());
    for (const token of this.#channels.keys()) if (!live.has(token)) this.#channels.delete(token);
  }
}

type Bound = 'acknowledged' | 'durable' | 'trimAsked' | 'trimDone' | 'compactAsked' | 'compactDone';

function raise(channel: ChannelLedger, bound: Bound, seq: number): void {
  channel[bound] = Math.max(channel[bound], seq);
}

function changed(names: Names, { kind, name, token = -1, to = '' }: NameChange): Names {
  const after = new Map(names);
  const present = after.get(name) ?? -1;
  if (kind === 'create') return after.set(name, token);
  after.delete(name);
  return kind === 'rename' ? after.set(to, present) : after;
}

function keyOf(names: Names): string {
  return JSON.stringify([...names].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
