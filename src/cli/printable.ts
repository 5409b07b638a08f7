/**
 * Text that others have chosen, such as the name of a channel, as it may be shown: what could move
 * a cursor, hide a part of a line or begin another one is written as an escape.
 */

const CONTROL = String.raw`[\p{Cc}\p{Bidi_Control}\u2028\u2029]`;
const ALL = new RegExp(CONTROL, 'gu');
/** But not the colours that a theme makes. */
const ALL_BUT_COLOURS = new RegExp(String.raw`(?!\u001B\[(?:[12]|22|3[1236]|39)m)${CONTROL}`, 'gu');

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return SHORT[character] ?? `\\u${code.toString(16).padStart(4, '0')}`;
}

/** A name in a table, where a space at one of its ends could not be seen. */
export const nameCell = (name: string): string => (name === name.trim() ? name : `'${name}'`);

export function printable(text: string, hasColours: boolean = false): string {
  return text.replace(hasColours ? ALL_BUT_COLOURS : ALL, escaped);
}
