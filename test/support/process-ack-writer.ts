/**
 * A program whose system calls are traced: appends, and writes `ack SEQ` to standard output when
 * an append to the channel `log` is acknowledged. `direct` appends go to dat, others through the
 * journal. Usage: node process-ack-writer.js DIRECTORY SHAPE [direct]
 */
import { writeSync } from 'node:fs';
import process from 'node:process';
import { Redex, type Channel, type ChannelOptions, type RedexOptions } from '../../src/index.js';

const STDOUT = 1;
const SYNCED = { durability: 'synced' } as const;

function acknowledge(seq: number): void {
  for (;;) {
    try {
      writeSync(STDOUT, `ack ${seq}\n`);
      return;
    } catch (error) {
      // Whoever reads has not kept up.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

function inFlight(channel: Channel, count: number, bytes: number): Promise<unknown> {
  const payload = new Uint8Array(bytes).fill(97);
  const appends = Array.from({ length: count }, () =>
    channel.append(payload, SYNCED).then(acknowledge),
  );
  return Promise.all(appends);
}

interface Shape {
  readonly store?: RedexOptions;
  readonly options?: ChannelOptions;
  run(channel: Channel): Promise<unknown>;
}

export type ShapeName =
  'one' | 'thousand' | 'rolls' | 'large' | 'blocking' | 'asked' | 'early' | 'unsynced';

const SHAPES: Readonly<Record<ShapeName, Shape>> = {
  one: { run: (channel) => inFlight(channel, 1, 100) },
  thousand: { run: (channel) => inFlight(channel, 1000, 100) },
  rolls: {
    store: { maxFrameBytes: 4096 },
    options: { segmentBytes: 4096 },
    async run(channel) {
      for (let round = 0; round < 5; round++) await inFlight(channel, 60, 200);
    },
  },
  /** More than what is written inside the call: its write goes through the thread pool. */
  large: {
    async run(channel) {
      await Promise.all([inFlight(channel, 1, 700_000), inFlight(channel, 10, 100)]);
      await inFlight(channel, 3, 700_000);
    },
  },
  /** Blocks, also while appends are in flight. */
  blocking: {
    options: { segmentBytes: 4096 },
    async run(channel) {
      const first = inFlight(channel, 10, 100);
      for (let i = 0; i < 20; i++) acknowledge(channel.appendSync('x'.repeat(500), SYNCED));
      await first;
    },
  },
  /** Synced only because the appends ask for it. */
  asked: {
    options: { sync: 'never' },
    async run(channel) {
      for (let i = 0; i < 5; i++) {
        await channel.append('written', { durability: 'written' });
        acknowledge(await channel.append('synced', { durability: 'synced' }));
      }
    },
  },
  /** Wrong on purpose: tells that an append is acknowledged when it is not. */
  early: {
    async run(channel) {
      const append = channel.append('too early', SYNCED);
      acknowledge(0);
      await append;
    },
  },
  /** Wrong on purpose: takes what is written for what is synced. */
  unsynced: {
    options: { sync: 'never' },
    async run(channel) {
      acknowledge(await channel.append('written'));
    },
  },
};

async function main([directory = '', name = '', way = '']: readonly string[]): Promise<void> {
  if (!Object.hasOwn(SHAPES, name)) throw new Error(`no shape ${name}`);
  const shape = SHAPES[name as ShapeName];
  const redex = await Redex.open(directory, shape.store);
  const direct: ChannelOptions = way === 'direct' ? { sync: 'never' } : {};
  const channel = await redex.channel('log', { ...direct, ...shape.options });
  await shape.run(channel);
  // Without close(): what it syncs must not help.
  process.exit(0);
}

await main(process.argv.slice(2));
