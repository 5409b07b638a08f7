/** `redex create`: a store, or a channel and, where there is none, the store that it is in. */
import { checkChannelOptions, checkName } from '../../channel/options.js';
import type { Channel, Redex } from '../../index.js';
import type { CliCommand } from '../command.js';
import { addChannelOptions, configureOptions, optionFields } from '../channel-options.js';
import { optionsDocument, type ChannelFlags } from '../channel-options.js';
import { Problem, UsageError } from '../failure.js';
import { writing } from '../store.js';
import { integerFrom } from '../units.js';

interface Flags extends ChannelFlags {
  readonly firstSeq?: number;
  readonly ifMissing?: boolean;
}

interface Created {
  readonly directory: string;
  /** Undefined for a store without a channel. */
  readonly channel: Channel | undefined;
  /** False for one that was there. */
  readonly isNew: boolean;
}

async function createChannel(redex: Redex, name: string, flags: Flags): Promise<Created> {
  const { directory } = redex;
  const isNew = !(await redex.hasChannel(name));
  if (!isNew && flags.ifMissing !== true) {
    throw new Problem(
      `there is a channel '${name}' in ${directory} already ` +
        '(--if-missing takes it as it is, redex configure changes its options)',
    );
  }
  const { firstSeq } = flags;
  const channel = await redex.channel(name, { ...configureOptions(flags), firstSeq });
  return { directory, channel, isNew };
}

export const create: CliCommand = {
  name: 'create',
  summary: 'create a channel, and the store when there is none',
  description:
    'Creates a channel with the options that are given. Where the directory is absent or empty, ' +
    'it becomes a store; any other directory is left alone. Without a channel only the store is ' +
    'created.',
  examples: [
    ['redex create ./data orders', 'A channel whose appends are synced before they resolve.'],
    [
      'redex create ./data metrics --sync every=1000,interval=1s --retention age=7d,bytes=10GiB',
      'Syncs in the background, and keeps a week or 10 GiB, whatever is less.',
    ],
  ],
  define(command, runs) {
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('[channel]', 'name of the channel')
      .option('--if-missing', 'A channel that is there is fine, when its options are the same.')
      .option('--first-seq <seq>', 'Seq of the first record; 0 when not given.', integerFrom(0));
    addChannelOptions(command).action(
      runs(async (session, directory: string, name: string | undefined, flags: Flags) => {
        if (name === undefined && Object.keys(configureOptions(flags)).length > 0) {
          throw new UsageError('these options are for a channel, and there is no name of one');
        }
        // Before a store is made for what cannot be.
        if (name !== undefined) checkName(name);
        checkChannelOptions({ ...configureOptions(flags), firstSeq: flags.firstSeq });
        await writing(
          directory,
          async (redex) => {
            const created =
              name === undefined
                ? { directory: redex.directory, channel: undefined, isNew: true }
                : await createChannel(redex, name, flags);
            const { channel, isNew } = created;
            const document = {
              directory: created.directory,
              channel: channel?.name ?? null,
              created: isNew,
              firstSeq: channel?.firstSeq ?? null,
              options: channel === undefined ? null : optionsDocument(channel.options),
            };
            await session.show(document, () =>
              channel === undefined
                ? [`store ${created.directory} is ready`]
                : [
                    `${isNew ? 'created' : 'there is'} channel '${channel.name}' in ${directory}`,
                    ...session.fields(optionFields(channel.options)),
                  ],
            );
          },
          { createIfMissing: true },
        );
      }),
    );
  },
};
