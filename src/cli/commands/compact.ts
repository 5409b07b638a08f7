/** `redex compact`: makes a channel smaller, and says by how much. */
import { Option } from 'commander';
import type { Channel, Redex } from '../../index.js';
import type { CliCommand } from '../command.js';
import { checkCompactFlags, compactPlan, forecast, noRetention } from '../compact-plan.js';
import type { CompactFlags, CompactPlan } from '../compact-plan.js';
import { parsePointer } from '../json-pointer.js';
import { parseFilter, type RecordFilter } from '../record-filter.js';
import { retainedSeq } from '../retained-seq.js';
import type { Session } from '../session.js';
import { existingChannel, reading, writing } from '../store.js';
import { formatBytes, formatCount, formatDuration, integerFrom, parseDuration } from '../units.js';

interface Sizes {
  readonly records: number;
  readonly bytes: number;
}

interface Outcome {
  readonly before: Sizes;
  readonly after: Sizes;
  readonly durationMs: number;
  /** Of a rewrite. */
  readonly writtenBytes: number | null;
  readonly linkedBytes: number | null;
}

async function sizesOf(channel: Channel): Promise<Sizes> {
  const { count, sizeBytes } = await channel.stats();
  return { records: count, bytes: sizeBytes };
}

async function apply(session: Session, channel: Channel, plan: CompactPlan): Promise<Outcome> {
  const { signal, io } = session;
  const started = io.runtime.monotonic();
  const before = await sizesOf(channel);
  signal.throwIfAborted();
  let written: Pick<Outcome, 'writtenBytes' | 'linkedBytes'> = {
    writtenBytes: null,
    linkedBytes: null,
  };
  if (plan.kind === 'trim') await channel.trim({ beforeSeq: plan.beforeSeq });
  else if (plan.kind === 'retention') await channel.applyRetention();
  else written = await channel.compact({ ...plan.options, signal });
  const after = await sizesOf(channel);
  const { writtenBytes, linkedBytes } = written;
  return { before, after, durationMs: session.since(started), writtenBytes, linkedBytes };
}

async function dryRun(
  session: Session,
  redex: Redex,
  name: string,
  flags: CompactFlags,
): Promise<void> {
  const channel = await existingChannel(redex, name);
  const plan = await compactPlan(channel, flags, session.nowMs);
  const before = await sizesOf(channel);
  const { signal, nowMs } = session;
  const retained = (): Promise<number> => retainedSeq(redex.directory, channel, nowMs);
  const { records, payloadBytes } = await forecast(channel, plan, retained, signal);
  const document = { channel: name, dryRun: true, before, dropped: { records, payloadBytes } };
  await session.show(document, () => [
    `would drop ${formatCount(records)} of ${formatCount(before.records)} records ` +
      `from '${name}', with ${formatBytes(payloadBytes)} of payloads (nothing has changed)`,
  ]);
}

async function compactChannel(
  session: Session,
  directory: string,
  name: string,
  flags: CompactFlags,
): Promise<void> {
  checkCompactFlags(flags);
  if (flags.dryRun === true) {
    await reading(directory, (redex) => dryRun(session, redex, name, flags));
    return;
  }
  const run = async (redex: Redex): Promise<Outcome> => {
    const channel = await existingChannel(redex, name);
    const { retention } = channel.options;
    if (flags.retention === true && retention === undefined) {
      throw noRetention(name);
    }
    return apply(session, channel, await compactPlan(channel, flags, session.nowMs));
  };
  const { onRecovery } = session;
  const outcome = await writing(directory, run, { onRecovery });
  await session.show({ channel: name, dryRun: false, ...outcome }, () =>
    outcomeLines(session, name, outcome),
  );
}

export function outcomeLines(session: Session, name: string, outcome: Outcome): string[] {
  const { before, after, durationMs, writtenBytes, linkedBytes } = outcome;
  const rows = [
    [
      'records',
      ...[before.records, after.records, before.records - after.records].map(formatCount),
    ],
    [
      'bytes',
      ...[before.bytes, after.bytes].map(formatBytes),
      difference(before.bytes, after.bytes),
    ],
  ];
  const columns = [
    { title: name, isFlexible: true },
    { title: 'before', align: 'right' },
    { title: 'after', align: 'right' },
    { title: 'gone', align: 'right' },
  ] as const;
  const rewrite =
    writtenBytes === null
      ? ''
      : `, ${formatBytes(writtenBytes)} written, ${formatBytes(linkedBytes ?? 0)} linked`;
  return [...session.table(columns, rows), `took ${formatDuration(durationMs)}${rewrite}`];
}

/** A rewrite of little can make a channel larger by its headers. */
const difference = (before: number, after: number): string =>
  after > before ? `-${formatBytes(after - before)}` : formatBytes(before - after);

/** Conditions add up: all of them must hold. */
const another = (text: string, before: readonly RecordFilter[] | undefined): RecordFilter[] => [
  ...(before ?? []),
  parseFilter(text),
];

export const compact: CliCommand = {
  name: 'compact',
  summary: 'drop records by age, seq, key or condition',
  description:
    'Makes a channel smaller in one of several ways. Survivors keep their seqs, times and bytes. ' +
    'Retention, --before-seq and --older-than drop from the beginning; the others rewrite what ' +
    'loses records and link the rest. When it is interrupted nothing has changed.',
  examples: [
    ['redex compact ./data orders --older-than 30d', 'Drops what is older than 30 days.'],
    ['redex compact ./data users --keep-latest-by-key /id --dry-run', 'What would go?'],
    ["redex compact ./data log --where 'seq>=1000'", 'Keeps these, and drops all others.'],
    ['redex compact ./data log --drop-where type=3 --drop-where /level=debug', 'Both must hold.'],
  ],
  define(command, runs) {
    const filter = (flags: string, help: string): Option =>
      new Option(flags, help).argParser<readonly RecordFilter[] | undefined>(another);
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('<channel>', 'name of the channel')
      .option('--retention', 'Apply the retention of the channel now.')
      .option('--before-seq <seq>', 'Drop all records below this seq.', integerFrom(0))
      .option('--older-than <duration>', 'Drop all records older than this.', parseDuration)
      .option(
        '--keep-latest-by-key <pointer>',
        'Keep the latest record of each value at this JSON pointer, and all without one.',
        parsePointer,
      )
      .addOption(filter('--where <condition>', 'Keep the records that meet it, drop all others.'))
      .addOption(filter('--keep-where <condition>', 'The same as --where.'))
      .addOption(filter('--drop-where <condition>', 'Drop the records that meet it.'))
      .option('--dry-run', 'Only count what would go.')
      .addHelpText('after', CONDITIONS)
      .action(
        runs((session, directory: string, name: string, flags: CompactFlags) =>
          compactChannel(session, directory, name, flags),
        ),
      );
  },
};

const CONDITIONS = `
Conditions:
  type=3  seq>=1000  /json/pointer=value  /json/pointer
  Comparisons are = != < <= > >=. Values are JSON, or text that is not. A record
  without the field, or that is no JSON, meets no condition on it, not even !=.
  An option that is given several times asks for all of its conditions. A shell
  needs quotes around < and >: --where 'seq>=1000'.`;
