/**
 * What the files of a channel say about whose they are, other than its config: the ids in headers
 * of segments and checkpoints and in the clean mark, with how many files say so.
 */
import { checkpointDirectory, checkpointHeader } from '../channel/checkpoint-files.js';
import { CLEAN_FILE_BYTES, decodeCleanFile } from '../format/clean-mark.js';
import {
  DAT_MAGIC,
  decodeFileHeader,
  FILE_HEADER_BYTES,
  IDX_MAGIC,
  TS_MAGIC,
} from '../format/file-header.js';
import {
  CLEAN_MARK_NAME,
  parseCheckpointFileName,
  parseGenerationName,
  parseSegmentFileName,
} from '../format/file-name.js';
import type { FileSystem } from '../fs/file-system.js';
import { readWholeFile } from '../fs/whole-file.js';

const MAGIC_OF = { dat: DAT_MAGIC, idx: IDX_MAGIC, ts: TS_MAGIC } as const;

export class IdEvidence {
  readonly #counts = new Map<string, number>();

  add(id: Uint8Array | undefined): void {
    if (id === undefined) return;
    const key = Buffer.from(id).toString('hex');
    this.#counts.set(key, this.countOf(id) + 1);
  }

  countOf(id: Uint8Array): number {
    return this.#counts.get(Buffer.from(id).toString('hex')) ?? 0;
  }

  /** The one that most files name. */
  get likeliest(): Uint8Array | undefined {
    const [first] = [...this.#counts].toSorted(([, a], [, b]) => b - a);
    return first === undefined ? undefined : Uint8Array.from(Buffer.from(first[0], 'hex'));
  }
}

/** What the files in a channel's directory say, manifest and config left out. */
export function evidenceIn(fs: FileSystem, directory: string): IdEvidence {
  const evidence = new IdEvidence();
  for (const { name, kind } of fs.readDirectorySync(directory)) {
    if (kind !== 'directory' || parseGenerationName(name) === undefined) continue;
    for (const file of fs.readDirectorySync(`${directory}/${name}`)) {
      const parsed = parseSegmentFileName(file.name);
      if (parsed === undefined) continue;
      evidence.add(idInHeader(fs, `${directory}/${name}/${file.name}`, MAGIC_OF[parsed.kind]));
    }
  }
  const clean = readWholeFile(fs, `${directory}/${CLEAN_MARK_NAME}`, CLEAN_FILE_BYTES);
  if (clean !== undefined) evidence.add(decodeCleanFile(clean).mark?.channelId);
  const checkpoints = checkpointDirectory(directory);
  if (fs.statSync(checkpoints)?.kind !== 'directory') return evidence;
  for (const { name } of fs.readDirectorySync(checkpoints)) {
    if (parseCheckpointFileName(name)?.isNew !== false) continue;
    const header = checkpointHeader(fs, `${checkpoints}/${name}`);
    if (header.ok) evidence.add(header.value.channelId);
  }
  return evidence;
}

function idInHeader(fs: FileSystem, path: string, magic: number): Uint8Array | undefined {
  const file = fs.openSync(path, 'read');
  try {
    const bytes = new Uint8Array(FILE_HEADER_BYTES);
    const length = file.readSync(bytes, 0, FILE_HEADER_BYTES, 0);
    const header = decodeFileHeader(magic, bytes.subarray(0, length));
    return header.ok ? header.value.channelId : undefined;
  } finally {
    file.closeSync();
  }
}

/** Whether nothing but directories of a channel has reached the disk. */
export function isWithoutFiles(fs: FileSystem, directory: string): boolean {
  return fs.readDirectorySync(directory).every(({ name, kind }) => {
    return kind === 'directory' && isWithoutFiles(fs, `${directory}/${name}`);
  });
}
