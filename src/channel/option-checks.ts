/** Checks of single options, with messages that name the option. */

export function checkKnown(options: unknown, known: ReadonlySet<string>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError('options must be an object');
  }
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

/** An object that is given to do work, by one of its methods. */
export function checkObject(name: string, value: unknown, method: string): void {
  if (value === undefined) return;
  const holder = value as Readonly<Record<string, unknown>> | null;
  if (typeof holder !== 'object' || holder === null || typeof holder[method] !== 'function') {
    throw new TypeError(`${name} must be an object with the method ${method}`);
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
