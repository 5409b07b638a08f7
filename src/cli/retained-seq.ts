/** From which seq on the retention of a channel would keep its records, as things are now. */
import { retainedFrom } from '../channel/retention.js';
import { encodeChannelName } from '../format/channel-name.js';
import { CHANNELS_NAME, generationName } from '../format/file-name.js';
import { nodeFs } from '../fs/node-fs.js';
import type { Channel } from '../index.js';
import { sightOf } from './channel-sight.js';
import { noRetention } from './compact-plan.js';
import { inspectSegments } from './inspect-segments.js';

export async function retainedSeq(
  directory: string,
  channel: Channel,
  nowMs: number,
): Promise<number> {
  const { retention } = channel.options;
  if (retention === undefined) throw noRetention(channel.name);
  const { firstSeq, durableSeq, generation, retentionWait } = await channel.stats();
  const place = `${directory}/${CHANNELS_NAME}/${encodeChannelName(channel.name)}`;
  const sight = sightOf(nodeFs, directory, place);
  const bases = sight?.generations.get(generation) ?? [];
  const files = `${place}/${generationName(generation)}`;
  const views = await inspectSegments(sight?.fs ?? nodeFs, files, bases, undefined);
  const segments = views.flatMap(({ segment }) => (segment === undefined ? [] : [segment]));
  const awaited = retentionWait?.folds.map(({ seq }) => seq ?? 0) ?? [];
  const heldFrom = Math.min(Infinity, ...awaited);
  return retainedFrom(retention, { segments, firstSeq, durableSeq, heldFrom, nowMs });
}
