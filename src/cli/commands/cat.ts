/** `redex cat`: the records of a channel. */
import type { Channel, ReadOptions } from '../../index.js';
import type { CliCommand } from '../command.js';
import { UsageError } from '../failure.js';
import { addFormatOption, formatOf, RecordPrinter } from '../record-printer.js';
import type { FormatFlags } from '../record-printer.js';
import { existingChannel, reading } from '../store.js';
import { parseTime } from '../times.js';
import { integerFrom } from '../units.js';

interface Flags extends FormatFlags {
  readonly from?: number;
  readonly to?: number;
  readonly limit?: number;
  readonly since?: string;
  readonly until?: string;
  readonly reverse?: boolean;
}

/** What `read` is asked for. Times that cannot be read are UsageErrors. */
async function readOptionsOf(
  channel: Channel,
  flags: Omit<Flags, keyof FormatFlags>,
  nowMs: number,
): Promise<ReadOptions> {
  const { from, to, limit, since, until, reverse } = flags;
  if (from !== undefined && to !== undefined && to < from) {
    throw new UsageError(`--to ${to} is below --from ${from}: it is the seq behind the last one`);
  }
  const ends: number[] = to === undefined ? [] : [to];
  if (until !== undefined) ends.push(await channel.seqAt(parseTime('--until', until, nowMs)));
  const fromTime = since === undefined ? undefined : parseTime('--since', since, nowMs);
  return {
    from,
    to: ends.length === 0 ? undefined : Math.min(...ends),
    limit,
    fromTime,
    reverse,
  };
}

export const cat: CliCommand = {
  name: 'cat',
  summary: 'write the records of a channel to standard output',
  description:
    'Writes the payloads of records, each followed by a newline, byte for byte. Takes no lock: ' +
    'it works beside a process that writes, and shows what was there when it began.',
  jsonHelp: 'Write NDJSON, as --format ndjson does.',
  examples: [
    ['redex cat ./data orders --limit 10', 'The first ten records.'],
    ['redex cat ./data orders --reverse --limit 1', 'The last one.'],
    ['redex cat ./data orders --since 2h --json', 'The last two hours, with seqs and times.'],
  ],
  define(command, runs) {
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('<channel>', 'name of the channel')
      .option('--from <seq>', 'Begin with this seq.', integerFrom(0))
      .option('--to <seq>', 'End before this seq.', integerFrom(0))
      .option('--limit <records>', 'At most so many records.', integerFrom(1))
      .option('--since <time>', 'Begin at this time; see redex help dates.')
      .option('--until <time>', 'End before this time.')
      .option('--reverse', 'The last record first.');
    addFormatOption(command).action(
      runs((session, directory: string, name: string, flags: Flags) =>
        reading(directory, async (redex) => {
          const channel = await existingChannel(redex, name);
          const { signal, out, nowMs } = session;
          const options = await readOptionsOf(channel, flags, nowMs);
          const printer = new RecordPrinter(out, formatOf(flags));
          try {
            for await (const records of channel.readBatches({ ...options, signal })) {
              await printer.print(records);
            }
          } finally {
            // What can be read in front of damage is shown.
            if (!signal.aborted) await printer.flush();
          }
        }),
      ),
    );
  },
};
