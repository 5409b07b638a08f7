/** `redex append`: records from standard input. */
import { addAbortSignal } from 'node:stream';
import { checkName } from '../../channel/options.js';
import type { CliCommand } from '../command.js';
import { InputAppender, type AppendedInput, type AppendPlan } from '../append-input.js';
import { UsageError } from '../failure.js';
import { LineSplitter } from '../line-splitter.js';
import { PrefixSplitter } from '../prefix-splitter.js';
import { base64Record, hexRecord, jsonRecord, type RecordParser } from '../record-parser.js';
import type { Session } from '../session.js';
import { existingChannel, writing } from '../store.js';
import {
  counted,
  formatBytes,
  formatCount,
  formatDuration,
  integerFrom,
  perSecond,
} from '../units.js';

interface Flags {
  readonly json?: boolean;
  readonly hex?: boolean;
  readonly base64?: boolean;
  readonly lengthPrefixed?: boolean;
  readonly keepSeqs?: boolean;
  readonly type?: number;
  readonly sync?: boolean;
  readonly batch?: number;
  readonly create: boolean;
}

/** What the engine takes by default. */
const MAX_RECORD_BYTES = 16 * 2 ** 20;

function appendPlan(flags: Omit<Flags, 'create'>): AppendPlan {
  const formats = ['json', 'hex', 'base64', 'lengthPrefixed'] as const;
  const given = formats.filter((format) => flags[format] === true);
  if (given.length > 1)
    throw new UsageError('choose one of --json, --hex, --base64 and --length-prefixed');
  if (flags.keepSeqs === true && flags.json !== true) {
    throw new UsageError("option '--keep-seqs' needs --json: other input has no seqs");
  }
  const isPrefixed = flags.lengthPrefixed === true;
  const parsers: Readonly<Record<(typeof formats)[number], RecordParser | undefined>> = {
    json: jsonRecord(flags.keepSeqs === true),
    hex: hexRecord,
    base64: base64Record,
    lengthPrefixed: undefined,
  };
  const [format] = given;
  // A line of hex digits or JSON is longer than the record in it.
  const lineBytes = format === undefined ? MAX_RECORD_BYTES : 4 * MAX_RECORD_BYTES;
  return {
    splitter: isPrefixed ? new PrefixSplitter(MAX_RECORD_BYTES) : new LineSplitter(lineBytes),
    parse: format === undefined ? undefined : parsers[format],
    type: flags.type ?? 0,
    batch: flags.batch,
    durability: flags.sync === true ? 'synced' : 'written',
  };
}

async function appendStdin(
  session: Session,
  directory: string,
  name: string,
  flags: Flags,
): Promise<void> {
  const plan = appendPlan(flags);
  checkName(name);
  const { stdin, runtime } = session.io;
  const started = runtime.monotonic();
  const done = await writing(
    directory,
    async (redex) => {
      const channel = flags.create ? await redex.channel(name) : await existingChannel(redex, name);
      const appender = new InputAppender(channel, plan);
      try {
        await appender.run(addAbortSignal(session.signal, stdin), session.signal);
      } finally {
        await channel.sync();
        if (session.signal.aborted) await session.note(summary(appender.done, name));
      }
      return appender.done;
    },
    { createIfMissing: flags.create, onRecovery: session.onRecovery },
  );
  const durationMs = session.since(started);
  const { records, bytes, firstSeq = null, nextSeq } = done;
  const document = { channel: name, records, bytes, firstSeq, nextSeq, durationMs };
  await session.show(document, () => {
    const rate = formatCount(Math.round(perSecond(records, durationMs)));
    const time = `${formatDuration(durationMs)}, ${rate} records/s, all synced`;
    return [records === 0 ? summary(done, name) : `${summary(done, name)}, in ${time}`];
  });
}

function summary({ records, bytes, firstSeq, nextSeq }: AppendedInput, name: string): string {
  if (firstSeq === undefined) return `appended nothing to '${name}'`;
  const seqs = records === 1 ? `seq ${firstSeq}` : `seqs ${firstSeq} to ${nextSeq - 1}`;
  return `appended ${counted(records, 'record')} (${formatBytes(bytes)}) to '${name}', ${seqs}`;
}

export const append: CliCommand = {
  name: 'append',
  summary: 'append records from standard input, one a line',
  description:
    'Appends what standard input holds, one record a line, and syncs it. Creates the channel, ' +
    'and the store where the directory is absent or empty. See also redex help formats and ' +
    'redex help durability.',
  jsonHelp: 'Input is NDJSON, as redex cat --json writes it; answer with one JSON document.',
  examples: [
    ['seq 1 1000 | redex append ./data numbers', 'A thousand records.'],
    ['tail -F app.log | redex append ./data log --sync', 'Each piece is synced before the next.'],
    [
      'redex cat ./data orders --json | redex append ./other orders --json --keep-seqs',
      'Copies records with their seqs, types and times.',
    ],
  ],
  define(command, runs) {
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('<channel>', 'name of the channel')
      .option('--hex', 'Each line is a record in hex digits.')
      .option('--base64', 'Each line is a record in base64.')
      .option('--length-prefixed', 'Binary records behind their length, four bytes, big endian.')
      .option('--keep-seqs', 'Of NDJSON: records get the seqs that they say.')
      .option('--type <number>', 'Type of the records, 0 to 65535.', integerFrom(0, 65_535))
      .option('--batch <records>', 'So many records are one batch, all or nothing.', integerFrom(1))
      .option('--sync', 'Sync each piece of the input before more of it is read.')
      .option('--no-create', 'Fail when there is no such channel.')
      .action(
        runs((session, directory: string, name: string, flags: Flags) =>
          appendStdin(session, directory, name, flags),
        ),
      );
  },
};
