/**
 * Goal: a full disk while a commit makes channels refuses that commit, and nothing else: none of it
 * is there, and the store goes on (RULES J7, J8).
 * Method: each operation in turn that makes a name fails, and then the same commit is tried again.
 */
import { expect, test } from 'vitest';
import type { CommitOperation } from '../../src/store/commit-input.js';
import type { Redex } from '../../src/store/redex.js';
import { outcomeOf, payload, requireCode, type Outcome } from '../support/channel-kit.js';
import { fill, idsOfName, StoreLab } from '../support/store-kit.js';

const made = (name: string, sync: 'always' | 'never'): CommitOperation => ({
  channel: name,
  create: { sync },
  records: [payload(7), payload(8)],
});
const COMMIT: readonly CommitOperation[] = [
  made('n', 'always'),
  { channel: 'a', records: [payload(5)] },
  made('m', 'never'),
];

interface Attempt {
  readonly redex: Redex;
  readonly commit: Outcome<unknown>;
  /** There was such an operation to fail. */
  readonly isFaulty: boolean;
}

/** The commit in a store with one channel, with one fault in it. */
async function attempt(operation: 'createSync' | 'mkdirSync', nth: number): Promise<Attempt> {
  const store = new StoreLab();
  const { lab } = store;
  const redex = await store.open({ sync: 'always' });
  await fill(await redex.channel('a'), 0);
  const fault = lab.faults.inject({ operation, nth, effect: { error: 'ENOSPC' } });
  const commit = outcomeOf(redex.commit(COMMIT));
  await lab.drain();
  return { redex, commit, isFaulty: fault.fired > 0 };
}

test.each(['createSync', 'mkdirSync'] as const)('at each %s', async (operation) => {
  for (let nth = 1, refused = 0; ; nth++) {
    const { redex, commit, isFaulty } = await attempt(operation, nth);
    // Without a file for idx or ts there are none, and nothing else is missing.
    if (commit.state !== 'resolved') {
      refused++;
      const error = requireCode(commit.error, 'IO');
      expect(error).toMatchObject({ systemCode: 'ENOSPC', outcome: 'absent' });
      expect([await redex.hasChannel('n'), await redex.hasChannel('m')]).toEqual([false, false]);
      expect(await idsOfName(redex, 'a')).toEqual([0]);
      await redex.commit(COMMIT);
    }
    expect(await idsOfName(redex, 'a')).toEqual([0, 5]);
    for (const name of ['n', 'm']) expect(await idsOfName(redex, name)).toEqual([7, 8]);
    await redex.close();
    if (isFaulty) continue;
    expect(refused).toBeGreaterThan(1);
    return;
  }
});
