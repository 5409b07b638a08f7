/** `redex create`: a store, or a channel and, where there is none, the store that it is in. */
import { checkChannelOptions, checkName } from '../../channel/options.js';
import { nodeFs } from '../../fs/node-fs.js';
import type { Redex, StoredChannelOptions } from '../../index.js';
import type { CliCommand } from '../command.js';
import { addChannelOptions, configureOptions, optionFields } from '../channel-options.js';
import { optionsDocument, type ChannelFlags } from '../channel-options.js';
import { Problem, UsageError } from '../failure.js';
import { storeManifestOf } from '../inspect-files.js';
import { writing } from '../store.js';
import { integerFrom } from '../units.js';

interface Flags extends ChannelFlags {
  readonly firstSeq?: number;
  readonly ifMissing?: boolean;
}

interface Created {
  readonly directory: string;
  /** Null of a store without one, as are the other two. */
  readonly channel: string | null;
  /** False for what was there. */
  readonly created: boolean;
  readonly firstSeq: number | null;
  readonly options: StoredChannelOptions | null;
}

const NO_CHANNEL = { channel: null, firstSeq: null, options: null };

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
  return {
    directory,
    channel: name,
    created: isNew,
    firstSeq: channel.firstSeq,
    options: channel.options,
  };
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
        const given = { ...configureOptions(flags), firstSeq: flags.firstSeq };
        if (name === undefined && Object.values(given).some((value) => value !== undefined)) {
          throw new UsageError('these options are for a channel, and there is no name of one');
        }
        // Before a store is made for what cannot be.
        if (name !== undefined) checkName(name);
        checkChannelOptions(given);
        const isThere = storeManifestOf(nodeFs, directory).problem !== 'missing';
        const done = await writing(
          directory,
          async (redex): Promise<Created> =>
            name === undefined
              ? { directory: redex.directory, created: !isThere, ...NO_CHANNEL }
              : await createChannel(redex, name, flags),
          { createIfMissing: true },
        );
        const { options } = done;
        const document = { ...done, options: options === null ? null : optionsDocument(options) };
        await session.show(document, () =>
          options === null
            ? [`store ${done.directory} is ready`]
            : [
                `${done.created ? 'created' : 'there is'} channel '${name}' in ${directory}`,
                ...session.fields(optionFields(options)),
              ],
        );
      }),
    );
  },
};
