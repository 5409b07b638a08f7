/**
 * The directory entry of a channel, from its name. Different names have different entries, also on
 * a disk that ignores case or normalises Unicode: an entry is lower-case ASCII, never begins or
 * ends with a dot, holds no separator and is no device of Windows. So no channel can reach, shadow
 * or nest inside another one, and names that begin with a dot are free for the store itself.
 *
 * A name whose entry would be too long has one that is cut and ends in a hash. The mark before the
 * hash occurs in no other entry. The name in the channel's config decides which channel it is.
 */
import { assert } from '../core/assert.js';
import { sha256Hex } from '../core/digest.js';
import { utf8Bytes, utf8Text } from './text.js';

/** With 55 bytes left for a suffix where file systems allow 255. */
export const MAX_ENTRY_BYTES = 200;
/** 160 bits of the name's SHA-256. */
export const ENTRY_HASH_DIGITS = 40;

const HASH_MARK = '~';
const ESCAPE_LENGTH = 3;
const MAX_HEAD_LENGTH = MAX_ENTRY_BYTES - HASH_MARK.length - ENTRY_HASH_DIGITS;

const KEPT = /[a-z0-9._-]/;
const ESCAPED = /^(?:[a-z0-9._-]|%[0-9a-f]{2})+$/;
const HASH = new RegExp(`^[0-9a-f]{${ENTRY_HASH_DIGITS}}$`);
/** Windows takes these for devices, whatever follows behind a dot. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/;

/** What a directory entry says of the channel in it; `hashed` when only its config has the name. */
export type ChannelEntry =
  { readonly kind: 'name'; readonly name: string } | { readonly kind: 'hashed' };

/** The entry for a name that is not empty, well-formed, and without NUL. */
export function encodeChannelName(name: string): string {
  // A lone surrogate has no UTF-8 form: two such names would share an entry.
  const isName = name !== '' && !name.includes('\0') && !/\p{Surrogate}/u.test(name);
  assert(isName, 'only the name of a channel has an entry');
  const bytes = utf8Bytes(name);
  const entry = escapedText(bytes);
  if (entry.length <= MAX_ENTRY_BYTES) return entry;
  const head = entry.slice(0, MAX_HEAD_LENGTH).replace(/%.?$/, '').replace(/\.+$/, '');
  return head + HASH_MARK + sha256Hex(bytes).slice(0, ENTRY_HASH_DIGITS);
}

/** What `entry` stands for, or undefined when no name has it. */
export function decodeChannelEntry(entry: string): ChannelEntry | undefined {
  if (entry.length > MAX_ENTRY_BYTES) return undefined;
  const mark = entry.indexOf(HASH_MARK);
  if (mark === -1) {
    const name = unescapedText(entry, false);
    return name === undefined ? undefined : { kind: 'name', name };
  }
  const head = entry.slice(0, mark);
  if (!HASH.test(entry.slice(mark + 1))) return undefined;
  // Only where the next escape did not fit, the cut may have divided a character.
  const mayDivide = mark > MAX_HEAD_LENGTH - ESCAPE_LENGTH;
  return unescapedText(head, mayDivide) === undefined ? undefined : { kind: 'hashed' };
}

function escapedText(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += WRITTEN[byte] ?? '';
  text = text.replace(/^\.|\.$/g, '%2e');
  return DEVICE.test(text) ? escapeOf(text.charCodeAt(0)) + text.slice(1) : text;
}

/** How each byte is written. */
const WRITTEN: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return KEPT.test(character) ? character : escapeOf(byte);
});

function escapeOf(byte: number): string {
  return `%${byte.toString(16).padStart(2, '0')}`;
}

/** The text that `escaped` is written for, or undefined when it is not what is written for any. */
function unescapedText(escaped: string, mayDivide: boolean): string | undefined {
  if (!ESCAPED.test(escaped)) return undefined;
  const bytes = unescapedBytes(escaped);
  if (escapedText(bytes) !== escaped || bytes.includes(0)) return undefined;
  if (!mayDivide) return utf8Text(bytes);
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    return decoder.decode(bytes, { stream: true });
  } catch {
    return undefined;
  }
}

function unescapedBytes(escaped: string): Uint8Array {
  const bytes = new Uint8Array(escaped.length);
  let length = 0;
  for (let at = 0; at < escaped.length; length += 1) {
    const isEscape = escaped[at] === '%';
    bytes[length] = isEscape
      ? Number.parseInt(escaped.slice(at + 1, at + ESCAPE_LENGTH), 16)
      : escaped.charCodeAt(at);
    at += isEscape ? ESCAPE_LENGTH : 1;
  }
  return bytes.subarray(0, length);
}
