/**
 * Messages with a key come one after the other: the lane of a key has an owner, which is in flight
 * or will be delivered next, and those that were met behind it. A lane ends with its last message.
 *
 * A lane may have blocks, too: places in its order of messages that are dead letters, which nobody
 * behind them passes. A message that comes back from there takes its old place: it waits in the
 * block. A lane has no owner only while a block is the first of it.
 */
import { SeqHeap } from './seq-heap.js';
import type { StateReader, StateWriter } from './state-bytes.js';

/** A message of a lane that is a dead letter, or was and has come back. */
export interface Block {
  /** Its place in the order of its key: the seq that it was first enqueued with. */
  readonly place: number;
  /** The seq that it had when it became a dead letter. */
  readonly seq: number;
  /** The queue in which it is a dead letter; empty when that is not known any more. */
  readonly in: string;
  /** The seq with which it has come back; undefined while it is a dead letter. */
  readonly by: number | undefined;
}

export interface NextOfLane {
  readonly seq: number;
  readonly priority: number;
}

type IsOpen = (seq: number) => boolean;

interface Lane {
  owner: number;
  /** Seqs with their priorities, see `packed`. */
  readonly waiting: SeqHeap;
  /** By their places. */
  blocks: readonly Block[];
}

/** More than there are priorities. */
const PRIORITIES = 32;
const NOBODY = -1;
const NO_BLOCKS: readonly Block[] = [];

export class KeyLanes {
  readonly #lanes = new Map<string, Lane>();
  /** The keys of lanes by their owners. */
  readonly #keys = new Map<number, string>();
  /** Keys with a message that is a dead letter. */
  readonly #blocked = new Set<string>();

  /** Keys that wait for a dead letter. */
  get blockedCount(): number {
    return this.#blocked.size;
  }

  /** The key of the lane that the message owns. */
  keyOf(seq: number): string | undefined {
    return this.#keys.get(seq);
  }

  /** The owners of lanes, with their keys. */
  owners(): [seq: number, key: string][] {
    return [...this.#keys];
  }

  #give(key: string, lane: Lane, owner: number): void {
    this.#keys.delete(lane.owner);
    lane.owner = owner;
    if (owner !== NOBODY) this.#keys.set(owner, key);
  }

  #laneOf(key: string): Lane {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { owner: NOBODY, waiting: new SeqHeap(), blocks: NO_BLOCKS };
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  #setBlocks(key: string, lane: Lane, blocks: readonly Block[]): void {
    lane.blocks = blocks.length === 0 ? NO_BLOCKS : blocks;
    if (blocks.some(({ by }) => by === undefined)) this.#blocked.add(key);
    else this.#blocked.delete(key);
  }

  /** Makes the message the owner of its lane if that is free; whether it owns it. */
  claim(key: string, seq: number): boolean {
    const lane = this.#laneOf(key);
    if (lane.owner === seq) return true;
    const [first] = lane.blocks;
    if (lane.owner !== NOBODY || (first !== undefined && first.place < seq)) return false;
    this.#give(key, lane, seq);
    return true;
  }

  /** The message waits until its lane is free. */
  wait(key: string, seq: number, priority: number): void {
    this.#lanes.get(key)?.waiting.push(seq * PRIORITIES + priority);
  }

  /**
   * The owner is done with: the next one for which `isOpen` owns the lane and is returned, or the
   * lane ends. Undefined also for a message that does not own its lane, and behind a block.
   */
  leave(key: string, seq: number, isOpen: IsOpen): NextOfLane | undefined {
    const lane = this.#lanes.get(key);
    return lane?.owner === seq ? this.#next(key, lane, isOpen) : undefined;
  }

  #next(key: string, lane: Lane, isOpen: IsOpen): NextOfLane | undefined {
    const before = lane.owner;
    this.#give(key, lane, NOBODY);
    for (;;) {
      const [block] = lane.blocks;
      const top = lane.waiting.peek();
      const priority = (top ?? 0) % PRIORITIES;
      const seq = top === undefined ? Infinity : (top - priority) / PRIORITIES;
      if (block !== undefined && block.place <= seq) {
        if (block.by === undefined) return undefined;
        this.#setBlocks(key, lane, lane.blocks.slice(1));
        if (!isOpen(block.by)) continue;
        this.#give(key, lane, block.by);
        return { seq: block.by, priority: 0 };
      }
      if (top === undefined) break;
      lane.waiting.pop();
      if (seq === before || !isOpen(seq)) continue;
      this.#give(key, lane, seq);
      return { seq, priority };
    }
    this.#lanes.delete(key);
    return undefined;
  }

  #nextIfFree(key: string, lane: Lane, isOpen: IsOpen): NextOfLane | undefined {
    return lane.owner === NOBODY ? this.#next(key, lane, isOpen) : undefined;
  }

  /** A message of the lane is a dead letter, or has come back: in the place of what was there. */
  block(key: string, block: Block, isOpen: IsOpen): NextOfLane | undefined {
    const lane = this.#laneOf(key);
    const others = lane.blocks.filter(({ place }) => place !== block.place);
    const blocks = [...others, block].toSorted((a, b) => a.place - b.place);
    this.#setBlocks(key, lane, blocks);
    return this.#nextIfFree(key, lane, isOpen);
  }

  /** Lets go of blocks of dead letters: of those that `which` says. */
  unblock(key: string, which: (block: Block) => boolean, isOpen: IsOpen): NextOfLane | undefined {
    const lane = this.#lanes.get(key);
    if (lane === undefined) return undefined;
    const blocks = lane.blocks.filter((block) => block.by !== undefined || !which(block));
    this.#setBlocks(key, lane, blocks);
    return this.#nextIfFree(key, lane, isOpen);
  }

  /** Lets go of blocks of dead letters, and of nobody behind them: others are said next. */
  forgetBlocks(key: string): void {
    const lane = this.#lanes.get(key);
    if (lane === undefined) return;
    const blocks = lane.blocks.filter(({ by }) => by !== undefined);
    this.#setBlocks(key, lane, blocks);
    const isEmpty = lane.owner === NOBODY && lane.waiting.size === 0 && blocks.length === 0;
    if (isEmpty) this.#lanes.delete(key);
  }

  /** Dead letters that others wait for, by key. */
  *blocks(): IterableIterator<[key: string, blocks: readonly Block[]]> {
    for (const key of this.#blocked) yield [key, this.blocksOf(key)];
  }

  blocksOf(key: string): readonly Block[] {
    const blocks = this.#lanes.get(key)?.blocks ?? NO_BLOCKS;
    return blocks.filter(({ by }) => by === undefined);
  }

  clear(): void {
    this.#lanes.clear();
    this.#keys.clear();
    this.#blocked.clear();
  }

  /** No message is left but those that are dead letters. */
  clearMessages(): void {
    const blocks = [...this.blocks()];
    this.clear();
    for (const [key, of] of blocks) this.#setBlocks(key, this.#laneOf(key), of);
  }

  encodeTo(writer: StateWriter): void {
    writer.u32(this.#lanes.size);
    for (const [key, { owner, waiting, blocks }] of this.#lanes) {
      writer.string(key);
      writer.f64(owner);
      waiting.encodeTo(writer);
      writer.u32(blocks.length);
      for (const { place, seq, in: queue, by } of blocks) {
        writer.f64(place);
        writer.f64(seq);
        writer.string(queue);
        writer.f64(by ?? NOBODY);
      }
    }
  }

  static decode(reader: StateReader): KeyLanes {
    const lanes = new KeyLanes();
    for (let left = reader.u32(); left > 0; left--) {
      const key = reader.string();
      const owner = reader.f64();
      const lane: Lane = { owner: NOBODY, waiting: SeqHeap.decode(reader), blocks: NO_BLOCKS };
      lanes.#lanes.set(key, lane);
      lanes.#give(key, lane, owner);
      const blocks: Block[] = [];
      for (let count = reader.u32(); count > 0; count--) {
        const block = { place: reader.f64(), seq: reader.f64(), in: reader.string() };
        const by = reader.f64();
        blocks.push({ ...block, by: by === NOBODY ? undefined : by });
      }
      lanes.#setBlocks(key, lane, blocks);
    }
    return lanes;
  }
}
