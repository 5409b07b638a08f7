/** `redex import`: channels from an export, or from a directory of RedEX. */
import { basename } from 'node:path';
import { RedexError } from '../../core/errors.js';
import { STORE_MANIFEST_NAME } from '../../format/file-name.js';
import { nodeFs } from '../../fs/node-fs.js';
import type { Redex } from '../../index.js';
import { importRedexV1 } from '../../transfer/import-redex-v1.js';
import { StoreTarget } from '../../transfer/store-target.js';
import { importStore, type ImportOptions, type ImportReport } from '../../transfer/import-store.js';
import { findV1Logs } from '../../transfer/redex-v1-layout.js';
import { readRedexV1, type RedexV1Log } from '../../transfer/redex-v1.js';
import { transferFileBytes } from '../../transfer/transfer-file.js';
import type { CliCommand } from '../command.js';
import { Problem, UsageError } from '../failure.js';
import type { Session } from '../session.js';
import { creating } from '../store.js';
import { counted, formatBytes, formatCount, integerFrom } from '../units.js';

interface Flags {
  readonly append?: boolean;
  readonly as?: string;
  readonly generation?: number;
}

/** What was read of a log of RedEX. */
interface LegacyLog {
  readonly name: string;
  readonly report: RedexV1Log['report'];
}

interface Imported {
  readonly report: ImportReport;
  readonly legacy: readonly LegacyLog[];
}

const STDIN = '-';

function optionsOf(session: Session, { append, as }: Flags): ImportOptions {
  return {
    signal: session.signal,
    ifExists: append === true ? 'append' : 'error',
    ...(as === undefined ? {} : { nameOf: () => as }),
  };
}

/** Bytes of the export, which count for the progress. */
async function* bytesOf(session: Session, source: string): AsyncGenerator<Uint8Array, undefined> {
  if (source === STDIN) {
    for await (const piece of session.io.stdin as AsyncIterable<Uint8Array>) yield piece;
    return;
  }
  const total = nodeFs.statSync(source)?.size ?? 0;
  const progress = session.progress('import');
  let done = 0;
  try {
    for await (const piece of transferFileBytes(nodeFs, source)) {
      yield piece;
      done += piece.byteLength;
      progress.update(done, total);
    }
  } finally {
    progress.stop();
  }
}

async function importedExport(
  session: Session,
  redex: Redex,
  source: string,
  flags: Flags,
): Promise<Imported> {
  if (flags.generation !== undefined) {
    throw new UsageError('--generation is for directories of RedEX');
  }
  const path = source === STDIN ? 'standard input' : source;
  const options = { ...optionsOf(session, flags), path };
  const report = await importStore(redex, bytesOf(session, source), options);
  return { report, legacy: [] };
}

/** Every log in the directory, or the one that it is. */
async function importedLegacy(
  session: Session,
  redex: Redex,
  source: string,
  flags: Flags,
): Promise<Imported> {
  const { as, generation } = flags;
  if (nodeFs.statSync(`${source}/${STORE_MANIFEST_NAME}`) !== undefined) {
    throw new Problem(`${source} is a store of its own: redex export writes what can be imported`);
  }
  const inside = findV1Logs(nodeFs, source);
  const isOne = inside.length === 0;
  const logs = isOne ? [{ name: as ?? basename(source), directory: source }] : inside;
  if (as !== undefined && logs.length > 1) {
    throw new UsageError(`--as needs a single log: there are ${logs.length} in ${source}`);
  }
  const reports: ImportReport[] = [];
  const legacy: LegacyLog[] = [];
  for (const { name, directory } of logs) {
    const { signal } = session;
    const log = await readRedexV1(nodeFs, directory, {
      signal,
      ...(generation === undefined ? {} : { generation }),
    });
    const { nameOf: _, ...options } = optionsOf(session, flags);
    const channel = as ?? name;
    reports.push(await importRedexV1(redex, log, { ...options, channel }));
    legacy.push({ name: channel, report: log.report });
  }
  const sum = (of: (report: ImportReport) => number): number =>
    reports.reduce((total, report) => total + of(report), 0);
  const report = {
    channels: reports.flatMap(({ channels }) => channels),
    records: sum(({ records }) => records),
    payloadBytes: sum(({ payloadBytes }) => payloadBytes),
  };
  return { report, legacy };
}

async function imported(
  session: Session,
  directory: string,
  source: string,
  flags: Flags,
): Promise<Imported> {
  const isDirectory = source !== STDIN && kindOf(source) === 'directory';
  const target = StoreTarget.look(nodeFs, directory);
  const redex = await creating(directory);
  let done: Imported;
  try {
    const run = isDirectory ? importedLegacy : importedExport;
    done = await run(session, redex, source, flags);
  } catch (error) {
    await redex.close().catch(() => undefined);
    // A store that was made for nothing.
    target.putBack();
    if (!RedexError.is(error, 'EXISTS')) throw error;
    throw new Problem(`${error.message}: --append adds what is new, --as gives another name`);
  }
  await redex.close();
  return done;
}

/** The source is looked at before a store is made. */
function kindOf(source: string): string {
  const found = nodeFs.statSync(source);
  if (found === undefined) throw new Problem(`there is no file ${source}`);
  // A link is neither: it counts as what it leads to.
  return nodeFs.statSync(nodeFs.realpathSync(source))?.kind ?? found.kind;
}

function legacyLines(session: Session, { name, report }: LegacyLog): string[] {
  const { lost, redex, saved, repairedSeqs, doubtfulSeqs, times } = report;
  const rules = redex.effects.map(({ rule, records }) => `${rule} ${formatCount(records)}`);
  return [
    '',
    session.theme.heading(`${name}, a log of RedEX`),
    ...session.fields([
      ['records', formatCount(report.records)],
      ['lost', lost.length === 0 ? 'none' : formatCount(lost.length)],
      ['RedEX keeps', formatCount(redex.kept)],
      ['RedEX loses', rules.length === 0 ? 'none' : rules.join(', ')],
      ['saved here', formatCount(saved)],
      ['seqs put right', formatCount(repairedSeqs.length)],
      ['seqs in doubt', formatCount(doubtfulSeqs.length)],
      ['times', times],
    ]),
  ];
}

function importLines(session: Session, { report, legacy }: Imported): string[] {
  const rows = report.channels.map(({ name, appended, records, firstSeq, nextSeq, damaged }) => [
    name,
    appended ? 'appended' : 'new',
    formatCount(records),
    String(firstSeq),
    String(nextSeq),
    formatCount(damaged.length),
  ]);
  const [titles = '', ...table] = session.table(
    [
      { title: 'channel', isFlexible: true },
      { title: '' },
      { title: 'records', align: 'right' },
      { title: 'first seq', align: 'right' },
      { title: 'next seq', align: 'right' },
      { title: 'damaged ranges', align: 'right' },
    ],
    rows,
  );
  return [
    titles,
    ...session.bounded(table, 'channels'),
    ...legacy.flatMap((log) => legacyLines(session, log)),
    '',
    `${counted(report.records, 'record')} imported, ${formatBytes(report.payloadBytes)}`,
  ];
}

export const importCommand: CliCommand = {
  name: 'import',
  summary: 'read channels from an export, or from a directory of RedEX',
  description:
    'Reads an archive or lines of JSON, compressed or not, from a file or from standard input ' +
    '(-), or a directory that RedEX has written. A channel is there whole or not at all. The ' +
    'store is made where nothing is. What RedEX itself would have lost is told.',
  examples: [
    ['redex import ./data monday.rxar', 'Everything that is in it.'],
    ['redex export ./a orders | redex import ./b - --as orders/old', 'Under another name.'],
    ['redex import ./data /var/lib/redex/sensors', 'A log of RedEX, or all below a directory.'],
  ],
  define(command, runs) {
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('<source>', 'file, directory of RedEX, or - for standard input')
      .option('--append', 'Add what is new to channels that are there already.')
      .option('--as <name>', 'The name that the one channel gets.')
      .option('--generation <number>', 'Of a log of RedEX the generation.', integerFrom(0))
      .action(
        runs(async (session, directory: string, source: string, flags: Flags) => {
          const done = await imported(session, directory, source, flags);
          const { report, legacy } = done;
          const isWhole = report.channels.every(({ damaged }) => damaged.length === 0);
          if (!isWhole) session.problem();
          await session.show({ ...report, legacy }, () => importLines(session, done));
        }),
      );
  },
};
