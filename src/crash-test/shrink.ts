/**
 * Makes a workload that fails smaller while it fails: without lives, without steps, with plainer
 * ones. Greedy and bounded; the same failure is not asked for, only one that is the engine's.
 */
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
    const plainer = plainerStep(step);
    if (plainer !== undefined) yield { ...life, steps: steps.toSpliced(at, 1, plainer) };
  }
}

/** The same with all completions let through, or with one record instead of several. */
function plainerStep(step: Step): Step | undefined {
  if (step.io !== 0) return { ...step, io: 0 };
  const { command } = step;
  if (command.kind !== 'append' || command.sizes.length === 1) return undefined;
  return { ...step, command: { ...command, sizes: command.sizes.slice(0, 1) } };
}
