/**
 * Goal: what is appended as a value is read as one, by every way of reading; what does not decode
 * is told for that record, and no other record is lost by it.
 */
import { describe, expect, test, vi } from 'vitest';
import { DecodeError, jsonCodec, utf8Codec, type Codec } from '../../src/channel/codec.js';
import type { TypedChannel } from '../../src/channel/typed-channel.js';
import type { TypedRecord } from '../../src/channel/typed-record.js';
import { Lab, outcomeOf } from '../support/channel-kit.js';
import { openWithParts } from '../support/tail-kit.js';

interface Order {
  readonly id: number;
  readonly note?: string;
}

async function ordersOf(lab: Lab): Promise<TypedChannel<Order>> {
  const channel = await lab.open();
  return channel.typed<Order>(jsonCodec);
}

const idsOf = (records: readonly TypedRecord<Order>[]): number[] =>
  records.map(({ value }) => value.id);

/** Takes steps until the end, with the errors among the values. */
async function drained<T>(
  iterator: AsyncIterableIterator<TypedRecord<T>>,
  steps: number,
): Promise<unknown[]> {
  const found: unknown[] = [];
  for (let i = 0; i < steps; i++) {
    try {
      const result = await iterator.next();
      if (result.done === true) return [...found, 'end'];
      found.push(result.value.value);
    } catch (error) {
      found.push(error instanceof DecodeError ? `seq ${error.seq}` : error);
    }
  }
  return found;
}

describe('values', () => {
  test('are appended and read in every way', async () => {
    const lab = new Lab();
    const orders = await ordersOf(lab);
    expect(await orders.append({ id: 1 })).toBe(0);
    expect(await orders.appendBatch([{ id: 2 }, { id: 3 }])).toEqual({ firstSeq: 1, nextSeq: 3 });
    expect(orders.appendSync({ id: 4, note: 'ä' }, { type: 9 })).toBe(3);
    expect(orders.appendBatchSync([{ id: 5 }]).firstSeq).toBe(4);
    const record = await orders.get(3);
    expect(record).toMatchObject({ value: { id: 4, note: 'ä' }, seq: 3, type: 9 });
    expect([record?.timestamp, record?.timestampNs]).toEqual([
      1_700_000_000_000,
      1_700_000_000_000_000_000n,
    ]);
    expect([record?.byteLength, record?.record.byteLength]).toEqual([20, 20]);
    expect(await orders.get(99)).toBe(undefined);
    expect(idsOf(await orders.readBatch({ from: 1, limit: 2 }))).toEqual([2, 3]);
    expect(idsOf(await orders.last(2))).toEqual([4, 5]);
    const reverse: number[] = [];
    for await (const { value } of orders.read({ reverse: true })) reverse.push(value.id);
    expect(reverse).toEqual([5, 4, 3, 2, 1]);
  });

  test('come with a type, a time and a seq, also when they have a member `value`', async () => {
    const channel = await new Lab().open();
    const typed = channel.typed<{ value: number }>(jsonCodec);
    await typed.appendBatch([{ value: 1 }]);
    await typed.appendRecords([
      { value: { value: 2 }, type: 7, timestamp: 1_800_000_000_000, seq: 9 },
    ]);
    expect((await typed.readBatch()).map(({ value, seq, type }) => [value, seq, type])).toEqual([
      [{ value: 1 }, 0, 0],
      [{ value: 2 }, 9, 7],
    ]);
    expect((await typed.last(1))[0]?.timestamp).toBe(1_800_000_000_000);
  });

  test('are followed by a tail', async () => {
    const lab = new Lab();
    const orders = await ordersOf(lab);
    await lab.done(orders.append({ id: 1 }));
    const tail = orders.tail();
    const steps = [tail.next(), tail.next(), tail.next()].map(outcomeOf);
    await lab.drain();
    await lab.done(orders.appendBatch([{ id: 2 }]));
    await lab.drain();
    expect(steps.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'pending']);
    expect(await tail.return?.()).toEqual({ value: undefined, done: true });
    await lab.drain();
    expect(steps[2]?.value).toEqual({ value: undefined, done: true });
    expect(await tail.next()).toEqual({ value: undefined, done: true });
  });

  test('that cannot be encoded are refused, with nothing appended', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    const json = channel.typed(jsonCodec);
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    await expect(json.append(undefined)).rejects.toThrow(TypeError);
    await expect(json.append(cycle)).rejects.toThrow(TypeError);
    await expect(json.appendBatch([1, 2n])).rejects.toThrow(TypeError);
    await expect(json.appendRecords([{ value: 1 }, { value: () => 1 }])).rejects.toThrow(TypeError);
    expect(() => json.appendSync(undefined)).toThrow(TypeError);
    const text = channel.typed(utf8Codec);
    await expect(text.append('\ud800')).rejects.toThrow('well-formed');
    await expect(text.append(5 as unknown as string)).rejects.toThrow('strings');
    expect(channel.nextSeq).toBe(0);
    await expect(json.append(1, { expectedSeq: 4 })).rejects.toMatchObject({
      code: 'SEQ_CONFLICT',
    });
  });

  test('of a codec of one’s own, and what is no codec', async () => {
    const channel = await new Lab().open();
    const bits: Codec<boolean> = { encode: (on) => Uint8Array.of(+on), decode: ([byte]) => !!byte };
    const typed = channel.typed(bits);
    await typed.appendBatch([true, false, true]);
    expect((await typed.last(9)).map(({ value }) => value)).toEqual([true, false, true]);
    const none = { encode: () => '' } as unknown as Codec<boolean>;
    expect(() => channel.typed(none)).toThrow('a codec must have a method decode');
    expect(() => channel.typed(undefined as unknown as Codec<boolean>)).toThrow(TypeError);
  });

  test('of utf8Codec keep a byte order mark', async () => {
    const channel = await new Lab().open();
    await channel.typed(utf8Codec).append('\ufeffa');
    expect((await channel.typed(utf8Codec).get(0))?.value).toBe('\ufeffa');
  });
});

describe('a record that does not decode', () => {
  /** Orders 1, 2 and 5; what is not JSON, or not UTF-8, at seq 1 and 3. */
  async function mixed(lab: Lab): Promise<TypedChannel<Order>> {
    const channel = await lab.open();
    const bad = Uint8Array.of(0x22, 0xff, 0x22);
    await lab.done(channel.appendBatch(['{"id":1}', '{"id":', '{"id":2}', bad, '{"id":5}']));
    return channel.typed<Order>(jsonCodec);
  }

  test('is told by an error that names it', async () => {
    const orders = await mixed(new Lab());
    const error = await orders.get(1).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DecodeError);
    expect(error).toMatchObject({ seq: 1, name: 'DecodeError' });
    expect((error as DecodeError).cause).toBeInstanceOf(SyntaxError);
    await expect(orders.get(3)).rejects.toThrow('record 3 does not decode');
    await expect(orders.readBatch()).rejects.toMatchObject({ seq: 1 });
    await expect(orders.last(2)).rejects.toMatchObject({ seq: 3 });
    expect(idsOf(await orders.readBatch({ from: 4 }))).toEqual([5]);
  });

  test('costs a read no other record', async () => {
    const orders = await mixed(new Lab());
    const all = [{ id: 1 }, 'seq 1', { id: 2 }, 'seq 3', { id: 5 }, 'end'];
    expect(await drained(orders.read(), 9)).toEqual(all);
    const [end, ...rest] = all.toReversed();
    expect(await drained(orders.read({ reverse: true }), 9)).toEqual([...rest, end]);
  });

  test('costs a tail no other record', async () => {
    const lab = new Lab();
    const orders = await mixed(lab);
    const found = drained(orders.tail({ from: 1 }), 5);
    await lab.done(orders.append({ id: 6 }));
    expect(await lab.done(found)).toEqual(['seq 1', { id: 2 }, 'seq 3', { id: 5 }, { id: 6 }]);
  });

  test('does not keep a tail from what comes, up to the close', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    await lab.done(channel.append('no order'));
    const tail = channel.typed<Order>(jsonCodec).tail();
    expect(await lab.done(drained(tail, 1))).toEqual(['seq 0']);
    for (const id of [1, 2]) await lab.done(channel.append(JSON.stringify({ id })));
    expect(await lab.done(drained(tail, 1))).toEqual([{ id: 1 }]);
    await lab.done(channel.append('no order'));
    expect(await lab.done(drained(tail, 2))).toEqual([{ id: 2 }, 'seq 3']);
    await lab.done(channel.append(JSON.stringify({ id: 3 })));
    await lab.done(channel.close());
    expect(await lab.done(drained(tail, 3))).toEqual([{ id: 3 }, 'end']);
  });

  test('does not make a later close an error', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    await lab.done(channel.append('no order'));
    const tail = channel.typed(jsonCodec).tail();
    expect(await lab.done(drained(tail, 1))).toEqual(['seq 0']);
    await lab.done(channel.close());
    expect(await lab.done(drained(tail, 1))).toEqual(['end']);
  });

  test('leaves nothing behind of a tail whose loop it ended', async () => {
    let collect = (): void => undefined;
    // What is called when an object is collected is called when the test says so.
    class Registry<T> {
      readonly #cleanup: (held: T) => void;
      constructor(cleanup: (held: T) => void) {
        this.#cleanup = cleanup;
      }
      register(_target: object, held: T): void {
        collect = () => this.#cleanup(held);
      }
    }
    vi.resetModules();
    vi.stubGlobal('FinalizationRegistry', Registry);
    const { TypedIterator } = await import('../../src/channel/typed-iterator.js');
    vi.unstubAllGlobals();
    const lab = new Lab();
    const { channel, parts } = await openWithParts(lab);
    await lab.done(channel.append('no order'));
    const added = vi.spyOn(parts.tails, 'addTail');
    const removed = vi.spyOn(parts.tails, 'removeTail');
    const loop = async (): Promise<void> => {
      const tail = new TypedIterator(jsonCodec, channel.tail());
      for await (const { seq } of tail) expect(seq).toBe(-1);
    };
    await expect(lab.done(loop())).rejects.toMatchObject({ name: 'DecodeError' });
    collect();
    await lab.drain();
    expect([added.mock.calls.length, removed.mock.calls.length]).toEqual([1, 1]);
  });
});
