/**
 * Names inside the data directory and inside a channel's directory; the entries that channels have
 * themselves are in channel-name.ts. Numbers are written with a fixed count of digits, so that
 * names sort as the numbers do, and only a name that is written back the same is recognised.
 */

export const STORE_MANIFEST_NAME = 'redex.json';
export const STORE_MANIFEST_TEMPORARY_NAME = 'redex.json.tmp';
export const LOCK_NAME = 'LOCK';
export const LOCK_INFO_NAME = 'LOCK.info';
export const CHANNELS_NAME = 'channels';
export const JOURNAL_NAME = 'journal';
/** Where a repair keeps what was damaged; nothing else looks into it. */
export const DAMAGED_NAME = 'damaged';
/** In the journal's directory. */
export const CONTROL_NAME = 'control';
/** Under which the control block is written before it is there. */
export const NEW_CONTROL_NAME = 'control.tmp';

// Beside the channels: no channel's entry begins with a dot.
export const NEW_NAME = '.new';
export const TRASH_NAME = '.trash';
export const RENAME_NAME = '.rename';

export const CONFIG_NAME = 'config';
/** The config that a channel which is being renamed gets. */
export const NEXT_CONFIG_NAME = 'config.next';
export const MANIFEST_NAME = 'manifest';
export const MANIFEST_TEMPORARY_NAME = 'manifest.tmp';
export const CLEAN_MARK_NAME = 'clean';
export const CHECKPOINTS_NAME = 'checkpoints';

/** A segment of the journal. */
export function journalSegmentName(number: number): string {
  return `${String(number).padStart(10, '0')}.journal`;
}

export function parseJournalSegmentName(name: string): number | undefined {
  const number = Number(/^(\d{10,16})\.journal$/.exec(name)?.[1]);
  if (!Number.isSafeInteger(number) || number === 0) return undefined;
  return journalSegmentName(number) === name ? number : undefined;
}

export type SegmentFileKind = 'dat' | 'idx' | 'ts';

export function generationName(generation: number): string {
  return `v${String(generation).padStart(10, '0')}`;
}

export function parseGenerationName(name: string): number | undefined {
  const match = /^v(\d{10,16})$/.exec(name);
  const generation = Number(match?.[1]);
  if (!Number.isSafeInteger(generation) || generation === 0) return undefined;
  return generationName(generation) === name ? generation : undefined;
}

export function segmentFileName(baseSeq: number, kind: SegmentFileKind): string {
  return `${String(baseSeq).padStart(20, '0')}.${kind}`;
}

export function parseSegmentFileName(
  name: string,
): { baseSeq: number; kind: SegmentFileKind } | undefined {
  const match = /^(\d{20})\.(dat|idx|ts)$/.exec(name);
  if (match === null) return undefined;
  const baseSeq = Number(match[1]);
  if (!Number.isSafeInteger(baseSeq)) return undefined;
  return { baseSeq, kind: match[2] as SegmentFileKind };
}

/** The name under which a derived file is rebuilt before it replaces the old one. */
export function rebuiltFileName(name: string): string {
  return `${name}.tmp`;
}

/** The name for the bytes of a torn tail that a recovery cut off. Same bytes, same name. */
export function cutFileName(baseSeq: number, position: number, hashHex: string): string {
  return `cut-${String(baseSeq).padStart(20, '0')}-${position}-${hashHex}`;
}

export function isCutFileName(name: string): boolean {
  return /^cut-\d{20}-\d+-[0-9a-f]{16}$/.test(name);
}

/** A checkpoint under the entry of its fold; `@` and `+` occur in no entry. */
export function checkpointFileName(entry: string, number: number): string {
  return `${entry}@${String(number).padStart(10, '0')}`;
}

/** The name under which it is written before it is synced. */
export function newCheckpointFileName(entry: string, number: number): string {
  return `${checkpointFileName(entry, number)}+new`;
}

export function parseCheckpointFileName(
  name: string,
): { readonly entry: string; readonly number: number; readonly isNew: boolean } | undefined {
  const [, entry = '', digits = '', suffix] = /^([^@+]+)@(\d{10,16})(\+new)?$/.exec(name) ?? [];
  const number = Number(digits);
  if (entry === '' || !Number.isSafeInteger(number)) return undefined;
  const isNew = suffix !== undefined;
  const written = isNew ? newCheckpointFileName(entry, number) : checkpointFileName(entry, number);
  return written === name ? { entry, number, isNew } : undefined;
}

/** The base seq of the segment that a file in a generation belongs to; undefined for any other. */
export function fileOwner(name: string): number | undefined {
  return parseSegmentFileName(name.replace(/\.tmp$/, ''))?.baseSeq;
}
