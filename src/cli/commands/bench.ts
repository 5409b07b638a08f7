/** `redex bench`: figures of this machine and the disk of a directory. */
import { nodeFs } from '../../fs/node-fs.js';
import type { CliCommand } from '../command.js';
import { runBench, type Figure } from '../bench-run.js';
import { Problem } from '../failure.js';
import { STORE_MANIFEST_NAME } from '../../format/file-name.js';
import { removeTree } from '../../fs/remove-tree.js';
import type { Session } from '../session.js';
import { creating } from '../store.js';
import { formatBytes, formatCount, formatDuration, integerFrom, parseBytes } from '../units.js';

interface Flags {
  readonly records: number;
  readonly recordBytes: number;
}

/** A name of its own in the directory, which must be there and no store. */
function benchDirectory(session: Session, directory: string): string {
  // A link to one counts.
  const isThere = nodeFs.statSync(directory) !== undefined;
  if (!isThere || nodeFs.statSync(nodeFs.realpathSync(directory))?.kind !== 'directory') {
    throw new Problem(`there is no directory ${directory}: give one on the disk to be measured`);
  }
  if (nodeFs.statSync(`${directory}/${STORE_MANIFEST_NAME}`) !== undefined) {
    throw new Problem(`${directory} is a data directory: give the directory that it is in`);
  }
  const id = session.io.runtime.random(new Uint8Array(6));
  return `${nodeFs.realpathSync(directory)}/redex-bench-${Buffer.from(id).toString('hex')}`;
}

async function benched(session: Session, directory: string, flags: Flags): Promise<Figure[]> {
  const path = benchDirectory(session, directory);
  const { runtime } = session.io;
  try {
    return await runBench(() => creating(path), { ...flags, runtime, signal: session.signal });
  } finally {
    if (nodeFs.statSync(path) !== undefined) removeTree(nodeFs, path);
  }
}

function rowOf(figure: Figure): string[] {
  const { name, operations, totalMs, perSecond, bytesPerSecond, medianUs, p99Us } = figure;
  const isOne = operations === 1;
  const micros = (us: number | undefined): string => (us === undefined ? '' : us.toFixed(0));
  return [
    name,
    isOne ? '' : formatCount(Math.round(perSecond)),
    isOne ? '' : formatBytes(Math.round(bytesPerSecond)),
    micros(medianUs),
    micros(p99Us),
    formatDuration(totalMs),
  ];
}

export const bench: CliCommand = {
  name: 'bench',
  summary: 'measure appends, reads and opens on the disk of a directory',
  description:
    'Measures the engine in a store of its own, which it makes in the directory and removes ' +
    'again. Figures hold for this machine and disk, as busy as they are now.',
  examples: [['redex bench .', 'Of the disk of this directory.']],
  define(command, runs) {
    command
      .argument('<dir>', 'directory on the disk to be measured')
      .option('--records <count>', 'Records to append and to read.', integerFrom(1), 200_000)
      .option('--record-bytes <size>', 'Bytes of a record.', parseBytes, 100)
      .action(
        runs(async (session, directory: string, flags: Flags) => {
          const figures = await benched(session, directory, flags);
          const { records, recordBytes } = flags;
          const shown = figures.map(({ medianUs = null, p99Us = null, ...rest }) => ({
            ...rest,
            medianUs,
            p99Us,
          }));
          await session.show({ records, recordBytes, figures: shown }, () =>
            session.table(
              [
                { title: 'what', isFlexible: true },
                { title: 'per s', align: 'right' },
                { title: 'bytes/s', align: 'right' },
                { title: 'median µs', align: 'right' },
                { title: 'p99 µs', align: 'right' },
                { title: 'took', align: 'right' },
              ],
              figures.map(rowOf),
            ),
          );
        }),
      );
  },
};
