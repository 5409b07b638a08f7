/**
 * A real file system in an image file, whose power can be cut: the ioctl that shuts a file system
 * down loses what only the page cache has, and the next mount replays the journal. Needs root and
 * loop devices. Touches no mount and no loop device but its own.
 */
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { runProgram } from './process-run.js';
import { commandExists } from './requirements.js';

export type DiskKind = 'ext4' | 'xfs';

/** `lost`: what is in the memory of the journal is lost, too. `logged`: it is written first. */
export type CutKind = 'lost' | 'logged';

const MIB = 1024 * 1024;
const BYTES: Readonly<Record<DiskKind, number>> = { ext4: 128 * MIB, xfs: 320 * MIB };
const FORMAT: Readonly<Record<DiskKind, readonly string[]>> = {
  ext4: ['mkfs.ext4', '-q', '-F'],
  xfs: ['mkfs.xfs', '-q', '-f'],
};

async function command(name: string, ...args: readonly string[]): Promise<void> {
  const { code, stderr } = await runProgram(name, args);
  if (code !== 0) throw new Error(`${name} ${args.join(' ')}: ${stderr.trim() || `ends ${code}`}`);
}

export class PowerDisk {
  /** Where it is mounted. */
  readonly path: string;
  readonly #image: string;
  #isMounted = false;

  private constructor(scratch: string, kind: DiskKind) {
    this.path = join(scratch, kind);
    this.#image = join(scratch, `${kind}.img`);
  }

  /** Why there can be none on this machine; undefined when there can be. */
  static async obstacle(scratch: string, kind: DiskKind): Promise<string | undefined> {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
    for (const name of ['mount', 'umount', 'xfs_io', `mkfs.${kind}`]) {
      if (!commandExists(name)) return `needs ${name}`;
    }
    try {
      const disk = await PowerDisk.make(scratch, kind);
      await disk.unmount();
    } catch (error) {
      return `needs a loop device with ${kind}: ${String(error)}`;
    }
    return undefined;
  }

  /** A new one, mounted. */
  static async make(scratch: string, kind: DiskKind): Promise<PowerDisk> {
    const disk = new PowerDisk(scratch, kind);
    writeFileSync(disk.#image, '');
    truncateSync(disk.#image, BYTES[kind]);
    const [name = '', ...args] = FORMAT[kind];
    await command(name, ...args, disk.#image);
    mkdirSync(disk.path, { recursive: true });
    await disk.mount();
    return disk;
  }

  async mount(): Promise<void> {
    await command('mount', '-o', 'loop', this.#image, this.path);
    this.#isMounted = true;
  }

  /** Gives the loop device back, too. Nothing when it is not mounted. */
  async unmount(): Promise<void> {
    if (!this.#isMounted) return;
    await command('umount', this.path);
    this.#isMounted = false;
  }

  /** The same, whatever still uses it. */
  async release(): Promise<void> {
    await this.unmount().catch(() => command('umount', '--lazy', this.path));
    this.#isMounted = false;
  }

  /** From now on every write fails, until it was unmounted and mounted. */
  async cut(kind: CutKind): Promise<void> {
    const flags = kind === 'logged' ? ' -f' : '';
    await command('xfs_io', '-x', '-c', `shutdown${flags}`, this.path);
  }
}
