/** What is below a directory, to compare what it was with what it is. */
import type { FileSystem } from '../../src/fs/file-system.js';
import { readFile } from './channel-kit.js';

/** Paths below `directory` (`''` for the root); a file's is followed by a space and its bytes. */
export function treeOf(fs: FileSystem, directory: string): string[] {
  const found: string[] = [];
  for (const { name, kind } of fs.readDirectorySync(directory === '' ? '/' : directory)) {
    const path = `${directory}/${name}`;
    if (kind !== 'directory') {
      found.push(`${path} ${Buffer.from(readFile(fs, path)).toString('latin1')}`);
      continue;
    }
    found.push(path);
    for (const below of treeOf(fs, path)) found.push(below);
  }
  return found;
}
