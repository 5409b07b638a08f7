/**
 * Goal: while channels come, go and change their names, a list has each of them that stays exactly
 * once and whole, and ends when the store is closed.
 * Method: random creations, deletions and renamings between the steps of a list and beside them,
 * with input and output that completes in random order.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ChannelInfo } from '../../src/store/channel-list.js';
import type { Redex } from '../../src/store/redex.js';
import { outcomeOf, rejection } from '../support/channel-kit.js';
import { channelPath, fill, inOrder, listed, StoreLab } from '../support/store-kit.js';

describe('while the list goes on', () => {
  const KEPT = ['b', 'd', 'f', 'h', `${'deep/'.repeat(60)}x`];
  const OTHERS = ['a', 'c', 'e', 'g', 'i', `${'deep/'.repeat(60)}y`];
  const action = fc.record({
    kind: fc.constantFrom('create', 'delete', 'rename', 'open', 'close', 'none'),
    name: fc.constantFrom(...OTHERS),
    to: fc.constantFrom(...OTHERS),
    /** It goes on beside the next step. */
    isHeld: fc.boolean(),
  });

  async function act(
    { kind, name, to }: { kind: string; name: string; to: string },
    redex: Redex,
  ): Promise<unknown> {
    if (kind === 'create') return fill(await redex.channel(name), 1, 2);
    if (kind === 'delete') return redex.deleteChannel(name);
    if (kind === 'rename') return redex.renameChannel(name, to);
    if (kind === 'open') return redex.channel(KEPT[to.length % KEPT.length] ?? 'b');
    if (kind === 'close') return (await redex.channel('d')).close();
    return undefined;
  }

  test('each that stays is there exactly once, and none is half', async () => {
    const program = fc.record({
      seed: fc.nat(1_000_000),
      before: fc.array(action, { maxLength: 6 }),
      during: fc.array(fc.array(action, { maxLength: 3 }), { maxLength: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(program, async ({ seed, before, during }) => {
        const store = new StoreLab({ seed, io: 'random' });
        const { lab } = store;
        const redex = await store.open({ sync: 'never' });
        for (const name of KEPT) {
          await lab.done(redex.channel(name).then((channel) => fill(channel, 1, 2, 3)));
        }
        for (const each of before) await lab.done(act(each, redex).catch(() => undefined));
        const list = redex.channels();
        const found: ChannelInfo[] = [];
        for (let step = 0; ; step += 1) {
          for (const each of during[step] ?? []) {
            const acted = act(each, redex).catch(() => undefined);
            if (!each.isHeld) await lab.done(acted);
          }
          const next = await lab.done(list.next());
          if (next.done === true) break;
          found.push(next.value);
        }
        await lab.drain();
        const names = found.map(({ name }) => name);
        expect(names).toEqual(inOrder([...new Set(names)]));
        expect(names.filter((name) => KEPT.includes(name))).toEqual(inOrder(KEPT));
        for (const { name, error, count, nextSeq, sizeBytes, firstSeq } of found) {
          expect(error).toBeUndefined();
          if (KEPT.includes(name)) expect(count).toBe(3);
          else expect((count ?? 1) % 2, `batches of two in ${name}`).toBe(0);
          expect([nextSeq, firstSeq, (sizeBytes ?? 0) > 64]).toEqual([count, 0, count !== 0]);
        }
        await lab.done(redex.close());
        expect(lab.faults.openPaths).toEqual([]);
        expect(store.violations).toEqual([]);
      }),
      { numRuns: 150, seed: 7 },
    );
  });

  test('one that is on its way to another name is there, under the new one', async () => {
    const store = new StoreLab({ io: 'oldest' });
    const { lab } = store;
    const redex = await store.open();
    await lab.done(redex.channel('a').then((channel) => fill(channel, 1)));
    const renamed = outcomeOf(redex.renameChannel('a', 'b'));
    while (lab.disk.statSync(channelPath('a')) !== undefined) {
      await lab.runtime.settle();
      if (lab.disk.statSync(channelPath('a')) !== undefined) lab.runtime.runIo();
    }
    expect([renamed.state, (await redex.stats()).channels]).toEqual(['pending', 1]);
    const found = await lab.done(listed(redex));
    expect(found).toMatchObject([{ name: 'b', count: 1 }]);
    expect(renamed.state).toBe('resolved');
    await lab.done(redex.close());
  });

  test('a store that is closed ends it with CLOSED', async () => {
    const redex = await new StoreLab().open();
    for (const name of ['a', 'b', 'c']) await redex.channel(name);
    const list = redex.channels();
    expect((await list.next()).value).toMatchObject({ name: 'a' });
    await redex.close();
    await rejection(list.next(), 'CLOSED');
    expect(await list.next()).toEqual({ done: true, value: undefined });
    expect(() => redex.channels()).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  });
});
