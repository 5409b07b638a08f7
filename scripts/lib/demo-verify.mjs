/**
 * Opens a data directory of the demo and compares its records, byte for byte, with a source that
 * it reads itself. Usage: node demo-verify.mjs --acknowledged N DATA SOURCE
 *
 * Exit code: 0 when every one of the first N records of the source is in the log and right, and
 * every record beyond them is right too; 1 when one is missing or wrong; 2 for wrong usage.
 */
import { Buffer } from 'node:buffer';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { Redex, RedexError } from 'redexlog';
import { CHANNEL } from './demo-options.mjs';
import { recordsOf } from './demo-source.mjs';
import { grouped, megabytes } from './demo-text.mjs';

const PROBLEMS_SHOWN = 5;

function readOptions(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { acknowledged: { type: 'string' } },
  });
  const acknowledged = Number(values.acknowledged);
  if (!Number.isSafeInteger(acknowledged) || acknowledged < 0 || positionals.length !== 2) {
    throw new TypeError('usage: demo-verify.mjs --acknowledged N DATA SOURCE');
  }
  const [data, source] = positionals;
  return { acknowledged, data, source };
}

/** Walks the source record by record; `at(seq)` has to be asked in rising order. */
class SourceCursor {
  #batches;
  #batch = [];
  #first = 0;

  constructor(source) {
    this.#batches = recordsOf(source);
  }

  async at(seq) {
    while (seq >= this.#first + this.#batch.length) {
      this.#first += this.#batch.length;
      const { value, done } = await this.#batches.next();
      this.#batch = done ? [] : value;
      if (done) return undefined;
    }
    return this.#batch[seq - this.#first];
  }

  async close() {
    await this.#batches.return();
  }
}

class Verdict {
  recovered = 0;
  bytes = 0;
  /** Acknowledged records that are there and right. */
  right = 0;
  wrong = 0;
  problems = [];

  note(problem) {
    if (this.problems.length < PROBLEMS_SHOWN) this.problems.push(problem);
  }
}

async function compare(channel, { source, acknowledged }) {
  const verdict = new Verdict();
  const cursor = new SourceCursor(source);
  let next = channel.firstSeq;
  while (next < channel.nextSeq) {
    try {
      for await (const record of channel.read({ from: next })) {
        if (record.seq > next) verdict.note(`seqs ${next} to ${record.seq - 1} are missing`);
        next = record.seq + 1;
        check(record, await cursor.at(record.seq), acknowledged, verdict);
      }
      break;
    } catch (error) {
      if (!RedexError.is(error, 'CORRUPT')) throw error;
      verdict.note(error.message);
      next = Math.max(next + 1, error.seqRange?.nextSeq ?? channel.nextSeq);
    }
  }
  await cursor.close();
  return verdict;
}

function check(record, expected, acknowledged, verdict) {
  verdict.recovered += 1;
  verdict.bytes += record.byteLength;
  if (expected === undefined || Buffer.compare(record.payload, expected) !== 0) {
    verdict.wrong += 1;
    verdict.note(`record ${record.seq} is not what the source says`);
  } else if (record.seq < acknowledged) {
    verdict.right += 1;
  }
}

function describeRecovery(report) {
  if (report === undefined) return 'none was needed: the log had been closed';
  const { scannedSegments, scannedBytes, tornTail, damage, recoveryEpoch } = report;
  const torn =
    tornTail === undefined
      ? 'no torn tail'
      : `torn tail of ${grouped(tornTail.bytes)} bytes (${tornTail.reason}) cut` +
        `, may have been acknowledged: ${tornTail.mayHaveBeenAcknowledged ? 'yes' : 'no'}`;
  const found = damage === undefined ? torn : `DAMAGE (${damage.check}) at ${damage.position}`;
  const scanned = `scanned ${scannedSegments} segments, ${grouped(scannedBytes)} bytes`;
  return `${scanned}; ${found}; recovery epoch ${recoveryEpoch}`;
}

async function main(args) {
  let options;
  try {
    options = readOptions(args);
  } catch (error) {
    console.error(error.message);
    return 2;
  }
  const { acknowledged, data } = options;
  let report;
  const onRecovery = (found) => {
    report = found;
  };
  const redex = await Redex.open(data, { createIfMissing: false, onRecovery });
  const channel = await redex.channel(CHANNEL, { createIfMissing: false });
  const verdict = await compare(channel, options);
  await redex.close();
  const { recovered, right, wrong, bytes, problems } = verdict;
  const beyond = Math.max(0, recovered - right - wrong);
  const missing = acknowledged - right;
  console.log(`recovery        ${describeRecovery(report)}`);
  console.log(`recovered       ${grouped(recovered)} records, ${megabytes(bytes)}`);
  console.log(`  acknowledged  ${grouped(right)} of ${grouped(acknowledged)} as in the source`);
  console.log(`  beyond them   ${grouped(beyond)} that were written and not yet acknowledged`);
  if (missing === 0 && wrong === 0 && problems.length === 0) return 0;
  console.log(`FAILED          ${grouped(missing)} missing or wrong, ${grouped(wrong)} wrong`);
  for (const problem of problems) console.log(`  ${problem}`);
  return 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`the log cannot be verified: ${error.message}`);
  process.exitCode = 1;
}
