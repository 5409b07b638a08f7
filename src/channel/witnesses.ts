/**
 * What the small files beside the segments say was synced: the clean mark and the checkpoints of
 * folds (RULES C1, N5). Who reads beside a writer reads them before the bytes that they vouch for.
 */
import type { CleanMark } from '../format/clean-mark.js';
import type { ChannelContext } from './channel-context.js';
import { readCleanMark } from './channel-files.js';
import { checkpointWitness } from './checkpoint-files.js';

export interface Witnesses {
  /** The newest clean mark, of any generation. */
  readonly mark: CleanMark | undefined;
  /** The highest seq of a checkpoint of this channel; 0 without one. */
  readonly checkpointed: number;
  /** The higher one of both: everything below it was synced. */
  readonly highest: number;
}

export function readWitnesses({ fs, directory, channelId }: ChannelContext): Witnesses {
  const mark = readCleanMark(fs, directory, channelId);
  const checkpointed = checkpointWitness(fs, directory, channelId);
  return { mark, checkpointed, highest: Math.max(mark?.nextSeq ?? 0, checkpointed) };
}
