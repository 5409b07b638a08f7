/**
 * Goal: that few channels may stay open is nobody's concern: whatever is done to streams at the
 * same time, nothing is told to be closed.
 * Method: one open stream at most, and all operations on several streams begun together.
 */
import { expect, test } from 'vitest';
import { openLab } from '../support/stream-kit.js';

test('operations on more streams than stay open all do what they say', async () => {
  const lab = await openLab({ maxOpenStreams: 1 });
  const { streams } = lab;
  const names = Array.from({ length: 6 }, (_, i) => `s${i}`);
  for (const name of names) await streams.createStream(name, {}, { data: ['x', 'y', 'z'] });
  const second = '0000000000000001_0000000000000001';
  for (let round = 0; round < 20; round++) {
    const works = names.flatMap((name) => [
      () => streams.createFork(`${name}/${round}`, name, { offset: '-1' }),
      () => streams.createFork(`${name}/within/${round}`, name, { offset: second, subOffset: 1 }),
      () => streams.read(name),
      () => streams.head(name),
      () => streams.append(name, 'more'),
      () => streams.trimStream(`${name}/${round - 1}`, { before: 'now' }),
      () => streams.createStream(name),
    ]);
    const begun = works.map(async (work) => {
      for (let turn = 0; turn < round * 3; turn++) await Promise.resolve();
      return work();
    });
    const results = await Promise.allSettled(begun);
    const codes = results.flatMap((each) =>
      each.status === 'rejected' ? [(each.reason as { code: string }).code] : [],
    );
    // There is nothing to trim in the first round.
    expect(codes, `round ${round}`).toEqual(round === 0 ? names.map(() => 'NOT_FOUND') : []);
  }
  await lab.close();
});

test('streams that are made faster than channels are closed wait for these', async () => {
  const lab = await openLab({ maxOpenStreams: 1 });
  const { streams, redex } = lab;
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const open = redex.channel.bind(redex);
  redex.channel = async (name, options) => {
    const channel = await open(name, options);
    const close = channel.close.bind(channel);
    channel.close = () => gate.then(close);
    return channel;
  };
  const names = Array.from({ length: 300 }, (_, i) => `s${i}`);
  let made = 0;
  const creating = (async () => {
    for (const name of names) {
      await streams.createStream(name, {}, { data: name });
      made++;
    }
  })();
  await lab.runtime.elapse(1000);
  await lab.runtime.elapse(1000);
  expect(made).toBeGreaterThan(50);
  expect((await redex.stats()).openChannels).toBeLessThan(80);
  release();
  await creating;
  for (const name of names) expect((await streams.read(name)).messages).toHaveLength(1);
  await lab.close();
});

test('what stays open beyond the limit is closed by the next sweep', async () => {
  const lab = await openLab({ maxOpenStreams: 4 });
  const names = Array.from({ length: 100 }, (_, i) => `s${i}`);
  await Promise.all(names.map((name) => lab.streams.createStream(name)));
  expect((await lab.streams.stats()).openStreams).toBeGreaterThan(4);
  await lab.runtime.elapse(61_000);
  expect((await lab.streams.stats()).openStreams).toBe(4);
  await lab.close();
});
