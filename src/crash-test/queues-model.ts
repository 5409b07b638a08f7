/**
 * What queues may hold after a crash. Each message has, for each group, a line of states, one for
 * each deed that changed it; what a crash leaves is one of them, from the last that was promised
 * on. A deed that changed several lines is there for all of them or for none; a deed that began
 * when another one of the same queue was acknowledged is not there without that one.
 */
import { judgeDeeds } from './queues-fits.js';
import {
  BEFORE,
  type Block,
  type DedupNote,
  type Deed,
  type Fits,
  type FoundSights,
  type Moment,
  PERHAPS,
  type QueueEntry,
  QueueLine,
  type QueueSight,
  hasBegun,
  indexesThatFit,
  isPromised,
  lineKey,
  misfit,
  plainSight,
  textOf,
} from './queues-lines.js';
import { Violation } from './violation.js';

export class QueuesModel {
  readonly lines: Map<string, QueueLine> = new Map();
  readonly entries: Map<string, QueueEntry> = new Map();
  /** By queue and dedup key, oldest first. */
  readonly keys: Map<string, DedupNote[]> = new Map();
  /** Ids that somebody was told, and since when: no other message gets them. */
  readonly ids: Map<string, { readonly number: number; readonly knownAt: number }> = new Map();
  /** Queues in which a group began where messages were. */
  readonly sought: Set<string> = new Set();
  readonly blocks: Set<Block> = new Set();
  /** By these, messages were skipped. */
  readonly skips: Set<Deed> = new Set();
  /** Called when something was acknowledged. */
  onAcknowledged: (() => void) | undefined;
  /** Messages that were there, or may have been, after the last crash. */
  readonly #kept = new Set<QueueEntry>();
  #time = 0;

  get time(): number {
    return this.#time;
  }

  begin(what: string, isSynced: boolean): Deed {
    this.#time++;
    return { what, isSynced, beganAt: this.#time, endedAt: Infinity };
  }

  acknowledge(deed: Deed): void {
    this.#time++;
    deed.endedAt = Math.min(deed.endedAt, this.#time);
    this.onAcknowledged?.();
  }

  /** A message is in a queue now, and waits for these groups. */
  enter(entry: QueueEntry, groups: Iterable<readonly [string, QueueSight]>, deed: Deed): void {
    const place = `${entry.queue}/${entry.seq}`;
    const before = this.entries.get(place);
    for (const [key, line] of this.lines) {
      if (line.entry !== before || before === undefined) continue;
      if (line.last !== undefined) {
        throw new Violation(`${deed.what}: seq ${place} is that of message ${before.number}`);
      }
      this.lines.delete(key);
    }
    const known = this.ids.get(entry.id);
    if (known !== undefined && known.number !== entry.number) {
      throw new Violation(`id ${entry.id} of message ${entry.number} was that of ${known.number}`);
    }
    if (known === undefined) {
      this.ids.set(entry.id, { number: entry.number, knownAt: deed.endedAt });
    }
    this.entries.set(place, entry);
    for (const [group, sight] of groups) this.line(entry, group).push(sight, deed);
  }

  /** The line of a message for a group, made if there is none yet. */
  line(entry: QueueEntry, group: string): QueueLine {
    return this.#lineAt(entry.queue, entry.seq, group, entry);
  }

  /** Lines of groups that have it before them. */
  linesOf(entry: QueueEntry): QueueLine[] {
    return [...this.lines.values()].filter(
      (line) => line.entry === entry && line.last !== undefined,
    );
  }

  /** From now on a key waits for a message that has become a dead letter. */
  block({ queue, seq, place }: QueueEntry, key: string, deed: Deed): Block {
    const block = { queue, key, seq, place, line: this.plainLine(queue, `blocked ${key} ${seq}`) };
    block.line.push(plainSight('yes'), deed);
    this.blocks.add(block);
    return block;
  }

  /** A dead letter is not where it was: nobody waits for it. */
  goOn({ holds }: QueueEntry, deed: Deed): void {
    if (holds?.line.last !== undefined) holds.line.push(undefined, deed);
  }

  /** The key waits for a dead letter that was before the message. */
  isBlocked({ queue, key, place, isLoose }: QueueEntry): boolean {
    if (isLoose || key === undefined) return false;
    for (const block of this.blocks) {
      const isOfKey = block.queue === queue && block.key === key && block.place < place;
      if (isOfKey && block.line.last !== undefined) return true;
    }
    return false;
  }

  /** What a message said last, as far as it is known; to whichever group. */
  textsOf(entry: QueueEntry, moment: Moment): Set<string> {
    const texts = new Set<string>();
    for (const { entry: of, states } of this.lines.values()) {
      if (of !== entry) continue;
      const first = states.findLastIndex(({ deed }) => isPromised(deed, moment));
      const last = states.findLastIndex(({ deed }) => hasBegun(deed, moment));
      for (let index = Math.max(first, 0); index <= last; index++) {
        const said = states.slice(0, index + 1).findLast(({ sight }) => sight !== undefined);
        if (said?.sight !== undefined) texts.add(said.sight.text);
      }
    }
    return texts;
  }

  /** Of what is no message: an option, whether it is paused, a group. */
  plainLine(queue: string, what: string): QueueLine {
    return this.#lineAt(queue, what, '', undefined);
  }

  #lineAt(
    queue: string,
    place: number | string,
    group: string,
    entry: QueueEntry | undefined,
  ): QueueLine {
    const key = lineKey(queue, place, group);
    let line = this.lines.get(key);
    if (line === undefined) {
      line = new QueueLine(queue, group, entry);
      this.lines.set(key, line);
    }
    return line;
  }

  /** Messages that the group has before it, by seq. */
  openLines(queue: string, group: string): { line: QueueLine; entry: QueueEntry }[] {
    const open: { line: QueueLine; entry: QueueEntry }[] = [];
    for (const line of this.lines.values()) {
      const { entry } = line;
      if (line.queue !== queue || line.group !== group || entry === undefined) continue;
      if (line.last !== undefined) open.push({ line, entry });
    }
    return open.toSorted((a, b) => a.entry.seq - b.entry.seq);
  }

  /** Which states fit. Throws a Violation where none does, and where a deed is there in part. */
  match(found: FoundSights, moment: Moment): Fits {
    const fits = new Map<QueueLine, number[]>();
    for (const [key, line] of this.lines) {
      const fitting = indexesThatFit(line, found.get(key), moment);
      if (fitting.length === 0) throw misfit(key, line, found.get(key), moment);
      fits.set(line, fitting);
    }
    for (const [key, sight] of found) {
      if (this.lines.has(key)) continue;
      throw new Violation(`${key}: ${textOf(sight)}, which nobody has put there`);
    }
    judgeDeeds(fits);
    return fits;
  }

  /** After a crash nothing is known but what was found. */
  collapse(fits: Fits, moment: Moment): void {
    // What came after the crash, nobody was told.
    for (const [id, { knownAt }] of this.ids) if (knownAt > moment.at) this.ids.delete(id);
    const sure = new Set<QueueEntry>();
    const lost = new Set<QueueEntry>();
    for (const entry of this.entries.values()) if (!this.#kept.has(entry)) lost.add(entry);
    for (const [{ entry }, fitting] of fits) {
      if (entry === undefined) continue;
      if (fitting.some((index) => index > 0)) lost.delete(entry);
      if (!fitting.includes(0)) sure.add(entry);
    }
    for (const [key, line] of this.lines) {
      const sight = line.states[fits.get(line)?.at(-1) ?? 0]?.sight;
      if (line.entry !== undefined && lost.has(line.entry)) this.lines.delete(key);
      else line.states = [{ sight, deed: BEFORE }];
    }
    for (const entry of this.entries.values()) {
      const { cameBy, goneBy } = entry;
      if (!this.#kept.has(entry)) entry.cameBy = sure.has(entry) ? BEFORE : PERHAPS;
      if (goneBy === undefined || isPromised(goneBy, moment)) continue;
      entry.goneBy = undefined;
      if (hasBegun(goneBy, moment)) entry.cameBy = cameBy === BEFORE ? PERHAPS : cameBy;
    }
    for (const [place, entry] of this.entries) if (lost.has(entry)) this.entries.delete(place);
    for (const entry of this.entries.values()) this.#kept.add(entry);
    for (const [key, notes] of this.keys) {
      const left = notes.filter(({ entry, deed }) => !lost.has(entry) && hasBegun(deed, moment));
      for (const note of left) {
        const { entry, deed, isAgain } = note;
        if (deed === BEFORE || deed === PERHAPS) continue;
        const isThere = isAgain ? isPromised(deed, moment) : sure.has(entry);
        note.deed = isThere ? BEFORE : PERHAPS;
      }
      this.keys.set(key, left);
    }
  }
}
