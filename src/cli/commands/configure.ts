/** `redex configure`: shows and changes the options that are stored with a channel. */
import type { CliCommand } from '../command.js';
import { addChannelOptions, configureOptions, optionFields } from '../channel-options.js';
import { optionsDocument, type ChannelFlags } from '../channel-options.js';
import { existingChannel, reading, writing } from '../store.js';

export const configure: CliCommand = {
  name: 'configure',
  summary: 'show or change the options of a channel',
  description:
    'Changes the options that are stored with a channel, durably; those that are not given stay ' +
    'as they are. Without any it shows them, also beside a process that has the store open.',
  examples: [
    ['redex configure ./data metrics --retention age=30d', 'Keeps a month from now on.'],
    ['redex configure ./data metrics --retention none', 'Keeps everything.'],
  ],
  define(command, runs) {
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('<channel>', 'name of the channel');
    addChannelOptions(command).action(
      runs(async (session, directory: string, name: string, flags: ChannelFlags) => {
        const change = configureOptions(flags);
        const isChange = Object.keys(change).length > 0;
        const options = isChange
          ? await writing(directory, async (redex) => {
              const channel = await existingChannel(redex, name);
              await channel.configure(change);
              return channel.options;
            })
          : await reading(directory, async (redex) => {
              return (await existingChannel(redex, name)).options;
            });
        const document = { channel: name, changed: isChange, options: optionsDocument(options) };
        await session.show(document, () => session.fields(optionFields(options)));
      }),
    );
  },
};
