/**
 * JSON streams: the body of a request becomes messages, and messages become the body of an answer,
 * without a byte of a value changing: 1.0 stays 1.0, and big integers and repeated keys stay as
 * they were sent.
 */

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Whether messages of this content type are JSON values. Parameters of the type do not matter. */
export function isJsonType(contentType: string): boolean {
  return (contentType.split(';')[0] ?? '').trim().toLowerCase() === 'application/json';
}

/**
 * The messages of a JSON body: the elements of an array, one level of it, or the one value that it
 * is. They are views of `body`. Throws SyntaxError for what is no JSON in UTF-8.
 */
export function splitJsonMessages(body: Uint8Array): Uint8Array[] {
  let text: string;
  try {
    text = decoder.decode(body);
  } catch (cause) {
    throw new SyntaxError('the body is not UTF-8', { cause });
  }
  const value: unknown = JSON.parse(text);
  const [start, end] = trimmed(body, 0, body.length);
  if (!Array.isArray(value)) return [body.subarray(start, end)];
  return value.length === 0 ? [] : elementsOf(body, start + 1, end - 1);
}

/** The elements between the brackets of a valid array that is not empty. */
function elementsOf(body: Uint8Array, first: number, end: number): Uint8Array[] {
  const elements: Uint8Array[] = [];
  let depth = 0;
  let begin = first;
  for (let i = first; i < end; i++) {
    const byte = body[i];
    if (byte === QUOTE) i = endOfString(body, i);
    else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) depth++;
    else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) depth--;
    else if (byte === COMMA && depth === 0) {
      elements.push(body.subarray(...trimmed(body, begin, i)));
      begin = i + 1;
    }
  }
  elements.push(body.subarray(...trimmed(body, begin, end)));
  return elements;
}

/** Where the closing quote of the string is that opens at `start`. */
function endOfString(body: Uint8Array, start: number): number {
  let i = start + 1;
  while (body[i] !== QUOTE) i += body[i] === BACKSLASH ? 2 : 1;
  return i;
}

/** The range without the white space of JSON at its ends. */
function trimmed(body: Uint8Array, start: number, end: number): [start: number, end: number] {
  let first = start;
  let last = end;
  while (first < last && isSpace(body[first])) first++;
  while (last > first && isSpace(body[last - 1])) last--;
  return [first, last];
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

const OPEN = encoder.encode('[');
const BETWEEN = encoder.encode(',');
const CLOSE = encoder.encode(']');

/** The messages as one JSON array, in bytes of its own. */
export function joinJsonMessages(messages: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [OPEN];
  for (const [i, message] of messages.entries()) {
    if (i > 0) parts.push(BETWEEN);
    parts.push(message);
  }
  parts.push(CLOSE);
  return new Uint8Array(Buffer.concat(parts));
}
