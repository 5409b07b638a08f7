/** A channel with small segments whose compaction a test stops and lets go on. */
import type { Channel } from '../../src/channel/channel.js';
import type { CompactOptions } from '../../src/channel/survivors.js';
import { parseGenerationName } from '../../src/format/file-name.js';
import { outcomeOf, payload, payloadId, type Lab } from './channel-kit.js';

export const SMALL: { readonly sync: 'never'; readonly segmentBytes: number } = {
  sync: 'never',
  segmentBytes: 4096,
};
export const upTo = (count: number, from: number = 1): number[] =>
  Array.from({ length: count }, (_, i) => from + i);
export const odd: CompactOptions = { keep: (record) => (payloadId(record.payload) ?? 0) % 2 === 1 };

export async function filled(lab: Lab, count: number = 40): Promise<Channel> {
  const channel = await finish(lab, lab.open(SMALL));
  for (const id of upTo(count)) await finish(lab, channel.append(payload(id, 300)));
  await finish(lab, channel.sync());
  return channel;
}

export async function idsOf(lab: Lab, channel: Channel): Promise<(number | undefined)[]> {
  return (await finish(lab, channel.readBatch())).map((record) => payloadId(record.payload));
}

export const odds: readonly number[] = upTo(40).filter((id) => id % 2 === 1);

/** Lets operations through until one on such a path is held. */
export async function holdAt(lab: Lab, path: RegExp): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    await lab.runtime.settle();
    if (path.test(lab.disk.operations.at(-1)?.path ?? '')) return;
    if (!lab.runtime.runIo()) break;
  }
  throw new Error(`nothing happened at ${String(path)}`);
}

/** Lets everything happen until `promise` has settled. */
export async function finish<T>(lab: Lab, promise: Promise<T>): Promise<T> {
  const outcome = outcomeOf(promise);
  for (let idle = 0; idle < 2000;) {
    for (let turn = 0; turn < 12 && outcome.state === 'pending'; turn++) await Promise.resolve();
    if (outcome.state !== 'pending') return promise;
    idle = lab.runtime.runIo() ? 0 : idle + 1;
  }
  throw new Error('it waits for something that will never happen');
}

export function generationsIn(fs: Lab['disk'], directory: string): number[] {
  return fs
    .readDirectorySync(directory)
    .flatMap(({ name }) => parseGenerationName(name) ?? [])
    .toSorted((a, b) => a - b);
}
