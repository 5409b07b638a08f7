/**
 * Goal: under any sequence of appends, reads, pauses and failing syncs over many more channels
 * than there are descriptors for, nothing waits forever, nothing acknowledged is lost, and no
 * descriptor is closed over a byte that no sync covers.
 * Method: random programs over 30 channels with 16 descriptors, with input and output that
 * completes in random order; every channel is compared with what was appended to it.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { SyncPolicy } from '../../src/channel/options.js';
import { RedexError } from '../../src/core/errors.js';
import { FRAME_MAGIC } from '../../src/format/unit.js';
import { outcomeOf, parseDat, payload, readFile } from '../support/channel-kit.js';
import { channelPath, idsIn, StoreLab } from '../support/store-kit.js';

const CHANNELS = 30;
const LIMIT = 16;
/** LOCK, and two descriptors of the segment that the journal is written to. */
const BESIDE = 3;
const POLICIES: readonly SyncPolicy[] = [
  'always',
  'never',
  { everyN: 3 },
  { maxBytes: 3000 },
  { intervalMs: 30 },
];

interface Step {
  readonly channel: number;
  readonly kind: number;
  readonly bytes: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  channel: fc.nat(CHANNELS - 1),
  kind: fc.nat(19),
  bytes: fc.integer({ min: 4, max: 1500 }),
});

/** A channel as the program knows it. */
class Driven {
  readonly channel: Channel;
  /** By seq: numbers of the payloads that were acknowledged. */
  readonly acknowledged: Map<number, number> = new Map();
  pending = 0;

  constructor(channel: Channel) {
    this.channel = channel;
  }

  append(id: number, bytes: number): void {
    this.pending += 1;
    this.channel.append(payload(id, bytes)).then(
      (seq) => this.#settle(seq, id),
      (error: unknown) => this.#fail(error),
    );
  }

  appendNow(id: number, bytes: number): void {
    this.pending += 1;
    try {
      this.#settle(this.channel.appendSync(payload(id, bytes)), id);
    } catch (error) {
      this.#fail(error);
    }
  }

  #settle(seq: number, id: number): void {
    this.pending -= 1;
    this.acknowledged.set(seq, id);
  }

  #fail(error: unknown): void {
    this.pending -= 1;
    if (!RedexError.is(error)) throw error;
  }

  /** Every acknowledged record that must be there, given all that are. */
  expectIn(ids: readonly (number | undefined)[], below: number): void {
    for (const [seq, id] of this.acknowledged) {
      if (seq < below) expect(ids[seq], `record ${seq} of ${this.channel.name}`).toBe(id);
    }
  }
}

function run(driven: readonly Driven[], { channel: index, kind, bytes }: Step, id: number): void {
  const target = driven[index];
  if (target === undefined) return;
  if (kind < 10) target.append(id, bytes);
  else if (kind < 12) target.appendNow(id, bytes);
  else if (kind === 12) outcomeOf(target.channel.get(0));
  else if (kind === 13) outcomeOf(target.channel.sync());
  else if (kind === 14) outcomeOf(target.channel.readBatch({ from: 0, limit: 3 }));
}

async function play(seed: number, faults: boolean, steps: readonly Step[]): Promise<number> {
  const store = new StoreLab({ io: 'random', seed });
  const { lab } = store;
  const redex = await store.open({ maxOpenFiles: LIMIT, segmentBytes: 8192 });
  const driven: Driven[] = [];
  for (let i = 0; i < CHANNELS; i += 1) {
    const sync = POLICIES[i % POLICIES.length] ?? 'always';
    driven.push(new Driven(await lab.done(redex.channel(`c${i}`, { sync }))));
  }
  let peak = 0;
  for (const [id, each] of steps.entries()) {
    run(driven, each, id);
    if (each.kind === 15) await lab.runtime.elapse(each.bytes);
    else if (each.kind === 16 && faults) lab.fail('anySync', /\.dat$/, 'EIO');
    else if (each.kind >= 17) lab.runtime.runIo();
    if (each.bytes % 4 === 0) await lab.runtime.settle();
    peak = Math.max(peak, lab.faults.openPaths.length);
  }
  lab.faults.clearFaults();
  await lab.drain();
  // Nobody waits for room that never comes.
  expect(driven.map(({ pending }) => pending)).toEqual(driven.map(() => 0));
  const states = await Promise.all(driven.map(({ channel }) => channel.stats()));
  for (const [i, each] of driven.entries()) {
    if (states[i]?.isPoisoned === true) continue;
    each.expectIn(await lab.done(idsIn(each.channel)), Infinity);
  }
  expect(lab.faults.openPaths.length).toBeLessThanOrEqual(LIMIT + BESIDE);
  const closing = outcomeOf(redex.close());
  await lab.drain();
  expect(closing.state).not.toBe('pending');
  expect(lab.faults.openPaths).toEqual([]);
  const poisoned = driven.filter((_, i) => states[i]?.isPoisoned);
  const names = poisoned.map(({ channel }) => `${channelPath(channel.name)}/`);
  const wrong = store.violations.filter((what) => !names.some((name) => what.includes(name)));
  expect(wrong).toEqual([]);
  await expectOnDisk(store, driven, states);
  return peak;
}

async function expectOnDisk(
  store: StoreLab,
  driven: readonly Driven[],
  states: readonly { readonly isPoisoned: boolean; readonly durableSeq: number }[],
): Promise<void> {
  const next = store.kill();
  const redex = await next.open();
  for (const [i, each] of driven.entries()) {
    const { name } = each.channel;
    const state = states[i];
    const below = state?.isPoisoned === true ? state.durableSeq : Infinity;
    const channel = await next.lab.done(redex.channel(name));
    each.expectIn(await next.lab.done(idsIn(channel)), below);
    const directory = `${channelPath(name)}/v0000000001`;
    for (const { name: file } of store.lab.disk.readDirectorySync(directory)) {
      if (!file.endsWith('.dat') || state?.isPoisoned === true) continue;
      const { units } = parseDat(readFile(store.lab.disk, `${directory}/${file}`));
      const attempts = units.filter(({ magic }) => magic === FRAME_MAGIC).map((u) => u.attempt);
      expect(new Set(attempts).size, `${name} ${file}`).toBe(attempts.length);
    }
  }
  await next.lab.done(redex.close());
}

test.each([false, true])('30 channels with 16 descriptors, failing syncs: %s', async (faults) => {
  let peak = 0;
  const programs = fc.array(step, { minLength: 100, maxLength: 300 });
  const property = fc.asyncProperty(fc.nat(1_000_000), programs, async (seed, steps) => {
    peak = Math.max(peak, await play(seed, faults, steps));
  });
  await fc.assert(property, { numRuns: 15, seed: 20_260, endOnFailure: true });
  // Readers and appendSync never wait for room, and a writer that rolls over has two segments.
  expect(peak).toBeLessThanOrEqual(3 * LIMIT);
});
