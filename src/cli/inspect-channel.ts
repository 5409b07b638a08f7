/** What a channel is made of, for `redex inspect`: as its files are, and as the engine sees it. */
import { RedexError } from '../core/errors.js';
import { encodeChannelName } from '../format/channel-name.js';
import { CHANNELS_NAME, generationName } from '../format/file-name.js';
import type { FileSystem } from '../fs/file-system.js';
import type { ChannelStats, StoredChannelOptions } from '../index.js';
import { sightOf, type ChannelSight } from './channel-sight.js';
import { messageOf } from './failure.js';
import { checkpointsOf, cleanMarkOf, type CheckpointLook } from './inspect-files.js';
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
  /** Bytes of its dat files that the journal has, and that may be in no file yet. */
  readonly journalBytes: number;
  readonly problems: readonly string[];
}

/** Looks at a channel in which things seem to be wrong: somebody may be writing to it. */
const MAX_LOOKS = 3;

/** Throws Problem when there is no such channel. */
export async function inspectChannel(
  fs: FileSystem,
  directory: string,
  name: string,
): Promise<ChannelView> {
  requireStore(fs, directory);
  const store = fs.realpathSync(directory);
  for (let look = 1; ; look++) {
    const view = await lookOnce(fs, store, name);
    if (view.problems.length === 0 || look === MAX_LOOKS) return view;
  }
}

async function lookOnce(fs: FileSystem, store: string, name: string): Promise<ChannelView> {
  const problems: string[] = [];
  const path = `${store}/${CHANNELS_NAME}/${encodeChannelName(name)}`;
  // First, so that the files have all that it tells.
  const seen = await lookByEngine(store, name, problems);
  const sight = sightOf(fs, store, path);
  if (sight === undefined) throw noChannel(store, name);
  const { config, manifest } = sight;
  if (config.problem !== undefined) problems.push(`config: ${config.problem}`);
  if (manifest.problem !== undefined) problems.push(`manifest: ${manifest.problem}`);
  const generations = await generationsOf(sight, path, seen, problems);
  const checkpoints = checkpointsOf(sight.fs, path);
  for (const { file, problem } of checkpoints) {
    if (problem !== undefined) problems.push(`checkpoint ${file}: ${problem}`);
  }
  const id = config.value?.channelId;
  return {
    name,
    directory: path,
    channelId: id === undefined ? undefined : Buffer.from(id).toString('hex'),
    cleanNextSeq: cleanMarkOf(sight.fs, path).value?.nextSeq,
    generations,
    checkpoints,
    stats: seen?.stats,
    options: seen?.options,
    journalBytes: sight.waitingBytes,
    problems,
  };
}

interface EngineLook {
  readonly stats: ChannelStats;
  readonly options: StoredChannelOptions;
}

/** Undefined, with the reason among the problems, where the engine cannot open it. */
async function lookByEngine(
  store: string,
  name: string,
  problems: string[],
): Promise<EngineLook | undefined> {
  try {
    return await reading(store, async (redex) => {
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
  { fs, config, manifest, generations }: ChannelSight,
  path: string,
  seen: EngineLook | undefined,
  problems: string[],
): Promise<GenerationView[]> {
  const live = manifest.value?.generation;
  const views: GenerationView[] = [];
  for (const [generation, bases] of generations) {
    const directory = `${path}/${generationName(generation)}`;
    const files = await inspectSegments(fs, directory, bases, config.value?.channelId);
    const isLive = generation === live;
    const segments = isLive ? judged(files, seen?.stats, problems) : files;
    // What was listed may have been swept since.
    if (isLive || files.length > 0) views.push({ generation, isLive, segments });
  }
  if (live !== undefined && fs.statSync(`${path}/${generationName(live)}`) === undefined) {
    problems.push(`generation ${live} is missing`);
  }
  return views;
}

/** Segments of the live generation, with what is wrong with them among the problems. */
function judged(
  files: readonly SegmentView[],
  stats: ChannelStats | undefined,
  problems: string[],
): readonly SegmentView[] {
  const last = files.at(-1);
  const behind = seqsBehind(stats, last);
  // Bytes behind the end of the log are a torn tail, which the next open cuts.
  const isTail = stats !== undefined && stats.damage === undefined && behind === 0;
  const segments = isTail ? files : files.map(damagedIfTorn);
  for (const { baseSeq, state, problem } of segments) {
    if (state === 'missing') problems.push(`segment ${baseSeq}: its dat file is missing`);
    if (state === 'damaged') problems.push(`segment ${baseSeq}: ${problem}`);
  }
  if (behind > 0 && last?.torn === undefined) {
    problems.push(`segment ${last?.baseSeq}: its last ${behind} seqs are missing`);
  }
  return segments;
}

/** How much stands behind the damage is not known. */
function damagedIfTorn(view: SegmentView): SegmentView {
  if (view.torn === undefined) return view;
  return { ...view, state: 'damaged', problem: view.torn, recordCount: undefined };
}

/** Seqs that the engine knows of, and no segment. */
function seqsBehind(stats: ChannelStats | undefined, last: SegmentView | undefined): number {
  if (stats === undefined || last?.nextSeq === undefined) return 0;
  return Math.max(0, stats.nextSeq - Math.max(last.nextSeq, stats.firstSeq));
}
