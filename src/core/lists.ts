/** Small things about arrays that the append path does for every record. */

/** Empties an array that is used again: setting a length is slow, and most have one entry. */
export function clearList(list: unknown[]): void {
  if (list.length === 1) list.pop();
  else if (list.length > 1) list.length = 0;
}
