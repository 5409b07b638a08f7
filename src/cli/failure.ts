/**
 * What goes wrong, as one line that says what to do about it, and the exit code that goes with it.
 * 0 fine, 1 a problem was found, 2 wrong usage, 130 interrupted.
 */
import { hostname } from 'node:os';
import { RedexError, type RedexErrorOf } from '../core/errors.js';
import { JOURNAL_NAME } from '../format/file-name.js';
import { systemCodeOf } from '../fs/system-error.js';

export const EXIT_PROBLEM = 1;
export const EXIT_USAGE = 2;
export const EXIT_INTERRUPTED = 130;

/** The command line itself is wrong. */
export class UsageError extends Error {}

/** A problem that is described already. */
export class Problem extends Error {}

/** SIGINT or SIGTERM. */
export class Interrupted extends Error {}

/** Nobody reads what is written any more: `| head` has what it wanted. */
export class OutputClosed extends Error {}

export interface Failure {
  readonly exitCode: number;
  /** Undefined when there is nothing to tell. */
  readonly message: string | undefined;
  /** Of an error that nobody has foreseen: where it came from. */
  readonly stack?: string | undefined;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof OutputClosed) return { exitCode: 0, message: undefined };
  if (error instanceof Interrupted) return { exitCode: EXIT_INTERRUPTED, message: 'interrupted' };
  if (error instanceof UsageError) return { exitCode: EXIT_USAGE, message: error.message };
  if (error instanceof Problem) return { exitCode: EXIT_PROBLEM, message: error.message };
  if (RedexError.is(error)) return { exitCode: EXIT_PROBLEM, message: messageOf(error) };
  const io = systemMessage(error);
  if (io !== undefined) return { exitCode: EXIT_PROBLEM, message: io };
  // Arguments that the engine refuses: a name that no channel can have, sizes out of range.
  if (error instanceof RangeError || error instanceof TypeError) {
    return { exitCode: EXIT_USAGE, message: error.message };
  }
  const stack = error instanceof Error ? error.stack : undefined;
  return { exitCode: EXIT_PROBLEM, message: `unexpected: ${String(error)}`, stack };
}

/** What a code of the engine means to who sits at a terminal. */
export function messageOf(error: RedexError): string {
  if (RedexError.is(error, 'LOCKED')) return lockedMessage(error);
  if (RedexError.is(error, 'IO')) return ioMessage(error);
  if (RedexError.is(error, 'FORMAT_VERSION')) {
    const { path, found, supported } = error;
    return (
      `${path} has format version ${found}, and this redex knows up to ${supported}: ` +
      'use a newer release'
    );
  }
  if (RedexError.is(error, 'CORRUPT')) {
    const { message, path } = error;
    if (message.includes('redex repair')) return message;
    // What verify cannot open it can say no more about.
    const isJournal = path.includes(`/${JOURNAL_NAME}/`);
    return `${message}: run redex ${isJournal ? 'repair --dry-run' : 'verify'} to see all of it`;
  }
  if (RedexError.is(error, 'POISONED')) {
    return `${error.message}: find out why the disk failed, then open it again`;
  }
  if (RedexError.is(error, 'LIMIT') && error.what === 'journalBytes') {
    return `${error.message}, because the disk is full or fails: make room and run it again`;
  }
  if (RedexError.is(error, 'OUT_OF_RANGE')) {
    const { seq, firstSeq } = error;
    return `there is no record ${seq} any more: the first one is ${firstSeq}`;
  }
  if (RedexError.is(error, 'OPTIONS_CONFLICT')) {
    const { option, stored, given } = error;
    return (
      `the channel has ${option} ${written(stored)}, not ${written(given)}: ` +
      'leave it out, or change it with redex configure'
    );
  }
  return error.message;
}

function written(value: unknown): string {
  return value === undefined ? 'none' : JSON.stringify(value);
}

function lockedMessage({ path, pid, host }: RedexErrorOf<'LOCKED'>): string {
  const who = pid === undefined ? 'another process' : holderOf(pid, host);
  return (
    `${path} is open for writing in ${who}: stop it first ` +
    '(inspect, verify, cat and tail work beside it)'
  );
}

function holderOf(pid: number, host: string | undefined): string {
  return host === undefined || host === hostname() ? `process ${pid}` : `process ${pid} on ${host}`;
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or directory; look at the path again',
  EACCES: 'you may not read or write it; run as its owner, or change its permissions',
  ENOTDIR: 'a part of the path is no directory; look at it again',
  EPERM: 'you may not do this to it; run as its owner',
  ENOSPC: 'the disk is full; make room and run it again',
  EDQUOT: 'the disk quota is used up; make room and run it again',
  EROFS: 'the file system is read-only; take another directory, or mount it for writing',
  EMFILE: 'too many files are open; raise the limit (ulimit -n)',
  ENFILE: 'too many files are open in the system',
  EIO: 'the disk reports an error; look at the system log, and copy what is left',
};

/** Of an error that Node has thrown for a file; undefined for any other. */
function systemMessage(error: unknown): string | undefined {
  const systemCode = systemCodeOf(error);
  if (systemCode === undefined || !(error instanceof Error)) return undefined;
  const { syscall, path } = error as NodeJS.ErrnoException;
  if (syscall === undefined || path === undefined) return undefined;
  return ioMessage({ operation: syscall, path, systemCode });
}

interface FailedOperation {
  readonly operation: string;
  readonly path: string;
  readonly systemCode: string;
}

function ioMessage({ operation, path, systemCode }: FailedOperation): string {
  const remedy = REMEDIES[systemCode];
  const what = `cannot ${operation} ${path} (${systemCode})`;
  return remedy === undefined ? what : `${what}: ${remedy}`;
}
