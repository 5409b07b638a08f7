/**
 * What a recovery has to do with the groups that it has found: a decision without I/O. Entries of a
 * channel keep their order; what came before its deletion is of no interest (RULES J4).
 */
import type { FoundGroup } from './recovered-journal.js';
import type { JournalEntry } from '../format/journal-group.js';

/** Bytes for a place in a dat file. */
export interface RedoWrite {
  readonly baseSeq: number;
  readonly position: number;
  readonly data: Uint8Array;
  /** Number of the group that it is in. */
  readonly group: number;
}

export interface RedoChannel {
  readonly channelId: Uint8Array;
  /** The entry that its directory had when it was last named. */
  readonly hint: string | undefined;
  /** What to make it of, when it is not there. */
  readonly creation: Uint8Array | undefined;
  /** It was deleted: what is still there of it goes. */
  readonly isDeleted: boolean;
  readonly writes: readonly RedoWrite[];
  readonly firstGroup: number;
}

interface Collected {
  readonly channelId: Uint8Array;
  hint: string | undefined;
  creation: Uint8Array | undefined;
  isDeleted: boolean;
  writes: RedoWrite[];
  firstGroup: number;
}

/** By channel, in the order in which they come. `names` are hints from what came before. */
export function planRedo(
  groups: readonly FoundGroup[],
  names: readonly JournalEntry[],
): RedoChannel[] {
  const hints = new Map<string, string>();
  for (const { channelId, data } of names) hints.set(idOf(channelId), textOf(data));
  const found = new Map<string, Collected>();
  for (const { header, entries } of groups) {
    for (const entry of entries) {
      const id = idOf(entry.channelId);
      if (entry.kind === 'name') {
        hints.set(id, textOf(entry.data));
        continue;
      }
      const channel = found.get(id) ?? collected(entry.channelId, header.number);
      found.set(id, channel);
      take(channel, entry, header.number);
    }
  }
  for (const [id, channel] of found) channel.hint = hints.get(id);
  return [...found.values()];
}

function collected(channelId: Uint8Array, firstGroup: number): Collected {
  return {
    channelId,
    hint: undefined,
    creation: undefined,
    isDeleted: false,
    writes: [],
    firstGroup,
  };
}

function take(channel: Collected, entry: JournalEntry, group: number): void {
  const { kind, baseSeq, position, data } = entry;
  if (kind === 'create') channel.creation = data;
  else if (kind === 'delete') {
    channel.isDeleted = true;
    channel.writes = [];
  } else channel.writes.push({ baseSeq, position, data, group });
}

/** Whether everything that is written there is in the files that a manifest names (RULES J4). */
export function isBeforeRedo(
  { baseSeq, position }: { readonly baseSeq: number; readonly position: number },
  { redoSegment, redoPosition }: { readonly redoSegment: number; readonly redoPosition: number },
): boolean {
  return baseSeq < redoSegment || (baseSeq === redoSegment && position < redoPosition);
}

/**
 * The writes that are still to be done: not what the files of a manifest have, and nothing of a
 * segment that ends at `firstSeq` or before it. Its file may be gone already, while the journal has
 * the seal of it, which belongs to none of its records.
 */
export function leftToRedo(
  writes: readonly RedoWrite[],
  manifest: Parameters<typeof isBeforeRedo>[1] & { readonly firstSeq: number },
): RedoWrite[] {
  const left = writes.filter((write) => !isBeforeRedo(write, manifest));
  let head = 0;
  for (const { baseSeq } of left) if (baseSeq <= manifest.firstSeq) head = Math.max(head, baseSeq);
  return head === 0 ? left : left.filter(({ baseSeq }) => baseSeq >= head);
}

export function idOf(channelId: Uint8Array): string {
  const { buffer, byteOffset, byteLength } = channelId;
  return Buffer.from(buffer, byteOffset, byteLength).toString('hex');
}

const decoder = new TextDecoder();

/** Of a name: what the text is in a group of the journal. */
export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
