/**
 * A consumer of a tail that asks for records when its test says so, and checks of what it got; the
 * parts behind a channel; a count of the reads of dat files.
 */
import { expect, vi } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { ChannelParts } from '../../src/channel/channel-parts.js';
import type { ChannelOptions } from '../../src/channel/options.js';
import type { TailOptions } from '../../src/channel/tail-options.js';
import type { LogRecord } from '../../src/core/record.js';
import { payloadId, type Found, type Lab } from './channel-kit.js';

export interface Consumer {
  readonly iterator: AsyncIterableIterator<LogRecord>;
  readonly found: Found[];
  /** Records that were asked for and have not come. */
  pending: number;
  done: boolean;
  error: unknown;
  /** Asks for `count` more records without waiting for them. */
  ask(count?: number): void;
}

/**
 * A consumer that takes each step when the last one has settled, as borrowed bytes demand; or with
 * `atOnce` all steps that are asked for.
 */
export function consumerOf(
  iterator: AsyncIterableIterator<LogRecord>,
  { atOnce = false }: { atOnce?: boolean } = {},
): Consumer {
  let running = 0;
  const step = (): void => {
    running += 1;
    iterator.next().then(
      ({ value, done }) => {
        if (done === true) consumer.done = true;
        else consumer.found.push({ seq: value.seq, id: payloadId(value.payload) });
        settle();
      },
      (error: unknown) => {
        consumer.error = error;
        settle();
      },
    );
  };
  const settle = (): void => {
    running -= 1;
    consumer.pending -= 1;
    if (consumer.pending > running) step();
  };
  const consumer: Consumer = {
    iterator,
    found: [],
    pending: 0,
    done: false,
    error: undefined,
    ask(count = 1) {
      consumer.pending += count;
      while (running < (atOnce ? consumer.pending : 1)) step();
    },
  };
  return consumer;
}

export function tailOf(channel: Channel, options: TailOptions = {}, atOnce = false): Consumer {
  return consumerOf(channel.tail(options), { atOnce });
}

export const seqsOf = (consumer: Consumer): number[] => consumer.found.map(({ seq }) => seq);

export const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);

/** Asks and lets everything happen until the consumer gets nothing more. */
export async function readToEnd(lab: Lab, consumer: Consumer): Promise<void> {
  for (;;) {
    if (consumer.pending === 0) consumer.ask(50);
    const before = consumer.found.length;
    await lab.drain();
    if (consumer.found.length === before || consumer.done) return;
  }
}

/** Opens a channel and also returns what it is made of. */
export async function openWithParts(
  lab: Lab,
  options: ChannelOptions = {},
): Promise<{ channel: Channel; parts: ChannelParts }> {
  const spy = vi.spyOn(ChannelParts, 'open');
  try {
    const channel = await lab.open(options);
    const parts = await (spy.mock.results[0]?.value as Promise<ChannelParts> | undefined);
    if (parts === undefined) throw new Error('no parts were made');
    return { channel, parts };
  } finally {
    spy.mockRestore();
  }
}

/** Counts the reads of dat files from now on. */
export function countDatReads(lab: Lab): { count: number } {
  const reads = { count: 0 };
  lab.disk.onOperation = ({ operation, path }) => {
    if (path.endsWith('.dat') && (operation === 'read' || operation === 'readSync')) {
      reads.count += 1;
    }
  };
  return reads;
}

/** That a consumer has exactly the first of the records that were to come. */
export function expectPrefix(consumer: Consumer, all: readonly Found[], from: number): void {
  const wanted = all.filter(({ seq }) => seq >= from).slice(0, consumer.found.length);
  expect(consumer.found).toEqual(wanted);
}
