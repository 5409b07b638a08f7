/** What a channel hands out as its options is not the way to change them: configure() is. */
import { expect, test } from 'vitest';
import type { StoredChannelOptions } from '../../src/channel/options.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';

const given = {
  sync: { everyN: 3 },
  retention: { maxRecords: 100, waitFor: ['total'] },
  segmentBytes: 4096,
} as const;

/** Everything that writing to them could change. */
function writesTo(options: StoredChannelOptions): (() => unknown)[] {
  const { sync, retention } = options;
  const waitFor = retention?.waitFor;
  return [
    () => Object.assign(options, { sync: 'never' }),
    () => typeof sync === 'object' && Object.assign(sync, { everyN: 9 }),
    () => retention !== undefined && Object.assign(retention, { maxRecords: 1 }),
    () => waitFor !== undefined && Object.assign(waitFor, { 0: 'other' }),
  ];
}

test('the options of a channel cannot be written to, whoever has handed them out', async () => {
  const fs = new MemoryFs();
  for (const again of [false, true]) {
    const redex = await Redex.open('/data', { fs });
    const channel = await redex.channel('log', again ? {} : given);
    const handedOut = [channel.options];
    for await (const { options } of redex.channels())
      if (options !== undefined) handedOut.push(options);
    expect(handedOut).toHaveLength(2);
    for (const options of handedOut) {
      for (const write of writesTo(options)) expect(write).toThrow(TypeError);
      expect(options).toEqual({ ...given, segmentMs: options.segmentMs });
    }
    await channel.configure({ segmentMs: 5 + Number(again) });
    for (const write of writesTo(channel.options)) expect(write).toThrow(TypeError);
    await redex.close();
  }
});

test('nor can the defaults, by way of a channel that has them', async () => {
  const redex = await Redex.open('/data', { fs: new MemoryFs() });
  const channel = await redex.channel('plain');
  expect(() => Object.assign(channel.options, { sync: 'never' })).toThrow(TypeError);
  expect(channel.options.sync).toBe('always');
  await redex.close();
});
