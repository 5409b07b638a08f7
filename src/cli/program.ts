/** The commands as one program: arguments, help, suggestions for what was mistyped. */
import { Command, CommanderError, Option } from 'commander';
import type { CliCommand, Runs } from './command.js';
import { COMMANDS } from './commands.js';
import { EXIT_USAGE, failureOf, UsageError } from './failure.js';
import { HELP_TOPICS } from './help-topics.js';
import { nearest } from './nearest.js';
import { printable } from './printable.js';
import { Session, widthOf, type CliIo } from './session.js';
import { themeFor } from './theme.js';

const DESCRIPTION =
  'Looks into, checks and changes data directories of redex, an embedded append log.';

/** Runs a command line, without the name of the program, and returns the exit code. */
export async function runCli(args: readonly string[], io: CliIo, version: string): Promise<number> {
  const run: RunState = { exitCode: 0 };
  const program = programFor(io, version, run);
  try {
    await program.parseAsync(args, { from: 'user' });
    await delivered(io);
    return run.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) return await tell(io, error);
    return error.exitCode === 0 ? await helped(io) : EXIT_USAGE;
  }
}

/** Help that was asked for is the output, too. */
async function helped(io: CliIo): Promise<number> {
  try {
    await delivered(io);
    return 0;
  } catch (error) {
    return await tell(io, error);
  }
}

/** Resolves when all output was handed over; rejects with why it cannot be. */
async function delivered({ stdout }: CliIo): Promise<void> {
  await stdout.flush();
  stdout.signal.throwIfAborted();
}

interface RunState {
  exitCode: number;
}

/** An abort that a command has met may be wrapped: what it was aborted for counts. */
async function tell(io: CliIo, error: unknown): Promise<number> {
  const aborted = [io.stdout.signal, io.signal].find((signal) => signal.aborted);
  const { exitCode, message, stack } = failureOf(aborted === undefined ? error : aborted.reason);
  if (message !== undefined) {
    const { bad } = themeFor(io.stderr.isTerminal, io.env);
    const places = stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
    const lines = [`${bad('redex:')} ${printable(message)}`, ...places];
    await io.stderr.line(lines.join('\n')).catch(() => undefined);
  }
  return exitCode;
}

function programFor(io: CliIo, version: string, run: RunState): Command {
  const pending: Promise<void>[] = [];
  const program = new Command('redex')
    .description(DESCRIPTION)
    .version(version, '-V, --version', 'Show the version.')
    .helpOption('-h, --help', 'Show this help.')
    .helpCommand(false)
    .exitOverride()
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .showHelpAfterError(false)
    .configureOutput({
      writeOut: (text) => void pending.push(io.stdout.write(text).catch(() => undefined)),
      writeErr: (text) => void pending.push(io.stderr.write(text).catch(() => undefined)),
      // A suggestion goes into the same line.
      outputError: (text, write) => write(`redex: ${printable(oneLine(text))}\n`),
      getOutHelpWidth: () => widthOf(io.stdout, io.env),
      getErrHelpWidth: () => widthOf(io.stderr, io.env),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText('after', TOPICS_HINT);
  const runs: Runs = (action) => runsWith(io, run, action);
  for (const command of COMMANDS) addCommand(program, command, runs);
  addHelpCommand(program);
  return program;
}

function oneLine(text: string): string {
  const line = text
    .trimEnd()
    .replace(/^error: /, '')
    .replaceAll('\n', ' ');
  const isBare = line.startsWith('unknown command') && !line.endsWith(')');
  return isBare ? `${line}: redex --help lists them` : line;
}

function runsWith<A extends unknown[]>(
  io: CliIo,
  run: RunState,
  action: (session: Session, ...args: A) => Promise<void>,
): (...args: A) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1);
    const json = command instanceof Command && command.opts<{ json?: boolean }>().json === true;
    const session = new Session(io, json);
    session.signal.throwIfAborted();
    if (command instanceof Command) checkDirectory(command);
    await action(session, ...args);
    run.exitCode = session.exitCode;
  };
}

/** An empty one is a variable of a script that was never set. */
function checkDirectory({ registeredArguments: [first], args: [given] }: Command): void {
  const name = first?.name() ?? '';
  if (name.endsWith('dir') && given === '') throw new UsageError(`${name} is empty`);
}

function addCommand(program: Command, command: CliCommand, runs: Runs): void {
  const { name, summary, description, examples, define } = command;
  const added = program.command(name).summary(summary).description(description);
  define(added, runs);
  added.addOption(new Option('--json', command.jsonHelp ?? 'Answer with one JSON document.'));
  added.helpOption('-h, --help', 'Show this help.');
  added.addHelpText('after', examplesText(examples));
}

function examplesText(examples: CliCommand['examples']): string {
  const lines = examples.map(([line, does]) => `  ${line}\n      ${does}`);
  return `\nExamples:\n${lines.join('\n')}`;
}

const TOPICS_HINT = `
Topics, read with redex help <topic>:
${[...HELP_TOPICS].map(([name, { summary }]) => `  ${name.padEnd(14)} ${summary}`).join('\n')}

Exit codes: 0 fine, 1 a problem was found, 2 wrong usage, 130 interrupted.`;

function addHelpCommand(program: Command): void {
  program
    .command('help')
    .summary('show the help of a command, or a topic')
    .argument('[name]', 'command or topic')
    .helpOption('-h, --help', 'Show this help.')
    .action((name: string | undefined, _options: unknown, self: Command) => {
      if (name === undefined) return program.help();
      const topic = HELP_TOPICS.get(name);
      if (topic !== undefined) {
        return program.configureOutput().writeOut?.(topic.text);
      }
      const command = program.commands.find((each) => each.name() === name && each !== self);
      if (command !== undefined) return command.help();
      const names = [...program.commands.map((each) => each.name()), ...HELP_TOPICS.keys()];
      const [found] = nearest(name, names);
      const hint = found === undefined ? '' : ` (did you mean ${found}?)`;
      throw new UsageError(`there is no command and no topic '${name}'${hint}`);
    });
}
