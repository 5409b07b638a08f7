/**
 * Goal: the kit refuses what would make a test pass that tests nothing: rules that can never fire,
 * choices that are none, time that goes back.
 */
import { describe, expect, test } from 'vitest';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { choicesFrom } from '../../src/testing/choices.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import type { FaultRule } from '../../src/testing/fault-rules.js';
import { ManualRuntime, type ManualRuntimeOptions } from '../../src/testing/manual-runtime.js';

describe('a rule is refused', () => {
  const rule = { operation: 'anyWrite', nth: 1, effect: { error: 'EIO' } };

  test.each([
    [{ operation: 'wirte' }, TypeError],
    [{ operation: undefined }, TypeError],
    [{ operation: 'toString' }, TypeError],
    [{ path: 'dat' }, TypeError],
    [{ nth: undefined }, TypeError],
    [{ nth: 0 }, RangeError],
    [{ nth: NaN }, RangeError],
    [{ nth: 1.5 }, RangeError],
    [{ times: 0 }, RangeError],
    [{ times: NaN }, RangeError],
    [{ effect: undefined }, TypeError],
    [{ effect: { eror: 'EIO' } }, TypeError],
    [{ effect: { error: 5 } }, TypeError],
    [{ effect: { error: 'EIO', short: 1 } }, TypeError],
    [{ effect: { short: -1 } }, RangeError],
    [{ effect: { short: 1, thenError: 5 } }, TypeError],
    [{ operation: 'anySync', effect: { lie: false } }, TypeError],
  ] as const)('%j', (change, kind) => {
    const fs = new FaultFs(new MemoryFs());
    const broken = { ...rule, ...change } as unknown as FaultRule;
    expect(() => fs.inject(broken)).toThrow(kind);
  });
});

test.each([
  'openSync createSync mkdirSync readDirectorySync statSync renameSync linkSync unlinkSync unlink',
  'rmdirSync syncDirectorySync syncDirectory realpathSync readSync read writeSync write sizeSync',
  'truncateSync datasyncSync datasync tryLockSync closeSync',
  'any anyRead anyWrite anySync anyMutation',
])('rules of %s are taken', (names) => {
  const fs = new FaultFs(new MemoryFs());
  for (const operation of names.split(' ') as FaultRule['operation'][]) {
    fs.inject({ operation, nth: 1, times: Infinity, effect: { error: 'EIO' } });
  }
});

test.each([70_000, 65_536, -5, NaN, 0.5])('%d is no choice', (value) => {
  expect(() => choicesFrom([1, value])).toThrow(RangeError);
});

test('a runtime goes by steps that there are', async () => {
  const runtime = new ManualRuntime();
  for (const ms of [NaN, -1, Infinity]) {
    expect(() => runtime.advance(ms)).toThrow(RangeError);
    await expect(runtime.elapse(ms)).rejects.toThrow(RangeError);
  }
  runtime.deferIo(() => undefined);
  for (const index of [-1, NaN, 1]) expect(() => runtime.runIo(index)).toThrow(RangeError);
  expect([runtime.monotonic(), runtime.heldIo]).toEqual([0, 1]);
  const options = { ioOrder: 'newest' } as unknown as ManualRuntimeOptions;
  expect(() => new ManualRuntime(options)).toThrow(TypeError);
});
