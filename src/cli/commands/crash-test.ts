/** `redex crash-test`: the property-based crash runs of the testing kit, in memory. */
import { Option } from 'commander';
import type { CrashFailure, CrashReport } from '../../entry-testing.js';
import type { CliCommand } from '../command.js';
import type { Session } from '../session.js';
import { counted, formatCount, formatDuration, integerFrom, perSecond } from '../units.js';

interface Flags {
  readonly images: number;
  readonly seed: number;
  readonly profile: string;
}

const PROFILES = ['strict', 'ext4-ordered', 'xfs', 'process-kill'];

async function crashed(session: Session, flags: Flags): Promise<CrashReport> {
  const { crashTest } = await import('../../entry-testing.js');
  const { images, seed, profile } = flags;
  const progress = session.progress('images', formatCount);
  try {
    return await crashTest({
      images,
      seed,
      profiles: [profile],
      signal: session.signal,
      onProgress: (counters) => progress.update(counters.images + counters.nested, images),
    });
  } finally {
    progress.stop();
  }
}

function failureDocument(failure: CrashFailure | undefined): unknown {
  if (failure === undefined) return null;
  const { seed, profile, afterImages, error, workload } = failure;
  return { seed, profile, afterImages, message: error.message, workload };
}

export const crashTestCommand: CliCommand = {
  name: 'crash-test',
  summary: 'crash the engine in memory, many times, and check what is left',
  description:
    'Runs random workloads on a file system in memory, takes images of what a power cut or a ' +
    'kill would leave at every step, opens each, and checks that every promise was kept. ' +
    'Touches no disk. A failure is told with the seed that repeats it, and exits with 1.',
  examples: [
    ['redex crash-test --images 100000', 'A hundred thousand images, about.'],
    ['redex crash-test --seed 4711 --images 1', 'The workload of one seed again.'],
  ],
  define(command, runs) {
    command
      .option('--images <count>', 'Images to check, at least.', integerFrom(1), 1000)
      .option('--seed <number>', 'Seed of the first workload.', integerFrom(0), 1)
      .addOption(
        new Option('--profile <name>', 'What a crash may do to what was not synced.')
          .choices(PROFILES)
          .default('strict'),
      )
      .action(
        runs(async (session, flags: Flags) => {
          const started = session.io.runtime.monotonic();
          const { counters, workloads, failure } = await crashed(session, flags);
          const durationMs = session.since(started);
          const images = counters.images + counters.nested;
          if (failure !== undefined) session.problem();
          const { seed, profile } = flags;
          const document = {
            ok: failure === undefined,
            seed,
            profile,
            images,
            workloads,
            durationMs,
            counters,
            failure: failureDocument(failure),
          };
          await session.show(document, () => {
            const rate = formatCount(Math.round(perSecond(images, durationMs)));
            const run = `${counted(images, 'image')} of ${counted(workloads, 'workload')}`;
            const speed = `${formatDuration(durationMs)}, ${rate} images/s`;
            if (failure === undefined) return [`${run} kept every promise, in ${speed}`];
            return [
              session.theme.bad(`a promise was broken by seed ${failure.seed}, after ${run}`),
              failure.error.message,
              `again: redex crash-test --seed ${failure.seed} --images 1 --profile ${profile}`,
            ];
          });
        }),
      );
  },
};
