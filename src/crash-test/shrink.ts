/**
 * Makes a workload that fails smaller while it fails: without lives, without steps, with plainer
 * ones. Greedy and bounded; the same failure is not asked for, only one that is the engine's.
 */
import type { CommitPart } from './commit-draw.js';
import type { Life, Step, Workload } from './workload.js';

/** Workloads that are tried, at most. */
const MAX_TRIES = 300;

export async function shrinkWorkload(
  workload: Workload,
  fails: (workload: Workload) => Promise<boolean>,
): Promise<Workload> {
  let smallest = workload;
  let tries = 0;
  for (let hasShrunk = true; hasShrunk;) {
    hasShrunk = false;
    for (const candidate of smaller(smallest)) {
      tries += 1;
      if (tries > MAX_TRIES) return smallest;
      if (!(await fails(candidate))) continue;
      smallest = candidate;
      hasShrunk = true;
      break;
    }
  }
  return smallest;
}

/** Largest steps first. */
function* smaller(workload: Workload): Generator<Workload> {
  const { lives } = workload;
  for (let i = lives.length - 1; i >= 0; i -= 1) {
    if (lives.length > 1) yield { ...workload, lives: lives.toSpliced(i, 1) };
  }
  for (const [i, life] of lives.entries()) {
    for (const shorter of shorterLives(life)) {
      yield { ...workload, lives: lives.toSpliced(i, 1, shorter) };
    }
  }
  if (workload.shuffled) yield { ...workload, shuffled: false };
  if (workload.journalBytes !== undefined) yield { ...workload, journalBytes: undefined };
}

function* shorterLives(life: Life): Generator<Life> {
  const { steps } = life;
  for (let length = Math.ceil(steps.length / 2); length >= 1; length = Math.floor(length / 2)) {
    for (let at = steps.length - length; at >= 0; at -= length) {
      yield { ...life, steps: steps.toSpliced(at, length) };
    }
  }
  if (life.openFault !== undefined) yield { ...life, openFault: undefined };
  for (const [at, step] of steps.entries()) {
    for (const plainer of plainerSteps(step)) {
      yield { ...life, steps: steps.toSpliced(at, 1, plainer) };
    }
  }
}

/** The same with all completions let through, or with less in it. */
function* plainerSteps(step: Step): Generator<Step> {
  const { command } = step;
  if (step.io !== 0) {
    yield { ...step, io: 0 };
    return;
  }
  if (command.kind === 'append' && command.sizes.length > 1) {
    yield { ...step, command: { ...command, sizes: command.sizes.slice(0, 1) } };
  }
  if (command.kind !== 'commit') return;
  for (const parts of fewerParts(command.parts)) yield { ...step, command: { ...command, parts } };
}

/** Without one of its channels, or with one record instead of several. */
function* fewerParts(parts: readonly CommitPart[]): Generator<readonly CommitPart[]> {
  for (const [at, part] of parts.entries()) {
    if (parts.length > 1) yield parts.toSpliced(at, 1);
    if (part.sizes.length > 1) {
      yield parts.toSpliced(at, 1, { ...part, sizes: part.sizes.slice(0, 1) });
    }
    if (part.expects !== 'nothing') yield parts.toSpliced(at, 1, { ...part, expects: 'nothing' });
  }
}
