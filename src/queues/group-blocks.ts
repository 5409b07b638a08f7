/**
 * What the records say of keys that wait for a dead letter: `done` and `blocks` hold a key up, an
 * `unblock`, or the message that comes back, lets it go on.
 */
import type { GroupState } from './group-state.js';
import type { Block } from './key-lanes.js';
import type { Held, MessageHeader, OperationContent } from './queue-records.js';

/** Characters of keys in one `blocks` operation. */
const CHUNK_LENGTH = 8 * 1024;
const SEQ_LENGTH = 8;

/** Keys wait for dead letters in the queue `to`. */
export function hold(group: GroupState, held: readonly Held[] = [], to = ''): void {
  for (const [seq, key, place] of held) {
    group.lanes.block(key, { place, seq, in: to, by: undefined }, group.isOpen);
  }
}

/** A key waits no longer for the dead letter that had the seq, or for any. */
export function unblock(group: GroupState, key: string, seq: number | undefined): void {
  const which = (block: Block): boolean => seq === undefined || block.seq === seq;
  group.goOn(group.lanes.unblock(key, which, group.isOpen));
}

/** A message has come back from the dead letters: it is the next of its key, from its place on. */
export function comeBack(
  { groups }: { readonly groups: ReadonlyMap<string, GroupState> },
  seq: number,
  { key, fills }: MessageHeader,
): void {
  const group = groups.get(fills?.g ?? '');
  if (group === undefined || key === undefined || fills === undefined) return;
  if (!group.isOpen(seq)) return;
  const block = { place: fills.place, seq, in: '', by: seq };
  group.goOn(group.lanes.block(key, block, group.isOpen));
}

/** Nothing is known of keys that wait; with `goesOn` they do not any more. */
export function forgetBlocks(group: GroupState, goesOn: boolean): void {
  for (const [key] of Array.from(group.lanes.blocks())) {
    if (goesOn) group.goOn(group.lanes.unblock(key, () => true, group.isOpen));
    else group.lanes.forgetBlocks(key);
  }
}

/** All keys that wait, in as many operations as it takes. */
export function blockOperations(groups: Iterable<GroupState>): OperationContent[] {
  const operations: OperationContent[] = [];
  for (const { name, lanes } of groups) {
    const g = name === '' ? undefined : name;
    // Those in one queue of dead letters that are not in an operation yet.
    const byQueue = new Map<string, { held: Held[]; length: number }>();
    for (const [key, blocks] of lanes.blocks()) {
      for (const { seq, place, in: to } of blocks) {
        const chunk = byQueue.get(to) ?? { held: [], length: 0 };
        byQueue.set(to, chunk);
        chunk.held.push([seq, key, place]);
        chunk.length += key.length + 2 * SEQ_LENGTH;
        if (chunk.length < CHUNK_LENGTH) continue;
        operations.push({ o: 'blocks', g, h: chunk.held, to });
        byQueue.delete(to);
      }
    }
    for (const [to, { held }] of byQueue) operations.push({ o: 'blocks', g, h: held, to });
  }
  return operations;
}
