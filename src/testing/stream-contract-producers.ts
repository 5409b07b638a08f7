/** Idempotent producers: what is accepted, what is a duplicate, and who is fenced off. */
import type { StreamStore } from '../streams/stream-store.js';
import type { AppendResult } from '../streams/stream-appends.js';
import { at, TEXT, textsOf, type ContractPart } from './stream-contract-support.js';

const send = (
  streams: StreamStore,
  text: string,
  [epoch, seq]: readonly [number, number],
  options: { close?: boolean; streamSeq?: string; contentType?: string; id?: string } = {},
): Promise<AppendResult> => {
  const { id = 'p', ...rest } = options;
  return streams.append('a', text, { producer: { id, epoch, seq }, ...rest });
};

export function streamProducerContract(part: ContractPart): void {
  sequences(part);
  duplicates(part);
  closings(part);
}

function sequences({ check, checks, expect }: ContractPart): void {
  check('a producer begins with 0, and goes on by 1', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    await checks.refused(streams, 'a', () => send(streams, 'x', [0, 1]), 'PRODUCER_GAP');
    const first = await send(streams, 'one', [0, 0]);
    expect(first.producer).toEqual({ id: 'p', epoch: 0, seq: 0 });
    await checks.refused(streams, 'a', () => send(streams, 'x', [0, 2]), 'PRODUCER_GAP');
    await send(streams, 'two', [0, 1]);
    expect(await textsOf(streams, 'a')).toEqual(['one', 'two']);
  });

  check('a newer epoch begins with 0 and fences the older off', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    await send(streams, 'one', [3, 0]);
    await checks.refused(streams, 'a', () => send(streams, 'x', [4, 1]), 'PRODUCER_GAP');
    await send(streams, 'two', [5, 0]);
    for (const place of [
      [3, 0],
      [3, 1],
      [4, 0],
    ] as const) {
      await checks.refused(streams, 'a', () => send(streams, 'x', place), 'FENCED');
    }
    await send(streams, 'other', [0, 0], { id: 'q' });
    expect(await textsOf(streams, 'a')).toEqual(['one', 'two', 'other']);
  });

  check('the state of producers outlives the process', async ({ streams, reopen }) => {
    await streams.createStream('a', TEXT);
    await send(streams, 'one', [1, 0]);
    await send(streams, 'two', [1, 1]);
    if (reopen === undefined) return;
    const again = await reopen();
    expect((await send(again, 'two', [1, 1])).duplicate).toBe(true);
    await checks.refused(again, 'a', () => send(again, 'x', [0, 5]), 'FENCED');
    expect((await send(again, 'three', [1, 2])).duplicate).toBe(false);
    expect(await textsOf(again, 'a')).toEqual(['one', 'two', 'three']);
  });
}

function duplicates({ check, checks, expect }: ContractPart): void {
  check('what was accepted is not written again, whatever is in it', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    for (let seq = 0; seq < 3; seq++) await send(streams, `m${seq}`, [0, seq]);
    const again = await send(streams, 'other bytes', [0, 1], { contentType: 'text/html' });
    expect(again.duplicate).toBe(true);
    expect(again.nextOffset).toBe(at(3, 6));
    expect(again.producer).toEqual({ id: 'p', epoch: 0, seq: 2 });
    expect(await textsOf(streams, 'a')).toEqual(['m0', 'm1', 'm2']);
  });

  check('a duplicate is told before Stream-Seq is looked at', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    await send(streams, 'one', [0, 0], { streamSeq: 'b' });
    expect((await send(streams, 'one', [0, 0], { streamSeq: 'b' })).duplicate).toBe(true);
  });

  check('what is refused does not advance the producer', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    await send(streams, 'one', [0, 0], { streamSeq: 'b' });
    const wrongType = (): Promise<unknown> =>
      send(streams, 'x', [0, 1], { contentType: 'text/html' });
    await checks.refused(streams, 'a', wrongType, 'CONTENT_TYPE_MISMATCH');
    const wrongSeq = (): Promise<unknown> => send(streams, 'x', [0, 1], { streamSeq: 'a' });
    await checks.refused(streams, 'a', wrongSeq, 'SEQ_CONFLICT');
    expect((await send(streams, 'two', [0, 1], { streamSeq: 'c' })).duplicate).toBe(false);
  });

  check('a repetition beside the first is one message', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const results = await Promise.all([0, 0, 1, 1, 0].map((seq) => send(streams, 'm', [0, seq])));
    const duplicate = results.map((each) => each.duplicate);
    expect(duplicate).toEqual([false, true, false, true, true]);
    expect(await textsOf(streams, 'a')).toEqual(['m', 'm']);
  });

  check('many changes of state are all remembered', async ({ streams, reopen }) => {
    await streams.createStream('a', TEXT);
    for (let i = 0; i < 300; i++)
      await send(streams, 'm', [0, Math.floor(i / 3)], { id: `p${i % 3}` });
    const again = (await reopen?.()) ?? streams;
    for (const id of ['p0', 'p1', 'p2']) {
      expect((await send(again, 'm', [0, 99], { id })).duplicate).toBe(true);
      await checks.refused(again, 'a', () => send(again, 'm', [0, 101], { id }), 'PRODUCER_GAP');
    }
    expect((await again.head('a')).messageCount).toBe(300);
  });
}

function closings({ check, checks, expect }: ContractPart): void {
  check('the append that closed is a duplicate, every other is closed', async (subject) => {
    const { streams } = subject;
    await streams.createStream('a', TEXT);
    await send(streams, 'one', [0, 0]);
    expect((await send(streams, 'last', [0, 1], { close: true })).closed).toBe(true);
    const again = await send(streams, 'other', [0, 1], { close: true });
    expect(again.duplicate).toBe(true);
    expect(again.closed).toBe(true);
    await checks.refused(streams, 'a', () => send(streams, 'x', [0, 2]), 'STREAM_CLOSED');
    await checks.refused(streams, 'a', () => send(streams, 'x', [1, 0]), 'STREAM_CLOSED');
    await checks.refused(
      streams,
      'a',
      () => send(streams, 'x', [0, 0], { id: 'q' }),
      'STREAM_CLOSED',
    );
  });

  check('a close without a message takes part in the sequence', async ({ streams, reopen }) => {
    await streams.createStream('a', TEXT);
    await send(streams, 'one', [0, 0]);
    const gap = { producer: { id: 'p', epoch: 0, seq: 2 } };
    await checks.refused(streams, 'a', () => streams.closeStream('a', gap), 'PRODUCER_GAP');
    const producer = { id: 'p', epoch: 0, seq: 1 };
    expect((await streams.closeStream('a', { producer })).duplicate).toBe(false);
    const again = (await reopen?.()) ?? streams;
    const repeated = await again.closeStream('a', { producer });
    expect(repeated.duplicate).toBe(true);
    expect(repeated.closed).toBe(true);
    expect(await textsOf(again, 'a')).toEqual(['one']);
  });
}
