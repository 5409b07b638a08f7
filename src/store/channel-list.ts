/**
 * The list of channels. One that is not open is only looked at: nothing is recovered, nothing is
 * changed, and no descriptor stays open. One that is damaged does not hide the others.
 */
import { RedexError } from '../core/errors.js';
import type { ChannelCore } from '../channel/channel-core.js';
import { followChannel } from '../channel/open-channel.js';
import type { StoredChannelOptions } from '../channel/options.js';
import { checkKnown } from '../channel/option-checks.js';
import type { ChannelDirectory } from './channel-directories.js';
import type { StoreParts } from './store-parts.js';

export interface ChannelListOptions {
  /** Only channels whose names begin with it. Default: all. */
  readonly prefix?: string | undefined;
}

/** A channel that can be read. */
interface ReadableChannelInfo {
  readonly name: string;
  readonly firstSeq: number;
  /** End of what readers see. */
  readonly nextSeq: number;
  readonly count: number;
  /** Bytes of the dat files. */
  readonly sizeBytes: number;
  readonly options: StoredChannelOptions;
  /** Unix milliseconds of its creation. */
  readonly created: number;
  /** This process has it open. */
  readonly isOpen: boolean;
  readonly error?: undefined;
}

/** A channel of which nothing more can be said. */
interface DamagedChannelInfo {
  /** Its name; the path of its directory when not even the name can be read. */
  readonly name: string;
  readonly firstSeq?: undefined;
  readonly nextSeq?: undefined;
  readonly count?: undefined;
  readonly sizeBytes?: undefined;
  readonly options?: undefined;
  readonly created?: undefined;
  readonly isOpen: false;
  /** CORRUPT, FORMAT_VERSION or IO: what opening it would reject with. */
  readonly error: RedexError;
}

export type ChannelInfo = ReadableChannelInfo | DamagedChannelInfo;

const KNOWN: ReadonlySet<string> = new Set(['prefix']);

export function checkListOptions(options: ChannelListOptions): void {
  checkKnown(options, KNOWN);
  if (options.prefix !== undefined && typeof options.prefix !== 'string') {
    throw new TypeError('prefix must be a string');
  }
}

/** See Redex.channels. */
export async function* listChannels(
  parts: StoreParts,
  prefix: string,
): AsyncGenerator<ChannelInfo, undefined> {
  for (const found of sortedChannels(parts, prefix)) {
    parts.health.requireOpen();
    const info = 'error' in found ? found : await lookAt(parts, found.name);
    if (info !== undefined) yield info;
  }
}

interface NamedChannel {
  readonly name: string;
}

function sortedChannels(parts: StoreParts, prefix: string): (NamedChannel | DamagedChannelInfo)[] {
  const found = new Map<string, NamedChannel | DamagedChannelInfo>();
  for (const directory of parts.directories.list()) {
    const named = nameOf(parts, directory);
    // What has no name that can be read may be anybody's.
    if (named === undefined) continue;
    if (named.name.startsWith(prefix) || named.name === directory.path) {
      found.set(named.name, named);
    }
  }
  return [...found.values()].toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
}

/** Undefined for one that is gone. */
function nameOf(
  { directories }: StoreParts,
  directory: ChannelDirectory,
): NamedChannel | DamagedChannelInfo | undefined {
  const { path, name, error: reason } = directory;
  if (reason !== undefined) return { name: name ?? path, isOpen: false, error: reason };
  for (let attempt = 1; ; attempt++) {
    try {
      return { name: directories.nameOf(directory) };
    } catch (error) {
      if (!RedexError.is(error)) throw error;
      if (!directories.isThere(path)) return undefined;
      // It may have been created again since.
      if (attempt > 1) return { name: path, isOpen: false, error };
    }
  }
}

/** Undefined for one that was deleted since the list began. */
async function lookAt(parts: StoreParts, name: string): Promise<ChannelInfo | undefined> {
  const { registry, directories } = parts;
  try {
    const open = registry.find(name);
    const known = open === undefined ? undefined : await infoOfOpen(open.core);
    return known ?? (await registry.exclusively(name, () => peek(parts, name)));
  } catch (error) {
    if (!RedexError.is(error)) throw error;
    if (RedexError.is(error, 'CLOSED')) parts.health.requireOpen();
    const isGone =
      RedexError.is(error, 'NOT_FOUND') || !directories.isThere(directories.pathOf(name));
    return isGone ? undefined : { name, isOpen: false, error };
  }
}

/** Undefined when it is not open any more, or another one has its name by now. */
async function infoOfOpen(core: ChannelCore): Promise<ChannelInfo | undefined> {
  try {
    await core.look();
    return infoOf(core, true);
  } catch (error) {
    if (RedexError.is(error, 'NOT_FOUND') || RedexError.is(error, 'CLOSED')) return undefined;
    throw error;
  }
}

async function peek(parts: StoreParts, name: string): Promise<ChannelInfo> {
  const { directories, settings, shared } = parts;
  const place = { directory: directories.pathOf(name), name, isNameSynced: true };
  const core = await followChannel(place, {}, settings, shared, () => undefined);
  try {
    return infoOf(core, false);
  } finally {
    await core.close();
  }
}

function infoOf(core: ChannelCore, isOpen: boolean): ChannelInfo {
  const { context, manifest, visibleSeq, chain } = core;
  return {
    name: context.name,
    firstSeq: manifest.firstSeq,
    nextSeq: visibleSeq,
    count: chain.recordsFrom(manifest.firstSeq),
    sizeBytes: chain.byteCount,
    options: context.stored,
    created: context.created,
    isOpen,
  };
}
