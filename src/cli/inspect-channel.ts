/** What a channel is made of, for `redex inspect`: as its files are, and as the engine sees it. */
import { RedexError } from '../core/errors.js';
import { encodeChannelName } from '../format/channel-name.js';
import { CHANNELS_NAME, parseGenerationName } from '../format/file-name.js';
import type { FileSystem } from '../fs/file-system.js';
import type { ChannelStats, StoredChannelOptions } from '../index.js';
import { messageOf } from './failure.js';
import { checkpointsOf, cleanMarkOf, configOf, journalOf, manifestOf } from './inspect-files.js';
import type { CheckpointLook } from './inspect-files.js';
import { inspectSegments, type SegmentView } from './inspect-segments.js';
import { requireStore } from './inspect-store.js';
import { existingChannel, noChannel, reading } from './store.js';

export interface GenerationView {
  readonly generation: number;
  /** The one that the manifest names. The others are left from compactions. */
  readonly isLive: boolean;
  readonly segments: readonly SegmentView[];
}

export interface ChannelView {
  readonly name: string;
  readonly directory: string;
  readonly channelId: string | undefined;
  /** Of its last close, or of the last time when all was written; undefined when there is none. */
  readonly cleanNextSeq: number | undefined;
  readonly generations: readonly GenerationView[];
  readonly checkpoints: readonly CheckpointLook[];
  /** Undefined when it cannot be opened. */
  readonly stats: ChannelStats | undefined;
  readonly options: StoredChannelOptions | undefined;
  /** Records that the journal has and no segment. */
  readonly inJournal: number;
  readonly problems: readonly string[];
}

/** Throws Problem when there is no such channel. */
export async function inspectChannel(
  fs: FileSystem,
  directory: string,
  name: string,
): Promise<ChannelView> {
  requireStore(fs, directory);
  const real = fs.realpathSync(directory);
  const path = `${real}/${CHANNELS_NAME}/${encodeChannelName(name)}`;
  const problems: string[] = [];
  const seen = await lookByEngine(directory, name, problems);
  // A channel whose creation is in the journal alone has no directory yet.
  if (fs.statSync(path) === undefined) {
    if (seen === undefined) throw noChannel(real, name);
    return { ...emptyView(name, path), ...seen, problems };
  }
  const config = configOf(fs, path);
  if (config.problem !== undefined) problems.push(`config: ${config.problem}`);
  const manifest = manifestOf(fs, path);
  if (manifest.problem !== undefined) problems.push(`manifest: ${manifest.problem}`);
  const mark = cleanMarkOf(fs, path);
  const id = config.value?.channelId;
  const live = manifest.value?.generation;
  const generations = await generationsOf(fs, path, live, id);
  if (live !== undefined && generations.every(({ isLive }) => !isLive)) {
    problems.push(`generation ${live} is missing`);
  }
  const checkpoints = checkpointsOf(fs, path);
  for (const { file, problem } of checkpoints) {
    if (problem !== undefined) problems.push(`checkpoint ${file}: ${problem}`);
  }
  const files = generations.find(({ isLive }) => isLive)?.segments ?? [];
  const behind = recordsBehind(seen?.stats, files.at(-1));
  const isOpen = journalOf(fs, real).state === 'open';
  const inJournal = isOpen ? behind : 0;
  // Bytes behind the end of the log are a torn tail, which the next open cuts.
  const isCertain = seen !== undefined && seen.stats.damage === undefined && behind === inJournal;
  const segments = isCertain ? files : files.map(damagedIfTorn);
  for (const { baseSeq, state, problem } of segments) {
    if (state === 'missing') problems.push(`segment ${baseSeq}: its dat file is missing`);
    if (state === 'damaged') problems.push(`segment ${baseSeq}: ${problem}`);
  }
  if (behind > inJournal && files.at(-1)?.torn === undefined) {
    problems.push(`segment ${segments.at(-1)?.baseSeq}: its last ${behind} seqs are missing`);
  }
  return {
    name,
    directory: path,
    channelId: id === undefined ? undefined : Buffer.from(id).toString('hex'),
    cleanNextSeq: mark.value?.nextSeq,
    generations: generations.map((view) => (view.isLive ? generationOf(view, segments) : view)),
    checkpoints,
    stats: seen?.stats,
    options: seen?.options,
    inJournal,
    problems,
  };
}

const emptyView = (name: string, directory: string): Omit<ChannelView, 'problems'> => ({
  name,
  directory,
  channelId: undefined,
  cleanNextSeq: undefined,
  generations: [],
  checkpoints: [],
  stats: undefined,
  options: undefined,
  inJournal: 0,
});

interface EngineLook {
  readonly stats: ChannelStats;
  readonly options: StoredChannelOptions;
}

/** Undefined, with the reason among the problems, where the engine cannot open it. */
async function lookByEngine(
  directory: string,
  name: string,
  problems: string[],
): Promise<EngineLook | undefined> {
  try {
    return await reading(directory, async (redex) => {
      const channel = await existingChannel(redex, name);
      const stats = await channel.stats();
      const { damage } = stats;
      if (damage !== undefined) {
        problems.push(`${damage.path} is damaged at byte ${damage.position} (${damage.check})`);
      }
      return { stats, options: channel.options };
    });
  } catch (error) {
    if (RedexError.is(error)) problems.push(messageOf(error));
    return undefined;
  }
}

async function generationsOf(
  fs: FileSystem,
  path: string,
  live: number | undefined,
  channelId: Uint8Array | undefined,
): Promise<GenerationView[]> {
  const views: GenerationView[] = [];
  for (const { name } of fs.readDirectorySync(path)) {
    const generation = parseGenerationName(name);
    if (generation === undefined) continue;
    try {
      const segments = await inspectSegments(fs, `${path}/${name}`, channelId);
      views.push({ generation, isLive: generation === live, segments });
    } catch {
      // It has been swept since it was listed, or cannot be listed: the engine says the latter.
    }
  }
  return views.toSorted((a, b) => a.generation - b.generation);
}

const generationOf = (
  { generation, isLive }: GenerationView,
  segments: readonly SegmentView[],
): GenerationView => ({ generation, isLive, segments });

/** How much stands behind the damage is not known. */
function damagedIfTorn(view: SegmentView): SegmentView {
  if (view.torn === undefined) return view;
  return { ...view, state: 'damaged', problem: view.torn, recordCount: undefined };
}

/** Seqs that the engine knows of, and no segment. */
function recordsBehind(stats: ChannelStats | undefined, last: SegmentView | undefined): number {
  if (stats === undefined || last?.nextSeq === undefined) return 0;
  return Math.max(0, stats.nextSeq - Math.max(last.nextSeq, stats.firstSeq));
}
