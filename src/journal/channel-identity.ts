/**
 * Whose directory it is, when a crash may have left any part of it: the first file that can be read
 * says so. What nothing identifies has never been synced.
 */
import { decodeCheckpointHeader, MAX_CHECKPOINT_HEADER_BYTES } from '../format/checkpoint.js';
import { CLEAN_FILE_BYTES, decodeCleanFile } from '../format/clean-mark.js';
import { decodeConfig, MAX_CONFIG_BYTES } from '../format/config.js';
import { DAT_MAGIC, decodeFileHeader, FILE_HEADER_BYTES } from '../format/file-header.js';
import {
  CHECKPOINTS_NAME,
  CLEAN_MARK_NAME,
  CONFIG_NAME,
  MANIFEST_NAME,
  parseCheckpointFileName,
  parseGenerationName,
} from '../format/file-name.js';
import { decodeManifest, MANIFEST_BYTES } from '../format/manifest.js';
import type { FileSystem } from '../fs/file-system.js';
import { readAt, readWholeFile } from '../fs/whole-file.js';

/** The id of the channel in a directory; undefined when nothing in it says so. */
export function channelIdIn(fs: FileSystem, directory: string): Uint8Array | undefined {
  if (fs.statSync(directory)?.kind !== 'directory') return undefined;
  const config = readWholeFile(fs, `${directory}/${CONFIG_NAME}`, MAX_CONFIG_BYTES);
  const decodedConfig = config === undefined ? undefined : decodeConfig(config);
  if (decodedConfig?.ok === true) return decodedConfig.value.channelId;
  const manifest = readWholeFile(fs, `${directory}/${MANIFEST_NAME}`, MANIFEST_BYTES);
  const decodedManifest = manifest === undefined ? undefined : decodeManifest(manifest);
  if (decodedManifest?.ok === true) return decodedManifest.value.channelId;
  for (const { name, kind } of fs.readDirectorySync(directory)) {
    if (kind !== 'directory' || parseGenerationName(name) === undefined) continue;
    const id = idInGeneration(fs, `${directory}/${name}`);
    if (id !== undefined) return id;
  }
  const clean = readWholeFile(fs, `${directory}/${CLEAN_MARK_NAME}`, CLEAN_FILE_BYTES);
  const mark = clean === undefined ? undefined : decodeCleanFile(clean).mark;
  return mark?.channelId ?? idInCheckpoints(fs, `${directory}/${CHECKPOINTS_NAME}`);
}

/** Of folds: a checkpoint may be all that a sync has covered, and no record before it be left. */
function idInCheckpoints(fs: FileSystem, checkpoints: string): Uint8Array | undefined {
  if (fs.statSync(checkpoints)?.kind !== 'directory') return undefined;
  for (const { name, kind } of fs.readDirectorySync(checkpoints)) {
    if (kind !== 'file' || parseCheckpointFileName(name)?.isNew !== false) continue;
    const file = fs.openSync(`${checkpoints}/${name}`, 'read');
    try {
      const head = decodeCheckpointHeader(readAt(file, 0, MAX_CHECKPOINT_HEADER_BYTES));
      if (head.ok) return head.value.header.channelId;
    } finally {
      file.closeSync();
    }
  }
  return undefined;
}

function idInGeneration(fs: FileSystem, generation: string): Uint8Array | undefined {
  for (const { name } of fs.readDirectorySync(generation)) {
    if (!name.endsWith('.dat')) continue;
    const file = fs.openSync(`${generation}/${name}`, 'read');
    try {
      const header = decodeFileHeader(DAT_MAGIC, readAt(file, 0, FILE_HEADER_BYTES));
      if (header.ok) return header.value.channelId;
    } finally {
      file.closeSync();
    }
  }
  return undefined;
}
