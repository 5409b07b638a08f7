/**
 * What a command is. Adding one takes a file with a `CliCommand` in `commands/`, and a line in
 * `commands.ts`.
 */
import type { Command } from 'commander';
import type { Session } from './session.js';

/**
 * Makes an action of commander out of what a command does: it is given a session and then what
 * commander gives, the arguments and an object of options.
 */
export type Runs = <A extends unknown[]>(
  run: (session: Session, ...args: A) => Promise<void>,
) => (...args: A) => Promise<void>;

export interface CliCommand {
  readonly name: string;
  /** One line of the list of commands. */
  readonly summary: string;
  /** What its own help says above the options. */
  readonly description: string;
  /** Of the form `redex name ...`, with what it does. */
  readonly examples: readonly (readonly [line: string, does: string])[];
  /** What `--json` changes; every command has it. */
  readonly jsonHelp?: string;
  /** Adds arguments, options and the action. */
  readonly define: (command: Command, runs: Runs) => void;
}
