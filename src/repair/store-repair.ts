/** The order in which a store is repaired. */
import { CHANNELS_NAME } from '../format/file-name.js';
import { decodeChannelEntry, encodeChannelName } from '../format/channel-name.js';
import { repairChannel } from './channel-repair.js';
import type { RepairRun } from './repair-run.js';

export async function repairStore(run: RepairRun, only: string | undefined): Promise<void> {
  const { fs, directory } = run;
  const channels = `${directory}/${CHANNELS_NAME}`;
  const wanted = only === undefined ? undefined : encodeChannelName(only);
  for (const { name, kind } of fs.readDirectorySync(channels)) {
    if (kind !== 'directory' || decodeChannelEntry(name) === undefined) continue;
    if (wanted !== undefined && wanted !== name) continue;
    await repairChannel(run, { directory: `${channels}/${name}`, waiting: [], doubt: 0 });
  }
}
