/**
 * Assertions about our own invariants. A failure is a bug of redex, never a bad input: input is
 * validated with typed errors where it comes in.
 */

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`redexlog: broken invariant: ${message}`);
}
