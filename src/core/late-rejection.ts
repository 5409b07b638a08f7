/** Promises that functions of the user return where nobody waits for one. */

const ignore = (): void => {};

/**
 * Whether this value is a promise, or behaves like one. Its rejection is then told here, instead of
 * ending the process.
 */
export function catchRejection(
  answer: unknown,
  onRejected: (reason: unknown) => void = ignore,
): boolean {
  const isObject = typeof answer === 'object' && answer !== null;
  if (!isObject || !('then' in answer) || typeof answer.then !== 'function') return false;
  Promise.resolve(answer).catch(onRejected);
  return true;
}

/** The same value. Throws TypeError for a promise, whose rejection is then nobody's. */
export function synchronous<T>(what: string, value: T): T {
  if (!catchRejection(value)) return value;
  throw new TypeError(`${what} returned a promise; it may not be async`);
}
