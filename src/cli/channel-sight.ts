/**
 * A channel's files as readers of the engine see them: what waits in the journal of a store, and
 * the channels that only it has, are in their places. Nothing is changed, damage is not thrown.
 *
 * Names are listed before the journal is read: of each that was there then, all that was written is
 * in its file or in the journal. What comes later is not looked at.
 */
import { generationName, parseGenerationName } from '../format/file-name.js';
import { parseSegmentFileName } from '../format/file-name.js';
import type { Manifest } from '../format/manifest.js';
import type { FileSystem } from '../fs/file-system.js';
import { CreatedFs } from '../journal/created-fs.js';
import { JournalView } from '../journal/journal-view.js';
import { OverlaidFs } from '../journal/journaled-fs.js';
import { configOf, manifestOf, namesIn, storeManifestOf, type Looked } from './inspect-files.js';
import type { Config } from '../format/config.js';

export interface ChannelSight {
  /** With what waits in the journal. */
  readonly fs: FileSystem;
  readonly config: Looked<Config>;
  readonly manifest: Looked<Manifest>;
  /** Base seqs of the segments of each generation that was there. */
  readonly generations: ReadonlyMap<number, readonly number[]>;
  /** Bytes of dat files that the journal has. */
  readonly waitingBytes: number;
}

/** Of the channel in `directory`, of the store in `store`; undefined when there is none. */
export function sightOf(
  fs: FileSystem,
  store: string,
  directory: string,
): ChannelSight | undefined {
  const listed = new Map<number, Set<number>>();
  for (const { name } of namesIn(fs, directory)) {
    const generation = parseGenerationName(name);
    if (generation !== undefined) listed.set(generation, basesIn(fs, `${directory}/${name}`));
  }
  const view = journalView(fs, store);
  const created = view === undefined ? fs : new CreatedFs(fs, view, store);
  if (created.statSync(directory) === undefined) return undefined;
  const config = configOf(created, directory);
  const manifest = manifestOf(created, directory);
  const id = config.value?.channelId;
  const sight = { fs: created, config, manifest, waitingBytes: 0 };
  if (view === undefined || id === undefined || manifest.value === undefined) {
    return { ...sight, generations: sorted(listed) };
  }
  const { generation, redoSegment, redoPosition } = manifest.value;
  const live = `${directory}/${generationName(generation)}`;
  const waiting = view.channel(id);
  waiting.goBy({ directory: live, redoSegment, redoPosition });
  const bases = listed.get(generation) ?? new Set<number>();
  let waitingBytes = 0;
  for (const { baseSeq, start, end } of waiting.files) {
    bases.add(baseSeq);
    waitingBytes += end - start;
  }
  listed.set(generation, bases);
  const overlaid = new OverlaidFs(created, waiting);
  return { ...sight, fs: overlaid, generations: sorted(listed), waitingBytes };
}

function basesIn(fs: FileSystem, directory: string): Set<number> {
  const bases = new Set<number>();
  for (const { name } of namesIn(fs, directory)) {
    const parsed = parseSegmentFileName(name);
    if (parsed !== undefined) bases.add(parsed.baseSeq);
  }
  return bases;
}

const sorted = (
  listed: ReadonlyMap<number, ReadonlySet<number>>,
): ReadonlyMap<number, readonly number[]> =>
  new Map(
    [...listed]
      .toSorted(([a], [b]) => a - b)
      .map(([generation, bases]) => [generation, [...bases].toSorted((a, b) => a - b)]),
  );

/** Undefined where there is none that can be read; `journalOf` says what is wrong with it. */
function journalView(fs: FileSystem, store: string): JournalView | undefined {
  const manifest = storeManifestOf(fs, store);
  if (manifest.value === undefined) return undefined;
  const view = new JournalView(fs, store, Buffer.from(manifest.value.storeId, 'hex'));
  try {
    view.look();
  } catch {
    return undefined;
  }
  return view;
}
