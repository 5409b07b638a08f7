/** A store to make backups of, and what a backup of it has to be. */
import { expect } from 'vitest';
import type { RecoveryReport } from '../../src/channel/recovery-report.js';
import { Redex } from '../../src/store/redex.js';
import { payload } from './channel-kit.js';
import { fill, idsOfName, StoreLab } from './store-kit.js';

/** Where backups go in memory. */
export const COPY = '/copies/monday';
/** A name that only the config has. */
export const LONG: string = 'long/'.repeat(60);

/** A store with finished segments, small and empty channels; all of them are open. */
export async function sourceStore(store: StoreLab = new StoreLab()): Promise<Redex> {
  const redex = await store.open();
  const rolled = await store.lab.done(redex.channel('rolled', { segmentBytes: 4096 }));
  for (let id = 0; id < 9; id += 1) await store.lab.done(rolled.append(payload(id, 1500)));
  await store.lab.done(redex.channel('small', { firstSeq: 7 }).then((each) => fill(each, 1, 2)));
  await store.lab.done(redex.channel(LONG, { sync: 'never' }).then((each) => fill(each, 3)));
  await store.lab.done(redex.channel('empty'));
  return redex;
}

/** What is in the channels of `sourceStore`. */
export const IDS: Readonly<Record<string, readonly number[]>> = {
  rolled: [0, 1, 2, 3, 4, 5, 6, 7, 8],
  small: [1, 2],
  [LONG]: [3],
  empty: [],
};

/** Channels that a scan was needed for, in any copy that `openCopy` has opened. */
export const scanned: string[] = [];

/** Opens a copy; no channel of it may need a scan, which is for the test to check at its end. */
export async function openCopy(lab: StoreLab['lab'], directory: string = COPY): Promise<Redex> {
  const { watch: fs, runtime } = lab;
  const onRecovery = ({ channel }: RecoveryReport): void => void scanned.push(channel);
  return lab.done(Redex.open(directory, { fs, runtime, createIfMissing: false, onRecovery }));
}

export async function expectCopy(lab: StoreLab['lab'], directory: string = COPY): Promise<void> {
  const copy = await openCopy(lab, directory);
  for (const [name, ids] of Object.entries(IDS)) {
    expect(await lab.done(idsOfName(copy, name)), name.slice(0, 9)).toEqual(ids);
  }
  await lab.done(copy.close());
}
