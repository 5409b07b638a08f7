/**
 * Goal: after any crash a fold is what the log holds, and never ahead of it; and a log that ends
 * below what a checkpoint says was synced is damage.
 * Method: the state is the list of all payloads seen. Histories on a CrashFs, and images of a power
 * cut and of a kill before every operation; each image is opened, its fold compared with its log
 * before and after it has caught up, closed, and compared once more.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { Fold } from '../../src/channel/fold.js';
import type { SyncPolicy } from '../../src/channel/options.js';
import { choicesFromSeed, Random, worst, type Choose } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import { processKill, strict, type Profile } from '../../src/testing/crash-profiles.js';
import { framesOf, Lab, outcomeOf, payload, rejection } from '../support/channel-kit.js';
import {
  checkpointNames,
  checkpointPath,
  expectTrue,
  initial,
  ofOtherChannel,
  openFold,
  payloads,
  readCheckpointFile,
  replaceFile,
  type Seen,
} from '../support/fold-kit.js';

interface Shot {
  readonly image: CrashFs;
  readonly where: string;
  /** A checkpoint of at least this seq was acknowledged. */
  readonly saved: number;
}

/** Images before every operation of a lab. */
class Camera {
  readonly shots: Shot[] = [];
  saved = 0;
  #seed: number;

  constructor(lab: Lab, draws: number, seed: number) {
    this.#seed = seed * 7919;
    lab.disk.onOperation = ({ index, operation, path }) => {
      if (operation.startsWith('read') || operation === 'statSync') return;
      const add = (profile: Profile, choose: Choose): void => {
        const where = `${profile.name}, seed ${this.#seed}, ${index} ${operation} ${path}`;
        this.shots.push({ image: lab.disk.crash(choose, { profile }), where, saved: this.saved });
      };
      add(strict, worst);
      for (let i = 0; i < draws; i++) {
        this.#seed += 1;
        add(strict, choicesFromSeed(this.#seed));
      }
      add(processKill, choicesFromSeed(this.#seed));
    };
  }

  /** Opens every image; returns how many of them had a checkpoint that was used. */
  async develop(): Promise<{ fromCheckpoint: number; problems: string[] }> {
    let fromCheckpoint = 0;
    const problems: string[] = [];
    for (const { image, where, saved } of this.shots) {
      const lab = new Lab({}, (given) => image.crash(() => 0, given));
      try {
        const channel = await lab.open();
        expect((await channel.stats()).damage).toBe(undefined);
        const fold = await openFold(lab, channel);
        const { checkpointSeq = 0 } = fold;
        if (checkpointSeq > 0) fromCheckpoint += 1;
        expect(checkpointSeq).toBeGreaterThanOrEqual(saved);
        await expectTrue(lab, channel, fold);
        await lab.done(channel.append(payload(999)));
        await lab.done(channel.close());
        const after = new Lab({}, (given) => lab.disk.crash(worst, given));
        const reopened = await after.open();
        const again = await openFold(after, reopened);
        expect(again.checkpointSeq).toBe(reopened.nextSeq);
        await expectTrue(after, reopened, again);
      } catch (error) {
        problems.push(`${where}: ${String(error)}`);
      }
    }
    return { fromCheckpoint, problems };
  }
}

describe('a crash at every operation', () => {
  const policies: SyncPolicy[] = ['always', 'never', { everyN: 3 }];

  test.each(policies)('checkpoints between appends, sync %j', async (sync) => {
    const lab = new Lab();
    const channel = await lab.open({ sync, segmentBytes: 4096 });
    const camera = new Camera(lab, 2, 1);
    const fold = await openFold(lab, channel, { checkpointEvery: 4 });
    for (let i = 0; i < 14; i++) {
      await lab.done(channel.appendBatch(payloads(10 * i, 1 + (i % 3))));
      if (i % 4 === 3) {
        await lab.done(fold.caughtUp());
        await lab.done(fold.checkpoint());
        camera.saved = fold.checkpointSeq ?? 0;
      }
    }
    await lab.drain();
    expect(checkpointNames(lab).length).toBe(2);
    await lab.done(channel.close());
    lab.disk.onOperation = undefined;
    const { fromCheckpoint, problems } = await camera.develop();
    expect(problems.slice(0, 3)).toEqual([]);
    expect(camera.shots.length).toBeGreaterThan(200);
    expect(fromCheckpoint).toBeGreaterThan(100);
  });
});

describe('what a checkpoint says was synced', () => {
  /** Six records of which all were synced; the log is cut behind the second by somebody else. */
  async function shortened(withCheckpoint: boolean): Promise<Lab> {
    const lab = new Lab();
    const channel = await lab.open();
    const fold = await openFold(lab, channel);
    for (let i = 1; i <= 6; i++) await lab.done(channel.append(payload(i)));
    await lab.done(fold.caughtUp());
    if (withCheckpoint) await lab.done(fold.checkpoint());
    const [first, second] = framesOf(lab);
    const next = lab.kill();
    const path = next.datPaths[0] ?? '';
    const file = next.disk.openSync(path, 'write');
    file.truncateSync(64 + (first?.byteLength ?? 0) + (second?.byteLength ?? 0));
    file.datasyncSync();
    file.closeSync();
    return next;
  }

  test('a log that ends below it is damage, and nothing is cut', async () => {
    const lab = await shortened(true);
    const channel = await lab.open();
    const { damage } = await channel.stats();
    expect(damage).toMatchObject({ check: 'missing', seqRange: { firstSeq: 2, nextSeq: 6 } });
    await rejection(channel.append('x'), 'CORRUPT');
    expect((await channel.readBatch({ to: 2 })).length).toBe(2);
    // The state is the only thing that is left of them.
    const fold = await openFold(lab, channel);
    expect(fold.value.length).toBe(6);
    await rejection(fold.checkpoint(), 'CORRUPT');
    await lab.done(channel.close());
  });

  test('without a checkpoint nobody knows', async () => {
    const lab = await shortened(false);
    const channel = await lab.open();
    expect((await channel.stats()).damage).toBe(undefined);
    expect(channel.nextSeq).toBe(2);
  });

  test('one of another channel, a damaged or a newer one says nothing', async () => {
    const flip = (at: number) => (bytes: Uint8Array) =>
      bytes.map((byte, i) => (i === at ? byte + 1 : byte));
    for (const change of [ofOtherChannel, flip(30), flip(4)]) {
      const lab = await shortened(true);
      const [name = ''] = checkpointNames(lab);
      const bytes = change(readCheckpointFile(lab, name));
      replaceFile(lab, checkpointPath(lab, name), bytes);
      expect((await (await lab.open()).stats()).damage).toBe(undefined);
    }
  });

  test('a damaged state is as good a witness', async () => {
    const lab = await shortened(true);
    const [name = ''] = checkpointNames(lab);
    const bytes = readCheckpointFile(lab, name);
    bytes[bytes.length - 1] = 0;
    replaceFile(lab, checkpointPath(lab, name), bytes);
    expect((await (await lab.open()).stats()).damage).toMatchObject({ check: 'missing' });
  });

  test('a log that was put back to an older clean mark is damage', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    await lab.done(channel.appendBatch(payloads(1, 3)));
    await lab.done(channel.close());
    const length = lab.disk.statSync(lab.datPaths[0] ?? '')?.size ?? 0;
    const reopened = await lab.open();
    const fold = await openFold(lab, reopened);
    await lab.done(reopened.appendBatch(payloads(4, 3)));
    await lab.done(fold.caughtUp());
    await lab.done(fold.checkpoint());
    const next = lab.kill();
    const file = next.disk.openSync(next.datPaths[0] ?? '', 'write');
    file.truncateSync(length);
    file.closeSync();
    const { damage } = await (await next.open()).stats();
    expect(damage).toMatchObject({ check: 'missing', seqRange: { firstSeq: 3, nextSeq: 6 } });
  });

  test('is never more than what was synced, though the state has seen more', async () => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await lab.open({ sync: 'never' });
    const fold = await openFold(lab, channel);
    await lab.done(channel.appendBatch(payloads(1, 5)));
    await lab.done(fold.caughtUp());
    expect([fold.seq, channel.durableSeq]).toEqual([5, 0]);
    const saving = outcomeOf(fold.checkpoint());
    while (saving.state === 'pending') {
      await lab.runtime.settle();
      if (checkpointNames(lab).length > 0) expect(channel.durableSeq).toBe(5);
      lab.runtime.runIo();
    }
    expect([saving.state, channel.durableSeq]).toEqual(['resolved', 5]);
  });

  test('is not written when that sync fails', async () => {
    const lab = new Lab();
    const channel = await lab.open({ sync: 'never' });
    const fold = await openFold(lab, channel);
    await lab.done(channel.append(payload(1)));
    await lab.done(fold.caughtUp());
    lab.fail('datasync', /\.dat$/, 'EIO');
    await rejection(fold.checkpoint(), 'POISONED');
    await rejection(channel.append('x'), 'POISONED');
    await rejection(fold.caughtUp(), 'POISONED');
    expect(checkpointNames(lab)).toEqual([]);
    await rejection(channel.close(), 'POISONED');
  });
});

test('what was being written when the channel is poisoned becomes no checkpoint', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  const fold = await openFold(lab, channel);
  await lab.done(channel.append(payload(1)));
  await lab.done(fold.caughtUp());
  const saving = outcomeOf(fold.checkpoint());
  while (!checkpointNames(lab).includes('seen@0000000001+new')) {
    await lab.runtime.settle();
    if (!lab.runtime.runIo()) throw new Error('no checkpoint is begun');
    await lab.runtime.settle();
  }
  lab.fail('anySync', /\.dat$/, 'EIO');
  expect(() => channel.appendSync('x')).toThrow('failed');
  await lab.drain();
  expect(saving).toMatchObject({ state: 'rejected', error: { code: 'POISONED' } });
  expect(checkpointNames(lab)).toEqual([]);
});

test('a fold after a cut of a torn tail goes on with what is there', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: 'never' });
  const fold = await openFold(lab, channel);
  await lab.done(channel.appendBatch(payloads(1, 3)));
  await lab.done(fold.caughtUp());
  await lab.done(fold.checkpoint());
  await lab.done(channel.appendBatch(payloads(10, 4)));
  await lab.done(fold.caughtUp());
  expect(fold.value.length).toBe(7);
  const next = lab.cut(worst);
  const reopened = await next.open();
  const again = await openFold(next, reopened);
  expect([again.checkpointSeq, reopened.nextSeq]).toEqual([3, 3]);
  await next.done(reopened.append(payload(20)));
  await expectTrue(next, reopened, again);
  expect(again.value.at(-1)).toBe('3:20');
});

/** A random life of a channel with a fold, ended by a kill, a power cut or a close. */
class RandomRun {
  readonly #random: Random;
  #lab: Lab;
  #id = 0;
  kills = 0;
  restored = 0;
  failures = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#lab = new Lab({ seed, io: 'random' });
  }

  async life(): Promise<void> {
    const random = this.#random;
    const sync = (['always', 'never', { everyN: 4 }] as const)[random.below(3)] ?? 'always';
    const first = await this.#lab.open();
    await this.#lab.done(first.configure({ sync }));
    let fold = await this.#fold(first);
    for (let i = 0; i < 30; i++) fold = await this.#step(first, fold);
    await this.#end(first, fold);
  }

  async #fold(channel: Channel): Promise<Fold<Seen>> {
    const fold = await openFold(this.#lab, channel, {
      checkpointEvery: 1 + this.#random.below(8),
      initial,
    });
    if (fold.checkpointSeq !== undefined) this.restored += 1;
    await expectTrue(this.#lab, channel, fold);
    return fold;
  }

  async #step(channel: Channel, fold: Fold<Seen>): Promise<Fold<Seen>> {
    const random = this.#random;
    const what = random.below(16);
    if (what < 7) {
      const count = 1 + random.below(4);
      const durability = random.below(2) === 0 ? ('written' as const) : ('synced' as const);
      outcomeOf(channel.appendBatch(payloads(this.#id, count), { durability }));
      this.#id += count;
    } else if (what === 7) outcomeOf(fold.checkpoint());
    else if (what === 8) outcomeOf(channel.sync());
    else if (what === 9) {
      const operation = (['anyWrite', 'datasync', 'renameSync', 'syncDirectory'] as const)[
        random.below(4)
      ];
      const error = random.below(2) === 0 ? 'EIO' : 'ENOSPC';
      this.#lab.fail(operation ?? 'anyWrite', /checkpoints/, error);
      this.failures += 1;
    } else if (what === 10) {
      await this.#lab.done(fold.close());
      return this.#fold(channel);
    } else if (what === 11) await expectTrue(this.#lab, channel, fold);
    else if (what < 14) this.#lab.runtime.runIo();
    else await this.#lab.runtime.settle();
    return fold;
  }

  async #end(channel: Channel, fold: Fold<Seen>): Promise<void> {
    const how = this.#random.below(4);
    const choose = choicesFromSeed(this.#random.uint32());
    this.kills += 1;
    if (how === 0) this.#lab = this.#lab.kill({}, choose);
    else if (how < 3) this.#lab = this.#lab.cut(choose);
    else {
      await this.#lab.drain();
      await expectTrue(this.#lab, channel, fold);
      await this.#lab.done(channel.close());
      this.#lab = this.#lab.cut(worst);
    }
  }
}

test('random lives, whatever fails', { timeout: 120_000 }, async () => {
  let restored = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const run = new RandomRun(seed);
    try {
      for (let life = 0; life < 6; life++) await run.life();
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
    restored += run.restored;
  }
  expect(restored).toBeGreaterThan(100);
});
