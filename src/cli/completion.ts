/**
 * Scripts that complete command lines in bash, zsh and fish. They hold the commands and options as
 * they are now: nothing runs while a line is completed, but what the shell does itself.
 */
import type { Command } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface CompletedOption {
  readonly flag: string;
  /** Of one letter, with its hyphen. */
  readonly short: string | undefined;
  readonly help: string;
  /** A value has to follow; one of these, where there are any. */
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  /** Words that may follow at once. */
  readonly words: readonly string[];
}

export function completionScript(
  shell: Shell,
  program: Command,
  topics: readonly string[],
): string {
  const names = program.commands.map((command) => command.name());
  const entries = program.commands.map((command): Entry => {
    const name = command.name();
    const options = command.createHelp().visibleOptions(command);
    return {
      name,
      summary: command.summary(),
      options: options.map(({ long, short, description, required, argChoices = [] }) => ({
        flag: long ?? '',
        short,
        help: description,
        takesValue: required,
        choices: argChoices,
      })),
      words: name === 'help' ? [...names, ...topics] : name === 'completion' ? SHELLS : [],
    };
  });
  switch (shell) {
    case 'bash':
      return bash(entries);
    case 'zsh':
      return zsh(entries);
    case 'fish':
      return fish(entries);
  }
  return '';
}

const flagsOf = ({ options }: Entry): string => options.map(({ flag }) => flag).join(' ');

function bash(entries: readonly Entry[]): string {
  const cases = entries.map((entry) => {
    const words = [...entry.words, flagsOf(entry)].join(' ');
    return `    ${entry.name}) words='${words}' ;;`;
  });
  return `# bash completion of redex: eval "$(redex completion bash)"
_redex() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    words='${entries.map(({ name }) => name).join(' ')} --help --version'
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi
  local name="\${COMP_WORDS[1]}"
  case "$name" in
${cases.join('\n')}
    *) words='' ;;
  esac
  if [[ "$current" == -* || "$name" == help || "$name" == completion ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  elif [[ $COMP_CWORD -eq 2 ]]; then
    local IFS=$'\\n'
    COMPREPLY=($(compgen -d -- "$current"))
  fi
}
complete -o filenames -F _redex redex
`;
}

/** In single quotes, for a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

function zsh(entries: readonly Entry[]): string {
  const commands = entries.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`);
  const cases = entries.map(({ name, options, words }) => {
    const flags = options.flatMap(({ flag, short, help, takesValue, choices }) => {
      const values = choices.length === 0 ? '_files' : `(${choices.join(' ')})`;
      const value = takesValue ? `:value:${values}` : '';
      return [flag, ...(short === undefined ? [] : [short])].map(
        (each) => `        ${quoted(`${each}[${help.replaceAll(/[[\]:]/g, '')}]${value}`)}`,
      );
    });
    const operand =
      words.length === 0 ? "'1:data directory:_directories'" : `'1: :(${words.join(' ')})'`;
    return `    ${name})\n      _arguments ${operand} \\\n${flags.join(' \\\n')} ;;`;
  });
  return `#compdef redex
# zsh completion of redex: put it into a file named _redex in a directory of $fpath
_redex() {
  local -a commands
  commands=(
${commands.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local name="$words[2]"
  shift words
  (( CURRENT-- ))
  case "$name" in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = _redex ]; then _redex "$@"; else compdef _redex redex; fi
`;
}

function fish(entries: readonly Entry[]): string {
  const lines = entries.flatMap(({ name, summary, options, words }) => {
    // A directory or a channel may have the name of a command.
    const inside = `complete -c redex -n 'string match -q -- ${name} (commandline -opc)[2]'`;
    return [
      `complete -c redex -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`,
      ...(words.length === 0 ? [] : [`${inside} -f -a '${words.join(' ')}'`]),
      ...options.map(({ flag, short, help, takesValue, choices }) => {
        const letter = short === undefined ? '' : ` -s ${short.slice(1)}`;
        const values = choices.length === 0 ? ' -r' : ` -x -a '${choices.join(' ')}'`;
        const value = takesValue ? values : '';
        return `${inside}${letter} -l ${flag.slice(2)}${value} -d ${quoted(help)}`;
      }),
    ];
  });
  return `# fish completion of redex: redex completion fish | source\n${lines.join('\n')}\n`;
}
