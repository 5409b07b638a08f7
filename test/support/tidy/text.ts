/** Rules about the text of files: markers, headers, names, characters, and paths that leak. */
import { isCode, isSource, violation } from './source.js';
import type { Rule, SourceText } from './source.js';

function textRule(
  applies: (path: string) => boolean,
  pattern: RegExp,
  describe: (match: string) => string,
): Rule {
  return (files) =>
    files
      .filter(({ path }) => applies(path))
      .flatMap((file) =>
        file.text.split('\n').flatMap((line, index) => {
          const match = pattern.exec(line)?.[0];
          return match === undefined ? [] : [violation(file, index + 1, describe(match))];
        }),
      );
}

// A letter in brackets is that letter: so this file does not contain what it forbids.
const MARKERS = /\b(TOD[O]|FIXM[E]|XX[X])\b|@ts-(ignor[e]|nochec[k])|(es|ox)lint-disabl[e]/;

/** What is unfinished goes into an issue; what a checker says is fixed, not silenced. */
export const markers: Rule = textRule(isCode, MARKERS, (match) => `markers: '${match}'`);

/** Paths of one person's machine. */
const LEAKS = /\/wor[k]\/|\/tmp\/bash_job[s]|(?<![\w.-])\/(home\/\w|Users\/\w|roo[t]\/)/;

export const leaks: Rule = textRule(
  () => true,
  LEAKS,
  (match) => `leaks: '${match}' is a path of one machine`,
);

/** Tabs, other control characters, and invisible ones that make text read as what it is not. */
const CHARACTERS = /[\p{Cc}\p{Cs}\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffd]/u;

const badCharacters: Rule = textRule(
  () => true,
  CHARACTERS,
  (match) => {
    const code = match.codePointAt(0) ?? 0;
    return `characters: U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
  },
);

const trailingSpace: Rule = textRule(
  () => true,
  / $/,
  () => 'characters: trailing space',
);

const lastNewline: Rule = (files) =>
  files
    .filter(({ text }) => text !== '' && !/[^\n]\n$/.test(text))
    .map((file) => {
      const line = file.text.trimEnd().split('\n').length;
      return violation(file, line, 'characters: does not end in one newline');
    });

export const characters: Rule = (files) => [
  ...badCharacters(files),
  ...trailingSpace(files),
  ...lastNewline(files),
];

/** Each source file opens with what it is for. */
export const header: Rule = (files) =>
  files
    .filter(({ path, text }) => isSource(path) && !opensWithComment(text))
    .map((file) => violation(file, 1, 'header: open with a comment that says what it is for'));

function opensWithComment(text: string): boolean {
  const start = text.replace(/^#!.*\n/, '');
  return /^(\/\*\*[\s*]*[^\s*/]|\/\/ *\S)/.test(start);
}

const isBarrel = ({ path }: SourceText): boolean =>
  /(^|\/)index\.([mc]?[jt]s)$/.test(path) && path !== 'src/index.ts';

/** A barrel in a folder makes cycles easy and the reader jump twice. */
export const barrels: Rule = (files) =>
  files.filter(isBarrel).map((file) => violation(file, 1, 'barrels: name it after what it holds'));
