/**
 * One life of the program that is to be killed: starts it, hands on what it says, and ends it at
 * the moment that is asked for.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { KillLoadArguments } from './process-kill-load.js';
import type { KillMessage } from './process-kill-records.js';

/** For a program to notice what was done to it. */
const PATIENCE_MS = 20_000;

/** When the end comes. */
export type Moment =
  /** Milliseconds after the program began to open the store. */
  | { readonly kind: 'open'; readonly ms: number }
  /** Milliseconds after it has done enough. */
  | { readonly kind: 'load'; readonly isDue: () => boolean; readonly ms: number };

export interface Life<M = KillMessage> {
  readonly program: string;
  readonly directory: string;
  readonly seed: number;
  readonly life: number;
  readonly moment: Moment;
  /** A command that runs the program, such as a tracer with its options. */
  readonly wrapper?: readonly string[];
  /** Takes what it says; what it throws is what the life rejects with. */
  readonly take: (message: M) => void;
  /** What ends it; SIGKILL when absent. */
  readonly end?: () => Promise<void>;
}

export interface LifeEnd {
  readonly moment: 'before' | 'opening' | 'later';
  /** How it ended. */
  readonly end: NodeJS.Signals | number | null;
  /** The caller's moment came before anything else ended it. */
  readonly isEnded: boolean;
  /** The code that it said it was failing with. */
  readonly failure: string | undefined;
  readonly recoveries: number;
}

export function live<M extends readonly unknown[] = KillMessage>(life: Life<M>): Promise<LifeEnd> {
  return new Running(life).ended;
}

class Running<M extends readonly unknown[]> {
  readonly ended: Promise<LifeEnd>;
  readonly #life: Life<M>;
  readonly #child: ChildProcess;
  #pid: number | undefined;
  #moment: LifeEnd['moment'] = 'before';
  #recoveries = 0;
  #failure: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isEnded = false;
  /** What was begun to end it: it may take longer than the program. */
  #ending: Promise<void> = Promise.resolve();
  #error: Error | undefined;

  constructor(life: Life<M>) {
    this.#life = life;
    const { wrapper = [], program, directory, seed } = life;
    const told: KillLoadArguments = [directory, String(seed), String(life.life)];
    const [name, ...args] = [...wrapper, process.execPath, program, ...told];
    this.#child = spawn(name, args, {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
      env: { ...process.env, UV_THREADPOOL_SIZE: wrapper.length > 0 ? '1' : '4' },
    });
    const lines = createInterface({ input: this.#child.stdio[3] as Readable });
    lines.on('line', (line) => this.#take(line));
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => {
        clearTimeout(this.#timer);
        const settle = (): void => {
          if (this.#error === undefined) resolve(this.#result(signal ?? code));
          else reject(this.#error);
        };
        void this.#ending.then(settle);
      });
    });
  }

  #result(end: NodeJS.Signals | number | null): LifeEnd {
    return {
      moment: this.#moment,
      end,
      isEnded: this.#isEnded,
      failure: this.#failure,
      recoveries: this.#recoveries,
    };
  }

  #take(line: string): void {
    if (this.#error !== undefined) return;
    try {
      // The end of the process may have cut the last line off.
      if (!line.endsWith(']')) return;
      const message: unknown = JSON.parse(line);
      this.#note(message as KillMessage);
      this.#life.take(message as M);
      const { moment } = this.#life;
      if (moment.kind === 'load' && moment.isDue()) this.#endIn(moment.ms);
    } catch (error) {
      this.#abort(error);
    }
  }

  #note(message: KillMessage): void {
    const { moment } = this.#life;
    if (message[0] === 'start') {
      this.#pid = message[1];
      this.#moment = 'opening';
      if (moment.kind === 'open') this.#endIn(moment.ms);
    } else if (message[0] === 'open') {
      this.#recoveries = message[1];
      this.#moment = 'later';
    } else if (message[0] === 'failed') {
      [, this.#failure] = message;
    }
  }

  #endIn(ms: number): void {
    this.#timer ??= setTimeout(() => this.#endNow(), ms);
  }

  #endNow(): void {
    this.#isEnded = true;
    const { end } = this.#life;
    if (end === undefined) {
      this.#kill();
      return;
    }
    this.#ending = end().catch((error: unknown) => this.#abort(error));
    this.#timer = setTimeout(() => this.#abort(new Error('it does not end')), PATIENCE_MS);
  }

  #abort(error: unknown): void {
    this.#error ??= error instanceof Error ? error : new Error(String(error));
    this.#kill();
  }

  /** The program itself: without its tracer it would go on. */
  #kill(): void {
    const { exitCode, signalCode } = this.#child;
    if (this.#pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(this.#pid, 'SIGKILL');
    } catch {
      // It is gone already.
    }
  }
}
