/** Takes away what an interrupted command has made, as far as that is possible. */
import type { FileSystem } from '../fs/file-system.js';

/** A directory with everything in it. Nothing that a link leads to. */
export function removeTree(fs: FileSystem, path: string): void {
  for (const { name, kind } of fs.readDirectorySync(path)) {
    const entry = `${path}/${name}`;
    if (kind === 'directory') removeTree(fs, entry);
    else fs.unlinkSync(entry);
  }
  fs.rmdirSync(path);
}
