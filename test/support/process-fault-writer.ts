/**
 * A program whose system calls fail: uses a store in many ways, goes on whatever is refused, opens
 * everything again and uses it once more. It tells on descriptor 3 what it tries and what it is
 * answered. Usage: node process-fault-writer.js DIRECTORY
 */
import { Buffer } from 'node:buffer';
import { writeSync } from 'node:fs';
import process from 'node:process';
import { Redex, RedexError, type Channel, type ChannelOptions } from '../../src/index.js';

const REPORTS = 3;

/**
 * - `start`: what comes next may be refused. `life`: channels are opened anew.
 * - `try`: records with these numbers will be appended. `ack`: they are, as durable as was asked.
 * - `trim`, `compact`: records below this number may go.
 * - `refused`: with a code, and what is known of it; `untyped` for an error without one.
 * - `done`: what can be refused was not.
 */
export type FaultMessage =
  | readonly ['start' | 'life' | 'end']
  | readonly ['try' | 'ack', channel: string, ids: readonly number[]]
  | readonly ['trim' | 'compact', channel: string, below: number]
  | readonly [
      'refused',
      what: string,
      code: string,
      outcome: string,
      channel: string,
      ids: number[],
    ]
  | readonly ['done', what: string]
  | readonly ['untyped', what: string, text: string];

function say(...message: FaultMessage): void {
  writeSync(REPORTS, `${JSON.stringify(message)}\n`);
}

const SIZES = [10, 700, 90, 2500, 300];

/** A record's number is its first bytes; its type is the same. */
export function faultPayload(id: number): Buffer {
  const bytes = Buffer.alloc(4 + (SIZES[id % SIZES.length] ?? 0), id);
  bytes.writeUInt32LE(id, 0);
  return bytes;
}

const CHANNELS: Readonly<Record<string, ChannelOptions>> = {
  always: { sync: 'always', segmentBytes: 4096 },
  never: { sync: 'never', segmentBytes: 4096 },
};

/** No two records of a run have the same number. */
let lastId = 0;

/** What `work` makes; undefined when it was refused. */
async function attempt<T>(
  what: string,
  work: () => Promise<T>,
  channel: string = '',
  ids: number[] = [],
): Promise<T | undefined> {
  try {
    const made = await work();
    say('done', what);
    return made;
  } catch (error) {
    if (RedexError.is(error)) {
      const { code } = error;
      const outcome = 'outcome' in error ? String(error.outcome) : 'none';
      say('refused', what, code, outcome, channel, ids);
    } else {
      say('untyped', what, String(error));
    }
    return undefined;
  }
}

/** Appends records and says what came of it. */
async function append(channel: Channel, count: number, batched: boolean): Promise<void> {
  const ids = Array.from({ length: count }, () => ++lastId);
  const { name } = channel;
  say('try', name, ids);
  if (batched) {
    const records = ids.map((id) => ({ payload: faultPayload(id), type: id }));
    const acked = await attempt('append', () => channel.appendBatch(records), name, ids);
    if (acked !== undefined) say('ack', name, ids);
    return;
  }
  const appendOne = async (id: number): Promise<void> => {
    const payload = faultPayload(id);
    const work = (): Promise<number> => channel.append(payload, { type: id });
    if ((await attempt('append', work, name, [id])) !== undefined) say('ack', name, [id]);
  };
  await Promise.all(ids.map(appendOne));
}

async function use(redex: Redex, name: string, options: ChannelOptions): Promise<void> {
  const open = (): Promise<Channel> => redex.channel(name, options);
  const channel = (await attempt('channel', open)) ?? (await attempt('channel', open));
  if (channel === undefined) return;
  await append(channel, 3, false);
  await append(channel, 3, true);
  await attempt('sync', () => channel.sync());
  await append(channel, 6, false);
  const below = lastId - 3;
  const fold = await attempt('fold', () =>
    channel.fold({ name: 'count', version: 1, initial: 0, apply: (n) => n + 1, from: 'start' }),
  );
  if (fold !== undefined) await attempt('checkpoint', () => fold.checkpoint());
  say('trim', name, lastId - 8);
  const early = channel.nextSeq - 9;
  if (early > channel.firstSeq) await attempt('trim', () => channel.trim({ beforeSeq: early }));
  say('compact', name, below);
  await attempt('compact', () =>
    channel.compact({ keep: ({ type }) => type >= below || type % 2 === 0 }),
  );
  await append(channel, 2, true);
}

async function live(directory: string): Promise<void> {
  say('life');
  const open = (): Promise<Redex> => Redex.open(directory);
  const redex = (await attempt('open', open)) ?? (await attempt('open', open));
  if (redex === undefined) return;
  for (const [name, options] of Object.entries(CHANNELS)) await use(redex, name, options);
  await attempt('create', () => redex.channel('passing', { sync: 'never' }));
  await attempt('rename', () => redex.renameChannel('passing', 'renamed'));
  await attempt('delete', () => redex.deleteChannel('renamed'));
  await attempt('close', () => redex.close());
}

const [directory = ''] = process.argv.slice(2);
if (directory !== '') {
  say('start');
  await live(directory);
  await live(directory);
  say('end');
}
