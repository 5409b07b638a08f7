/**
 * Checkpoints of folds that are damaged are set aside: their folds go on from the ones before, or
 * from the log. Those of a newer version, of other channels and without an end harm nobody.
 */
import type { ChannelContext } from '../channel/channel-context.js';
import { checkCheckpoint, checkpointDirectory } from '../channel/checkpoint-files.js';
import { parseCheckpointFileName } from '../format/file-name.js';
import type { RepairRun } from './repair-run.js';

export async function repairCheckpoints(
  { fs, notes, damaged }: RepairRun,
  { directory, name: channel }: ChannelContext,
): Promise<void> {
  const checkpoints = checkpointDirectory(directory);
  if (fs.statSync(checkpoints)?.kind !== 'directory') return;
  for (const { name, kind } of fs.readDirectorySync(checkpoints)) {
    if (kind !== 'file' || parseCheckpointFileName(name)?.isNew !== false) continue;
    const path = `${checkpoints}/${name}`;
    const checked = await checkCheckpoint(fs, path, () => undefined);
    if (checked.ok || checked.check === 'version') continue;
    const reason = `${path} is damaged (${checked.check})`;
    const bytes = fs.statSync(path)?.size ?? 0;
    const action = 'is set aside; its fold goes on from the one before it, or from the log';
    notes.steps.push({ kind: 'checkpoint', channel, path, bytes, reason, action });
    damaged.move(path);
  }
}
