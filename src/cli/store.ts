/**
 * Opens stores and channels for commands. Who reads takes no lock and changes nothing; who writes
 * creates nothing either, unless the command says so. The engine is loaded here, when a command
 * runs: help does not wait for it.
 */
import { RedexError } from '../core/errors.js';
import { decodeChannelEntry } from '../format/channel-name.js';
import { CHANNELS_NAME } from '../format/file-name.js';
import { nodeFs } from '../fs/node-fs.js';
import type { Channel, Redex, RedexOptions } from '../index.js';
import { Problem } from './failure.js';
import { nearest } from './nearest.js';

async function open(directory: string, options: RedexOptions): Promise<Redex> {
  const { Redex: engine } = await import('../index.js');
  try {
    return await engine.open(directory, options);
  } catch (error) {
    if (RedexError.is(error, 'NOT_FOUND')) throw notAStore(directory);
    if (RedexError.is(error, 'EXISTS')) {
      throw new Problem(`${directory} is not a redex data directory: ${other(error.kind)}`);
    }
    throw error;
  }
}

const other = (kind: string): string =>
  kind === 'directory' ? 'it holds other files, and was left alone' : 'it is no directory';

/** The error for a place where no store is. */
export function notAStore(directory: string): Problem {
  return new Problem(`${directory} is not a redex data directory: ${whatIsThere(directory)}`);
}

function whatIsThere(directory: string): string {
  const hint = '(redex create or append makes one)';
  if (nodeFs.statSync(directory) === undefined) return `there is nothing of that name ${hint}`;
  let real: string;
  try {
    real = nodeFs.realpathSync(directory);
  } catch {
    return 'it is a link that leads to nothing';
  }
  if (nodeFs.statSync(real)?.kind !== 'directory') return 'it is no directory';
  return nodeFs.readDirectorySync(real).length === 0
    ? `it is empty ${hint}`
    : 'it holds other files';
}

/** Uses a store without a lock and without changing anything. */
export function reading<T>(directory: string, use: (redex: Redex) => Promise<T>): Promise<T> {
  return using(() => open(directory, { readOnly: true }), use);
}

/** Uses a store that is there as its only writer. */
export function writing<T>(
  directory: string,
  use: (redex: Redex) => Promise<T>,
  options: RedexOptions = {},
): Promise<T> {
  return using(() => open(directory, { createIfMissing: false, ...options }), use);
}

/** Opens a store that is made where nothing is. The caller closes it. */
export const creating = (directory: string): Promise<Redex> => open(directory, {});

/** The error of what was done counts more than that of a close after it. */
async function using<T>(
  start: () => Promise<Redex>,
  use: (redex: Redex) => Promise<T>,
): Promise<T> {
  const redex = await start();
  let result: T;
  try {
    result = await use(redex);
  } catch (error) {
    await redex.close().catch(() => undefined);
    throw error;
  }
  await redex.close();
  return result;
}

/** A channel that is there. The error for one that is not names others that are alike. */
export async function existingChannel(redex: Redex, name: string): Promise<Channel> {
  try {
    return await redex.channel(name, { createIfMissing: false });
  } catch (error) {
    if (RedexError.is(error, 'NOT_FOUND')) throw noChannel(redex.directory, name);
    throw error;
  }
}

export function noChannel(directory: string, name: string): Problem {
  const names = nearest(name, channelNames(directory));
  const quoted = names.map((each) => `'${each}'`).join(' or ');
  const hint = quoted === '' ? `redex inspect ${directory} lists them` : `did you mean ${quoted}?`;
  return new Problem(`there is no channel '${name}' in ${directory}: ${hint}`);
}

/** The names that directories of channels tell: none of the channels is looked at. */
function channelNames(directory: string): string[] {
  try {
    return nodeFs.readDirectorySync(`${directory}/${CHANNELS_NAME}`).flatMap(({ name }) => {
      const entry = decodeChannelEntry(name);
      return entry?.kind === 'name' ? [entry.name] : [];
    });
  } catch {
    // It is for a hint only.
    return [];
  }
}
