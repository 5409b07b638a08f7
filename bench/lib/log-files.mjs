/** What is on the disk of the one channel that the bench keeps in a store of ours. */
import { readdirSync, readlinkSync, statSync } from 'node:fs';

const DAT = /^\d{20}\.dat$/;

/** Every file of the live generation, and the generation before while it is there. */
export function logFiles(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /^\d{20}\.(dat|idx|ts)$/.test(entry.name))
    .map(({ parentPath, name }) => ({ path: `${parentPath}/${name}`, name }));
}

/** Segments in their order, with the seq of their first record, size and inode. */
export function segmentsOf(directory) {
  return logFiles(directory)
    .filter(({ name }) => DAT.test(name))
    .map(({ path, name }) => {
      const { size, ino } = statSync(path);
      return { path, baseSeq: Number(name.slice(0, 20)), size, ino };
    })
    .toSorted((a, b) => a.baseSeq - b.baseSeq);
}

/** Files that have no name any more and still take space, because this process has them open. */
export function deletedButOpen() {
  let count = 0;
  for (const descriptor of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${descriptor}`);
      if (target.endsWith(' (deleted)') && target.includes('.dat')) count += 1;
    } catch {
      // The descriptor of the listing itself.
    }
  }
  return count;
}
