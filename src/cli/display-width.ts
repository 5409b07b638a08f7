/**
 * How many columns of a terminal a text takes: wide characters and emoji take two, combining marks
 * and colours none. Terminals differ about rare characters; nothing but alignment depends on it.
 */

/** No text has them but for the colours of a theme. */
const COLOURS = new RegExp(String.raw`\u001B\[\d+m`, 'g');
const ASCII = /^[ -~]*$/;
/** East Asian wide and fullwidth, by block. */
const WIDE_BLOCKS = [
  String.raw`\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uA960-\uA97F\uAC00-\uD7A3\uF900-\uFAFF`,
  String.raw`\uFE30-\uFE6F\uFF01-\uFF60\uFFE0-\uFFE6\u{17000}-\u{18CFF}\u{1AFF0}-\u{1B2FF}`,
  String.raw`\u{20000}-\u{3FFFD}`,
];
const WIDE = new RegExp(`^[${WIDE_BLOCKS.join('')}]`, 'u');
const EMOJI = /^\p{Emoji_Presentation}|\uFE0F/u;
const NOTHING = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}]/u;

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

function widthOfOne(grapheme: string): number {
  if (NOTHING.test(grapheme)) return 0;
  return WIDE.test(grapheme) || EMOJI.test(grapheme) ? 2 : 1;
}

export function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text.replace(COLOURS, ''))) {
    width += widthOfOne(segment);
  }
  return width;
}

/** The longest beginning of a text that takes no more than so many columns. */
function beginning(parts: readonly string[], width: number): string[] {
  let left = width;
  const end = parts.findIndex((part) => (left -= widthOfOne(part)) < 0);
  return end < 0 ? [...parts] : parts.slice(0, end);
}

/**
 * A text that takes no more than so many columns: its middle is left out. Names that are long begin
 * alike, and end alike. Colours go.
 */
export function shortened(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  const parts = [...graphemes.segment(text.replace(COLOURS, ''))].map(({ segment }) => segment);
  const behind = Math.floor((width - 1) / 2);
  const end = beginning(parts.toReversed(), behind).toReversed().join('');
  return `${beginning(parts, width - 1 - behind).join('')}…${end}`;
}
