/** Names like the one that was typed. */
import { distance } from 'fastest-levenshtein';

const MOST = 3;

/** The nearest first, and none that is hardly alike. */
export function nearest(typed: string, names: readonly string[]): string[] {
  const wanted = typed.toLowerCase();
  // A name of one letter is not like every other one.
  const limit = Math.min(wanted.length - 1, Math.max(2, Math.floor(wanted.length * 0.4)));
  return names
    .map((name) => ({ name, cost: distance(wanted, name.toLowerCase()) }))
    .filter(({ name, cost }) => cost <= limit || isPart(wanted, name.toLowerCase()))
    .toSorted((a, b) => a.cost - b.cost || (a.name < b.name ? -1 : 1))
    .slice(0, MOST)
    .map(({ name }) => name);
}

/** `front` of `sensors/lidar/front`. */
function isPart(typed: string, name: string): boolean {
  return typed.length >= 3 && name.includes(typed);
}
