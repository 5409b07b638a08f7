/**
 * A store on a machine that a test takes apart. `StoreLab` is a channel kit's Lab with a store in
 * it: a disk that crashes, faults, a watch and a clock moved by hand. `CountingFs` counts the
 * descriptors of a file system, `FoldingFs` takes names for one another as the disks of other
 * systems do, `RealStore` is a directory of this machine.
 */
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Channel } from '../../src/channel/channel.js';
import type { ChannelOptions } from '../../src/channel/options.js';
import { encodeChannelName } from '../../src/format/channel-name.js';
import type { DirectoryEntry, FileHandle, FileSystem, OpenMode } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import type { ChannelInfo, ChannelListOptions } from '../../src/store/channel-list.js';
import { Redex } from '../../src/store/redex.js';
import type { RedexOptions } from '../../src/store/store-options.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { Lab, payload, payloadId, readFile, type LabOptions } from './channel-kit.js';

/** The data directory of every store in memory. */
export const DATA = '/data';
export const CHANNELS: string = `${DATA}/channels`;

export function channelPath(name: string): string {
  return `${CHANNELS}/${encodeChannelName(name)}`;
}

export class StoreLab {
  readonly lab: Lab;

  constructor(lab: Lab | LabOptions = {}) {
    this.lab = lab instanceof Lab ? lab : new Lab({ ...lab, directory: DATA });
  }

  open(options: RedexOptions = {}): Promise<Redex> {
    const { watch: fs, runtime } = this.lab;
    return this.lab.done(Redex.open(DATA, { fs, runtime, ...options }));
  }

  /** The next process after this one was killed. */
  kill(): StoreLab {
    return new StoreLab(this.lab.kill());
  }

  /** What no descriptor may ever do, see WatchFs. Nothing depends on LOCK.info. */
  get violations(): string[] {
    return this.lab.watch.violations.filter((what) => !what.includes('LOCK.info'));
  }

  /** All files, by their paths. */
  get tree(): Record<string, string> {
    return treeOf(this.lab.disk, DATA);
  }
}

/** Counts the descriptors that are open at once. */
export class CountingFs extends FaultFs {
  peak = 0;

  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = super.openSync(path, mode);
    this.peak = Math.max(this.peak, this.openPaths.length);
    return handle;
  }
}

/**
 * Names that differ in case, in their Unicode form, or in dots and spaces at their end are one
 * name, as on macOS and Windows; a listing shows them as they were first written. What Windows
 * has no name for is EINVAL.
 */
export class FoldingFs extends MemoryFs {
  /** The last name of a path as it was written, by the folded path. */
  readonly #written: Map<string, string> = new Map();

  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = super.openSync(folded(path), mode);
    if (mode === 'create') this.#show(path);
    return handle;
  }

  override mkdirSync(path: string): void {
    super.mkdirSync(folded(path));
    this.#show(path);
  }

  override readDirectorySync(path: string): DirectoryEntry[] {
    const directory = folded(path);
    return super.readDirectorySync(directory).map(({ name, kind }) => {
      return { name: this.#written.get(`${directory}/${name}`) ?? name, kind };
    });
  }

  #show(path: string): void {
    this.#written.set(folded(path), path.slice(path.lastIndexOf('/') + 1));
  }

  override statSync(path: string): ReturnType<FileSystem['statSync']> {
    return super.statSync(folded(path));
  }

  override renameSync(from: string, to: string): void {
    super.renameSync(folded(from), folded(to));
    this.#show(to);
  }

  override unlinkSync(path: string): void {
    super.unlinkSync(folded(path));
  }

  override rmdirSync(path: string): void {
    super.rmdirSync(folded(path));
  }

  override syncDirectorySync(path: string): void {
    super.syncDirectorySync(folded(path));
  }

  override syncDirectory(path: string): Promise<void> {
    return super.syncDirectory(folded(path));
  }

  override realpathSync(path: string): string {
    return super.realpathSync(folded(path));
  }
}

const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/;

function folded(path: string): string {
  return path
    .split('/')
    .map((name) => {
      const same = name.normalize('NFC').toLowerCase();
      // The store's own work directories begin with a dot; nothing but dots is no name.
      const trimmed = same.replace(/[. ]+$/, '');
      if (name !== '' && (trimmed === '' || DEVICE.test(trimmed) || /[<>:"\\|?*]/.test(name))) {
        throw Object.assign(new Error(`no name on this disk: ${name}`), { code: 'EINVAL' });
      }
      return trimmed;
    })
    .join('/');
}

/** A data directory of this machine. */
export class RealStore {
  /** A directory that is removed with everything in it. */
  readonly scratch: string = realpathSync(mkdtempSync(join(tmpdir(), 'redex-store-')));
  readonly directory: string = join(this.scratch, 'data');

  /** Every name below the scratch directory with its bytes; LOCK and LOCK.info left out. */
  get tree(): Record<string, string> {
    const found: Record<string, string> = {};
    for (const name of readdirSync(this.scratch, { recursive: true, encoding: 'utf8' })) {
      if (/(^|\/)LOCK(\.info)?$/.test(name)) continue;
      const path = join(this.scratch, name);
      const stat = lstatSync(path);
      if (stat.isFile()) found[name] = readFileSync(path, 'hex');
      else found[name] = stat.isSymbolicLink() ? `-> ${readlinkSync(path)}` : '';
    }
    return found;
  }

  remove(): void {
    rmSync(this.scratch, { recursive: true, force: true });
  }
}

/** Everything below a directory but the lock: directories, and files with their bytes. */
export function treeOf(fs: FileSystem, directory: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { name, kind } of fs.readDirectorySync(directory)) {
    const path = `${directory}/${name}`;
    if (path === `${DATA}/LOCK` || path === `${DATA}/LOCK.info`) continue;
    if (kind === 'directory') Object.assign(found, { [path]: '' }, treeOf(fs, path));
    else found[path] = Buffer.from(readFile(fs, path)).toString('hex');
  }
  return found;
}

/** Appends payloads with these numbers, one record each. */
export async function fill(channel: Channel, ...ids: readonly number[]): Promise<void> {
  await channel.appendBatch(ids.map((id) => payload(id)));
}

/** The numbers of the payloads of all records of a channel. */
export async function idsIn(channel: Channel): Promise<(number | undefined)[]> {
  const records = await channel.readBatch();
  return records.map((record) => payloadId(record.payload));
}

/** Opens a channel that must be there and returns what is in it. */
export async function idsOfName(
  redex: Redex,
  name: string,
  options: ChannelOptions = {},
): Promise<(number | undefined)[]> {
  return idsIn(await redex.channel(name, { createIfMissing: false, ...options }));
}

/** The whole list of channels. */
export async function listed(redex: Redex, options?: ChannelListOptions): Promise<ChannelInfo[]> {
  const found: ChannelInfo[] = [];
  for await (const info of redex.channels(options)) found.push(info);
  return found;
}

/** As JavaScript compares strings. */
export function inOrder(names: readonly string[]): string[] {
  return names.toSorted((a, b) => (a < b ? -1 : Number(a > b)));
}
