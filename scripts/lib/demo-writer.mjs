/**
 * The demo's writer: appends the records of a source, many in flight, and tells its parent through
 * descriptor 3 how many are acknowledged and submitted (`5000 9096`). It never ends by itself: its
 * parent kills it. Usage: node demo-writer.mjs DATA SOURCE HELD
 *
 * Records are reported as acknowledged only when the promises of their appends have resolved, and
 * only while others are in flight. So whenever the parent kills, it knows of submitted records
 * that are not acknowledged. The last HELD records are submitted when all others are acknowledged.
 */
import { readSync, writeSync } from 'node:fs';
import process from 'node:process';
import { Redex } from 'redexlog';
import { CHANNEL } from './demo-options.mjs';
import { recordsOf } from './demo-source.mjs';

const WINDOW_RECORDS = 4096;
const WINDOW_BYTES = 4 * 1024 * 1024;
const SEGMENT_BYTES = 1024 * 1024;
const REPORTS = 3;
/** Nothing comes through it but its end. Not standard input, which Node makes non-blocking. */
const PARENT = 4;

class Writer {
  #channel;
  #submitted = 0;
  #acknowledged = 0;
  #bytesInFlight = 0;
  #wake = undefined;

  constructor(channel) {
    this.#channel = channel;
  }

  get isFull() {
    const inFlight = this.#submitted - this.#acknowledged;
    return inFlight >= WINDOW_RECORDS || this.#bytesInFlight >= WINDOW_BYTES;
  }

  submit(record) {
    const expected = this.#submitted;
    this.#submitted += 1;
    this.#bytesInFlight += record.byteLength;
    this.#channel.append(record).then(
      (seq) => this.#onAcknowledged(seq, expected, record.byteLength),
      (error) => fail(error),
    );
  }

  #onAcknowledged(seq, expected, byteLength) {
    // Acknowledgements come in the order of the appends, so a count says which ones they are.
    if (seq !== expected || seq !== this.#acknowledged) fail(new Error(`unexpected seq ${seq}`));
    this.#acknowledged += 1;
    this.#bytesInFlight -= byteLength;
    this.#wake?.();
  }

  async until(condition) {
    while (!condition(this)) {
      await new Promise((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  get isIdle() {
    return this.#acknowledged === this.#submitted;
  }

  report() {
    writeSync(REPORTS, `${this.#acknowledged} ${this.#submitted}\n`);
  }
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

async function main([data, source, held]) {
  const redex = await Redex.open(data);
  const channel = await redex.channel(CHANNEL, { sync: 'always', segmentBytes: SEGMENT_BYTES });
  const writer = new Writer(channel);
  writeSync(REPORTS, 'ready\n');
  const last = [];
  for await (const records of recordsOf(source)) {
    for (const record of records) {
      last.push(record);
      if (last.length <= Number(held)) continue;
      writer.submit(last.shift());
      if (!writer.isFull) continue;
      writer.report();
      await writer.until(() => !writer.isFull);
    }
  }
  await writer.until(() => writer.isIdle);
  for (const record of last) writer.submit(record);
  writer.report();
  // Returns when the parent is gone. Until then nothing here runs, so nothing is acknowledged.
  readSync(PARENT, new Uint8Array(1));
  process.exit(1);
}

await main(process.argv.slice(2)).catch(fail);
