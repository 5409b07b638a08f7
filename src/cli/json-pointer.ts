/** JSON Pointer (RFC 6901), and payloads as JSON. */
import type { LogRecord } from '../index.js';
import { InvalidArgumentError } from 'commander';

export type JsonPointer = readonly string[];

export function parsePointer(text: string): JsonPointer {
  if (text === '') return [];
  if (!text.startsWith('/') || /~(?![01])/.test(text)) {
    throw new InvalidArgumentError('Write a JSON pointer, such as /user/id.');
  }
  return text
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** Undefined where the value has nothing of that name. */
export function valueAt(value: unknown, pointer: JsonPointer): unknown {
  let at = value;
  for (const part of pointer) {
    if (typeof at !== 'object' || at === null) return undefined;
    if (Array.isArray(at) && !/^(0|[1-9]\d*)$/.test(part)) return undefined;
    if (!Object.hasOwn(at, part)) return undefined;
    at = (at as Record<string, unknown>)[part];
  }
  return at;
}

/** Undefined for a payload that is no JSON. */
export function jsonOf(record: LogRecord): unknown {
  const { buffer, byteOffset, byteLength } = record.payload;
  try {
    return JSON.parse(Buffer.from(buffer, byteOffset, byteLength).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** The latest of these survives; undefined for a record without one, which survives too. */
export function keyAt(pointer: JsonPointer): (record: LogRecord) => string | undefined {
  return (record) => {
    const value = valueAt(jsonOf(record), pointer);
    // 1 and "1" are different keys, and so are null and a value that is not there.
    return value === undefined ? undefined : JSON.stringify(value);
  };
}
