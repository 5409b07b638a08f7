/** Takes away what was made, with everything that is in it. */
import type { EntryKind, FileSystem } from './file-system.js';

/** A directory with everything in it. Nothing that a link leads to. */
export function removeTree(fs: FileSystem, path: string): void {
  for (const { name, kind } of fs.readDirectorySync(path)) removeEntry(fs, `${path}/${name}`, kind);
  fs.rmdirSync(path);
}

export function removeEntry(fs: FileSystem, path: string, kind: EntryKind): void {
  if (kind === 'directory') removeTree(fs, path);
  else fs.unlinkSync(path);
}
