/**
 * UTF-8 in files. What does not decode is told, never replaced. One decoder for all of it: to make
 * one costs more than most texts do.
 */

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The bytes may share their memory with others. */
export function utf8Bytes(text: string): Uint8Array {
  const { buffer, byteOffset, byteLength } = Buffer.from(text);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Undefined for what is no UTF-8. */
export function utf8Text(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
