/**
 * Goal: a channel that is deleted while something works on its files ends that with CLOSED, which
 * is neither damage nor a failed sync, and touches nothing of the channel that has the name next.
 * Method: the deletion comes after every number of completions of held input and output.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { outcomeOf, payload, requireCode } from '../support/channel-kit.js';
import { idsIn, StoreLab } from '../support/store-kit.js';

const WORK: [string, (channel: Channel) => Promise<unknown>][] = [
  ['a compaction', (channel) => channel.compact({ keep: ({ seq }) => seq % 2 === 0 })],
  ['a trim', (channel) => channel.trim({ beforeSeq: 20 })],
  ['retention', (channel) => channel.applyRetention()],
  ['another option', (channel) => channel.configure({ segmentBytes: 8192 })],
  ['another policy', (channel) => channel.configure({ sync: 'always' })],
];

test.each(WORK)('a deletion at every step of %s ends it with CLOSED', async (_what, begin) => {
  const codes = new Set<string>();
  for (let steps = 0; ; steps += 1) {
    const store = new StoreLab({ io: 'oldest' });
    const failures: string[] = [];
    const ignore = (): void => undefined;
    const error = (message: string): void => void failures.push(message);
    const logger = { debug: ignore, info: ignore, warn: ignore, error };
    const redex = await store.open({ logger });
    const options = { segmentBytes: 4096, retention: { maxRecords: 10 } };
    const channel = await store.lab.done(redex.channel('a', { ...options, sync: 'never' }));
    for (let id = 1; id <= 30; id += 1) void channel.append(payload(id, 600));
    await store.lab.runtime.settle();
    const made = outcomeOf(begin(channel));
    await store.lab.runtime.settle();
    for (let step = 0; step < steps && store.lab.runtime.runIo(); step += 1) {
      await store.lab.runtime.settle();
    }
    const isDone = made.state !== 'pending';
    const deleted = outcomeOf(redex.deleteChannel('a'));
    await store.lab.drain();
    expect(deleted.value).toBe(true);
    expect(made.state).not.toBe('pending');
    expect(failures, `after ${steps} steps`).toEqual([]);
    if (made.error !== undefined) codes.add(requireCode(made.error, 'CLOSED').code);
    const again = await store.lab.done(redex.channel('a'));
    expect([await store.lab.done(idsIn(again)), again.options.segmentBytes]).toEqual([
      [],
      67_108_864,
    ]);
    expect(store.violations).toEqual([]);
    await store.lab.done(redex.close());
    if (isDone) break;
  }
  expect([...codes]).toEqual(['CLOSED']);
});
