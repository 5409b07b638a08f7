/**
 * Gives back the space of messages that are done with: whole segments from below, and, when one
 * message that stays keeps many that do not, those between by a compaction. Nothing goes that the
 * older one of two checkpoints would need to lead to the same state.
 */
import type { LogRecord } from '../core/record.js';
import type { Missing, QueueContext } from './queue-context.js';
import { passAll } from './passing.js';
import { reportQueue } from './queue-report.js';
import {
  decodeOperation,
  eachSeq,
  headerOf,
  MESSAGE,
  OPERATION,
  type Operation,
  type Runs,
} from './queue-records.js';
import { SeqSet } from './seq-set.js';

/** Bytes that come in before it is looked again. */
const LOOK_BYTES = 4 * 1024 * 1024;

export class QueueReclaim {
  readonly #core: QueueContext;
  readonly #segmentBytes: number;
  #lookAt: number;
  #mustLook = false;
  #running: Promise<void> | undefined;
  #isStopped = false;
  /** Bytes of the channel behind the last compaction. */
  #keptBytes = 0;
  /** Of messages, the newest records with which the windows of their keys began again. */
  #renewed: ReadonlyMap<number, number> = new Map();
  /** In a compaction: messages whose keys are remembered. */
  #remembered: SeqSet = new SeqSet();
  /** What the last compaction has dropped. */
  #dropped: SeqSet = new SeqSet();
  /** From there on all is kept, whether it is done with or not. */
  #kept: Kept = NOTHING_KEPT;
  /** Groups may not begin again meanwhile, nor it while they do. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(core: QueueContext, segmentBytes: number) {
    this.#core = core;
    this.#segmentBytes = segmentBytes;
    this.#lookAt = core.log.channel.sizeBytes + this.#lookBytes;
  }

  get #lookBytes(): number {
    return Math.min(LOOK_BYTES, this.#segmentBytes);
  }

  /** Messages were settled or written. */
  onProgress(): void {
    if (this.#running !== undefined || this.#isStopped) return;
    if (!this.#mustLook && this.#core.log.channel.sizeBytes < this.#lookAt) return;
    this.#mustLook = false;
    this.#running = this.run()
      .catch((error: unknown) => {
        const { logger, name } = this.#core;
        if (!this.#isStopped)
          logger.warn('space of a queue was not reclaimed', { queue: name, error });
      })
      .finally(() => {
        this.#running = undefined;
        this.#lookAt = this.#core.log.channel.sizeBytes + this.#lookBytes;
        if (this.#mustLook) this.onProgress();
      });
  }

  /** Less may be kept than before: it is looked at the next progress, however little came. */
  lookAgain(): void {
    this.#mustLook = true;
    this.#keptBytes = 0;
  }

  /** Runs work that may not meet a compaction, one after the other. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Gives back now what can be. Rejects with IO, POISONED, CLOSED. */
  async run(): Promise<void> {
    await this.exclusive(() => this.#run());
  }

  async #run(): Promise<void> {
    const { log, state } = this.#core;
    const { channel } = log;
    this.#dropped = new SeqSet();
    this.#kept = await keptOf(this.#core);
    const { fromSeq } = this.#kept;
    if (fromSeq !== Infinity) await passAll(this.#core, fromSeq);
    const floor = this.#goneBelow();
    if (channel.trimmableBytes(floor) === 0 && !this.#isSparse()) return;
    // Those that come from now on are not covered by the checkpoints.
    this.#renewed = state.renewed;
    state.renewed = new Map();
    // Two of them, or what went between would be missed by the older one.
    for (let turn = 0; turn < 2 && !this.#isStopped; turn++) {
      // Nothing else is under way: what it says is what is so at its place.
      await log.alone(() => log.operateAll(this.#core.base(undefined, undefined, this.#missing())));
      await log.checkpoint();
    }
    if (this.#isStopped) return;
    const safe = log.safeSeq;
    // What is done with since is open in the checkpoints, and would be counted for ever.
    const to = Math.min(floor, this.#goneBelow(), safe, state.baseSeq);
    const { sizeBytes } = channel;
    if (to > channel.firstSeq) await channel.trim({ beforeSeq: to });
    this.#forgetGone();
    if (this.#isSparse()) await this.#compact(safe);
    this.#renewed = new Map();
    state.arrivals.dropBelow(channel.firstSeq);
    this.#forgetGone();
    reportQueue(this.#core.name, 'reclaimed', sizeBytes - channel.sizeBytes);
  }

  /** Messages are not in the log any more: nothing is known of them. */
  #forgetGone(): void {
    const { state, log } = this.#core;
    const { firstSeq } = log.channel;
    const dropped = this.#dropped;
    const isThere = (seq: number): boolean => seq >= firstSeq && !dropped.has(seq);
    state.moved.keepIf(isThere);
    state.updated.keepIf(isThere);
    this.#dropped = new SeqSet();
  }

  /** Every message below is done with and not kept, and no key of it is remembered. */
  #goneBelow(): number {
    const { state } = this.#core;
    return Math.min(state.floor, state.dedup.oldestSeq ?? Infinity, this.#kept.fromSeq);
  }

  /** What will be missing. */
  #missing(): Missing {
    const { state, log } = this.#core;
    const { fromSeq, fromMs } = this.#kept;
    const goneMs = Math.max(state.goneMs, Math.min(fromMs, log.clock.now()));
    if (!this.#isSparse()) return { sparse: state.sparseBelow, goneMs };
    const sparse = Math.max(state.sparseBelow, Math.min(fromSeq, log.channel.nextSeq));
    return { sparse, goneMs };
  }

  /** Less than half of what is kept is messages that stay. */
  #isSparse(): boolean {
    const { log, state } = this.#core;
    const { sizeBytes } = log.channel;
    // What a compaction has kept for other reasons, the next one would keep, too.
    if (sizeBytes < 2 * Math.max(this.#segmentBytes, this.#keptBytes)) return false;
    const staying = Math.max(state.bytes, state.arrivals.bytesFrom(this.#kept.fromSeq));
    return staying < sizeBytes / 2 - this.#segmentBytes;
  }

  async #compact(safe: number): Promise<void> {
    const { state, log } = this.#core;
    const { seqs, lowest: oldestKey } = state.dedup.remembered(log.clock.now());
    this.#remembered = seqs;
    const keep = (record: LogRecord): boolean => this.#keeps(record, safe, oldestKey);
    await log.channel.compact({ keep });
    this.#keptBytes = log.channel.sizeBytes;
    this.#remembered = new SeqSet();
  }

  #keeps(record: LogRecord, safe: number, oldestKey: number): boolean {
    const isKept = this.#staying(record, safe, oldestKey);
    if (!isKept) this.#dropped.add(record.seq);
    return isKept;
  }

  #staying(record: LogRecord, safe: number, oldestKey: number): boolean {
    const { seq, type } = record;
    if (seq >= safe || seq >= this.#kept.fromSeq) return true;
    if (type === MESSAGE) return this.#keepsMessage(record, safe);
    const operation = type === OPERATION ? decodeOperation(record) : undefined;
    return operation === undefined || this.#keepsOperation(seq, operation, oldestKey, safe);
  }

  #keepsMessage(record: LogRecord, safe: number): boolean {
    const { state } = this.#core;
    const { seq } = record;
    const header = headerOf(record);
    if (header === undefined) return true;
    const { of, dedup } = header;
    // It goes with what it has changed, but where its key is remembered only since then.
    if (of !== undefined && this.#dropped.has(of)) return this.#renews(seq, of, dedup, safe);
    if (of !== undefined && state.updated.get(of) === seq) return true;
    if (of !== undefined) return this.#renews(seq, of, dedup, safe);
    if (!state.isSettled(seq)) return true;
    return dedup !== undefined && this.#remembered.has(seq);
  }

  /** The window of the key of a message begins with it. */
  #renews(seq: number, of: number, dedup: string | undefined, safe: number): boolean {
    return dedup !== undefined && this.#remembered.has(of) && this.#isNewest(seq, of, safe);
  }

  #keepsOperation(seq: number, operation: Operation, oldestKey: number, safe: number): boolean {
    const { state } = this.#core;
    switch (operation.o) {
      case 'lease':
      case 'back':
        return this.#hasOpen(operation.s, Infinity);
      case 'done':
      case 'cancel':
        // A message that stays for its key stays done with.
        return this.#hasOpen(operation.s, oldestKey);
      case 'renew':
        return this.#remembered.has(operation.s) && this.#isNewest(seq, operation.s, safe);
      case 'edit':
        return !state.isSettled(operation.s);
      case 'open':
        return seq >= state.floor || operation.jumped === true;
      case 'close':
        return false;
      case 'base':
      case 'blocks':
      case 'unblock':
        return seq >= state.baseSeq;
      case 'purge':
      case 'group':
      case 'ungroup':
      case 'seek':
      case 'pass':
        break;
    }
    // What they did to counts and places is not known without them.
    return true;
  }

  /** No later record that is durable lets the window of the same key begin again. */
  #isNewest(seq: number, of: number, safe: number): boolean {
    const newest = this.#renewed.get(of) ?? seq;
    return newest <= seq || newest >= safe;
  }

  /** Some message of them is not done with, or has a key that is remembered. */
  #hasOpen(runs: Runs, oldestKey: number): boolean {
    let isOpen = false;
    eachSeq(runs, (seq) => {
      const hasKey = seq >= oldestKey && this.#remembered.has(seq);
      isOpen ||= hasKey || !this.#core.state.isSettled(seq);
    });
    return isOpen;
  }

  /** Waits for what is under way. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
    await this.#last;
  }
}

/** What is done with is kept from there on. */
interface Kept {
  readonly fromSeq: number;
  /** Unix milliseconds: of what came since then nothing is missing. */
  readonly fromMs: number;
}

const NOTHING_KEPT: Kept = { fromSeq: Infinity, fromMs: Infinity };

/** As the options say. */
async function keptOf({ options, state, log }: QueueContext): Promise<Kept> {
  const { keepMs, keepMessages, keepBytes } = options;
  if (keepMs === 0) return NOTHING_KEPT;
  let fromSeq = 0;
  if (keepMessages !== null) fromSeq = state.arrivals.newest('messages', keepMessages);
  if (keepBytes !== null) fromSeq = Math.max(fromSeq, state.arrivals.newest('bytes', keepBytes));
  // What came before may be of the same millisecond.
  const first = fromSeq === 0 ? undefined : await log.channel.get(fromSeq).catch(() => undefined);
  let fromMs = fromSeq === 0 ? 0 : (first?.timestamp ?? log.clock.now()) + 1;
  if (keepMs !== null) {
    const sinceMs = Math.max(0, log.clock.now() - keepMs);
    fromSeq = Math.max(fromSeq, await log.channel.seqAt(sinceMs));
    fromMs = Math.max(fromMs, sinceMs);
  }
  return { fromSeq, fromMs };
}
