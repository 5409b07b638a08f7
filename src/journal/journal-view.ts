/**
 * The journal as a process sees it that only reads: what it has for the files of each channel, kept
 * in memory, and brought up to date by each look. What a checkpoint has written since stands in the
 * files by then, with the same bytes. Nothing is changed, and no descriptor stays open (RULES N4).
 */
import { RedexError } from '../core/errors.js';
import { sameChecksum } from '../format/checksum.js';
import { JOURNAL_NAME, journalSegmentName, parseJournalSegmentName } from '../format/file-name.js';
import {
  JOURNAL_SEGMENT_HEADER_BYTES,
  type GroupPlace,
  type JournalControl,
} from '../format/journal-control.js';
import {
  decodeGroup,
  GROUP_HEADER_BYTES,
  groupLength,
  type GroupHeader,
  type JournalEntry,
} from '../format/journal-group.js';
import { decodeCreation } from '../format/creation.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { readAt } from '../fs/whole-file.js';
import { systemCodeOf } from '../fs/system-error.js';
import { ChannelView } from './channel-view.js';
import { controlPath, readControl, readJournal } from './recovered-journal.js';
import { idOf, textOf } from './redo-plan.js';

/** How often a look starts over because the journal went on while it was looking. */
const MAX_PASSES = 16;

/** How often the first look reads a journal that seems to be damaged. */
const WHOLE_PASSES = 4;

/** The files that a channel begins with. */
export interface CreatedChannel {
  readonly id: string;
  readonly group: number;
  readonly config: Uint8Array;
  readonly manifest: Uint8Array;
}

interface Group {
  readonly header: GroupHeader;
  readonly entries: readonly JournalEntry[];
}

export class JournalView {
  readonly #fs: FileSystem;
  readonly #directory: string;
  /** The journal's directory, which may not be there. */
  readonly path: string;
  readonly #storeId: Uint8Array;
  readonly #channels = new Map<string, ChannelView>();
  /** Channels that the journal has made, by the entries that they are found under. */
  readonly created: Map<string, CreatedChannel> = new Map<string, CreatedChannel>();
  /** By the entries that they had, ids of channels that it has deleted, with their groups. */
  readonly deleted: Map<string, Map<string, number>> = new Map<string, Map<string, number>>();
  #control: JournalControl | undefined;
  /** Where the next group would stand. */
  #end: GroupPlace | undefined;

  /** `directory` is the store's. */
  constructor(fs: FileSystem, directory: string, storeId: Uint8Array) {
    this.#fs = fs;
    this.#directory = directory;
    this.path = `${directory}/${JOURNAL_NAME}`;
    this.#storeId = storeId;
  }

  /** What the journal has of one channel. */
  channel(channelId: Uint8Array): ChannelView {
    const id = idOf(channelId);
    const present = this.#channels.get(id);
    if (present !== undefined) return present;
    const made = new ChannelView();
    this.#channels.set(id, made);
    return made;
  }

  /** Sees what is there now. Throws CORRUPT or FORMAT_VERSION for a journal of another kind. */
  look(): void {
    if (this.#control === undefined && !this.#isWhole()) return;
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      const control = readControl(this.#fs, controlPath(this.#directory), this.#storeId);
      if (control === undefined) return;
      this.#take(control);
      this.#readOn();
      const after = readControl(this.#fs, controlPath(this.#directory), this.#storeId);
      // What a checkpoint frees while it is read may be something else by now.
      if (after?.counter === control.counter) return;
    }
  }

  /**
   * The first look: what a writer would refuse is not shown in part. Beside a live writer it may
   * have read half of a change, or not have found a segment that was there when they were listed,
   * so that it is read again. False when there is no journal.
   */
  #isWhole(): boolean {
    for (let pass = 1; ; pass++) {
      try {
        return readJournal(this.#fs, this.#directory, this.#storeId) !== undefined;
      } catch (error) {
        const mayChange = RedexError.is(error, 'CORRUPT') || systemCodeOf(error) === 'ENOENT';
        if (pass === WHOLE_PASSES || !mayChange) throw error;
      }
    }
  }

  #take(control: JournalControl): void {
    const { redoFrom } = control;
    const isBehind = this.#end === undefined || this.#end.number < redoFrom.number;
    if (isBehind) this.#end = redoFrom;
    for (const [name, { group }] of this.created) {
      if (isBehind || group < redoFrom.number) this.created.delete(name);
    }
    for (const [name, ids] of this.deleted) {
      for (const [id, group] of ids) if (isBehind || group < redoFrom.number) ids.delete(id);
      if (ids.size === 0) this.deleted.delete(name);
    }
    for (const channel of this.#channels.values()) {
      if (isBehind) channel.clear();
      else if (control.counter !== this.#control?.counter) channel.dropBelow(redoFrom.number);
    }
    this.#control = control;
  }

  #readOn(): void {
    for (let end = this.#end; end !== undefined;) {
      const found = this.#groupAfter(end);
      if (found === undefined) return;
      const { place, group } = found;
      let name = '';
      for (const entry of group.entries) {
        if (entry.kind === 'name') name = textOf(entry.data);
        this.#takeName(entry, name, group.header.number);
        this.channel(entry.channelId).take(entry, group.header.number);
      }
      end = {
        segment: place.segment,
        position: place.position + group.header.byteLength,
        number: group.header.number + 1,
        link: group.header.checksum,
      };
      this.#end = end;
    }
  }

  /** The name of a channel stands before what makes or deletes it. */
  #takeName({ kind, channelId, data }: JournalEntry, name: string, group: number): void {
    const id = idOf(channelId);
    if (kind === 'delete') {
      // It may have been made under another name.
      for (const [made, created] of this.created) if (created.id === id) this.created.delete(made);
      const ids = this.deleted.get(name) ?? new Map<string, number>();
      this.deleted.set(name, ids.set(id, group));
    }
    const creation = kind === 'create' ? decodeCreation(data) : undefined;
    if (creation === undefined) return;
    this.created.set(name, { id, group, ...creation });
  }

  #groupAfter(
    end: GroupPlace,
  ): { readonly place: { segment: number; position: number }; readonly group: Group } | undefined {
    const { segment, position } = end;
    const behind = this.#groupAt(end, segment, position);
    if (behind !== undefined) return { place: { segment, position }, group: behind };
    for (const { name } of this.#fs.readDirectorySync(this.path)) {
      const other = parseJournalSegmentName(name);
      if (other === undefined || other === segment) continue;
      const first = this.#groupAt(end, other, JOURNAL_SEGMENT_HEADER_BYTES);
      if (first === undefined) continue;
      return { place: { segment: other, position: JOURNAL_SEGMENT_HEADER_BYTES }, group: first };
    }
    return undefined;
  }

  /** The group at a place, when it is the one that comes next. */
  #groupAt(next: GroupPlace, segment: number, position: number): Group | undefined {
    let file: FileHandle;
    try {
      file = this.#fs.openSync(`${this.path}/${journalSegmentName(segment)}`, 'read');
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    try {
      const head = readAt(file, position, GROUP_HEADER_BYTES);
      const length = groupLength(head);
      // No size is believed before the file has so much.
      if (length === undefined || position + length > file.sizeSync()) return undefined;
      const group = decodeGroup(readAt(file, position, length));
      if (!group.ok) return undefined;
      const { storeId, number, link } = group.value.header;
      const isOwn = Buffer.compare(storeId, this.#storeId) === 0;
      return isOwn && number === next.number && sameChecksum(link, next.link)
        ? group.value
        : undefined;
    } finally {
      file.closeSync();
    }
  }
}
