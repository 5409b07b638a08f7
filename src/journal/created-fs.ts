/**
 * The store as a process sees it that only reads, when the journal says that channels were made or
 * deleted and the names and files that go with it are not all there: after a power cut, before
 * somebody has redone it (RULES N4).
 */
import { decodeConfig } from '../format/config.js';
import {
  CHANNELS_NAME,
  CONFIG_NAME,
  generationName,
  MANIFEST_NAME,
  RENAME_NAME,
} from '../format/file-name.js';
import { decodeManifest } from '../format/manifest.js';
import type {
  DirectoryEntry,
  FileHandle,
  FileStat,
  FileSystem,
  OpenMode,
} from '../fs/file-system.js';
import { PassingFs } from '../fs/passing-fs.js';
import { systemCodeOf } from '../fs/system-error.js';
import { readWholeFile } from '../fs/whole-file.js';
import type { CreatedChannel, JournalView } from './journal-view.js';
import { channelIdIn } from './channel-identity.js';
import { idOf } from './redo-plan.js';
import { MemoryFile } from './memory-file.js';

/** More than any config has. */
const MOST_BYTES = 1024 * 1024;
const DIRECTORY: FileStat = { kind: 'directory', size: 0 };

export class CreatedFs extends PassingFs {
  readonly #view: JournalView;
  readonly #channels: string;

  /** `directory` is the store's. */
  constructor(fs: FileSystem, view: JournalView, directory: string) {
    super(fs);
    this.#view = view;
    this.#channels = `${directory}/${CHANNELS_NAME}`;
  }

  override openSync(path: string, mode: OpenMode): FileHandle {
    const bytes = mode === 'read' ? this.#bytesOf(path) : undefined;
    if (bytes !== undefined) return new MemoryFile(path, bytes);
    const { entry, rest } = this.#split(path);
    const isFile = entry !== undefined && rest !== CONFIG_NAME && rest !== MANIFEST_NAME;
    if (isFile && this.#isForeign(entry)) {
      throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    }
    return super.openSync(path, mode);
  }

  /** What the journal has of a config or manifest that is not there, or not whole. */
  #bytesOf(path: string): Uint8Array | undefined {
    const { entry, rest } = this.#split(path);
    const created = entry === undefined ? undefined : this.#createdAt(entry);
    if (created === undefined || (rest !== CONFIG_NAME && rest !== MANIFEST_NAME)) return undefined;
    const found = readWholeFile(this.fs, path, MOST_BYTES);
    const isConfig = rest === CONFIG_NAME;
    if (found !== undefined && isOf(created.id, found, isConfig)) return undefined;
    return isConfig ? created.config : created.manifest;
  }

  /**
   * What the journal has made under a name. A rename is no matter of the journal: what is found in
   * another place has left this name for good.
   */
  #createdAt(entry: string): CreatedChannel | undefined {
    const created = this.#view.created.get(entry);
    if (created === undefined || this.#idIn(entry) === created.id) return created;
    if (!this.#isElsewhere(created.id)) return created;
    this.#view.created.delete(entry);
    return undefined;
  }

  /** In the order in which a rename goes, so that what is on its way is not missed. */
  #isElsewhere(id: string): boolean {
    return [`${this.#channels}/${RENAME_NAME}`, this.#channels].some((directory) =>
      this.#entriesOf(directory).some(({ name }) => this.#idAt(`${directory}/${name}`) === id),
    );
  }

  #entriesOf(path: string): DirectoryEntry[] {
    try {
      return super.readDirectorySync(path);
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return [];
      throw error;
    }
  }

  /** Whether what is there under a name is another channel's, which the journal has deleted. */
  #isForeign(entry: string): boolean {
    const created = this.#createdAt(entry);
    if (created === undefined) return false;
    const id = this.#idIn(entry);
    return id !== undefined && id !== created.id;
  }

  #idIn(entry: string): string | undefined {
    return this.#idAt(`${this.#channels}/${entry}`);
  }

  /** Undefined also for what goes away while it is looked at. */
  #idAt(path: string): string | undefined {
    try {
      const id = channelIdIn(this.fs, path);
      return id === undefined ? undefined : idOf(id);
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  override statSync(path: string): FileStat | undefined {
    const { entry, rest } = this.#split(path);
    if (entry !== undefined && rest === undefined) this.#view.look();
    if (entry !== undefined && this.#isDeleted(entry)) return undefined;
    const isHidden = entry !== undefined && rest !== undefined && this.#isForeign(entry);
    const found = isHidden ? undefined : super.statSync(path);
    if (found !== undefined || entry === undefined) return found;
    const created = this.#createdAt(entry);
    if (created === undefined) return undefined;
    if (rest === undefined || rest === generationName(1)) return DIRECTORY;
    if (rest === CONFIG_NAME) return { kind: 'file', size: created.config.byteLength };
    return rest === MANIFEST_NAME ? { kind: 'file', size: created.manifest.byteLength } : undefined;
  }

  override readDirectorySync(path: string): DirectoryEntry[] {
    if (path === this.#channels) return this.#listed(super.readDirectorySync(path));
    const { entry, rest } = this.#split(path);
    const isCreated = entry !== undefined && this.#createdAt(entry) !== undefined;
    if (!isCreated || (rest !== undefined && rest !== generationName(1))) {
      return super.readDirectorySync(path);
    }
    if (this.#isForeign(entry)) return [];
    return this.#entriesOf(path);
  }

  #listed(entries: DirectoryEntry[]): DirectoryEntry[] {
    this.#view.look();
    const kept = entries.filter(({ name }) => !this.#isDeleted(name));
    const names = new Set(kept.map(({ name }) => name));
    for (const name of Array.from(this.#view.created.keys())) {
      if (names.has(name) || this.#createdAt(name) === undefined) continue;
      kept.push({ name, kind: 'directory' });
    }
    return kept;
  }

  /** Whether what is still there under a name is what the journal has deleted. */
  #isDeleted(entry: string): boolean {
    const deleted = this.#view.deleted.get(entry);
    if (deleted === undefined || this.#createdAt(entry) !== undefined) return false;
    const id = this.#idIn(entry);
    return id === undefined || deleted.has(id);
  }

  /** The entry of a channel, and what of it a path is for. */
  #split(path: string): { readonly entry: string | undefined; readonly rest: string | undefined } {
    if (!path.startsWith(`${this.#channels}/`)) return { entry: undefined, rest: undefined };
    const inside = path.slice(this.#channels.length + 1);
    const slash = inside.indexOf('/');
    if (slash < 0) return { entry: inside, rest: undefined };
    return { entry: inside.slice(0, slash), rest: inside.slice(slash + 1) };
  }
}

/** Whether bytes are whole and of this channel. What is of a newer version is not lost. */
function isOf(id: string, bytes: Uint8Array, isConfig: boolean): boolean {
  const decoded = isConfig ? decodeConfig(bytes) : decodeManifest(bytes);
  return decoded.ok ? idOf(decoded.value.channelId) === id : decoded.check === 'version';
}
