/** `redex tail`: the last records of a channel, and those that come. */
import type { Channel } from '../../index.js';
import type { CliCommand } from '../command.js';
import { addFormatOption, formatOf, RecordPrinter } from '../record-printer.js';
import type { FormatFlags } from '../record-printer.js';
import type { Session } from '../session.js';
import { existingChannel, reading } from '../store.js';
import { parseTime } from '../times.js';
import { integerFrom } from '../units.js';

interface Flags extends FormatFlags {
  readonly follow?: boolean;
  readonly lines: number;
  readonly since?: string;
}

/** Where to begin for so many of the last records, or for those since a time. */
async function tailStart(channel: Channel, flags: Flags, nowMs: number): Promise<number> {
  if (flags.since !== undefined) {
    return await channel.seqAt(parseTime('--since', flags.since, nowMs));
  }
  if (flags.lines === 0) return (await channel.stats()).nextSeq;
  const [first] = await channel.last(flags.lines);
  return first?.seq ?? (await channel.stats()).nextSeq;
}

async function show(session: Session, channel: Channel, flags: Flags): Promise<void> {
  const { signal } = session;
  const from = await tailStart(channel, flags, session.nowMs);
  const printer = new RecordPrinter(session.out, formatOf(flags));
  const batches =
    flags.follow === true
      ? channel.tailBatches({ from, signal })
      : channel.readBatches({ from, signal });
  for await (const records of batches) {
    await printer.print(records);
    await printer.flush();
  }
}

export const tail: CliCommand = {
  name: 'tail',
  summary: 'write the last records, and follow those that come',
  description:
    'Writes the last records of a channel. With --follow it goes on with those that come, from ' +
    'whichever process: it looks at most five times a second while nothing comes.',
  jsonHelp: 'Write NDJSON, as --format ndjson does.',
  examples: [
    ['redex tail ./data orders', 'The last ten records.'],
    ['redex tail -f -n 0 ./data orders --json', 'What comes from now on, as NDJSON.'],
  ],
  define(command, runs) {
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('<channel>', 'name of the channel')
      .option('-f, --follow', 'Go on with records that come, until Ctrl-C.')
      .option('-n, --lines <records>', 'How many of the last records.', integerFrom(0), 10)
      .option('--since <time>', 'Begin at this time instead; see redex help dates.');
    addFormatOption(command).action(
      runs((session, directory: string, name: string, flags: Flags) =>
        reading(directory, async (redex) => {
          await show(session, await existingChannel(redex, name), flags);
        }),
      ),
    );
  },
};
