/**
 * Goal: whatever crashes when, retention has let go of nothing that the fold it waits for cannot do
 * without.
 * Method: the state of the fold is the list of all payloads since seq 0, and it may not begin
 * half-way. Images of a power cut and of a kill before every operation; each is opened, so that
 * retention runs there without the fold, goes on, crashes once more, and only then has the fold
 * opened: it has to have every record that was ever there.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { SyncPolicy } from '../../src/channel/options.js';
import { choicesFromSeed, Random, worst, type Choose } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import { processKill, strict, type Profile } from '../../src/testing/crash-profiles.js';
import { Lab } from '../support/channel-kit.js';
import { openFold } from '../support/fold-kit.js';
import { grow, range, SEGMENT_MS } from '../support/trim-kit.js';

const RETENTION = { maxRecords: 1, waitFor: ['seen'] };

interface Shot {
  readonly image: CrashFs;
  readonly where: string;
}

/** Images before every operation of a lab. */
function photographed(lab: Lab, seed: number): Shot[] {
  const shots: Shot[] = [];
  let draw = seed * 7919;
  lab.disk.onOperation = ({ index, operation, path }) => {
    if (operation.startsWith('read') || operation === 'statSync') return;
    const add = (profile: Profile, choose: Choose): void => {
      const where = `${profile.name}, seed ${draw}, ${index} ${operation} ${path}`;
      shots.push({ image: lab.disk.crash(choose, { profile }), where });
    };
    draw += 1;
    add(strict, worst);
    add(strict, choicesFromSeed(draw));
    add(processKill, choicesFromSeed(draw));
  };
  return shots;
}

/** The fold has every record below the end of the channel, from the first there ever was. */
async function expectAll(lab: Lab, channel: Channel): Promise<void> {
  const fold = await openFold(lab, channel);
  await lab.done(fold.caughtUp());
  expect(fold.value).toEqual(range(0, channel.nextSeq).map((seq) => `${seq}:${seq}`));
}

/** Returns how many records were gone at the end. */
async function developed({ image, where }: Shot, seed: number): Promise<number> {
  const random = new Random(seed);
  try {
    const lab = new Lab({ io: 'oldest' }, (given) => image.crash(() => 0, given));
    const channel = await lab.open();
    await grow(lab, channel, 1);
    for (let steps = random.below(40); steps > 0; steps -= 1) {
      await lab.runtime.settle();
      lab.runtime.runIo();
    }
    const choose = random.below(2) === 0 ? worst : choicesFromSeed(seed);
    const next = random.below(4) === 0 ? lab.kill() : lab.cut(choose);
    const last = await next.open();
    await next.drain();
    await expectAll(next, last);
    return last.firstSeq;
  } catch (error) {
    throw new Error(where, { cause: error });
  }
}

const policies: SyncPolicy[] = ['always', 'never'];

test.each(policies)('a crash at every operation, and another one, sync %j', async (sync) => {
  const lab = new Lab();
  const channel = await lab.open({ sync, segmentMs: SEGMENT_MS, retention: RETENTION });
  const shots = photographed(lab, 1);
  let fold = await openFold(lab, channel);
  for (let round = 0; round < 4; round += 1) {
    await grow(lab, channel, 2);
    await lab.done(fold.caughtUp());
    await lab.done(fold.checkpoint());
    await grow(lab, channel, 1);
    await lab.drain();
    if (round === 1) {
      await lab.done(fold.close());
      fold = await openFold(lab, channel);
    }
  }
  await lab.done(channel.close());
  expect(channel.firstSeq).toBeGreaterThan(20);
  lab.disk.onOperation = undefined;
  let shortened = 0;
  for (const [i, shot] of shots.entries()) {
    if ((await developed(shot, 31 * i + 1)) > 0) shortened += 1;
  }
  expect(shots.length).toBeGreaterThan(300);
  expect(shortened).toBeGreaterThan(100);
});

test('random lives, whatever fails', { timeout: 120_000 }, async () => {
  let shortened = 0;
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = new Random(seed);
    let lab = new Lab({ seed, io: 'random' });
    try {
      const first = await lab.open({ segmentMs: SEGMENT_MS, retention: RETENTION });
      await lab.done(first.close());
      for (let life = 0; life < 5; life += 1) {
        const channel = await lab.open();
        await randomLife(lab, channel, random);
        const choose = random.below(2) === 0 ? worst : choicesFromSeed(random.uint32());
        lab = random.below(3) === 0 ? lab.kill({}, choose) : lab.cut(choose);
      }
      const last = await lab.open();
      await expectAll(lab, last);
      if (last.firstSeq > 0) shortened += 1;
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  expect(shortened).toBeGreaterThan(20);
});

/** Appends, checkpoints, failures of both and of retention, with or without the fold. */
async function randomLife(lab: Lab, channel: Channel, random: Random): Promise<void> {
  const fold = random.below(4) === 0 ? undefined : await openFold(lab, channel);
  for (let step = 0; step < 12; step += 1) {
    const what = random.below(8);
    if (what < 3) await grow(lab, channel, 1);
    else if (what === 3) fold?.checkpoint().catch(() => undefined);
    else if (what === 4) channel.applyRetention().catch(() => undefined);
    else if (what === 5) {
      const operation = (['anyWrite', 'renameSync', 'syncDirectory', 'openSync'] as const)[
        random.below(4)
      ];
      lab.fail(operation ?? 'anyWrite', /checkpoints/, 'EIO');
    } else if (what === 6) lab.runtime.runIo();
    else await lab.runtime.settle();
  }
}
