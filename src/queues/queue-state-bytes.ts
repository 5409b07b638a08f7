/** The state of a queue as the bytes of a checkpoint. */
import { Arrivals } from './arrivals.js';
import { DedupTable } from './dedup-table.js';
import { GroupState } from './group-state.js';
import { IdIndex } from './id-index.js';
import { storedOptionsFrom } from './stored-options.js';
import { QueueState } from './queue-state.js';
import { SeqSet } from './seq-set.js';
import { StateReader, StateWriter } from './state-bytes.js';

export function encodeState(state: QueueState): Uint8Array {
  const writer = new StateWriter();
  writer.string(JSON.stringify(state.options));
  writer.string(state.tag);
  writer.bool(state.isPaused);
  for (const value of [state.epoch, state.seenMs, state.messages, state.bytes]) writer.f64(value);
  writer.f64(state.baseSeq);
  writer.f64(state.keptBefore);
  writer.f64(state.sparseBelow);
  writer.f64(state.goneMs);
  state.arrivals.encodeTo(writer);
  state.gone.encodeTo(writer);
  state.dedup.encodeTo(writer);
  state.updated.encodeTo(writer);
  writer.u32(state.groups.size);
  for (const group of state.groups.values()) group.encodeTo(writer);
  state.moved.encodeTo(writer);
  state.updated.encodeGrownTo(writer);
  state.dedup.encodeOldestTo(writer);
  return writer.finish();
}

/** Throws for what `encodeState` has not made. */
export function decodeState(bytes: Uint8Array): QueueState {
  const reader = new StateReader(bytes);
  const options = storedOptionsFrom(JSON.parse(reader.string()));
  if (options === undefined) throw new Error('a state has no options of a queue');
  const state = new QueueState(options, reader.string());
  state.isPaused = reader.bool();
  state.epoch = reader.f64();
  state.seenMs = reader.f64();
  state.messages = reader.f64();
  state.bytes = reader.f64();
  state.baseSeq = reader.f64();
  state.keptBefore = reader.f64();
  state.sparseBelow = reader.f64();
  state.goneMs = reader.f64();
  state.arrivals = Arrivals.decode(reader);
  state.gone = SeqSet.decode(reader);
  state.dedup = DedupTable.decode(reader);
  state.updated.decode(reader);
  state.groups.clear();
  for (let left = reader.u32(); left > 0; left--) state.setGroup(GroupState.decode(reader));
  // An earlier version wrote no more than that.
  if (reader.hasMore) decodeRest(state, reader);
  else state.moved.isComplete = false;
  reader.done();
  return state;
}

function decodeRest(state: QueueState, reader: StateReader): void {
  state.moved = IdIndex.decode(reader);
  state.updated.decodeGrown(reader);
  state.dedup.decodeOldest(reader);
}
