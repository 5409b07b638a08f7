/**
 * The config of a channel, when it cannot be read or is not the channel's. One wrong bit is put
 * right. A config of this name that stands in another channel's place comes back. Otherwise the
 * name is that of the directory, the id is what the channel's other files say, and the options are
 * the defaults, which is told.
 */
import { readNextConfig, writeNextConfig, configBody } from '../channel/channel-files.js';
import { versionError } from '../channel/damaged-file.js';
import { DEFAULT_STORED, storedOptionsFrom } from '../channel/options.js';
import { RedexError } from '../core/errors.js';
import { decodeChannelEntry, encodeChannelName } from '../format/channel-name.js';
import { decodeConfig, MAX_CONFIG_BYTES, type Config } from '../format/config.js';
import { CHANNEL_ID_BYTES } from '../format/file-header.js';
import { CONFIG_NAME, MANIFEST_NAME, NEXT_CONFIG_NAME } from '../format/file-name.js';
import { decodeManifest, MANIFEST_BYTES } from '../format/manifest.js';
import type { FileSystem } from '../fs/file-system.js';
import { readWholeFile } from '../fs/whole-file.js';
import { evidenceIn, type IdEvidence } from './channel-evidence.js';
import type { RepairRun } from './repair-run.js';
import { withoutOneBit } from './single-bit.js';

/** A channel's directory, and its entry in `channels`. */
export interface ChannelPlace {
  readonly directory: string;
  readonly entry: string;
  /** Directories of all channels, in which what was exchanged may be found. */
  readonly all: readonly string[];
}

interface Replacement {
  readonly config: Config;
  readonly how: string;
}

/** The config that the channel has afterwards; undefined when its name is nowhere. */
export async function repairConfig(
  run: RepairRun,
  place: ChannelPlace,
): Promise<Config | undefined> {
  const { fs, notes } = run;
  const { directory, entry } = place;
  const path = `${directory}/${CONFIG_NAME}`;
  const bytes = readWholeFile(fs, path, MAX_CONFIG_BYTES);
  const decoded = bytes === undefined ? undefined : decodeConfig(bytes);
  const evidence = evidenceIn(fs, directory);
  const manifestId = manifestIdIn(fs, directory);
  if (decoded?.ok === true && isFor(decoded.value, entry)) {
    const own = idFor(run, place, decoded.value.channelId, manifestId, evidence);
    if (Buffer.compare(own, decoded.value.channelId) === 0) return decoded.value;
  }
  evidence.add(manifestId);
  const found = replacementFor(run, place, bytes, evidence);
  if (decoded?.ok === false && decoded.check === 'version' && found?.how !== ONE_BIT) {
    throw versionError(path, decoded.found);
  }
  const wrong = decoded === undefined ? 'not there' : decoded.ok ? 'not its own' : 'damaged';
  const reason = `${path} is ${wrong}`;
  if (found === undefined) {
    const lost = `${reason}, and nothing else has the name of the channel`;
    notes.losses.push({ channel: entry, path, reason: lost });
    return undefined;
  }
  const channel = String(found.config.body['name']);
  const action = `is written again: ${found.how}`;
  notes.steps.push({
    kind: 'config',
    channel,
    path,
    bytes: bytes?.byteLength ?? 0,
    reason,
    action,
  });
  if (found.how.includes('defaults')) {
    notes.losses.push({ channel, path, reason: 'the stored options: they are the defaults now' });
  }
  await run.damaged.copy(path);
  if (decoded?.ok === true) handOn(fs, place, decoded.value);
  writeNextConfig(fs, directory, found.config);
  fs.renameSync(`${directory}/${NEXT_CONFIG_NAME}`, path);
  fs.syncDirectorySync(directory);
  return found.config;
}

/** A good config in the wrong place: who misses it finds it, also when this is as far as it got. */
function handOn(fs: FileSystem, { directory, all }: ChannelPlace, config: Config): void {
  const name = storedOptionsFrom(config.body)?.name;
  if (name === undefined) return;
  const entry = encodeChannelName(name);
  const owner = all.find((other) => other !== directory && other.endsWith(`/${entry}`));
  const present = owner === undefined ? undefined : configIn(fs, owner);
  if (owner === undefined || (present !== undefined && isFor(present, entry))) return;
  writeNextConfig(fs, owner, config);
  fs.syncDirectorySync(owner);
}

const ONE_BIT = 'as it was, one bit is wrong';

/** Whether it is the config of a channel with this entry. */
function isFor(config: Config, entry: string): boolean {
  const known = storedOptionsFrom(config.body);
  return known !== undefined && encodeChannelName(known.name) === entry;
}

/** The id of the channel: what its other files say, when config and manifest differ. */
function idFor(
  { fs }: RepairRun,
  { directory, all }: ChannelPlace,
  id: Uint8Array,
  manifestId: Uint8Array | undefined,
  evidence: IdEvidence,
): Uint8Array {
  if (manifestId !== undefined && Buffer.compare(id, manifestId) === 0) return id;
  const { likeliest } = evidence;
  const named =
    evidence.countOf(id) + (manifestId === undefined ? 0 : evidence.countOf(manifestId));
  if (named === 0 && likeliest !== undefined) {
    // The config is another store's, unless the files are those of another channel.
    const isOf = (other: string): boolean => {
      const found = other === directory ? undefined : configIn(fs, other)?.channelId;
      return found !== undefined && Buffer.compare(found, likeliest) === 0;
    };
    return all.some(isOf) ? id : likeliest;
  }
  if (manifestId === undefined) return id;
  return evidence.countOf(manifestId) > evidence.countOf(id) ? manifestId : id;
}

function manifestIdIn(fs: FileSystem, directory: string): Uint8Array | undefined {
  const bytes = readWholeFile(fs, `${directory}/${MANIFEST_NAME}`, MANIFEST_BYTES);
  const decoded = bytes === undefined ? undefined : decodeManifest(bytes);
  return decoded?.ok === true ? decoded.value.channelId : undefined;
}

function replacementFor(
  { fs, settings }: RepairRun,
  { directory, entry, all }: ChannelPlace,
  bytes: Uint8Array | undefined,
  evidence: IdEvidence,
): Replacement | undefined {
  const isOwn = (config: Config | undefined): config is Config => {
    if (config === undefined || !isFor(config, entry)) return false;
    const { likeliest } = evidence;
    return likeliest === undefined || Buffer.compare(likeliest, config.channelId) === 0;
  };
  const proven = bytes === undefined ? undefined : withoutOneBit(bytes, decodeConfig);
  if (isOwn(proven)) return { config: proven, how: ONE_BIT };
  const next = nextConfigIn(fs, directory);
  if (isOwn(next)) return { config: next, how: `from ${NEXT_CONFIG_NAME}` };
  for (const other of all) {
    const config = other === directory ? undefined : configIn(fs, other);
    if (isOwn(config)) return { config, how: `it stands in ${other}` };
  }
  const name = nameOf(entry, bytes);
  if (name === undefined) return undefined;
  const { runtime } = settings;
  const channelId = evidence.likeliest ?? runtime.random(new Uint8Array(CHANNEL_ID_BYTES));
  // Of a good one that has only the id of another channel the rest still holds.
  const present = configIn(fs, directory);
  if (present !== undefined && isFor(present, entry)) {
    return { config: { ...present, channelId }, how: 'with the id that its other files have' };
  }
  // Or the directory has got another name than that of its channel.
  const isOfFiles = present !== undefined && Buffer.compare(present.channelId, channelId) === 0;
  if (isOfFiles && evidence.likeliest !== undefined) {
    return {
      config: { channelId, body: { ...present.body, name } },
      how: 'with the name of its place',
    };
  }
  const body = configBody(name, runtime.now(), DEFAULT_STORED);
  return {
    config: { channelId, body },
    how: 'name and id are known, the options are the defaults',
  };
}

/** The config that can be read in a channel's directory, whose ever it is. */
export function configIn(fs: FileSystem, directory: string): Config | undefined {
  const bytes = readWholeFile(fs, `${directory}/${CONFIG_NAME}`, MAX_CONFIG_BYTES);
  const decoded = bytes === undefined ? undefined : decodeConfig(bytes);
  return decoded?.ok === true ? decoded.value : undefined;
}

function nextConfigIn(fs: FileSystem, directory: string): Config | undefined {
  try {
    return readNextConfig(fs, directory);
  } catch (error) {
    if (RedexError.is(error, 'CORRUPT')) return undefined;
    throw error;
  }
}

/** The name: that of the entry, or what is left of the config when its hash proves it. */
function nameOf(entry: string, bytes: Uint8Array | undefined): string | undefined {
  const decoded = decodeChannelEntry(entry);
  if (decoded?.kind === 'name') return decoded.name;
  const text = bytes === undefined ? '' : new TextDecoder().decode(bytes);
  const [, quoted] = /"name":("(?:[^"\\]|\\.)*")/.exec(text) ?? [];
  if (quoted === undefined) return undefined;
  try {
    const name: unknown = JSON.parse(quoted);
    if (typeof name !== 'string' || name === '') return undefined;
    return encodeChannelName(name) === entry ? name : undefined;
  } catch {
    return undefined;
  }
}
