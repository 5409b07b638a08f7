/**
 * A program under load, to be killed: appends records and batches, many in flight, and tells its
 * parent through descriptor 3 that it starts, that it is open (`open NEXT`), and again and again
 * below which seq all is acknowledged (`ack SEQ`). Usage: node process-load.js DIRECTORY POLICY
 */
import { writeSync } from 'node:fs';
import process from 'node:process';
import { setImmediate } from 'node:timers/promises';
import { Redex, type Channel, type SyncPolicy } from '../../src/index.js';
import { batchSizeAt, LOAD_CHANNEL, loadPayload } from './process-load-records.js';

/** The first word of a report. */
export type LoadReport = 'start' | 'open' | 'ack';

const REPORTS = 3;
const WINDOW = 500;
/** It ends by itself only when nobody kills it. */
const MAX_RECORDS = 500_000;

function report(what: LoadReport, seq: number): void {
  writeSync(REPORTS, `${what} ${seq}\n`);
}

class Load {
  readonly #channel: Channel;
  #submitted: number;
  #acknowledged: number;

  constructor(channel: Channel) {
    this.#channel = channel;
    this.#submitted = channel.nextSeq;
    this.#acknowledged = channel.nextSeq;
  }

  fill(): void {
    while (this.#submitted - this.#acknowledged < WINDOW) this.#submit();
    report('ack', this.#acknowledged);
  }

  #submit(): void {
    const first = this.#submitted;
    const size = batchSizeAt(first);
    this.#submitted += size;
    const payload = (seq: number): Uint8Array => loadPayload(seq, first, size);
    // Each promise is listened to directly: another `then` would come out of turn.
    const onAcknowledged = (seq: number): void => {
      if (seq !== first || seq !== this.#acknowledged) fail(new Error(`unexpected seq ${seq}`));
      this.#acknowledged = first + size;
    };
    if (size === 1) {
      this.#channel.append(payload(first)).then(onAcknowledged, fail);
    } else {
      const batch = Array.from({ length: size }, (_, i) => payload(first + i));
      this.#channel.appendBatch(batch).then(({ firstSeq }) => onAcknowledged(firstSeq), fail);
    }
  }
}

function fail(error: unknown): never {
  console.error(error);
  process.exit(1);
}

async function main([directory = '', policy = '']: readonly string[]): Promise<void> {
  report('start', 0);
  const sync = JSON.parse(policy) as SyncPolicy;
  const redex = await Redex.open(directory);
  const channel = await redex.channel(LOAD_CHANNEL, { sync, segmentBytes: 64 * 1024 });
  report('open', channel.nextSeq);
  const load = new Load(channel);
  const end = channel.nextSeq + MAX_RECORDS;
  while (channel.nextSeq < end) {
    load.fill();
    await setImmediate();
  }
  fail(new Error('nobody killed this'));
}

await main(process.argv.slice(2));
