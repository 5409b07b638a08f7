/** Promises that functions of the user return where nobody waits for one. */
import { types } from 'node:util';

const ignore = (): void => {};

/** A rejection of this value, if it is a promise, is told here instead of ending the process. */
export function catchRejection(
  answer: unknown,
  onRejected: (reason: unknown) => void = ignore,
): void {
  if (types.isPromise(answer)) Promise.resolve(answer).catch(onRejected);
}
