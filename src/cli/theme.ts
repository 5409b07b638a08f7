/** Colours, on terminals only, and never where NO_COLOR asks for none (https://no-color.org). */
import { styleText } from 'node:util';

type Style = (text: string) => string;

export interface Theme {
  readonly hasColours: boolean;
  readonly heading: Style;
  readonly label: Style;
  readonly good: Style;
  readonly warning: Style;
  readonly bad: Style;
  readonly dim: Style;
}

function painted(format: Parameters<typeof styleText>[0]): Style {
  // Whether this goes to a terminal was decided before.
  return (text) => (text === '' ? '' : styleText(format, text, { validateStream: false }));
}

const plain: Style = (text) => text;

const PLAIN: Theme = {
  hasColours: false,
  heading: plain,
  label: plain,
  good: plain,
  warning: plain,
  bad: plain,
  dim: plain,
};

const COLOURED: Theme = {
  hasColours: true,
  heading: painted('bold'),
  label: painted('cyan'),
  good: painted('green'),
  warning: painted('yellow'),
  bad: painted(['bold', 'red']),
  dim: painted('dim'),
};

export function themeFor(
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
): Theme {
  const isAllowed = (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
  return isTerminal && isAllowed ? COLOURED : PLAIN;
}
