/**
 * Goal: what a recovery keeps, cuts and calls damaged is as RULES C1 to C3 say.
 * Method: planRecovery and coveredEnd are pure: named cases, and a small model that searches every
 * power-cut image of every short history of write, sync and roll.
 */
import { describe, expect, test } from 'vitest';
import {
  coveredEnd,
  planRecovery,
  type RecoveryPlan,
  type ScannedSegment,
} from '../../src/channel/recovery-plan.js';

type Rest = Partial<ScannedSegment>;

function scan(baseSeq: number, nextSeq: number, rest: Rest = {}): ScannedSegment {
  return { baseSeq, nextSeq, position: 100, sealed: false, check: undefined, ...rest };
}
const sealed = { sealed: true } as const;
const torn = { check: 'checksum' } as const;

function plan(
  scans: readonly ScannedSegment[],
  proven: number,
  floor = 0,
  endOfFinished?: number,
): RecoveryPlan {
  return planRecovery(scans, endOfFinished, { proven, floor });
}

describe('C3: the first bad byte', () => {
  test('C3: nothing bad is kept as it is', () => {
    expect(plan([scan(0, 5)], 3)).toEqual({ kind: 'keep', nextSeq: 5 });
    expect(plan([scan(0, 5, sealed), scan(5, 7)], 3)).toEqual({ kind: 'keep', nextSeq: 7 });
  });

  test('C3: q at W is a torn tail, q one below W is damage', () => {
    const tail = scan(0, 5, torn);
    expect(plan([tail], 5)).toEqual({ kind: 'cut', keptCount: 1, check: 'checksum', nextSeq: 5 });
    expect(plan([tail], 4)).toMatchObject({ kind: 'cut' });
    expect(plan([tail], 6)).toEqual({
      kind: 'damaged',
      index: 0,
      check: 'checksum',
      fromSeq: 5,
      nextSeq: 6,
    });
  });

  test('C3: a tear takes the later segment along', () => {
    const scans = [scan(0, 5, torn), scan(9, 12)];
    expect(plan(scans, 5)).toMatchObject({ kind: 'cut', keptCount: 1, nextSeq: 5 });
  });

  test('C3: no seal before another segment is a bad byte', () => {
    expect(plan([scan(0, 5), scan(5, 7)], 5)).toMatchObject({ kind: 'cut', check: 'missing' });
    expect(plan([scan(0, 5), scan(5, 7)], 6)).toMatchObject({ kind: 'damaged', fromSeq: 5 });
  });

  test('C3: a seal that names another next segment is a bad byte', () => {
    const scans = [scan(0, 5, sealed), scan(6, 7)];
    expect(plan(scans, 5)).toMatchObject({ kind: 'cut', check: 'sequence', keptCount: 1 });
    expect(plan(scans, 6)).toMatchObject({ kind: 'damaged', check: 'sequence', fromSeq: 5 });
  });

  test('C3: bytes behind a seal are no failure', () => {
    expect(plan([scan(0, 5, { ...sealed, ...torn })], 5)).toEqual({ kind: 'keep', nextSeq: 5 });
  });

  test('C3: a missing file counts as bad: the suffix begins above where the log ended', () => {
    const cut = { kind: 'cut', check: 'missing', keptCount: 0 };
    expect(plan([scan(5, 7)], 0)).toMatchObject({ ...cut, nextSeq: 0 });
    expect(plan([scan(5, 7)], 3)).toMatchObject({ kind: 'damaged', fromSeq: 0, nextSeq: 3 });
    expect(plan([scan(9, 12)], 5, 0, 5)).toMatchObject({ ...cut, nextSeq: 5 });
    expect(plan([scan(5, 7)], 0, 5)).toEqual({ kind: 'keep', nextSeq: 7 });
    // Witnesses at its base: what is missing was finished, and reads of it fail.
    expect(plan([scan(5, 7)], 5)).toEqual({ kind: 'keep', nextSeq: 7 });
  });

  test('C3: a log that ends below W without a bad byte has lost a file', () => {
    expect(plan([scan(0, 5)], 6)).toMatchObject({ kind: 'damaged', check: 'missing', fromSeq: 5 });
    expect(plan([], 1)).toMatchObject({ kind: 'damaged', check: 'missing', fromSeq: 0 });
  });
});

describe('C8: the next seq', () => {
  test('C8: is the highest of the end, firstSeq and nextSeqFloor', () => {
    expect(plan([], 0, 7, 7)).toEqual({ kind: 'keep', nextSeq: 7 });
    expect(plan([scan(0, 5)], 5, 9)).toMatchObject({ nextSeq: 9 });
    expect(plan([scan(0, 12)], 5, 9)).toMatchObject({ nextSeq: 12 });
    expect(plan([scan(0, 12, torn)], 5, 9)).toMatchObject({ kind: 'cut', nextSeq: 12 });
  });

  test('C1: records below firstSeq may be gone, an end below it is no damage', () => {
    expect(plan([scan(0, 5)], 9, 9)).toMatchObject({ kind: 'keep', nextSeq: 9 });
    expect(plan([scan(0, 5)], 10, 9)).toMatchObject({ kind: 'damaged', nextSeq: 10 });
  });
});

describe('S4: what a sync is known to have covered', () => {
  const ends = [100, 200, 300];
  const nextSeqs = [1, 3, 4];
  test('S4: ends with the first frame that reaches the witness', () => {
    expect(coveredEnd(ends, nextSeqs, 0, 1)).toBe(100);
    expect(coveredEnd(ends, nextSeqs, 0, 2)).toBe(200);
    expect(coveredEnd(ends, nextSeqs, 0, 3)).toBe(200);
    expect(coveredEnd(ends, nextSeqs, 0, 4)).toBe(300);
    expect(coveredEnd(ends, nextSeqs, 0, 99)).toBe(300);
  });
  test('S4: nothing of a segment that begins at or above it, header included', () => {
    expect(coveredEnd(ends, nextSeqs, 0, 0)).toBe(0);
    expect(coveredEnd(ends, nextSeqs, 5, 5)).toBe(0);
    expect(coveredEnd([], [], 0, 3)).toBe(0);
  });
});

/** A segment of the model: units are seqs, or a seal; each states what was known to be synced. */
interface ModelUnit {
  readonly seal: boolean;
  readonly witness: number;
  synced: boolean;
}
interface ModelSegment {
  readonly baseSeq: number;
  readonly headerWitness: number;
  readonly units: ModelUnit[];
  headerSynced: boolean;
  nameSynced: boolean;
}

/** The writer by the rules: `w` writes a record, `s` syncs, `r` seals and begins a segment. */
function history(steps: string): { segments: ModelSegment[]; acknowledged: number } {
  const segments: ModelSegment[] = [];
  let written = 0;
  let durable = 0;
  const sync = (): void => {
    for (const segment of segments) {
      segment.headerSynced = true;
      segment.nameSynced = true;
      for (const unit of segment.units) unit.synced = true;
    }
    durable = written;
  };
  const begin = (): ModelSegment => {
    const fresh: ModelSegment = {
      baseSeq: written,
      headerWitness: durable,
      units: [],
      headerSynced: false,
      nameSynced: false,
    };
    segments.push(fresh);
    return fresh;
  };
  for (const step of steps) {
    const active = segments.at(-1) ?? begin();
    if (step === 'w') {
      active.units.push({ seal: false, witness: durable, synced: false });
      written += 1;
    } else if (step === 's') {
      sync();
    } else if (active.units.length > 0) {
      const past = segments.slice(0, -1);
      const open = past.some(
        ({ units, nameSynced }) => !nameSynced || !units.every((unit) => unit.synced),
      );
      if (open) sync();
      active.units.push({ seal: true, witness: durable, synced: false });
      begin();
    }
  }
  return { segments, acknowledged: durable };
}

interface Bit {
  readonly segment: number;
  /** -2: the name; -1: the header; else a unit. */
  readonly unit: number;
}

/** Plans for an image in which some unsynced bits are lost, as recovery.ts would collect them. */
function recoverModel(segments: readonly ModelSegment[], lost: ReadonlySet<Bit>): RecoveryPlan {
  const isLost = (segment: number, unit: number): boolean =>
    [...lost].some((bit) => bit.segment === segment && bit.unit === unit);
  const present = segments.map((_s, index) => index).filter((index) => !isLost(index, -2));
  let proven = present.length > 2 ? (segments[present.at(-2) as number]?.baseSeq ?? 0) : 0;
  const scanOf = (index: number): ScannedSegment => {
    const segment = segments[index] as ModelSegment;
    const { baseSeq, units, headerWitness } = segment;
    if (isLost(index, -1)) return scan(baseSeq, baseSeq, { position: 0, check: 'magic' });
    proven = Math.max(proven, headerWitness);
    let nextSeq = baseSeq;
    let isSealed = false;
    let bad = false;
    for (const [unit, { seal, witness }] of units.entries()) {
      if (isLost(index, unit)) bad = true;
      else proven = Math.max(proven, witness);
      if (bad) continue;
      if (seal) isSealed = true;
      else nextSeq += 1;
    }
    return scan(baseSeq, nextSeq, { sealed: isSealed, check: bad ? 'checksum' : undefined });
  };
  const last = present.at(-1);
  const previous = present.at(-2);
  const scans: ScannedSegment[] = [];
  if (last !== undefined) scans.push(scanOf(last));
  if (previous !== undefined && proven <= (scans[0]?.baseSeq ?? 0)) {
    scans.unshift(scanOf(previous));
  }
  const finished = present.slice(0, present.length - scans.length);
  const endOfFinished = finished.length === 0 ? undefined : (scans[0]?.baseSeq ?? 0);
  return planRecovery(scans, endOfFinished, { proven, floor: 0 });
}

function historiesOf(length: number): string[] {
  if (length === 0) return [''];
  return historiesOf(length - 1).flatMap((rest) => ['w', 's', 'r'].map((step) => rest + step));
}

test('C1, C2, C3: no image of a short history loses what was synced or is called damaged', () => {
  let images = 0;
  for (const steps of [1, 2, 3, 4, 5, 6].flatMap(historiesOf)) {
    const { segments, acknowledged } = history(steps);
    const bits: Bit[] = [];
    for (const [segment, { units, headerSynced, nameSynced }] of segments.entries()) {
      if (!nameSynced) bits.push({ segment, unit: -2 });
      if (!headerSynced) bits.push({ segment, unit: -1 });
      for (const [unit, { synced }] of units.entries()) if (!synced) bits.push({ segment, unit });
    }
    for (let mask = 0; mask < 2 ** bits.length; mask += 1) {
      images += 1;
      const lost = new Set(bits.filter((_bit, index) => ((mask >> index) & 1) === 1));
      const result = recoverModel(segments, lost);
      const context = `${steps} without ${JSON.stringify([...lost])}`;
      expect(result.kind, context).not.toBe('damaged');
      expect(result.nextSeq, context).toBeGreaterThanOrEqual(acknowledged);
      // What is kept is a prefix: nothing of it was lost, and no segment of it is missing.
      const gaps = [...lost].filter(({ segment, unit }) => {
        const base = segments[segment]?.baseSeq ?? 0;
        return unit === -2 && base < result.nextSeq && (segments[segment]?.units.length ?? 0) > 0;
      });
      expect(gaps, context).toEqual([]);
    }
  }
  expect(images).toBeGreaterThan(3000);
});
