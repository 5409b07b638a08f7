/** `redex export`: channels as an archive or as lines of JSON, to a file or standard output. */
import { nodeFs } from '../../fs/node-fs.js';
import type { Redex } from '../../index.js';
import { exportStore, type ExportReport } from '../../transfer/export-store.js';
import { writeTransferFile } from '../../transfer/transfer-file.js';
import type { CliCommand } from '../command.js';
import { UsageError } from '../failure.js';
import type { Session } from '../session.js';
import { existingChannel, reading } from '../store.js';
import { counted, formatBytes, formatCount, formatDuration, integerFrom } from '../units.js';

interface Flags {
  readonly output?: string;
  readonly format?: string;
  readonly gzip?: boolean;
  readonly from?: number;
  readonly skipDamaged?: boolean;
}

const STDOUT = '-';

function formatOf({ format = 'archive' }: Flags): 'archive' | 'ndjson' {
  if (format === 'archive' || format === 'ndjson') return format;
  throw new UsageError(`--format ${format} is not known: use archive or ndjson`);
}

/** How many there are, about. Tells what is alike when there is none of a name. */
async function recordsIn(
  redex: Redex,
  names: readonly string[],
  isShown: boolean,
): Promise<number> {
  let records = 0;
  for (const name of names) records += (await existingChannel(redex, name)).count;
  if (names.length > 0) return records;
  // Every channel is looked at for it, which is worth it for a bar that somebody sees.
  if (!isShown) return 0;
  for await (const { count = 0 } of redex.channels()) records += count;
  return records;
}

async function exported(
  session: Session,
  redex: Redex,
  names: readonly string[],
  flags: Flags,
): Promise<ExportReport> {
  const { output = STDOUT, from, gzip, skipDamaged } = flags;
  const total = await recordsIn(redex, names, session.io.stderr.isTerminal);
  const progress = session.progress('export', (records) => counted(records, 'record'));
  const bytes = exportStore(redex, {
    format: formatOf(flags),
    ...(gzip === undefined ? {} : { gzip }),
    ...(skipDamaged === undefined ? {} : { skipDamaged }),
    ...(names.length === 0 ? {} : { channels: names.map((name) => ({ name, from })) }),
    signal: session.signal,
    onProgress: ({ records }) => progress.update(records, total),
  });
  try {
    if (output === STDOUT) for await (const piece of bytes) await session.out.write(piece);
    else await writeTransferFile(nodeFs, output, bytes);
  } finally {
    progress.stop();
  }
  return bytes.report;
}

function reportLines(session: Session, report: ExportReport, output: string): string[] {
  const rows = report.channels.map(({ name, firstSeq, nextSeq, records }) => [
    name,
    formatCount(records),
    String(firstSeq),
    String(nextSeq),
  ]);
  const [titles = '', ...table] = session.table(
    [
      { title: 'channel', isFlexible: true },
      { title: 'records', align: 'right' },
      { title: 'first seq', align: 'right' },
      { title: 'next seq', align: 'right' },
    ],
    rows,
  );
  return [
    titles,
    ...session.bounded(table, 'channels'),
    '',
    `${counted(report.records, 'record')} in ${formatBytes(report.bytes)} to ${output}`,
  ];
}

async function tellSkipped(session: Session, { skipped }: ExportReport): Promise<void> {
  for (const { channel, error } of skipped) {
    await session.note(`left out of '${channel}': ${error.message}`);
  }
  if (skipped.length > 0) session.problem();
}

export const exportCommand: CliCommand = {
  name: 'export',
  summary: 'write channels to an archive or as lines of JSON',
  description:
    'Writes all channels, or those that are named, with seqs, gaps, times, types and options. ' +
    'Takes no lock and works beside a process that writes. A file gets its name when it is ' +
    'whole. Without --output it goes to standard output.',
  jsonHelp: 'Answer with one JSON document; needs --output.',
  examples: [
    ['redex export ./data -o monday.rxar --gzip', 'Everything, compressed.'],
    [
      'redex export ./data orders --format ndjson | jq .payload',
      'One channel, for other programs.',
    ],
  ],
  define(command, runs) {
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('[channels...]', 'names of channels; all when not given')
      .option('-o, --output <file>', 'Write to this file, which may not be there yet.')
      .option('--format <format>', 'archive or ndjson.', 'archive')
      .option('--gzip', 'Compress it.')
      .option('--from <seq>', 'Begin with this seq; needs names of channels.', integerFrom(0))
      .option('--skip-damaged', 'Leave out what cannot be read, and tell it.')
      .action(
        runs(async (session, directory: string, names: readonly string[], flags: Flags) => {
          const { output = STDOUT, from } = flags;
          formatOf(flags);
          if (session.json && output === STDOUT) {
            throw new UsageError('--json needs --output: the export itself is on standard output');
          }
          if (from !== undefined && names.length === 0) {
            throw new UsageError('--from needs the name of a channel');
          }
          const started = session.io.runtime.monotonic();
          await reading(directory, async (redex) => {
            const report = await exported(session, redex, names, flags);
            await tellSkipped(session, report);
            if (output === STDOUT) return;
            const durationMs = session.since(started);
            const skipped = report.skipped.map(({ error, ...rest }) => {
              return { ...rest, code: error.code, message: error.message };
            });
            await session.show({ output, ...report, skipped, durationMs }, () => [
              ...reportLines(session, report, output),
              `in ${formatDuration(durationMs)}`,
            ]);
          });
        }),
      );
  },
};
