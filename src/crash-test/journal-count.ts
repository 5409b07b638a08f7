/** Counts what the journal of an image has for the open that comes. */
import { JOURNAL_SEGMENT_HEADER_BYTES } from '../format/journal-control.js';
import { GROUP_MAGIC } from '../format/journal-group.js';
import { readJournal, type JournalContents } from '../journal/recovered-journal.js';
import type { Counters } from './counters.js';
import type { Image } from './image.js';
import { DIRECTORY } from './look.js';

/** To be called before the image is opened. */
export function countJournal({ fs, facts }: Image, counters: Counters): void {
  if (facts.storeId === undefined) return;
  let contents: JournalContents | undefined;
  try {
    contents = readJournal(fs, DIRECTORY, Buffer.from(facts.storeId, 'hex'));
  } catch {
    // The open that comes says why.
    return;
  }
  if (contents === undefined) return;
  const { groups, segments, end } = contents;
  if (groups.length > 0) counters.imagesToRedo += 1;
  const kinds = new Set(groups.flatMap(({ entries }) => entries.map(({ kind }) => kind)));
  if (kinds.has('create')) counters.journalCreations += 1;
  if (kinds.has('delete')) counters.journalDeletions += 1;
  const isRecycled = segments.some(({ number, bytes }) => {
    if (number <= end.segment || bytes.byteLength < JOURNAL_SEGMENT_HEADER_BYTES + 4) return false;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return view.getUint32(JOURNAL_SEGMENT_HEADER_BYTES, true) === GROUP_MAGIC;
  });
  if (isRecycled) counters.recycledJournals += 1;
}
