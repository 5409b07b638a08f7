/** From which seq on the retention of a channel would keep its records, as things are now. */
import { retainedFrom } from '../channel/retention.js';
import { generationName } from '../format/file-name.js';
import { encodeChannelName } from '../format/channel-name.js';
import { CHANNELS_NAME } from '../format/file-name.js';
import { nodeFs } from '../fs/node-fs.js';
import type { Channel } from '../index.js';
import { UsageError } from './failure.js';
import { inspectSegments } from './inspect-segments.js';

export async function retainedSeq(
  directory: string,
  channel: Channel,
  nowMs: number,
): Promise<number> {
  const { retention } = channel.options;
  if (retention === undefined) {
    throw new UsageError(`'${channel.name}' has no retention: set it with redex configure`);
  }
  const { firstSeq, durableSeq, generation, retentionWait } = await channel.stats();
  const place = `${directory}/${CHANNELS_NAME}/${encodeChannelName(channel.name)}`;
  const views = await inspectSegments(nodeFs, `${place}/${generationName(generation)}`, undefined);
  const segments = views.flatMap(({ segment }) => (segment === undefined ? [] : [segment]));
  const awaited = retentionWait?.folds.map(({ seq }) => seq ?? 0) ?? [];
  const heldFrom = Math.min(Infinity, ...awaited);
  return retainedFrom(retention, { segments, firstSeq, durableSeq, heldFrom, nowMs });
}
