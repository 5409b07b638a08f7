/**
 * Goal: whatever happens beside compactions, what was not condemned is there exactly once, and
 * reads and tails see each record at most once and in its order.
 * Method: random programs with file operations let through in a random order, and a model that
 * knows what was asked for. REDEX_COMPACT_RUNS makes it longer.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { RedexError } from '../../src/core/errors.js';
import { Random } from '../../src/testing/choices.js';
import { Lab } from '../support/channel-kit.js';
import { finish, generationsIn } from '../support/compact-lab.js';
import { brokenBy, CompactModel, rowOf, type Row } from '../support/compact-model.js';
import { readToEnd, seqsOf, tailOf } from '../support/tail-kit.js';

const RUNS = Number(process.env['REDEX_COMPACT_RUNS'] ?? 60);

interface Program {
  readonly seed: number;
  readonly random: Random;
  readonly lab: Lab;
  readonly channel: Channel;
  readonly model: CompactModel;
  readonly tail: ReturnType<typeof tailOf>;
  readonly reads: Promise<Row[]>[];
  readonly work: Promise<unknown>[];
}

const reached = { swapped: 0, refused: 0 };

async function begin(seed: number): Promise<Program> {
  const random = new Random(seed);
  const lab = new Lab({ seed, io: 'random' });
  const sync = random.below(2) === 0 ? ('always' as const) : ('never' as const);
  const channel = await finish(lab, lab.open({ sync, segmentBytes: 4096 }));
  const model = new CompactModel(random.below(2) === 0 ? 'keep' : 'key');
  return { seed, random, lab, channel, model, tail: tailOf(channel), reads: [], work: [] };
}

function step({ random, channel, model, tail, reads, work }: Program): void {
  const sizes = Array.from({ length: 1 + random.below(3) }, () => 8 + random.below(600));
  const types = sizes.map(() => random.below(5));
  const salt = random.uint32() | 1;
  const kind = random.below(8);
  if (kind === 0) {
    const survives = (id: number): boolean => (Math.imul(id, salt) >>> 9) % 3 === 0;
    const compacting = model.compact(channel, survives);
    work.push(compacting.then(({ compacted }) => (reached.swapped += compacted ? 1 : 0)));
  } else if (kind === 1) {
    if (model.appendSync(channel, sizes, types)) reached.refused += 1;
  } else if (kind === 2) {
    reads.push(channel.readBatch().then((records) => records.map(rowOf)));
  } else if (kind === 3) {
    tail.ask(1 + random.below(20));
  } else if (kind === 4) {
    if (random.below(3) !== 0) return;
    const before = Math.min(channel.nextSeq, channel.firstSeq + random.below(4));
    work.push(model.trim(channel, before));
  } else {
    work.push(model.append(channel, sizes, types));
  }
}

function expectRising(seqs: readonly number[], what: string): void {
  expect(seqs, what).toEqual([...new Set(seqs)].toSorted((a, b) => a - b));
}

async function judge({ seed, lab, channel, model, tail, reads, work }: Program): Promise<void> {
  await finish(lab, Promise.all(work));
  const ledger = model.ledger(channel);
  const rows = (await finish(lab, channel.readBatch())).map(rowOf);
  const broken = model.broken ?? brokenBy(rows, channel.firstSeq, ledger, 'none');
  expect(broken, `seed ${seed}`).toBeUndefined();
  for (const read of await finish(lab, Promise.all(reads))) {
    expectRising(
      read.map(({ seq }) => seq),
      `seed ${seed}`,
    );
  }
  await readToEnd(lab, tail);
  const seen = seqsOf(tail);
  expectRising(seen, `seed ${seed}`);
  if (RedexError.is(tail.error, 'OUT_OF_RANGE')) return;
  expect(tail.error, `seed ${seed}`).toBeUndefined();
  const missed = rows.filter(({ seq }) => !seen.includes(seq));
  expect(missed, `seed ${seed}: the tail misses survivors`).toEqual([]);
}

test('what was not condemned is there exactly once', { timeout: 600_000 }, async () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const program = await begin(seed);
    const { random, lab, channel } = program;
    for (let i = 0; i < 60; i++) {
      step(program);
      for (let turns = random.below(6); turns > 0; turns--) {
        await lab.runtime.settle();
        lab.runtime.runIo();
      }
    }
    await judge(program);
    const { generation } = await channel.stats();
    await lab.drain();
    expect(generationsIn(lab.disk, lab.directory), `seed ${seed}`).toEqual([generation]);
  }
  expect(reached.swapped).toBeGreaterThan(RUNS);
  expect(reached.refused).toBeGreaterThan(0);
});
