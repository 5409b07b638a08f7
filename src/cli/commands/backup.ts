/** `redex backup`: a copy of a store that is a store of its own. */
import { once } from 'node:events';
import { RedexError } from '../../core/errors.js';
import { nodeFs } from '../../fs/node-fs.js';
import type { BackupReport } from '../../index.js';
import { StoreTarget } from '../../transfer/store-target.js';
import type { CliCommand } from '../command.js';
import { messageOf, Problem } from '../failure.js';
import type { Session } from '../session.js';
import { writing } from '../store.js';
import { counted, formatBytes, formatDuration } from '../units.js';

/** Whether there is nothing that a backup could be mixed up with. */
function isFree(target: string): boolean {
  if (nodeFs.statSync(target) === undefined) return true;
  const real = nodeFs.realpathSync(target);
  const isDirectory = nodeFs.statSync(real)?.kind === 'directory';
  return isDirectory && nodeFs.readDirectorySync(real).length === 0;
}

async function backedUp(
  session: Session,
  directory: string,
  target: string,
): Promise<BackupReport> {
  if (!isFree(target)) {
    throw new Problem(`${target} is there already: choose a directory that is missing or empty`);
  }
  const { signal } = session;
  const place = StoreTarget.look(nodeFs, target);
  try {
    return await writing(directory, async (redex) => {
      const backup = redex.backup(target);
      // A backup cannot be stopped: close() waits for its end, and then it is taken away.
      const aborted = signal.aborted
        ? Promise.resolve()
        : once(signal, 'abort').then(() => undefined);
      const report = await Promise.race([backup, aborted]);
      if (report !== undefined) return report;
      backup.catch(() => undefined);
      throw signal.reason;
    });
  } catch (error) {
    // Half a copy is none, and would be in the way of the next one.
    place.putBack();
    if (RedexError.is(error, 'LOCKED')) {
      throw new Problem(`${messageOf(error)}, or call backup() in that process`);
    }
    throw error;
  }
}

export const backup: CliCommand = {
  name: 'backup',
  summary: 'copy a store into an empty directory',
  description:
    'Copies a store into a directory that is missing or empty; finished segments get a second ' +
    'name where the file system allows it, and then cost no space. The copy becomes a store when ' +
    'it is whole. A process that has the store open makes hot backups itself: redex.backup(dir).',
  examples: [['redex backup ./data /backups/monday', 'The copy can be opened like any store.']],
  define(command, runs) {
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('<target>', 'directory of the copy')
      .action(
        runs(async (session, directory: string, target: string) => {
          const started = session.io.runtime.monotonic();
          const report = await backedUp(session, directory, target);
          const durationMs = session.since(started);
          const damaged = report.damaged.map(({ channel, error }) => ({
            channel,
            code: error.code,
            message: error.message,
          }));
          if (damaged.length > 0) session.problem();
          await session.show({ ...report, damaged, durationMs }, () => [
            `backed up ${counted(report.channels, 'channel')} to ${report.directory}`,
            ...session.fields([
              ['copied', formatBytes(report.copiedBytes)],
              ['linked', formatBytes(report.linkedBytes)],
              ['time', formatDuration(durationMs)],
            ]),
            ...damaged.map(({ channel, message }) =>
              session.theme.bad(`'${channel}' is damaged and was copied as it is: ${message}`),
            ),
          ]);
        }),
      );
  },
};
