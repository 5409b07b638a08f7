/** A key in the window is one message, whatever became of it. */
import {
  drained,
  received,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueDedupContract(part: QueueContractPart): void {
  window(part);
  together(part);
  replaces(part);
  replacesOnlyWhatWaits(part);
  extendsWindow(part);
  modesTogether(part);
}

function window({ check, expect }: QueueContractPart): void {
  check('the earlier one is told, also when it is done with', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { dedupWindowMs: 1000 });
    const first = await queue.enqueue('a', { dedupKey: 'k' });
    expect(first.duplicate).toBe(false);
    expect(await queue.enqueue('b', { dedupKey: 'k' })).toEqual({ ...first, duplicate: true });
    expect(await drained(queue)).toEqual(['a']);
    expect(await queue.enqueue('c', { dedupKey: 'k' })).toEqual({ ...first, duplicate: true });
    expect((await queue.enqueue('d', { dedupKey: 'other' })).duplicate).toBe(false);
    await elapse(999);
    expect((await queue.enqueue('e', { dedupKey: 'k' })).duplicate).toBe(true);
    await elapse(2);
    expect((await queue.enqueue('f', { dedupKey: 'k' })).duplicate).toBe(false);
    expect(await drained(queue)).toEqual(['d', 'f']);
    expect((await queue.stats()).counters.duplicates).toBe(3);
  });

  check('also of a message that is in flight, cancelled, purged or dead', async ({ queues }) => {
    const queue = await textQueue(queues);
    const isDuplicate = async (dedupKey: string): Promise<boolean> =>
      (await queue.enqueue('again', { dedupKey })).duplicate;
    await queue.enqueue('a', { dedupKey: 'dead' });
    await (await received(queue)).reject();
    expect(await isDuplicate('dead')).toBe(true);
    const { id } = await queue.enqueue('b', { dedupKey: 'cancelled' });
    await queue.cancel(id);
    expect(await isDuplicate('cancelled')).toBe(true);
    await queue.enqueue('c', { dedupKey: 'in flight' });
    const held = await received(queue);
    expect(await isDuplicate('in flight')).toBe(true);
    await queue.purge();
    expect(await isDuplicate('in flight')).toBe(true);
    expect(held.signal.aborted).toBe(true);
    // A redrive is not an enqueue.
    expect(await queue.redrive()).toBe(1);
    expect(await drained(queue)).toEqual(['a']);
  });

  check('it outlives a restart', async ({ queues, reopen, kill }) => {
    if (reopen === undefined || kill === undefined) return;
    const first = await (await textQueue(queues)).enqueue('a', { dedupKey: 'k' });
    const queue = await textQueue(await reopen());
    expect(await queue.enqueue('b', { dedupKey: 'k' })).toEqual({ ...first, duplicate: true });
    const next = await textQueue(await kill());
    expect(await next.enqueue('c', { dedupKey: 'k' })).toEqual({ ...first, duplicate: true });
    expect(await drained(next)).toEqual(['a']);
  });
}

function together({ check, expect }: QueueContractPart): void {
  check('in one batch, and of many at once, there is one', async ({ queues }) => {
    const queue = await textQueue(queues);
    const batch = await queue.enqueueMany([
      { payload: 'a', dedupKey: 'k' },
      { payload: 'b' },
      { payload: 'c', dedupKey: 'k' },
    ]);
    expect(batch.map(({ duplicate }) => duplicate)).toEqual([false, false, true]);
    expect(batch[2]?.id).toBe(batch[0]?.id);
    const many = await Promise.all(
      Array.from({ length: 20 }, (_, i) => queue.enqueue(`${i}`, { dedupKey: 'many' })),
    );
    expect(many.filter(({ duplicate }) => !duplicate).length).toBe(1);
    expect(new Set(many.map(({ id }) => id)).size).toBe(1);
    const texts = await drained(queue);
    expect(texts.slice(0, 2)).toEqual(['a', 'b']);
    expect(texts.length).toBe(3);
  });

  check('what was refused is not remembered', async ({ queues }) => {
    const queue = await textQueue(queues, { maxMessages: 1 });
    await queue.enqueue('first');
    const refused = await Promise.allSettled([
      queue.enqueue('a', { dedupKey: 'k' }),
      queue.enqueue('b', { dedupKey: 'k' }),
    ]);
    expect(refused.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await drained(queue)).toEqual(['first']);
    expect((await queue.enqueue('c', { dedupKey: 'k' })).duplicate).toBe(false);
    expect(textsOf(await queue.peek())).toEqual(['c']);
  });
}

function replaces({ check, checks, expect }: QueueContractPart): void {
  check('replace: what waits gets what is new, in its place', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { dedupMode: 'replace', dedupWindowMs: 1000 });
    const first = await queue.enqueue('a', { dedupKey: 'k', headers: { n: '1' } });
    await queue.enqueue('behind');
    await elapse(900);
    const again = await queue.enqueue('b', { dedupKey: 'k', headers: { n: '2' } });
    expect(again).toEqual({ ...first, duplicate: true, replaced: true });
    // The window begins again with it.
    await elapse(900);
    expect((await queue.enqueue('c', { dedupKey: 'k' })).replaced).toBe(true);
    const { messages, counters } = await queue.stats();
    expect([messages, counters.enqueued, counters.duplicates]).toEqual([2, 2, 2]);
    const got = await received(queue);
    expect([got.id, got.payload, got.headers, got.deliveryCount]).toEqual([first.id, 'c', {}, 1]);
    await got.ack();
    expect(await drained(queue)).toEqual(['behind']);
  });

  check('replace: with a delay it is put off anew, until nothing comes', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await textQueue(queues, { dedupMode: 'replace' });
    for (const payload of ['1', '2', '3']) {
      await queue.enqueue(payload, { dedupKey: 'k', delayMs: 1000 });
      await elapse(900);
      expect(await queue.receive()).toEqual([]);
    }
    expect((await queue.stats()).delayed).toBe(1);
    await elapse(100);
    expect(await drained(queue)).toEqual(['3']);
    const { messages, delayed, ready } = await queue.stats();
    expect([messages, delayed, ready]).toEqual([0, 0, 0]);
  });

  check('replace: its end is the new one; a key that waits is not put off', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await textQueue(queues, { dedupMode: 'replace' });
    await queue.enqueue('a', { dedupKey: 'ends', ttlMs: 1000 });
    await queue.enqueue('b', { dedupKey: 'ends', ttlMs: 5000 });
    await queue.enqueue('a', { dedupKey: 'keyed', key: 'x' });
    await checks.mistake(() => queue.enqueue('b', { dedupKey: 'keyed', delayMs: 5 }), 'TypeError');
    await elapse(2000);
    expect(await drained(queue)).toEqual(['b', 'a']);
  });
}

function replacesOnlyWhatWaits({ check, expect }: QueueContractPart): void {
  check(
    'replace: what is in flight, done with or dead stays; there is a new one',
    async (subject) => {
      const { queues } = subject;
      const queue = await textQueue(queues, { dedupMode: 'replace' });
      const ends = { held: undefined, acked: 'ack', dead: 'reject' } as const;
      for (const [dedupKey, end] of Object.entries(ends)) {
        const first = await queue.enqueue(`${dedupKey} 1`, { dedupKey });
        const delivery = await received(queue);
        if (end !== undefined) await delivery[end]();
        const second = await queue.enqueue(`${dedupKey} 2`, { dedupKey });
        expect([second.duplicate, second.id === first.id]).toEqual([false, false]);
        // The key is that of the new one.
        const third = await queue.enqueue(`${dedupKey} 3`, { dedupKey });
        expect(third).toEqual({ ...second, duplicate: true, replaced: true });
        expect(await drained(queue)).toEqual([`${dedupKey} 3`]);
        if (end === undefined) await delivery.ack();
      }
      expect((await queue.stats()).messages).toBe(0);
    },
  );

  check('replace: of groups, none has got it', async ({ queues }) => {
    const queue = await textQueue(queues, { mode: 'fanout', dedupMode: 'replace' });
    for (const name of ['x', 'y']) await queue.groups.create(name);
    await queue.enqueue('1', { dedupKey: 'k' });
    await queue.enqueue('2', { dedupKey: 'k' });
    expect(await drained(queue, { group: 'x' })).toEqual(['2']);
    expect((await queue.enqueue('3', { dedupKey: 'k' })).duplicate).toBe(false);
    expect(await drained(queue, { group: 'y' })).toEqual(['2', '3']);
    expect(await drained(queue, { group: 'x' })).toEqual(['3']);
  });

  check('replace: who asks meanwhile gets the old one or the new one, once', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await textQueue(queues, { dedupMode: 'replace' });
    await queue.enqueue('old', { dedupKey: 'k' });
    const asked = queue.receive({ waitMs: 1000 });
    const replacing = queue.enqueue('new', { dedupKey: 'k' });
    await elapse(0);
    const [delivery] = await asked;
    const { replaced } = await replacing;
    expect(delivery?.payload).toBe(replaced === true ? 'new' : 'old');
    await delivery?.ack();
    expect(await drained(queue)).toEqual(replaced === true ? [] : ['new']);
  });
}

function extendsWindow({ check, expect }: QueueContractPart): void {
  for (const how of ['at once', 'reopen', 'kill'] as const) {
    check(`extend: the window begins again, the message stays: ${how}`, async (subject) => {
      const next = how === 'at once' ? () => Promise.resolve(subject.queues) : subject[how];
      if (next === undefined) return;
      let queue = await textQueue(subject.queues, { dedupMode: 'extend', dedupWindowMs: 1000 });
      const first = await queue.enqueue('a', { dedupKey: 'k' });
      for (let turn = 0; turn < 3; turn++) {
        await subject.elapse(900);
        queue = await textQueue(await next());
        const again = await queue.enqueue('b', { dedupKey: 'k' });
        expect(again).toEqual({ ...first, duplicate: true });
      }
      expect(await drained(queue)).toEqual(['a']);
      await subject.elapse(1001);
      expect((await queue.enqueue('c', { dedupKey: 'k' })).duplicate).toBe(false);
    });
  }
}

function modesTogether({ check, checks, expect }: QueueContractPart): void {
  check('modes in one batch, and in a commit', async ({ queues }) => {
    const queue = await textQueue(queues);
    await queue.enqueue('old', { dedupKey: 'there' });
    const batch = await queue.enqueueMany([
      { payload: '1', dedupKey: 'own' },
      { payload: 'new', dedupKey: 'there', dedupMode: 'replace' },
      { payload: '2', dedupKey: 'own', dedupMode: 'replace' },
      { payload: 'last' },
      { payload: '3', dedupKey: 'own' },
    ]);
    expect(batch.map(({ duplicate, replaced }) => [duplicate, replaced])).toEqual([
      [false, undefined],
      [true, true],
      [true, true],
      [false, undefined],
      [true, undefined],
    ]);
    expect(new Set(batch.map(({ seq }) => seq)).size).toBe(3);
    const { enqueued } = await queues.commit([
      queue.enqueuing('newer', { dedupKey: 'there', dedupMode: 'replace' }),
      queue.enqueuing('more'),
    ]);
    expect(enqueued.map(({ duplicate }) => duplicate)).toEqual([true, false]);
    const many = await Promise.all(
      ['x', 'y', 'z'].map((payload) =>
        queue.enqueue(payload, { dedupKey: 'there', dedupMode: 'replace' }),
      ),
    );
    expect(new Set(many.map(({ seq }) => seq)).size).toBe(1);
    expect(await drained(queue)).toEqual(['z', '2', 'last', 'more']);
  });

  check('a mode without a key or a window is a mistake', async ({ queues }) => {
    const queue = await textQueue(queues, { dedupWindowMs: 0 });
    await checks.mistake(() => queue.enqueue('a', { dedupMode: 'keep' }), 'TypeError');
    const wrong = { dedupKey: 'k', dedupMode: 'other' as 'keep' };
    await checks.mistake(() => queue.enqueue('a', wrong), 'TypeError');
    const without = { dedupKey: 'k', dedupMode: 'replace' } as const;
    await checks.mistake(() => queue.enqueue('a', without), 'TypeError');
    await checks.mistake(() => queue.configure({ dedupMode: 'extend' }), 'TypeError');
    expect((await queue.stats()).messages).toBe(0);
  });
}
