/** All rules of the tidy test, by name. */
import * as code from './code.js';
import * as imports from './imports.js';
import { lockfile } from './lockfile.js';
import type { Rule, SourceText } from './source.js';
import * as text from './text.js';

const rules: Readonly<Record<string, Rule>> = {
  layers: imports.layers,
  cycles: imports.cycles,
  modules: imports.modules,
  roots: imports.roots,
  runtime: code.runtime,
  output: code.output,
  noAny: code.noAny,
  everyTestRuns: code.everyTestRuns,
  functionLength: code.functionLength,
  fileLength: code.fileLength,
  lineLength: code.lineLength,
  markers: text.markers,
  leaks: text.leaks,
  characters: text.characters,
  header: text.header,
  barrels: text.barrels,
  lockfile,
};

export const ruleNames: readonly string[] = Object.keys(rules);

export function violationsOf(name: string, files: readonly SourceText[]): string[] {
  const rule = rules[name];
  if (rule === undefined) throw new Error(`no tidy rule is called ${name}`);
  return rule(files);
}
