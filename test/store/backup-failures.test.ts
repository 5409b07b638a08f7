/**
 * Goal: until it is whole and durable a backup is no store, whatever fails and whenever the power
 * goes; its source is unharmed. Beside any work it holds of each channel a prefix that includes
 * everything synced before the call.
 * Method: a fault and a power cut at every operation of a backup, and random programs beside one.
 */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { RecoveryReport } from '../../src/channel/recovery-report.js';
import { Redex } from '../../src/store/redex.js';
import { benign, choicesFromSeed, worst } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import {
  COPY,
  expectCopy,
  IDS,
  LONG,
  openCopy,
  scanned,
  sourceStore,
} from '../support/backup-kit.js';
import { outcomeOf, payload, rejection } from '../support/channel-kit.js';
import { DATA, fill, idsIn, idsOfName, StoreLab } from '../support/store-kit.js';

afterEach(() => {
  expect(scanned.splice(0), 'channels of copies that were scanned').toEqual([]);
});

describe('a failure', () => {
  test.each(['ENOSPC', 'EIO'])('with %s at any operation leaves no store', async (code) => {
    const rest = async (store: StoreLab, redex: Redex): Promise<void> => {
      for (const [name, ids] of Object.entries(IDS)) {
        const channel = await redex.channel(name);
        expect(await idsIn(channel)).toEqual(ids);
        await fill(channel, 99);
      }
      await redex.close();
      // One that could not be closed may be left.
      const left = store.lab.faults.openPaths;
      expect([left.length <= 1, left.filter((path) => path.startsWith(DATA))]).toEqual([true, []]);
      expect(store.violations.filter((what) => what.includes(`of ${DATA}`))).toEqual([]);
    };
    let failed = 0;
    for (let nth = 1; ; nth += 1) {
      const store = new StoreLab();
      const redex = await sourceStore(store);
      await redex.sync();
      const isCopy = (path: string): boolean => path.startsWith('/copies');
      const fault = store.lab.faults.inject({
        operation: 'any',
        path: isCopy,
        nth,
        effect: { error: code },
      });
      const error = await redex.backup(COPY).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      fault.remove();
      if (fault.fired === 0) break;
      const isStore = store.lab.disk.statSync(`${COPY}/redex.json`) !== undefined;
      if (error === undefined) expect(isStore).toBe(true);
      else expect(error).toMatchObject({ code: 'IO', systemCode: code, outcome: 'absent' });
      if (error !== undefined) failed += 1;
      if (isStore) await expectCopy(store.lab);
      await rest(store, redex);
    }
    expect(failed).toBeGreaterThan(60);
  });

  test('of the source is told: IO for what cannot be read', async () => {
    const store = new StoreLab();
    const redex = await sourceStore(store);
    await (await redex.channel('rolled')).close();
    store.lab.fail('openSync', /rolled\/manifest$/, 'EACCES');
    expect((await rejection(redex.backup('/one'), 'IO')).systemCode).toBe('EACCES');
    expect(store.lab.disk.statSync('/one/redex.json')).toBeUndefined();
    await redex.close();
  });

  // A direct channel syncs its dat with the append, one with a journal when the backup asks for it.
  test.each([
    ['a dat, before the backup', LONG, /^\/data.*\.dat$/, 'POISONED'],
    ['the journal, before the backup', 'small', /\.journal$/, 'POISONED'],
    ['a dat, for the backup', 'small', /^\/data.*small.*\.dat$/, undefined],
  ])('of a sync of %s is POISONED', async (_what, name, path, code) => {
    const store = new StoreLab();
    const redex = await sourceStore(store);
    const channel = await redex.channel(name);
    const fault = store.lab.fail('datasync', path, 'EIO');
    const append = outcomeOf(channel.append(payload(4), { durability: 'synced' }));
    await store.lab.drain();
    expect(append.error).toEqual(
      code === undefined ? undefined : expect.objectContaining({ code }),
    );
    await rejection(redex.backup('/two'), 'POISONED');
    expect(fault.fired).toBe(1);
    expect(store.lab.disk.statSync('/two/redex.json')).toBeUndefined();
    await rejection(channel.append(payload(5)), 'POISONED');
    await rejection(redex.close(), 'POISONED');
    // What was acknowledged is there, however it was synced.
    const next = await store.kill().open();
    const ids = IDS[name] ?? [];
    expect((await idsOfName(next, name)).slice(0, ids.length)).toEqual(ids);
    if (code === undefined) expect(await idsOfName(next, name)).toEqual([...ids, 4]);
    await next.close();
  });

  test('of a sync while records are copied that it concerns ends the backup', async () => {
    const store = new StoreLab({ io: 'oldest' });
    const { lab } = store;
    const redex = await store.open({ sync: 'never' });
    const channel = await lab.done(redex.channel('a'));
    await lab.done(fill(channel, 1));
    const backup = outcomeOf(redex.backup(COPY));
    // This one is in the copy, and the first sync does not cover it.
    await lab.runtime.settle();
    channel.appendSync(payload(2));
    lab.fail('anySync', /^\/data.*\.dat$/, 'EIO');
    await lab.drain();
    expect(backup.error).toHaveProperty('code', 'POISONED');
    expect(lab.disk.statSync(`${COPY}/redex.json`)).toBeUndefined();
  });

  test('of a store that is closed, looked at or poisoned is refused at once', async () => {
    const store = new StoreLab();
    const redex = await sourceStore(store);
    const looking = await store.open({ readOnly: true });
    await rejection(looking.backup(COPY), 'READ_ONLY');
    await looking.close();
    await rejection(looking.backup(COPY), 'CLOSED');
    store.lab.fail('datasync', /\.journal$/, 'EIO');
    await rejection(redex.channel('new'), 'POISONED');
    await rejection(redex.backup(COPY), 'POISONED');
    await rejection(redex.close(), 'POISONED');
    await rejection(redex.backup(COPY), 'CLOSED');
    expect(store.lab.disk.statSync('/copies')).toBeUndefined();
  });

  test('by a close in the middle is CLOSED, and touches no channel afterwards', async () => {
    const store = new StoreLab({ io: 'oldest' });
    const { lab } = store;
    await sourceStore(store);
    const killed = store.kill();
    const redex = await killed.open();
    const backup = outcomeOf(redex.backup(COPY));
    await killed.lab.runtime.settle();
    const closed = outcomeOf(redex.close());
    while (closed.state === 'pending') {
      await killed.lab.runtime.settle();
      killed.lab.runtime.runIo();
    }
    const { tree } = killed;
    await killed.lab.drain();
    expect([closed.state, backup.state]).toEqual(['resolved', 'rejected']);
    expect(backup.error).toHaveProperty('code', 'CLOSED');
    expect(killed.tree).toEqual(tree);
    expect(killed.lab.faults.openPaths).toEqual([]);
    expect(lab.disk.statSync(`${COPY}/redex.json`)).toBeUndefined();
  });
});

describe('a power cut', () => {
  test('at any operation leaves no store, or all of it', { timeout: 60_000 }, async () => {
    const store = new StoreLab();
    const redex = await sourceStore(store);
    await redex.sync();
    const { disk } = store.lab;
    const images: { readonly fs: CrashFs; readonly before: string }[] = [];
    disk.onOperation = ({ operation, path }) => {
      for (const choose of [worst, benign, choicesFromSeed(images.length)]) {
        images.push({ fs: disk.crash(choose), before: `${operation} ${path}` });
      }
    };
    await redex.backup(COPY);
    disk.onOperation = undefined;
    images.push({ fs: disk.crash(worst), before: 'the end' });
    let stores = 0;
    for (const { fs, before } of images) {
      const isStore = fs.statSync(`${COPY}/redex.json`) !== undefined;
      if (isStore) stores += 1;
      expect(isStore || before !== 'the end').toBe(true);
      const { runtime } = new StoreLab().lab;
      const onRecovery = ({ directory }: RecoveryReport): void => {
        expect(directory.startsWith(COPY), `a scan of ${directory}`).toBe(false);
      };
      for (const at of isStore ? [COPY, DATA] : [DATA]) {
        const opened = await Redex.open(at, { fs, runtime, onRecovery });
        for (const [name, ids] of Object.entries(IDS)) {
          expect(await idsOfName(opened, name), `${at} before ${before}`).toEqual(ids);
        }
        await opened.close();
      }
    }
    expect(images.length).toBeGreaterThan(300);
    expect([stores > 0, stores < 10]).toEqual([true, true]);
  });
});

const NAMES = ['a', 'b', 'c', 'd', `${'deep/'.repeat(60)}e`];
const POLICIES = ['always', 'never', { everyN: 3 }] as const;
const step = fc.record({
  kind: fc.constantFrom('append', 'append', 'large', 'sync', 'create', 'delete', 'rename', 'io'),
  name: fc.constantFrom(...NAMES),
  to: fc.constantFrom(...NAMES, 'new/1', 'new/2'),
  count: fc.integer({ min: 1, max: 4 }),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** One store, and what it was asked for. Payload ids rise in each channel. */
class Driven {
  readonly store: StoreLab;
  readonly redex: Redex;
  /** Of channels that were never deleted or renamed. */
  readonly touched: Set<string> = new Set();
  #id = 0;

  constructor(store: StoreLab, redex: Redex) {
    this.store = store;
    this.redex = redex;
  }

  async run({ kind, name, to, count }: Step): Promise<void> {
    const { redex } = this;
    if (kind === 'delete') {
      this.touched.add(name);
      await redex.deleteChannel(name);
    } else if (kind === 'rename') {
      this.touched.add(name).add(to);
      await redex.renameChannel(name, to);
    } else if (kind === 'create') {
      await redex.channel(to, { segmentBytes: 4096 });
    } else {
      const channel = await redex.channel(name, { createIfMissing: false });
      if (kind === 'sync') await channel.sync();
      else await this.#append(channel, kind === 'large' ? 600_000 : 900, count);
    }
  }

  async #append(channel: Channel, bytes: number, count: number): Promise<void> {
    const appends: Promise<unknown>[] = [];
    for (let i = 0; i < count; i += 1) appends.push(channel.append(payload(this.#id++, bytes)));
    await Promise.all(appends);
  }
}

const program = fc.record({
  seed: fc.nat(1_000_000),
  before: fc.array(step, { maxLength: 12 }),
  during: fc.array(step, { minLength: 4, maxLength: 40 }),
});

async function storeFor(seed: number): Promise<Driven> {
  const store = new StoreLab({ seed, io: 'random' });
  const redex = await store.open({ segmentBytes: 4096, maxSyncDelayMs: 0 });
  for (const [i, name] of NAMES.entries()) {
    const sync = POLICIES[i % POLICIES.length] ?? 'always';
    await store.lab.done(redex.channel(name, { sync }));
  }
  return new Driven(store, redex);
}

/** Runs the steps without waiting for them, letting some input and output complete. */
async function runBeside(driven: Driven, steps: readonly Step[]): Promise<void> {
  const { runtime } = driven.store.lab;
  for (const each of steps) {
    if (each.kind === 'io') for (let i = 0; i < each.count; i += 1) runtime.runIo();
    else driven.run(each).catch(() => undefined);
    await runtime.settle();
    runtime.runIo();
  }
}

describe('beside a program', () => {
  test('has a prefix of each channel, with all that was synced', { timeout: 120_000 }, async () => {
    const reached = { copied: 0, behind: 0 };
    await fc.assert(
      fc.asyncProperty(program, async ({ seed, before, during }) => {
        const driven = await storeFor(seed);
        const { store, redex, touched } = driven;
        const { lab } = store;
        await runBeside(driven, before);
        await lab.drain();
        const synced = new Map<string, number>();
        for (const name of NAMES) {
          if (!(await lab.done(redex.hasChannel(name)))) continue;
          synced.set(name, (await lab.done(redex.channel(name))).durableSeq);
        }
        touched.clear();
        const backup = outcomeOf(redex.backup(COPY));
        await runBeside(driven, during);
        await lab.drain();
        expect(backup.error).toBeUndefined();
        expect(backup.value?.damaged).toEqual([]);

        // Whatever a power cut leaves of the source has all that the copy has.
        const cut = new StoreLab(lab.cut(worst));
        const copy = await openCopy(cut.lab);
        const source = await cut.open();
        for (const [name, durable] of synced) {
          if (touched.has(name)) continue;
          const [ids, all] = [await cut.lab.done(idsOfName(copy, name)), source];
          const there = await cut.lab.done(idsOfName(all, name));
          expect(ids.length, name).toBeGreaterThanOrEqual(durable);
          expect(ids, name).toEqual(there.slice(0, ids.length));
          reached.copied += 1;
          if (ids.length < there.length) reached.behind += 1;
        }
        expect(scanned.splice(0)).toEqual([]);
        await cut.lab.done(source.close());
        await cut.lab.done(copy.close());
        // The source goes on.
        for (const name of NAMES) {
          await lab.done(redex.channel(name).then((channel) => fill(channel, 1_000_000)));
        }
        await lab.done(redex.close());
        expect(store.violations).toEqual([]);
        expect(lab.faults.openPaths).toEqual([]);
      }),
      { numRuns: 120, seed: 11 },
    );
    expect(reached.copied).toBeGreaterThan(100);
    expect(reached.behind).toBeGreaterThan(10);
  });

  test('of renamings misses no channel', { timeout: 60_000 }, async () => {
    const renames = fc.array(fc.tuple(fc.nat(4), fc.nat(3)), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(fc.nat(1_000_000), renames, async (seed, moves) => {
        const { store, redex } = await storeFor(seed);
        const { lab } = store;
        const names = [...NAMES];
        for (const [i, name] of names.entries()) {
          await lab.done(redex.channel(name).then((channel) => fill(channel, i)));
        }
        const backup = outcomeOf(redex.backup(COPY));
        for (const [moved, [index, turns]] of moves.entries()) {
          const from = names[index] ?? '';
          names[index] = `moved/${moved}`;
          redex.renameChannel(from, `moved/${moved}`).catch(() => undefined);
          for (let turn = 0; turn < turns; turn += 1) {
            lab.runtime.runIo();
            await lab.runtime.settle();
          }
        }
        await lab.drain();
        expect(backup.value?.channels).toBe(NAMES.length);
        const copy = await openCopy(lab);
        const found: unknown[] = [];
        for await (const { name } of copy.channels()) {
          found.push(...(await lab.done(idsOfName(copy, name))));
        }
        expect(new Set(found)).toEqual(new Set([0, 1, 2, 3, 4]));
        expect(found).toHaveLength(5);
        await lab.done(copy.close());
        await lab.done(redex.close());
      }),
      { numRuns: 80, seed: 13 },
    );
  });
});
