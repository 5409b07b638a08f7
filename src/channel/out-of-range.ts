/** OUT_OF_RANGE: what was asked for is not kept any more. */
import { redexError, type RedexErrorOf } from '../core/errors.js';

export function outOfRange(
  seq: number,
  firstSeq: number,
  nextSeq: number,
): RedexErrorOf<'OUT_OF_RANGE'> {
  const message = `seq ${seq} is below the first record ${firstSeq}`;
  return redexError('OUT_OF_RANGE', message, { seq, firstSeq, nextSeq });
}
