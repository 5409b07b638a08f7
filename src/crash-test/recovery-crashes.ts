/**
 * Crashes of a recovery: they are taken while it runs, and each must lead to the same records
 * (I6), with what it has cut kept aside before (C5, C8).
 */
import type { Choose } from '../testing/choices.js';
import { worst } from '../testing/choices.js';
import type { CrashFs } from '../testing/crash-fs.js';
import type { CheckSetting } from './check-setting.js';
import { changesState, type Image } from './image.js';
import { imageKey } from './image-key.js';
import {
  judgeLook,
  look,
  requireSame,
  withoutFirst,
  type Depth,
  type SeenLog,
  type SeenStore,
} from './look.js';
import { Violation } from './violation.js';

/** Images of one recovery that is crashed. */
const NESTED_IMAGES = 3;
/** Of the changes that a recovery makes, every so many is crashed. */
const NESTED_STRIDE = 9;

interface Cut {
  readonly fs: CrashFs;
  readonly place: string;
}

/** Takes images of `fs` from now on, until it is told to stop. */
export class RecoveryCuts {
  readonly #fs: CrashFs;
  readonly #cuts: Cut[] = [];

  constructor(fs: CrashFs, place: string, choose: Choose) {
    this.#fs = fs;
    const cuts = this.#cuts;
    let changes = choose(NESTED_STRIDE);
    fs.onOperation = (operation) => {
      if (!changesState(operation)) return;
      changes += 1;
      if (changes % NESTED_STRIDE !== 0 || cuts.length >= NESTED_IMAGES) return;
      const where = `${place} / recovery ${operation.index} ${operation.operation}`;
      cuts.push({ fs: fs.crash(cuts.length % 2 === 0 ? choose : worst), place: where });
    };
  }

  stop(): readonly Cut[] {
    this.#fs.onOperation = undefined;
    return this.#cuts;
  }
}

/** I6: `expected` is what the recovery has found that was crashed at these places. */
export async function judgeCuts(
  cuts: readonly Cut[],
  expected: SeenStore,
  image: Image,
  setting: CheckSetting,
  choose: Choose,
  levels: number,
  depth: Depth = 2,
): Promise<void> {
  for (const { fs, place } of cuts) {
    const deeper: Image = { ...image, fs, kind: 'power', isDurable: true, place };
    const nested = levels > 1 ? new RecoveryCuts(fs, place, choose) : undefined;
    const again = await lookAt(deeper, image.isDurable && hasCut(expected), setting, depth, nested);
    try {
      judgeLook(again, setting.ledger, image.facts, 'power');
      // Where everything was durable the second recovery has no way to differ.
      if (image.isDurable) {
        requireSame(expected, withoutFirst(again, expected, isRetained), 'I6');
        requireKept(expected, fs, again);
      }
    } catch (error) {
      throw new Violation(`${String(error)} [${place}]`, { cause: error });
    }
    setting.counters.nested += 1;
    if (nested === undefined) continue;
    await judgeCuts(nested.stop(), again, deeper, setting, choose, levels - 1, 3);
  }
}

/** Retention goes on behind an open: at the crash it may not have let go of as much. */
function isRetained({ says }: SeenLog): boolean {
  return says.options.retention !== undefined;
}

/** `isKept`: the files that it leaves are looked at, too. */
async function lookAt(
  { fs }: Image,
  isKept: boolean,
  setting: CheckSetting,
  depth: Depth,
  nested: RecoveryCuts | undefined,
): Promise<SeenStore> {
  const { known, counters } = setting;
  const key = imageKey(fs);
  if (known.addImage(key)) counters.distinct += 1;
  if (isKept || nested !== undefined) return await look(fs, setting, depth);
  const { seen, isNew } = await known.look(fs, setting, depth, key);
  if (!isNew) counters.repeated += 1;
  return seen;
}

export function hasCut({ channels }: SeenStore): boolean {
  return [...channels.values()].some(({ report }) => report?.tornTail !== undefined);
}

/**
 * C5, C8: what a recovery has cut is in its side file from before the cut on, and every cut is seen
 * in the recovery epoch. `fs` is what a crash of that recovery, or one after it, has left.
 */
export function requireKept(first: SeenStore, fs: CrashFs, again: SeenStore | undefined): void {
  for (const [name, { says, report }] of first.channels) {
    const epoch = again?.channels.get(name)?.says.recoveryEpoch ?? Infinity;
    if (epoch < says.recoveryEpoch) throw new Violation(`C8: ${name} was cut, epoch ${epoch}`);
    for (const { path, position, byteLength, keptAside } of report?.tornTail?.regions ?? []) {
      if (keptAside === undefined) continue;
      const size = fs.statSync(path)?.size ?? 0;
      // As long as it is not cut it may be kept aside later.
      if (size > position) continue;
      if (fs.statSync(keptAside)?.size !== byteLength) {
        throw new Violation(`C5: ${path} was cut at ${position} before ${keptAside} was synced`);
      }
    }
  }
}
