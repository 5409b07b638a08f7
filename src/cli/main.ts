#!/usr/bin/env node
/**
 * The command `redex`. Joins the process to the program: its streams, its signals, its exit code.
 * A first SIGINT or SIGTERM lets the command clean up; a second one ends it at once.
 */
import process from 'node:process';
import { MessageChannel } from 'node:worker_threads';
import { systemRuntime } from '../core/runtime.js';
import { EXIT_INTERRUPTED, Interrupted } from './failure.js';
import { Output } from './output.js';
import { runCli } from './program.js';
import { VERSION } from './version.js';

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interruption.signal.aborted) process.exit(EXIT_INTERRUPTED);
    interruption.abort(new Interrupted(signal));
  });
}

// The engine's timers keep no process alive; a command that waits for one has to be.
const { port1: alive } = new MessageChannel();
alive.ref();

const stdout = new Output(process.stdout);
const stderr = new Output(process.stderr);
const { stdin, env } = process;
const io = { stdin, stdout, stderr, env, signal: interruption.signal, runtime: systemRuntime };
const exitCode = await runCli(process.argv.slice(2), io, VERSION);
await stdout.flush();
await stderr.flush();
process.exit(exitCode);
