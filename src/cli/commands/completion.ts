/** `redex completion`: a script for a shell. */
import { Argument, type Command } from 'commander';
import type { CliCommand } from '../command.js';
import { completionScript, SHELLS, type Shell } from '../completion.js';
import { HELP_TOPICS } from '../help-topics.js';

export const completion: CliCommand = {
  name: 'completion',
  summary: 'write a completion script for bash, zsh or fish',
  description: 'Writes a script that lets a shell complete commands, options and directories.',
  examples: [
    ['eval "$(redex completion bash)"', 'For this bash; put it into ~/.bashrc for all.'],
    ['redex completion zsh > "${fpath[1]}/_redex"', 'For zsh.'],
    ['redex completion fish > ~/.config/fish/completions/redex.fish', 'For fish.'],
  ],
  jsonHelp: 'Answer with a JSON document that has the script.',
  define(command, runs) {
    command.addArgument(new Argument('<shell>', 'which shell').choices(SHELLS)).action(
      runs(async (session, shell: Shell, _flags: unknown, self: Command) => {
        const program = self.parent ?? self;
        const script = completionScript(shell, program, [...HELP_TOPICS.keys()]);
        if (session.json) await session.show({ shell, script }, () => []);
        else await session.out.write(script);
      }),
    );
  },
};
