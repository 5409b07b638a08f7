/**
 * Whether what is there can be what commits have left: all of each, or nothing. Says nothing where
 * a later deletion, trim or compaction may have hidden a part.
 */
import { CONDEMNED, type Found } from './record-ledger.js';
import type { CommitEntryPart, StoreFacts } from './store-facts.js';
import { Violation } from './violation.js';

/** A channel as somebody has found it. */
export interface FoundPart {
  readonly firstSeq: number;
  readonly found: readonly Found[];
}

/** Throws a Violation for half of a commit. `channels` by their place in the list of creations. */
export function judgeCommits(
  channels: ReadonlyMap<number, FoundPart>,
  facts: Pick<StoreFacts, 'commits' | 'deletions' | 'channels'>,
): void {
  const ids = new Map<number, ReadonlySet<number>>();
  for (const [index, { found }] of channels) ids.set(index, new Set(found.map(({ id }) => id)));
  for (const { parts } of facts.commits) {
    const told = parts.map((part) => isThere(part, channels, ids, facts));
    if (!told.includes(true) || !told.includes(false)) continue;
    const each = parts.map(({ does, channel, first, count }, index) => {
      return `${does} of ${first}+${count} in channel ${channel}: ${told[index] ?? 'unknown'}`;
    });
    throw new Violation(`J1: half of a commit is there: ${each.join('; ')}`);
  }
}

/** Undefined where nobody can say. */
function isThere(
  { does, channel, first, count, fromSeq }: CommitEntryPart,
  channels: ReadonlyMap<number, FoundPart>,
  ids: ReadonlyMap<number, ReadonlySet<number>>,
  facts: Pick<StoreFacts, 'deletions' | 'channels'>,
): boolean | undefined {
  const there = channels.get(channel);
  const deletions = facts.deletions.get(channel) ?? 0;
  if (does === 'delete') {
    if (channel < 0) return undefined;
    if (there !== undefined) return false;
    return deletions > 1 ? undefined : true;
  }
  if (there === undefined) return does === 'append' || deletions > 0 ? undefined : false;
  if (does === 'create') return true;
  const present = ids.get(channel);
  const flags = facts.channels[channel]?.records.flags;
  let isHidden = count === 0 || there.firstSeq > fromSeq;
  for (let id = first; id < first + count; id += 1) {
    if (present?.has(id) === true) return true;
    if (((flags?.[id - 1] ?? 0) & CONDEMNED) !== 0) isHidden = true;
  }
  return isHidden ? undefined : false;
}
