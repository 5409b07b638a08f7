/**
 * A fold whose state is the list of the payloads it has seen, so that a lost, doubled or reordered
 * record shows; the checkpoints of a lab; a logger that remembers.
 */
import { expect } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { checkpointDirectory } from '../../src/channel/checkpoint-files.js';
import type { FoldOptions } from '../../src/channel/fold-options.js';
import type { Fold } from '../../src/channel/fold.js';
import type { LogRecord } from '../../src/core/record.js';
import type { Logger } from '../../src/core/runtime.js';
import { decodeCheckpointHeader, encodeCheckpoint } from '../../src/format/checkpoint.js';
import { valueOf } from './format-arbitraries.js';
import { Lab, payload, payloadId, readAll, readFile, type Found } from './channel-kit.js';

/** `seq:id` of each record that was applied, or `seq:?`. */
export type Seen = string[];

export const see = (state: Seen, record: LogRecord): Seen => {
  state.push(entryOf({ seq: record.seq, id: payloadId(record.payload) }));
  return state;
};

const entryOf = ({ seq, id }: Found): string => `${seq}:${id ?? '?'}`;

export const initial = (): Seen => [];

export const SEEN: FoldOptions<Seen> = {
  name: 'seen',
  version: 1,
  initial,
  apply: see,
  checkpointEvery: Infinity,
};

export function openFold(
  lab: Lab,
  channel: Channel,
  options: Partial<FoldOptions<Seen>> = {},
): Promise<Fold<Seen>> {
  return lab.done(channel.fold({ ...SEEN, ...options }));
}

/** A lab with a channel of `count` records and a fold that has seen them. */
export async function begun(
  count: number,
  options: Partial<FoldOptions<Seen>> = {},
): Promise<{ lab: Lab; channel: Channel; fold: Fold<Seen> }> {
  const lab = new Lab();
  const channel = await lab.open();
  const fold = await openFold(lab, channel, options);
  await lab.done(channel.appendBatch(payloads(1, count)));
  await lab.done(fold.caughtUp());
  return { lab, channel, fold };
}

/** What a fold over all visible records has to have seen. */
async function allOf(lab: Lab, channel: Channel): Promise<Seen> {
  return (await readAll(lab, channel)).map(entryOf);
}

/** Payloads number `from` and so on, small ones. */
export const payloads = (from: number, count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => payload(from + i));

/** That the state is what the log holds up to its seq; once more when all has been applied. */
export async function expectTrue(lab: Lab, channel: Channel, fold: Fold<Seen>): Promise<void> {
  await expectSeen(lab, channel, fold);
  const visible = channel.nextSeq;
  await lab.done(fold.caughtUp());
  expect(fold.seq).toBeGreaterThanOrEqual(visible);
  await expectSeen(lab, channel, fold);
}

async function expectSeen(lab: Lab, channel: Channel, fold: Fold<Seen>): Promise<void> {
  // Appends that are in flight may become visible, and be applied, while the log is read.
  const { seq } = fold;
  const value = [...fold.value];
  const all = await allOf(lab, channel);
  expect(value).toEqual(all.filter((entry) => Number(entry.split(':')[0]) < seq));
}

export function checkpointNames(lab: Lab): string[] {
  const directory = checkpointDirectory(lab.directory);
  if (lab.disk.statSync(directory) === undefined) return [];
  return lab.disk
    .readDirectorySync(directory)
    .map(({ name }) => name)
    .toSorted();
}

export const checkpointPath = (lab: Lab, name: string): string =>
  `${checkpointDirectory(lab.directory)}/${name}`;

export function readCheckpointFile(lab: Lab, name: string): Uint8Array {
  return readFile(lab.disk, checkpointPath(lab, name));
}

/** The same checkpoint as one of another channel. */
export function ofOtherChannel(bytes: Uint8Array): Uint8Array {
  const { header, byteLength } = valueOf(decodeCheckpointHeader(bytes));
  const channelId = header.channelId.map((byte) => byte ^ 1);
  return encodeCheckpoint({ ...header, channelId }, bytes.subarray(byteLength));
}

/** Puts other bytes in the place of a file, durably. */
export function replaceFile(lab: Lab, path: string, bytes: Uint8Array): void {
  if (lab.disk.statSync(path) !== undefined) lab.disk.unlinkSync(path);
  const file = lab.disk.openSync(path, 'create');
  file.writeSync(bytes, 0, bytes.byteLength, 0);
  file.datasyncSync();
  file.closeSync();
  lab.disk.syncDirectorySync(path.slice(0, path.lastIndexOf('/')));
}

export interface LoggedLine {
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export function logOf(): { readonly logger: Logger; readonly lines: LoggedLine[] } {
  const lines: LoggedLine[] = [];
  const log = (message: string, details: Readonly<Record<string, unknown>>): void => {
    lines.push({ message, details });
  };
  return { logger: { debug: log, info: log, warn: log, error: log }, lines };
}
