/**
 * Goal: the crash test reaches every branch of the code that recovers; a harness that does not get
 * somewhere says nothing about it.
 * Method: a run with the coverage of the JavaScript engine. What it may leave out is listed here,
 * by file, function and beginning of the text, with the reason; anything else fails. Fallbacks
 * after `??` are there for the type checker alone.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { crashTestIn } from '../../scripts/lib/crash-pool.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FILES = [
  'channel/clean-open.js',
  'channel/cut-aside.js',
  'channel/inherited.js',
  'channel/leftovers.js',
  'channel/recovery-cut.js',
  'channel/recovery-plan.js',
  'channel/recovery.js',
  'channel/witnesses.js',
  'segment/segment-scan.js',
  'segment/unfinished-write.js',
];
const DAMAGE = 'damage: no crash leaves it (test/recovery, test/corruption)';
const IO = 'an error of the file system while it reads (test/recovery, test/store/failed-changes)';
const READ_ONLY = 'a look without a lock, which rebuilds nothing, and does not run this in a store';
const ALONE = 'a channel that no store has made';
const TORN = 'a tear that these images do not have (test/recovery/torn-tail, test/seed-defects)';
const FULL = 'a disk without space for what the journal has (test/store/full-disk-journal)';
const LOST = 'a name that was lost before a later one, in few images (test/recovery/recovery-plan)';
const OUTSIDE = 'what is told to a logger, a subscriber or a callback that throws';

/** `file function beginning of the text`, and why a crash does not lead there. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  "channel/clean-open.js listGeneration catch (error) { if (systemCodeOf(error) !== 'ENOEN": IO,
  'channel/clean-open.js openClean return undefined;': DAMAGE,
  'channel/cut-aside.js copyRegion catch (error) { copy?.closeSync(); const code = sy': IO,
  'channel/cut-aside.js keepAside : undefined': IO,
  'channel/cut-aside.js syncIfSame return false;': IO,
  "channel/leftovers.js  (error) => { settings.logger.warn('leftovers could": OUTSIDE,
  "channel/recovery-cut.js describe : 'length'": TORN,
  "channel/recovery-plan.js judge ? { kind: 'damaged', index, check, fromSeq: end, n": DAMAGE,
  'channel/recovery-plan.js planRecovery && proven > floor': DAMAGE,
  "channel/recovery-plan.js planRecovery { const index = scans.length - 1; return { kind: '":
    DAMAGE,
  'channel/recovery.js decide return reportDamage(outcome, plan);': DAMAGE,
  'channel/recovery.js recoverChannel return recovered;': DAMAGE,
  'channel/recovery.js recoverUnclean catch (error) { for (const scan of suffix.scans) s': IO,
  'channel/recovery.js report catch (error) { onFailed(error); }': OUTSIDE,
  "channel/recovery.js onFailed (error) => logger.error('onRecovery threw', { chan": OUTSIDE,
  "channel/recovery-plan.js failureOf : 'sequence'": DAMAGE,
  'channel/recovery.js report diagnostics.recover.publish(details);': OUTSIDE,
  "channel/recovery.js report logger.error('damage below what was synced', { ...": OUTSIDE,
  'channel/recovery.js reportDamage function reportDamage(outcome, plan) { const { con': DAMAGE,
  'channel/recovery.js settleSuffix inheritedDirectories.push(parentOf(context.directo': ALONE,
  'channel/recovery.js settleSuffix return { ...recovered, inherited: [], inheritedDir': FULL,
  'channel/recovery.js settleSuffix ? seqInJournal(context, kept, proven)': FULL,
  'channel/recovery.js seqInJournal function seqInJournal({ journal }, kept, proven) {': FULL,
  'channel/recovery-plan.js seqBehind function seqBehind(frameEnds, frameNextSeqs, posit': FULL,
  'channel/recovery.js settleSuffix ? untouched': FULL,
  'channel/recovery.js settleSuffix scan.abandonIndex?.();': FULL,
  'channel/recovery-plan.js planRecovery { // The segments before it are missing, and were ': LOST,
  'segment/segment-scan.js #take return;': READ_ONLY,
  "segment/segment-scan.js run : { check: 'length', unfinishedWrite: true }": TORN,
  'segment/segment-scan.js scanSegment catch (error) { scanner.index?.abandon(); throw er': IO,
  'segment/segment-scan.js surveyed ? undefined': READ_ONLY,
  'segment/unfinished-write.js headVerifies return false;': TORN,
  'segment/unfinished-write.js isUnfinishedWrite return false;': TORN,
  'segment/unfinished-write.js tableAgrees return false;': TORN,
  'segment/unfinished-write.js tableAgrees return headBytes <= unit.byteLength;': TORN,
};

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}
interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly {
    readonly functionName: string;
    readonly ranges: readonly Range[];
  }[];
}

const directory = mkdtempSync(join(tmpdir(), 'redex-coverage-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function uncovered({ url, functions }: ScriptCoverage, file: string): string[] {
  const source = readFileSync(new URL(url), 'utf8');
  return functions.flatMap(({ functionName, ranges }) =>
    ranges.flatMap(({ count, startOffset, endOffset }) => {
      const text = source.slice(startOffset, endOffset).replaceAll(/\s+/g, ' ').trim();
      if (count > 0 || /^(?:\?\?|\?\.)/.test(text)) return [];
      return [`${file} ${functionName} ${text.slice(0, 50)}`];
    }),
  );
}

const missed: string[] = [];
const seen = new Set<string>();

beforeAll(async () => {
  const profiles = ['strict', 'ext4-ordered', 'xfs', 'process-kill'];
  const run = { images: 8000, seed: 1, profiles };
  const { failure, counters } = await crashTestIn(ROOT, run, undefined, {
    NODE_V8_COVERAGE: directory,
  });
  expect(failure?.error).toBeUndefined();
  expect(counters?.images).toBeGreaterThan(0);
  for (const name of readdirSync(directory)) {
    const text = readFileSync(join(directory, name), 'utf8');
    const { result } = JSON.parse(text) as { result: ScriptCoverage[] };
    for (const script of result) {
      const file = FILES.find((each) => script.url.endsWith(`/dist/${each}`));
      if (file === undefined) continue;
      seen.add(file);
      missed.push(...uncovered(script, file));
    }
  }
}, 240_000);

test('every file was looked at', () => {
  expect([...seen].toSorted()).toEqual(FILES);
});

test('every branch of recovery is reached but for those that are listed', () => {
  expect(missed.filter((each) => EXCEPTIONS[each] === undefined)).toEqual([]);
});

test('every reason that is given is one of those above', () => {
  const reasons = [DAMAGE, IO, READ_ONLY, ALONE, TORN, FULL, LOST, OUTSIDE];
  for (const reason of Object.values(EXCEPTIONS)) expect(reasons).toContain(reason);
});
