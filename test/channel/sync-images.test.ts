/**
 * Goal: whatever a channel promises survives whatever a crash may leave (rules S1, S2, S4, W1, W2,
 * W4 together).
 * Method: histories on a CrashFs; before each operation images of power cuts and of a kill are
 * taken, and each of them is opened, read, appended to and cut again.
 */
import { expect, test } from 'vitest';
import type { AloneOptions } from '../support/open-channel.js';
import { choicesFromSeed, Random, worst } from '../../src/testing/choices.js';
import { processKill } from '../../src/testing/crash-profiles.js';
import { Lab, payload, readAll, type LabOptions } from '../support/channel-kit.js';
import { brokenPromise, CrashCamera, Model, type Promised } from '../support/channel-model.js';

const MARKER = 800_000;

type History = (lab: Lab, model: Model) => Promise<void>;

interface Film {
  readonly options: AloneOptions;
  readonly history: History;
  readonly draws?: number;
  readonly lab?: LabOptions;
}

async function filmed({ options, history, draws = 3, lab: given }: Film): Promise<void> {
  const lab = new Lab(given);
  const model = new Model();
  const camera = new CrashCamera(lab, model, draws, given?.seed);
  model.channel = await lab.open(options);
  await history(lab, model);
  camera.shoot('at the end');
  expect(await camera.develop()).toEqual([]);
  expect(lab.watch.violations).toEqual([]);
  expect(camera.count).toBeGreaterThan(100);
}

const SIZES = [[20], [900, 30], [1500], [8, 8, 8], [2500], [40], [3000], [12]] as const;

const inTurn: History = async (_lab, model) => {
  for (const sizes of SIZES) await model.append(sizes);
};

test("I1 to I11: an 'always' channel that rolls keeps its promises", async () => {
  await filmed({ options: { sync: 'always', segmentBytes: 4096 }, history: inTurn });
});

test("I1 to I11: a 'never' channel keeps what it said was synced", async () => {
  await filmed({
    options: { sync: 'never', segmentBytes: 4096 },
    history: async (_lab, model) => {
      for (const [i, sizes] of SIZES.entries()) {
        await model.append(sizes, { durability: i % 3 === 2 ? 'synced' : 'written' });
        if (i === 4) await model.channel?.sync();
      }
    },
  });
});

test('I1 to I11: arms of a sync policy keep their promises', async () => {
  await filmed({ options: { sync: { everyN: 3 }, segmentBytes: 4096 }, history: inTurn });
});

test('I1 to I11: synchronous appends between others keep their promises', async () => {
  await filmed({
    options: { sync: 'always', segmentBytes: 4096 },
    history: async (_lab, model) => {
      const waiting: Promise<void>[] = [];
      for (const [i, sizes] of SIZES.entries()) {
        if (i % 2 === 1) model.appendSync(sizes);
        else waiting.push(model.append(sizes), model.append([30, 30]));
      }
      await Promise.all(waiting);
    },
  });
});

test('I1 to I11: failed and short writes never leave half a promise behind', async () => {
  await filmed({
    options: { sync: 'always', segmentBytes: 4096 },
    history: async (lab, model) => {
      for (const [i, sizes] of SIZES.entries()) {
        if (i % 2 === 1) lab.cutShort(/\.dat$/, 30 + 40 * i);
        if (i % 4 === 2) lab.fail('anyWrite', /\.dat$/, 'EIO');
        await Promise.all([model.append(sizes), model.append([50]), model.append([700])]);
        lab.faults.clearFaults();
        await model.append(sizes);
      }
    },
  });
});

test('I1 to I11: closing, opening and an idle witness keep the promises', async () => {
  await filmed({
    options: { sync: 'always', segmentBytes: 4096 },
    history: async (lab, model) => {
      for (const sizes of SIZES.slice(0, 5)) {
        await model.append(sizes);
        await lab.runtime.elapse(1200);
        await model.channel?.close();
        model.channel = await lab.open();
      }
    },
  });
});

/** A random history with everything that is asynchronous held and completed in random order. */
function random(seed: number, steps: number): History {
  return async (lab, model) => {
    const dice = new Random(seed);
    const sizes = (): number[] =>
      Array.from({ length: 1 + dice.below(3) }, () => 4 + dice.below(dice.below(2) ? 900 : 60));
    const waiting: Promise<unknown>[] = [];
    for (let step = 0; step < steps; step += 1) {
      const kind = dice.below(12);
      if (kind < 4) waiting.push(model.append(sizes()));
      else if (kind === 4) waiting.push(model.append(sizes(), { durability: 'written' }));
      else if (kind === 5) waiting.push(model.append(sizes(), { durability: 'synced' }));
      else if (kind === 6) model.appendSync(sizes());
      else if (kind === 7) lab.cutShort(/\.dat$/, dice.below(400));
      else if (kind === 8) lab.runtime.advance(dice.below(1500));
      else if (kind === 9) await lab.runtime.settle();
      else lab.runtime.runIo();
      if (kind !== 7) lab.faults.clearFaults();
    }
    await lab.done(Promise.all(waiting));
  };
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  'I1 to I11: a random history with held input and output keeps its promises, seed %i',
  async (seed) => {
    const policies = ['always', 'never', { everyN: 4 }] as const;
    await filmed({
      options: { sync: policies[seed % 3] ?? 'always', segmentBytes: 4096 },
      history: random(seed, 60),
      draws: 2,
      lab: { seed, io: 'random' },
    });
  },
);

test('S4: killed before any operation, opened, appended to, cut: all is there', async () => {
  const lab = new Lab();
  const model = new Model();
  const killed: { readonly next: Lab; readonly promised: Promised }[] = [];
  lab.disk.onOperation = () => killed.push({ next: lab.kill(), promised: model.promised() });
  model.channel = await lab.open({ sync: 'always', segmentBytes: 4096 });
  await inTurn(lab, model);
  lab.disk.onOperation = undefined;
  const broken: string[] = [];
  for (const [index, { next, promised }] of killed.entries()) {
    const channel = await next.open({ sync: 'always', segmentBytes: 4096 });
    const shown = await readAll(next, channel);
    await channel.append(payload(MARKER));
    const cut = next.cut(index % 2 === 0 ? worst : choicesFromSeed(index));
    const left = await readAll(cut, await cut.open());
    const expected = [...shown, { seq: shown.length, id: MARKER }];
    const problem = brokenPromise(shown, promised, processKill);
    if (problem !== undefined) broken.push(`killed before operation ${index}: ${problem}`);
    else if (JSON.stringify(left) !== JSON.stringify(expected)) {
      broken.push(`killed before operation ${index}: ${left.length} of ${expected.length} left`);
    }
  }
  expect(broken).toEqual([]);
  expect(killed.length).toBeGreaterThan(50);
});
