/**
 * Imported records for a channel that is there already: they have to begin where it ends, or to
 * repeat what it has, which is how an import that was interrupted goes on.
 */
import { redexError, type RedexErrorOf } from '../core/errors.js';
import type { Channel } from '../channel/channel.js';
import type { LogRecord } from '../core/record.js';
import { inputOf, type ImportStage } from './import-stage.js';

/** Small enough for any journal. */
const BATCH_RECORDS = 512;
const BATCH_BYTES = 64 * 1024;

/**
 * Appends what the channel does not have yet and returns how many records that were. Rejects with
 * SEQ_CONFLICT when the seqs do not fit, or stand for other records: nothing has changed then. What
 * fails later leaves a beginning of the records, in order; the same import goes on behind them.
 */
export async function appendStage(
  stage: ImportStage,
  target: Channel,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { firstSeq, nextSeq } = stage.head;
  const source = await stage.open();
  const end = target.nextSeq;
  if (end < firstSeq || end > nextSeq) throw conflict(firstSeq, end, target.name);
  await requireSame(source, target, firstSeq, end, signal);
  let appended = 0;
  let batch: LogRecord[] = [];
  let batchBytes = 0;
  let expectedSeq = end;
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    const result = await target.appendBatch(batch.map(inputOf), { expectedSeq });
    expectedSeq = result.nextSeq;
    appended += batch.length;
    batch = [];
    batchBytes = 0;
  };
  for await (const records of source.readBatches({ from: end, copy: true, signal })) {
    for (const record of records) {
      const isFull = batch.length >= BATCH_RECORDS || batchBytes + record.byteLength > BATCH_BYTES;
      const isFar = record.seq - (batch[0]?.seq ?? record.seq) >= 0x7fffffff;
      if (isFull || isFar) await flush();
      batch.push(record);
      batchBytes += record.byteLength;
    }
  }
  await flush();
  await target.sync();
  return appended;
}

/** What both have is the same, as far as the channel still has it. */
async function requireSame(
  source: Channel,
  target: Channel,
  firstSeq: number,
  to: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const from = Math.max(firstSeq, target.firstSeq);
  if (from >= to) return;
  const mine = source.read({ from, to, signal });
  const theirs = target.read({ from, to, signal });
  try {
    for (;;) {
      const [a, b] = await Promise.all([mine.next(), theirs.next()]);
      if (a.done === true && b.done === true) return;
      const [x, y] = [a, b].map((each) => (each.done === true ? undefined : each.value));
      if (x !== undefined && y !== undefined && isEqual(x, y)) continue;
      throw conflict(Math.min(x?.seq ?? to, y?.seq ?? to), target.nextSeq, target.name);
    }
  } finally {
    await mine.return?.();
    await theirs.return?.();
  }
}

function isEqual(a: LogRecord, b: LogRecord): boolean {
  const isAlike = a.seq === b.seq && a.type === b.type && a.timestampNs === b.timestampNs;
  return isAlike && Buffer.compare(a.payload, b.payload) === 0;
}

function conflict(
  expectedSeq: number,
  actualSeq: number,
  channel: string,
): RedexErrorOf<'SEQ_CONFLICT'> {
  const message =
    `channel ${channel} goes on with seq ${actualSeq}, ` +
    `and from ${expectedSeq} on it does not fit what is imported`;
  return redexError('SEQ_CONFLICT', message, { expectedSeq, actualSeq, channel });
}
