/** Reads everything that a store under kills holds, and says what it is made of. */
import type { Channel, Fold, Redex } from '../../src/index.js';
import {
  applyRecord,
  claimOf,
  FOLD_NAME,
  kindOf,
  TOKEN_SEQS,
  type FoldState,
  type FoundChannel,
  type Run,
} from './process-kill-records.js';

export async function namesOf(redex: Redex): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, error } of redex.channels()) {
    if (error !== undefined) throw error;
    names.push(name);
  }
  return names;
}

export function tokenOf(channel: Channel): number {
  return Math.floor(channel.nextSeq / TOKEN_SEQS);
}

/** A new state for each use. */
export function openSum(channel: Channel): Promise<Fold<FoldState>> {
  return channel.fold({
    name: FOLD_NAME,
    version: 1,
    initial: { count: 0, sum: 0 },
    apply: applyRecord,
    checkpointEvery: 100,
    from: tokenOf(channel) * TOKEN_SEQS,
  });
}

export async function inspect(channel: Channel): Promise<FoundChannel> {
  const { name, firstSeq, nextSeq, durableSeq } = channel;
  const wrong: string[] = [];
  const runs: [number, number, number][] = [];
  let batchEnd = nextSeq;
  for await (const { seq, type, payload } of channel.read()) {
    const claim = claimOf(seq, type, payload);
    if (claim === undefined) {
      wrong.push(`the bytes of ${seq}`);
      continue;
    }
    ({ batchEnd } = claim);
    const last = runs.at(-1);
    if (last !== undefined && last[1] === seq && last[2] === claim.life) last[1]++;
    else runs.push([seq, seq + 1, claim.life]);
  }
  // The end of what is appended together is there when its beginning is.
  const end = runs.at(-1)?.[1] ?? nextSeq;
  if (end === nextSeq && batchEnd !== nextSeq) wrong.push(`half a batch, up to ${batchEnd}`);
  const found = { name, firstSeq, nextSeq, durableSeq, runs: runs as readonly Run[], wrong };
  if (kindOf(tokenOf(channel)).folds !== true) return found;
  const fold = await openSum(channel);
  await fold.caughtUp();
  return { ...found, fold: { seq: fold.seq, ...fold.value } };
}
