/** Receiving: up to so much, for so long, and what was given up was never delivered. */
import {
  drained,
  received,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueReceiveContract(part: QueueContractPart): void {
  amounts(part);
  waits(part);
  aborts(part);
  iterator(part);
}

function amounts({ check, checks, expect }: QueueContractPart): void {
  check('max and maxBytes bound what is delivered, and one always is', async ({ queues }) => {
    const queue = await textQueue(queues);
    const payloads = ['x'.repeat(100), 'a', 'b', 'c', 'd'];
    await queue.enqueueMany(payloads.map((payload) => ({ payload })));
    expect(textsOf(await queue.receive({ max: 5, maxBytes: 10 }))).toEqual([payloads[0]]);
    expect(textsOf(await queue.receive({ max: 2 }))).toEqual(['a', 'b']);
    expect(textsOf(await queue.receive({ max: 5, maxBytes: 1 }))).toEqual(['c']);
    expect(textsOf(await queue.receive({ max: 5 }))).toEqual(['d']);
    expect(await queue.receive({ max: 5 })).toEqual([]);
  });

  check('several that ask at once share, in the order in which they came', async ({ queues }) => {
    const queue = await textQueue(queues);
    await queue.enqueueMany(['a', 'b', 'c', 'd', 'e'].map((payload) => ({ payload })));
    const all = await Promise.all([1, 2, 3].map((max) => queue.receive({ max })));
    expect(all.map((each) => textsOf(each))).toEqual([['a'], ['b', 'c'], ['d', 'e']]);
  });

  check('maxInFlight is kept, and settling makes room', async ({ queues }) => {
    const queue = await textQueue(queues, { maxInFlight: 2 });
    await queue.enqueueMany(['a', 'b', 'c', 'd'].map((payload) => ({ payload })));
    const [a, b] = await queue.receive({ max: 10 });
    expect(await queue.receive({ max: 10 })).toEqual([]);
    const waiting = queue.receive({ max: 10, waitMs: 1000 });
    await a?.ack();
    expect(textsOf(await waiting)).toEqual(['c']);
    await b?.release();
    expect(textsOf(await queue.receive({ max: 10 }))).toEqual(['b']);
  });

  check('what cannot be meant is refused, and nothing is delivered', async ({ queues }) => {
    const queue = await textQueue(queues);
    await queue.enqueue('a');
    for (const options of [{ max: 0 }, { max: 1.5 }, { maxBytes: 0 }, { waitMs: -1 }]) {
      await checks.mistake(() => queue.receive(options), 'RangeError');
    }
    const types: object[] = [{ signal: {} }, { group: 'g' }, { consumer: 1 }, { wait: 1 }];
    for (const options of types) {
      await checks.mistake(() => queue.receive(options), 'TypeError');
    }
    expect((await queue.stats()).inFlight).toBe(0);
    expect((await received(queue)).deliveryCount).toBe(1);
  });
}

function waits({ check, expect }: QueueContractPart): void {
  check('none in time is an empty array, at that time', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    let found: unknown;
    void queue.receive({ waitMs: 1000 }).then((deliveries) => {
      found = deliveries;
    });
    await elapse(999);
    expect(found).toBe(undefined);
    await elapse(1);
    expect(found).toEqual([]);
  });

  check('what comes wakes who waits: each message one of them', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    const waiting = Array.from({ length: 4 }, () => queue.receive({ waitMs: 1000, max: 3 }));
    await elapse(0);
    await queue.enqueue('a');
    await elapse(0);
    await queue.enqueue('b');
    await elapse(1000);
    expect((await Promise.all(waiting)).map((each) => textsOf(each))).toEqual([
      ['a'],
      ['b'],
      [],
      [],
    ]);
  });

  check('no wake-up is lost between looking and waiting', async ({ queues }) => {
    const queue = await textQueue(queues);
    for (let turn = 0; turn < 40; turn++) {
      const waiting = queue.receive({ waitMs: 60_000 });
      for (let i = 0; i < turn; i++) await Promise.resolve();
      await queue.enqueue(`${turn}`);
      const [delivery] = await waiting;
      expect(delivery?.payload).toBe(`${turn}`);
      await delivery?.ack();
    }
  });

  check('a message that was put off wakes who waits when it is due', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    await queue.enqueue('late', { delayMs: 500 });
    let found: unknown;
    void queue.receive({ waitMs: 1000 }).then((deliveries) => {
      found = textsOf(deliveries);
    });
    await elapse(499);
    expect(found).toBe(undefined);
    await elapse(2);
    expect(found).toEqual(['late']);
  });
}

function aborts({ check, expect }: QueueContractPart): void {
  check('an abort rejects with its reason and leaves no lease', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    const reason = new Error('enough');
    expect(
      await queue.receive({ signal: AbortSignal.abort(reason) }).catch((e: unknown) => e),
    ).toBe(reason);
    const controller = new AbortController();
    const waiting = queue.receive({ waitMs: 1000, signal: controller.signal });
    const failed = waiting.catch((error: unknown) => error);
    await elapse(10);
    controller.abort(reason);
    expect(await failed).toBe(reason);
    await queue.enqueue('a');
    const delivery = await received(queue);
    expect([delivery.payload, delivery.deliveryCount]).toEqual(['a', 1]);
  });

  check('at whatever turn it is aborted: delivered, or as if never', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    for (let turn = 0; turn < 60; turn++) {
      const controller = new AbortController();
      const waiting = queue.receive({ waitMs: 1000, signal: controller.signal });
      const settled = waiting.then(
        (deliveries) => deliveries,
        () => undefined,
      );
      const enqueued = queue.enqueue(`${turn}`);
      for (let i = 0; i < turn; i++) await Promise.resolve();
      controller.abort();
      await enqueued;
      const deliveries = await settled;
      await elapse(0);
      const delivery = deliveries?.[0] ?? (await received(queue));
      expect([delivery.payload, delivery.deliveryCount]).toEqual([`${turn}`, 1]);
      await delivery.ack();
      expect((await queue.stats()).inFlight).toBe(0);
    }
  });
}

function iterator({ check, expect }: QueueContractPart): void {
  check('an iterator delivers one by one, and leaving it releases', async ({ queues }) => {
    const queue = await textQueue(queues);
    await queue.enqueueMany(['a', 'b', 'c'].map((payload) => ({ payload })));
    const seen: string[] = [];
    for await (const delivery of queue.deliveries()) {
      seen.push(delivery.payload);
      if (seen.length === 2) break;
      await delivery.ack();
    }
    expect(seen).toEqual(['a', 'b']);
    expect((await queue.stats()).inFlight).toBe(0);
    const delivery = await received(queue);
    expect([delivery.payload, delivery.deliveryCount]).toEqual(['b', 1]);
    await delivery.ack();
    expect(await drained(queue)).toEqual(['c']);
  });

  check('an iterator ends with its signal', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    const controller = new AbortController();
    const reason = new Error('enough');
    const next = queue.deliveries({ signal: controller.signal }).next();
    const failed = next.catch((error: unknown) => error);
    await elapse(5);
    controller.abort(reason);
    expect(await failed).toBe(reason);
  });
}
