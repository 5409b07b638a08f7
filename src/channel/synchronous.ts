/** What functions of the user return where nobody would wait for a promise. */

/** The same value. Throws TypeError for a promise, whose rejection is then nobody's. */
export function synchronous<T>(what: string, value: T): T {
  const isObject = typeof value === 'object' && value !== null;
  if (!isObject || !('then' in value) || typeof value.then !== 'function') return value;
  Promise.resolve(value).catch(() => undefined);
  throw new TypeError(`${what} returned a promise; it may not be async`);
}
