/**
 * Goal: where the operating system refuses a call, at any place, the operation gets an error of the
 * closed list; nothing is acknowledged on a channel after its poison; ENOSPC is survived; and the
 * next open finds everything acknowledged, nothing else, and nothing that was called absent.
 * Method: strace makes the nth call of a program fail, once or from then on. Calls are counted in a
 * run without faults; the places are spread evenly. REDEX_FAULT_PLACES is how many for each row.
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FaultLab, type FaultOutcome, type FileKind } from '../support/process-fault-run.js';
import { buildProcessPackage, type ProcessPackage } from '../support/process-package.js';
import { runProgram } from '../support/process-run.js';
import { commandExists, requires } from '../support/requirements.js';

const PLACES = Number(process.env['REDEX_FAULT_PLACES'] ?? '3');

let built: ProcessPackage;
let scratch: string;
let canTrace = false;

beforeAll(async () => {
  built = await buildProcessPackage();
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'redex-faults-')));
  if (!commandExists('strace')) return;
  const probe = await runProgram('strace', ['-f', '-o', join(scratch, 'probe'), 'true']);
  canTrace = probe.code === 0;
});

afterAll(() => {
  built.remove();
  rmSync(scratch, { recursive: true, force: true });
});

interface Row {
  readonly call: string;
  readonly effect: string;
  readonly isLasting?: boolean;
  readonly of?: FileKind;
}

const ROWS: readonly Row[] = [
  { call: 'pwrite64', effect: 'error=EIO' },
  { call: 'pwrite64', effect: 'error=ENOSPC' },
  { call: 'pwrite64', effect: 'error=ENOSPC', isLasting: true },
  { call: 'pwrite64', effect: 'retval=0' },
  { call: 'pwrite64', effect: 'error=EIO', of: '.dat' },
  { call: 'pwrite64', effect: 'error=ENOSPC', of: '.dat' },
  { call: 'pwrite64', effect: 'retval=0', of: '.dat' },
  { call: 'pwrite64', effect: 'error=EIO', of: '.journal' },
  { call: 'pwrite64', effect: 'error=ENOSPC', of: '.journal' },
  { call: 'fdatasync', effect: 'error=EIO', of: '.dat' },
  { call: 'fdatasync', effect: 'error=ENOSPC', of: '.dat' },
  { call: 'fdatasync', effect: 'error=EIO', of: '.journal' },
  { call: 'fdatasync', effect: 'error=ENOSPC', of: '.journal' },
  { call: 'fsync', effect: 'error=EIO' },
  { call: 'fsync', effect: 'error=EIO', isLasting: true },
  { call: 'rename', effect: 'error=EIO' },
  { call: 'rename', effect: 'error=ENOSPC' },
  { call: 'openat', effect: 'error=EIO' },
  { call: 'openat', effect: 'error=ENOSPC' },
];

describe('calls that fail', { timeout: 300_000 }, () => {
  test.for(ROWS)('$call with $effect, lasting: $isLasting, of: $of', async (row, context) => {
    requires(context, canTrace, 'needs strace, and the right to trace');
    const { call, effect, isLasting = false, of } = row;
    const name = `${call}-${effect}-${isLasting}-${of ?? ''}`;
    mkdirSync(join(scratch, name));
    const program = built.path('test/support/process-fault-writer.ts');
    const lab = new FaultLab(program, scratch, name);
    const count = await lab.countOf(call, of);
    expect(count).toBeGreaterThan(5);
    const outcomes: FaultOutcome[] = [];
    for (let place = 0; place < Math.min(PLACES, count); place++) {
      const nth = 1 + Math.floor(((place + 0.5) * count) / PLACES);
      const outcome = await lab.run({ call, effect, nth, isLasting, of });
      expect(outcome.problems, `${name} at ${nth} of ${count}`).toEqual([]);
      outcomes.push(outcome);
    }
    const refused = new Set(outcomes.flatMap((outcome) => outcome.refused));
    const injected = outcomes.filter(({ isInjected }) => isInjected).length;
    process.stdout.write(`${name}: ${injected} of ${count}; ${[...refused].join(', ')}\n`);
    expect(injected).toBeGreaterThanOrEqual(Math.min(PLACES, count) - 1);
    expect(refused.size).toBeGreaterThan(0);
    // A failed write or sync of the journal is the end of the store, until it is opened again.
    const isPoisoned = [...refused].join().includes('POISONED');
    const hasGoneOn = outcomes.some(({ wentOn }) => wentOn);
    if (of === '.journal') expect(isPoisoned).toBe(true);
    else if (call === 'pwrite64' && of === undefined) expect(isPoisoned || hasGoneOn).toBe(true);
    else if (!isLasting) expect(hasGoneOn).toBe(true);
  });
});
