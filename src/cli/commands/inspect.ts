/** `redex inspect`: what a store or a channel is made of. */
import { nodeFs } from '../../fs/node-fs.js';
import type { CliCommand } from '../command.js';
import { UsageError } from '../failure.js';
import { inspectChannel } from '../inspect-channel.js';
import { inspectStore } from '../inspect-store.js';
import { channelDocument, channelLines } from '../view-channel.js';
import { storeDocument, storeLines } from '../view-store.js';

interface Flags {
  readonly prefix?: string;
}

export const inspect: CliCommand = {
  name: 'inspect',
  summary: 'show what a store or a channel is made of',
  description:
    'Shows a store with its channels, or one channel with its segments, options and checkpoints. ' +
    'Changes nothing, takes no lock, and works beside a process that writes. Of a damaged ' +
    'directory it shows what it can, marks what it cannot, and exits with 1. Payloads are not ' +
    'checked: that is what verify is for.',
  examples: [
    ['redex inspect ./data', 'The store, its lock, its journal and all channels.'],
    ['redex inspect ./data orders', 'One channel with its files.'],
    ['redex inspect ./data --prefix sensors/ --json', 'Some channels, for a program.'],
  ],
  define(command, runs) {
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('[channel]', 'name of a channel')
      .option('--prefix <prefix>', 'Only channels whose names begin with it.')
      .action(
        runs(async (session, directory: string, name: string | undefined, flags: Flags) => {
          if (name === undefined) {
            const { prefix = '' } = flags;
            const view = await inspectStore(nodeFs, directory, prefix);
            if (view.problems.length > 0) session.problem();
            await session.show(storeDocument(view), () => storeLines(session, view, prefix));
            return;
          }
          if (flags.prefix !== undefined) {
            throw new UsageError('--prefix is for a list of channels: leave out the name of one');
          }
          const view = await inspectChannel(nodeFs, directory, name);
          if (view.problems.length > 0) session.problem();
          await session.show(channelDocument(view), () => channelLines(session, view));
        }),
      );
  },
};
