/** Keys that wait for a dead letter: who waits, what ends it, and what a restart leaves of it. */
import type { Queue } from '../queues/queue.js';
import type { QueueStore } from '../queues/queue-store.js';
import {
  browsed,
  drained,
  received,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueBlockContract(part: QueueContractPart): void {
  waits(part);
  leaves(part);
  groups(part);
  contradictions(part);
  outlasts(part);
}

/** The keys that wait, each with the seqs of its dead letters. */
function waiting(queue: Queue<string>): (string | number[])[][] {
  return queue.keys.blocked().map(({ key, deadLetters }) => {
    return [key, deadLetters.map(({ seq }) => seq)];
  });
}

/** A queue in which `a1` is a dead letter, and `a2`, `a3` and `b1` are behind it. */
async function blocked(queues: QueueStore): Promise<Queue<string>> {
  const queue = await textQueue(queues, { onDead: 'block', maxDeliveries: 1, backoffMs: 0 });
  for (const payload of ['a1', 'a2', 'b1', 'a3']) {
    await queue.enqueue(payload, { key: payload.slice(0, 1) });
  }
  await (await received(queue)).nack({ error: 'no' });
  return queue;
}

function waits({ check, expect }: QueueContractPart): void {
  check('a key waits for its dead letter, others do not', async ({ queues }) => {
    const queue = await blocked(queues);
    expect(await drained(queue)).toEqual(['b1']);
    expect(waiting(queue).map(([key]) => key)).toEqual(['a']);
    expect(queue.keys.blocked()[0]?.deadLetters.map((each) => each.queue)).toEqual(['q.dead']);
    await queue.enqueue('a4', { key: 'a' });
    expect(await queue.receive({ max: 5 })).toEqual([]);
  });

  check('redriven, it is the next of its key, and again when it fails again', async (subject) => {
    const { queues } = subject;
    const queue = await blocked(queues);
    for (let turn = 0; turn < 2; turn++) {
      expect(await queue.redrive()).toBe(1);
      expect(waiting(queue)).toEqual([]);
      const [first, ...rest] = await queue.receive({ max: 5 });
      expect([first?.payload, textsOf(rest)]).toEqual(turn === 0 ? ['b1', ['a1']] : ['a1', []]);
      await first?.ack();
      if (turn > 0) break;
      await rest[0]?.reject('again');
      expect(await queue.receive({ max: 5 })).toEqual([]);
    }
    expect(await drained(queue)).toEqual(['a2', 'a3']);
    expect(await browsed(await queue.deadLetters())).toEqual([]);
  });

  check('each of several is waited for in its place', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { onDead: 'block' });
    for (const [payload, ttlMs] of [
      ['a1', undefined],
      ['a2', 10],
      ['a3', undefined],
      ['a4', 10],
      ['a5', undefined],
    ] as const) {
      await queue.enqueue(payload, { key: 'a', ttlMs });
    }
    const a1 = await received(queue);
    await elapse(20);
    expect(await queue.receive()).toEqual([]);
    await a1.ack();
    expect(waiting(queue).map(([, seqs]) => seqs?.length)).toEqual([2]);
    expect(await queue.receive()).toEqual([]);
    const dead = await queue.deadLetters();
    // The later one comes back first, and still not before what it came behind.
    expect(await queue.redrive({ filter: ({ payload }) => payload === 'a4' })).toBe(1);
    expect(await queue.receive()).toEqual([]);
    await (await received(dead)).ack();
    expect(await drained(queue)).toEqual(['a3', 'a4', 'a5']);
  });
}

function leaves({ check, expect }: QueueContractPart): void {
  const ends: Readonly<Record<string, (dead: Queue<string>) => Promise<unknown>>> = {
    acknowledged: async (dead) => (await received(dead)).ack(),
    rejected: async (dead) => (await received(dead)).reject(),
    popped: (dead) => dead.pop(),
    cancelled: async (dead) => dead.cancel((await browsed(dead))[0]?.id ?? ''),
    purged: (dead) => dead.purge(),
  };
  for (const [name, end] of Object.entries(ends)) {
    check(`a key goes on when its dead letter is ${name}`, async ({ queues }) => {
      const queue = await blocked(queues);
      await end(await queue.deadLetters());
      expect(waiting(queue)).toEqual([]);
      expect(await drained(queue)).toEqual(['a2', 'b1', 'a3']);
    });
  }

  check('also when it is moved elsewhere, or acknowledged in a commit', async ({ queues }) => {
    const queue = await blocked(queues);
    await textQueue(queues, {}, 'other');
    expect(await queue.redrive({ to: 'other' })).toBe(1);
    const a2 = await received(queue);
    expect(a2.payload).toBe('a2');
    await a2.reject();
    expect(waiting(queue).map(([key]) => key)).toEqual(['a']);
    const letter = await received(await queue.deadLetters());
    await queues.commit([letter.acking()]);
    expect(await drained(queue)).toEqual(['b1', 'a3']);
  });

  check('and when its queue is deleted, or nobody is to wait any more', async ({ queues }) => {
    const queue = await blocked(queues);
    await queues.delete('q.dead');
    const a2 = await received(queue);
    expect(a2.payload).toBe('a2');
    await a2.reject();
    expect(await drained(queue)).toEqual(['b1']);
    await queue.configure({ onDead: 'unblock' });
    expect(await drained(queue)).toEqual(['a3']);
  });

  check('an operator lets it go on; the dead letter stays', async ({ queues }) => {
    const queue = await blocked(queues);
    expect(await queue.keys.unblock('b')).toBe(false);
    expect(await queue.keys.unblock('a')).toBe(true);
    expect(await queue.keys.unblock('a')).toBe(false);
    expect(await drained(queue)).toEqual(['a2', 'b1', 'a3']);
    const dead = await queue.deadLetters();
    expect(textsOf(await browsed(dead))).toEqual(['a1']);
    expect(await queue.redrive()).toBe(1);
    expect(await drained(queue)).toEqual(['a1']);
  });

  check('a purge leaves it waiting, a seek does not', async ({ queues }) => {
    const queue = await blocked(queues);
    await queue.purge();
    await queue.enqueue('a4', { key: 'a' });
    expect(await queue.receive()).toEqual([]);
    await queue.groups.seek(undefined, 'latest');
    expect(waiting(queue)).toEqual([]);
    await queue.enqueue('a5', { key: 'a' });
    expect(await drained(queue)).toEqual(['a5']);
  });
}

function groups({ check, expect }: QueueContractPart): void {
  check('of groups, each waits for its own', async ({ queues }) => {
    const queue = await textQueue(queues, { mode: 'fanout', onDead: 'block' });
    for (const name of ['x', 'y']) await queue.groups.create(name);
    for (const payload of ['a1', 'a2']) await queue.enqueue(payload, { key: 'a' });
    await (await received(queue, { group: 'x' })).reject();
    expect(await queue.receive({ group: 'x' })).toEqual([]);
    expect(await drained(queue, { group: 'y' })).toEqual(['a1', 'a2']);
    expect(queue.keys.blocked({ group: 'y' })).toEqual([]);
    expect(queue.keys.blocked({ group: 'x' }).map(({ key }) => key)).toEqual(['a']);
    expect(await queue.keys.unblock('a', { group: 'x' })).toBe(true);
    expect(await drained(queue, { group: 'x' })).toEqual(['a2']);
  });
}

function contradictions({ check, checks }: QueueContractPart): void {
  check('it contradicts a relaxed order, and having no dead letters', async ({ queues }) => {
    const mistake = (options: Parameters<typeof textQueue>[1]): Promise<void> =>
      checks.mistake(() => textQueue(queues, options), 'TypeError');
    await mistake({ onDead: 'block', ordering: 'relaxed' });
    await mistake({ onDead: 'block', deadLetter: false });
    await mistake({ onDead: 'wait' as 'block' });
    const queue = await textQueue(queues, { onDead: 'block' });
    await checks.mistake(() => queue.configure({ ordering: 'relaxed' }), 'TypeError');
    await checks.mistake(() => queue.configure({ deadLetter: false }), 'TypeError');
    await checks.mistake(() => queue.keys.unblock(1 as unknown as string), 'TypeError');
  });
}

function outlasts({ check, expect }: QueueContractPart): void {
  for (const how of ['reopen', 'kill'] as const) {
    check(`it outlasts a ${how}, and so does what has come back`, async (subject) => {
      const { [how]: next } = subject;
      if (next === undefined) return;
      let queue = await blocked(subject.queues);
      queue = await textQueue(await next());
      expect(await drained(queue)).toEqual(['b1']);
      expect(waiting(queue).map(([key]) => key)).toEqual(['a']);
      expect(await queue.redrive()).toBe(1);
      queue = await textQueue(await next());
      expect(await drained(queue)).toEqual(['a1', 'a2', 'a3']);
    });
  }

  check('what was let go of while its queue was closed is seen when it opens', async (subject) => {
    const { queues } = subject;
    let queue = await blocked(queues);
    const dead = await queue.deadLetters();
    await queue.close();
    await (await received(dead)).ack();
    queue = await textQueue(queues);
    expect(await drained(queue)).toEqual(['a2', 'b1', 'a3']);
  });
}
