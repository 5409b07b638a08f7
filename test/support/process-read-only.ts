/**
 * A program that looks at stores with readOnly in every way that there is, and prints for each of
 * them one line of JSON: what it has found. Usage: node process-read-only.js DIRECTORY...
 */
import process from 'node:process';
import { setTimeout } from 'node:timers/promises';
import { Redex, RedexError, type Channel } from '../../src/index.js';

/** What was found: per channel the number of records, or the code of the first error. */
export interface ReadOnlyReport {
  readonly directory: string;
  /** Of opening the store. */
  readonly error?: string;
  readonly channels: Readonly<Record<string, number | string>>;
}

/** Long enough for a tail that waits to look again. */
const TAIL_MS = 50;

function codeOf(error: unknown): string {
  if (RedexError.is(error)) return error.code;
  throw error;
}

async function tailOnce(channel: Channel): Promise<void> {
  const abort = new AbortController();
  const { signal } = abort;
  const waiting = channel.tail({ from: 'end', signal }).next();
  for await (const record of channel.tail()) {
    if (record.seq + 1 >= channel.nextSeq) break;
  }
  await setTimeout(TAIL_MS);
  abort.abort();
  await waiting.catch(() => undefined);
}

async function lookAt(channel: Channel): Promise<number> {
  const { nextSeq, firstSeq } = await channel.stats();
  let count = 0;
  for await (const { seq, timestampNs } of channel.read()) {
    count++;
    if (seq % 50 === 0) await channel.seqAt(timestampNs);
  }
  for await (const batch of channel.readBatches({ reverse: true })) count -= batch.length;
  if (count !== 0) throw new Error('forward is not backward');
  await channel.last(5);
  for (let seq = firstSeq; seq < nextSeq; seq += 7) await channel.get(seq);
  if (nextSeq > firstSeq) await tailOnce(channel);
  for (const change of [channel.append('x'), channel.sync(), channel.configure({})]) {
    await change.then(
      () => Promise.reject(new Error('it could be changed')),
      (error: unknown) => codeOf(error),
    );
  }
  return nextSeq - firstSeq;
}

async function lookInto(directory: string): Promise<ReadOnlyReport> {
  const channels: Record<string, number | string> = {};
  let redex: Redex;
  try {
    redex = await Redex.open(directory, { readOnly: true });
  } catch (error) {
    return { directory, error: codeOf(error), channels };
  }
  await redex.stats();
  for await (const { name, error } of redex.channels()) {
    channels[name] = error?.code ?? 'listed';
    if (error !== undefined) continue;
    channels[name] = await redex.channel(name).then(lookAt).catch(codeOf);
  }
  await redex.hasChannel('not there');
  await redex.deleteChannel('a').catch(codeOf);
  await redex.close();
  return { directory, channels };
}

for (const directory of process.argv.slice(2)) {
  process.stdout.write(`${JSON.stringify(await lookInto(directory))}\n`);
}
