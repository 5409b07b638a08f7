/**
 * Time, randomness and background work, all injected: nothing else in redex reads a clock, draws
 * a random number or sets a timer. With a manual runtime every background step can be run by hand
 * and a run can be repeated from its seed.
 */
import { channel as diagnosticsChannel, type Channel } from 'node:diagnostics_channel';
import { randomFillSync } from 'node:crypto';
import { catchRejection } from './late-rejection.js';

/** Cancels a scheduled task. Calling it after the task ran does nothing. */
export type Cancel = () => void;

export interface Runtime {
  /** Milliseconds since the unix epoch, an integer. May jump in either direction. */
  now(): number;
  /** Milliseconds of a clock that only goes forward; its zero is arbitrary. */
  monotonic(): number;
  /** Fills `bytes` with random bytes (ids and nonces) and returns it. */
  random(bytes: Uint8Array): Uint8Array;
  /** Runs `task` when the current call stack is done, before any timer or I/O callback. */
  defer(task: () => void): void;
  /**
   * Runs `task` once after `delayMs`. It keeps the process alive only when it is told to, because
   * somebody waits for it.
   */
  schedule(task: () => void, delayMs: number, keepsAlive?: boolean): Cancel;
}

const settled = Promise.resolve();

export const systemRuntime: Runtime = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: (bytes) => randomFillSync(bytes),
  // About half the price of queueMicrotask, which makes an AsyncResource for every call.
  defer: (task) => void settled.then(task),
  schedule: (task, delayMs, keepsAlive = false) => {
    const timer = setTimeout(task, delayMs);
    if (!keepsAlive) timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves when no microtask is left, nor any that these lead to. Timers and I/O may run, too. */
export function microtasksDone(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Receives what a library must not print. Each call carries one plain object of details. */
export interface Logger {
  debug(message: string, details: Readonly<Record<string, unknown>>): void;
  info(message: string, details: Readonly<Record<string, unknown>>): void;
  warn(message: string, details: Readonly<Record<string, unknown>>): void;
  error(message: string, details: Readonly<Record<string, unknown>>): void;
}

const nothing = (): void => {};
export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
};

/** What it throws or rejects with stays in it: logging must not change what happens. */
export function guardedLogger(logger: Logger): Logger {
  const guarded =
    (level: keyof Logger) =>
    (message: string, details: Readonly<Record<string, unknown>>): void => {
      try {
        const answer: unknown = logger[level](message, details);
        catchRejection(answer);
      } catch {
        // There is nobody left to tell.
      }
    };
  return {
    debug: guarded('debug'),
    info: guarded('info'),
    warn: guarded('warn'),
    error: guarded('error'),
  };
}

/**
 * `node:diagnostics_channel` channels, by what they report. Messages are built only while somebody
 * listens. Their names and fields are listed in docs/diagnostics.md.
 */
export const diagnostics: {
  readonly sync: Channel;
  readonly roll: Channel;
  readonly recover: Channel;
  readonly poison: Channel;
  readonly queue: Channel;
} = {
  sync: diagnosticsChannel('redexlog:sync'),
  roll: diagnosticsChannel('redexlog:roll'),
  recover: diagnosticsChannel('redexlog:recover'),
  poison: diagnosticsChannel('redexlog:poison'),
  queue: diagnosticsChannel('redexlog:queue'),
};
