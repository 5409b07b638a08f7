/**
 * What a damage to the journal may cost a channel: what stands in the groups from the first that
 * was hit on, unless a group behind it says that it was synced. Then the store has to refuse.
 */
import { viewOf } from '../../src/format/bytes.js';
import { decodeConfig } from '../../src/format/config.js';
import { JOURNAL_NAME, parseJournalSegmentName } from '../../src/format/file-name.js';
import { decodeStoreManifest } from '../../src/format/store-manifest.js';
import { decodeUnitHeader } from '../../src/format/unit.js';
import { readJournal, type FoundGroup } from '../../src/journal/recovered-journal.js';
import { CorruptFs, type Damage, type Files } from './corruption-fs.js';
import { valueOf } from './format-arbitraries.js';
import { channelPath, DATA } from './store-kit.js';

const JOURNAL = `${DATA}/${JOURNAL_NAME}/`;

const GROUPS = new WeakMap<Files, readonly FoundGroup[]>();

/** What a redo of the healthy image finds. */
function groupsOf(files: Files): readonly FoundGroup[] {
  const known = GROUPS.get(files);
  if (known !== undefined) return known;
  const manifest = valueOf(decodeStoreManifest(files.get(`${DATA}/redex.json`) ?? NOTHING));
  const storeId = Uint8Array.from(Buffer.from(manifest.storeId, 'hex'));
  const groups = readJournal(new CorruptFs(files), DATA, storeId)?.groups ?? [];
  GROUPS.set(files, groups);
  return groups;
}

const NOTHING = new Uint8Array(0);

export function isInJournal(path: string): boolean {
  return path.startsWith(JOURNAL);
}

/** Whether nothing of a channel, and no group that a redo reads, was hit. */
export function isStale(files: Files, { path, from, to }: Damage): boolean {
  if (!isInJournal(path)) return false;
  const number = parseJournalSegmentName(path.slice(JOURNAL.length));
  return !groupsOf(files).some(({ segment, position, header }) => {
    return segment === number && position < to && position + header.byteLength > from;
  });
}

/** Whether the journal has bytes of a channel that a redo writes to its files. */
export function isJournaled(files: Files, name: string): boolean {
  const channelId = idOf(files, name);
  return groupsOf(files).some(({ entries }) =>
    entries.some((entry) => Buffer.compare(entry.channelId, channelId) === 0),
  );
}

function idOf(files: Files, name: string): Uint8Array {
  const config = files.get(`${channelPath(name)}/config`) ?? NOTHING;
  return valueOf(decodeConfig(config)).channelId;
}

/** The first seq of the channel that may be out of reach; undefined when the journal is whole. */
export function journalSuffix(
  files: Files,
  name: string,
  damage: Damage,
): { readonly suffixFrom: number } | undefined {
  if (!isInJournal(damage.path)) return undefined;
  const number = parseJournalSegmentName(damage.path.slice(JOURNAL.length));
  const ownId = idOf(files, name);
  let isHit = false;
  let suffixFrom = Infinity;
  for (const { segment, position, header, entries } of groupsOf(files)) {
    const end = position + header.byteLength;
    isHit ||= segment === number && position < damage.to && end > damage.from;
    if (!isHit) continue;
    for (const { kind, channelId, data, baseSeq } of entries) {
      if (kind !== 'write' || Buffer.compare(channelId, ownId) !== 0) continue;
      const unit = decodeUnitHeader(viewOf(data), 0, 0, data.byteLength);
      // What begins with the header of a segment has its first records.
      suffixFrom = Math.min(suffixFrom, typeof unit === 'string' ? baseSeq : unit.baseSeq);
    }
  }
  return { suffixFrom };
}
