/** All commands, in the order in which help lists them. */
import type { CliCommand } from './command.js';
import { append } from './commands/append.js';
import { backup } from './commands/backup.js';
import { bench } from './commands/bench.js';
import { cat } from './commands/cat.js';
import { compact } from './commands/compact.js';
import { completion } from './commands/completion.js';
import { configure } from './commands/configure.js';
import { crashTestCommand } from './commands/crash-test.js';
import { create } from './commands/create.js';
import { deleteCommand } from './commands/delete.js';
import { exportCommand } from './commands/export.js';
import { importCommand } from './commands/import.js';
import { inspect } from './commands/inspect.js';
import { repair } from './commands/repair.js';
import { tail } from './commands/tail.js';
import { verify } from './commands/verify.js';

export const COMMANDS: readonly CliCommand[] = [
  append,
  cat,
  tail,
  create,
  configure,
  deleteCommand,
  inspect,
  verify,
  compact,
  repair,
  backup,
  exportCommand,
  importCommand,
  bench,
  crashTestCommand,
  completion,
];
