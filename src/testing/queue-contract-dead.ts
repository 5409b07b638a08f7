/** Dead letters: whole, with their history, until somebody deals with them. */
import {
  drained,
  browsed,
  received,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueDeadContract(part: QueueContractPart): void {
  letters(part);
  decoding(part);
  redrives(part);
  sharedRedrives(part);
}

function letters({ check, checks, expect }: QueueContractPart): void {
  check('one says where it comes from, and what went wrong', async ({ queues, elapse, now }) => {
    const options = { maxDeliveries: 2, visibilityTimeoutMs: 1000 };
    const queue = await textQueue(queues, options);
    const at = now();
    const headers = { trace: '1' };
    const { id, seq } = await queue.enqueue('a', { priority: 3, headers });
    await (await received(queue)).nack({ delayMs: 0, error: 'first' });
    await received(queue);
    await elapse(5000);
    const dead = await received(await queue.deadLetters());
    expect([dead.id, dead.payload, dead.headers]).toEqual([id, 'a', headers]);
    expect(dead.enqueuedAt).toBe(at);
    const { origin } = dead;
    expect([
      origin?.queue,
      origin?.seq,
      origin?.cause,
      origin?.deliveryCount,
      origin?.priority,
    ]).toEqual(['q', seq, 'timeout', 2, 3]);
    expect(origin?.errors.map(({ error, deliveryCount }) => [error, deliveryCount])).toEqual([
      ['first', 1],
    ]);
    expect((origin?.deadAt ?? 0) > at).toBe(true);
    expect((await queue.stats()).counters.deadLettered).toBe(1);
  });

  check('they never run out of deliveries', async ({ queues }) => {
    const queue = await textQueue(queues, { maxDeliveries: 1 });
    await queue.enqueue('a');
    await (await received(queue)).nack();
    const dead = await queue.deadLetters();
    for (let i = 1; i <= 10; i++) {
      const delivery = await received(dead);
      expect(delivery.deliveryCount).toBe(i);
      await delivery.nack({ delayMs: 0 });
    }
    expect(textsOf(await browsed(dead))).toEqual(['a']);
  });

  check('a longest history still fits', async ({ queues }) => {
    const queue = await textQueue(queues, { maxDeliveries: 6 });
    const headers = { big: '"'.repeat(13_000) };
    await queue.enqueue('a', { headers, key: '\u0001'.repeat(1000) });
    for (let i = 0; i < 6; i++) {
      const error = '\u0001'.repeat(100_000);
      await (await received(queue)).nack({ delayMs: 0, error });
    }
    const dead = await received(await queue.deadLetters());
    expect([dead.payload, dead.origin?.errors.length, dead.headers]).toEqual(['a', 5, headers]);
  });

  check('a queue cannot have them come back to it', async ({ queues }) => {
    await textQueue(queues, { deadLetter: 'b' }, 'a');
    await checks.mistake(() => textQueue(queues, { deadLetter: 'a' }, 'b'), 'TypeError');
    const b = await textQueue(queues, {}, 'b');
    await checks.mistake(() => b.configure({ deadLetter: 'a' }), 'TypeError');
    await checks.mistake(() => b.configure({ deadLetter: 'b' }), 'TypeError');
    const none = await textQueue(queues, { deadLetter: false }, 'none');
    await checks.code(none.deadLetters(), 'NOT_FOUND');
  });
}

const even = {
  encode: (text: string): Uint8Array => new TextEncoder().encode(text),
  decode: (bytes: Uint8Array): string => {
    const text = new TextDecoder().decode(bytes);
    if (text.startsWith('bad')) throw new Error('it cannot be read');
    return text;
  },
};

function decoding({ check, expect }: QueueContractPart): void {
  check(
    'one that cannot be decoded is a dead letter, and the queue goes on',
    async ({ queues, elapse }) => {
      const queue = await queues.queue('q', { codec: even });
      await queue.enqueueMany(['a', 'bad', 'b', 'bad too'].map((payload) => ({ payload })));
      const deliveries = await queue.receive({ max: 5 });
      expect(textsOf(deliveries)).toEqual(['a', 'b']);
      await elapse(0);
      const dead = await browsed(await queue.deadLetters());
      expect(dead.map(({ payload, origin }) => [payload, origin?.cause])).toEqual([
        [undefined, 'decode'],
        [undefined, 'decode'],
      ]);
      expect(dead.map(({ bytes }) => new TextDecoder().decode(bytes))).toEqual(['bad', 'bad too']);
      expect((await queue.stats()).messages).toBe(2);
    },
  );

  check('who cannot decode dead letters holds none of them', async ({ queues, elapse }) => {
    const queue = await queues.queue('q', { codec: even });
    await queue.enqueue('bad');
    expect(await queue.receive()).toEqual([]);
    const dead = await queue.deadLetters();
    expect(await dead.receive()).toEqual([]);
    await elapse(0);
    expect((await dead.stats()).inFlight).toBe(0);
    const raw = await queues.queue('q.dead');
    await elapse(120_000);
    expect((await raw.stats()).messages).toBe(1);
  });
}

function redrives({ check, checks, expect }: QueueContractPart): void {
  check('a redrive brings them back, as if they were new, by filter and limit', async (subject) => {
    const { queues } = subject;
    const queue = await textQueue(queues, { maxDeliveries: 1 });
    const texts = ['a', 'b', 'c', 'd', 'e'];
    const results = await queue.enqueueMany(texts.map((payload) => ({ payload, key: 'k' })));
    for (let i = 0; i < texts.length; i++) await (await received(queue)).nack();
    const filter = ({ payload }: { payload: string | undefined }): boolean => payload !== 'b';
    expect(await queue.redrive({ filter, limit: 2 })).toBe(2);
    const again = await received(queue);
    expect([again.payload, again.deliveryCount, again.key, again.id]).toEqual([
      'a',
      1,
      'k',
      results[0]?.id,
    ]);
    expect(again.origin).toBe(undefined);
    await again.ack();
    expect(await drained(queue)).toEqual(['c']);
    const dead = await queue.deadLetters();
    expect(await dead.redrive()).toBe(3);
    expect(await drained(queue)).toEqual(['b', 'd', 'e']);
    expect((await dead.stats()).messages).toBe(0);
  });

  check('those in flight stay, and a rate is kept', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { maxDeliveries: 1 });
    await queue.enqueueMany(Array.from({ length: 31 }, (_, i) => ({ payload: `${i}` })));
    await Promise.all((await queue.receive({ max: 31 })).map((delivery) => delivery.nack()));
    const dead = await queue.deadLetters();
    const held = await received(dead);
    let moved: number | undefined;
    void queue.redrive({ ratePerSecond: 10 }).then((count) => {
      moved = count;
    });
    await elapse(900);
    expect((await queue.stats()).messages <= 10).toBe(true);
    await elapse(1000);
    expect((await queue.stats()).messages <= 20).toBe(true);
    await elapse(5000);
    expect(moved).toBe(30);
    await held.ack();
  });

  check('a redrive ends with its signal, and keeps what it has moved', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await textQueue(queues, { maxDeliveries: 1 });
    await queue.enqueueMany(Array.from({ length: 5 }, (_, i) => ({ payload: `${i}` })));
    await Promise.all((await queue.receive({ max: 5 })).map((delivery) => delivery.nack()));
    const controller = new AbortController();
    const redriving = queue.redrive({ ratePerSecond: 1, signal: controller.signal });
    const failed = redriving.catch((error: unknown) => error);
    await elapse(100);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await failed).toBe(reason);
    const { messages } = await queue.stats();
    expect(messages).toBe(1);
    expect(messages + (await (await queue.deadLetters()).stats()).messages).toBe(5);
    await checks.mistake(() => queue.redrive({ limit: 0 }), 'RangeError');
    await checks.mistake(() => queue.redrive({ ratePerSecond: 0 }), 'RangeError');
    await checks.code(queue.redrive({ to: 'nowhere' }), 'NOT_FOUND');
  });
}

function sharedRedrives({ check, expect }: QueueContractPart): void {
  check('of dead letters of several queues each has its own', async ({ queues }) => {
    const options = { deadLetter: 'dead', maxDeliveries: 1 };
    const a = await textQueue(queues, options, 'a');
    const b = await textQueue(queues, options, 'b');
    for (const [queue, text] of [
      [a, 'of a'],
      [b, 'of b'],
    ] as const) {
      await queue.enqueue(text);
      await (await received(queue)).nack();
    }
    expect(await a.redrive()).toBe(1);
    expect(await drained(a)).toEqual(['of a']);
    const dead = await textQueue(queues, {}, 'dead');
    await dead.enqueue('by hand');
    expect(await dead.redrive()).toBe(1);
    expect(await drained(b)).toEqual(['of b']);
    expect(await dead.redrive({ to: 'a' })).toBe(1);
    expect(await drained(a)).toEqual(['by hand']);
  });
}
