/** Checks of single options, with messages that name the option. */

export function checkKnown(options: object, known: ReadonlySet<string>): void {
  for (const key of Object.keys(options)) {
    if (!known.has(key)) throw new TypeError(`unknown option ${key}`);
  }
}

export function checkInteger(
  name: string,
  value: number | undefined,
  min: number,
  max: number,
): void {
  if (value === undefined) return;
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} must be an integer from ${min} to ${max}, not ${value}`);
  }
}

export function checkType(
  name: string,
  value: unknown,
  type: 'boolean' | 'function' | 'number',
): void {
  if (value !== undefined && typeof value !== type) {
    throw new TypeError(`${name} must be a ${type}`);
  }
}
