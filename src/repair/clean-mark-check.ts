/** Whether the clean mark, which the next open would believe, says what the last segment says. */
import { compareNanos } from '../core/nanos.js';
import type { ChannelContext } from '../channel/channel-context.js';
import { sameChecksum } from '../format/checksum.js';
import { cleanSlotPosition, type CleanMark } from '../format/clean-mark.js';
import { CLEAN_MARK_NAME } from '../format/file-name.js';
import type { Manifest } from '../format/manifest.js';
import type { Finding } from './salvage-plan.js';
import type { SegmentSurvey } from './segment-survey.js';

/** Whether the next open would take the mark for that of a log which ends with this segment. */
export function fitsMark(
  manifest: Manifest,
  mark: CleanMark | undefined,
  { baseSeq, size }: SegmentSurvey,
): mark is CleanMark {
  if (mark?.generation !== manifest.generation) return false;
  return mark.baseSeq === baseSeq && mark.datLength === size;
}

/** What is wrong with a mark that fits a segment which is whole. */
export function disagreementOf(
  { directory }: ChannelContext,
  manifest: Manifest,
  mark: CleanMark | undefined,
  last: SegmentSurvey | undefined,
): Finding[] {
  if (last === undefined || !last.isWhole || !fitsMark(manifest, mark, last)) return [];
  const { seal, nextSeq, recordCount, frameCount, lastTimestamp, lastChecksum } = last;
  const agrees =
    mark.nextSeq === (seal?.baseSeq ?? nextSeq) &&
    mark.recordCount === recordCount &&
    (seal !== undefined || mark.frameCount === frameCount) &&
    compareNanos(mark.lastTimestamp, lastTimestamp) === 0 &&
    lastChecksum !== undefined &&
    sameChecksum(mark.lastChecksum, lastChecksum);
  if (agrees) return [];
  const path = `${directory}/${CLEAN_MARK_NAME}`;
  const what = `${path} does not say what the last segment says`;
  const position = cleanSlotPosition(mark.counter);
  return [{ path, position, bytes: 128, check: 'fields', firstSeq: 0, nextSeq: 0, what }];
}
