/** `redex delete`: a channel with all its records. */
import type { CliCommand } from '../command.js';
import { existingChannel, noChannel, reading, writing } from '../store.js';
import { counted, formatBytes } from '../units.js';

interface Flags {
  readonly ifExists?: boolean;
}

export const deleteCommand: CliCommand = {
  name: 'delete',
  summary: 'delete a channel with all its records',
  description:
    'Deletes a channel with all its records, at once and durably. There is no way back but a ' +
    'backup.',
  examples: [['redex delete ./data orders', 'Deletes the channel orders.']],
  define(command, runs) {
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('<channel>', 'name of the channel')
      .option('--if-exists', 'It is fine when there is no such channel.')
      .action(
        runs(async (session, directory: string, name: string, flags: Flags) => {
          const size = await sizeOf(directory, name);
          const deleted = await writing(directory, async (redex) => {
            const isDeleted = await redex.deleteChannel(name);
            if (!isDeleted && flags.ifExists !== true) throw noChannel(redex.directory, name);
            return isDeleted;
          });
          const { count = null, sizeBytes = null } = size ?? {};
          await session.show({ channel: name, deleted, count, sizeBytes }, () => {
            if (!deleted) return [`there was no channel '${name}' in ${directory}`];
            const what =
              size === undefined
                ? ''
                : ` with ${counted(size.count, 'record')}, ${formatBytes(size.sizeBytes)}`;
            return [`deleted channel '${name}'${what}`];
          });
        }),
      );
  },
};

/** What it was; undefined when it cannot be read, which does not keep it from being deleted. */
async function sizeOf(
  directory: string,
  name: string,
): Promise<{ readonly count: number; readonly sizeBytes: number } | undefined> {
  try {
    return await reading(directory, async (redex) => {
      const { count, sizeBytes } = await (await existingChannel(redex, name)).stats();
      return { count, sizeBytes };
    });
  } catch {
    return undefined;
  }
}
