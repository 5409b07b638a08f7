/** Resident memory of this process: the kernel's own peak, and what it consists of. */
import { readFileSync } from 'node:fs';

const MIB = 1024 * 1024;
const SAMPLE_MS = 20;

/** MiB of resident memory at the worst moment of this process so far. */
export function peakMiB() {
  try {
    const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    return Number(match[1]) / 1024;
  } catch {
    // Elsewhere than on Linux; there maxRSS does not include what ran before in this process.
    return process.resourceUsage().maxRSS / 1024;
  }
}

/** Looks at the parts from time to time; the function that is returned tells the worst look. */
export function watchMemory() {
  let worst = process.memoryUsage();
  const look = () => {
    const now = process.memoryUsage();
    if (now.rss > worst.rss) worst = now;
  };
  const timer = setInterval(look, SAMPLE_MS);
  return () => {
    clearInterval(timer);
    look();
    const { rss, heapTotal, heapUsed, external, arrayBuffers } = worst;
    const parts = { rss, heapTotal, heapUsed, external, arrayBuffers };
    return Object.fromEntries(
      Object.entries(parts).map(([name, bytes]) => [name, Math.round((bytes / MIB) * 10) / 10]),
    );
  };
}
