/**
 * A program, or a worker thread, that opens a data directory, tells what came of it, and holds on
 * until it is killed. Usage: node process-store.js DIRECTORY [NAME], with a channel to its parent.
 * With a NAME it first appends ten records to the channel of that name.
 */
import process from 'node:process';
import { parentPort } from 'node:worker_threads';
import { RedexError } from '../../src/core/errors.js';
import { Redex } from '../../src/store/redex.js';

export interface StoreReport {
  readonly opened: boolean;
  readonly pid: number;
  /** Of the error. */
  readonly code?: string;
  readonly message?: string;
  readonly holder?: number | undefined;
}

async function report(directory: string, name: string | undefined): Promise<StoreReport> {
  const { pid } = process;
  try {
    const redex = await Redex.open(directory);
    if (name !== undefined) {
      const channel = await redex.channel(name, { sync: 'never' });
      for (let i = 0; i < 10; i += 1) await channel.append(`record ${i}`);
    }
    return { opened: true, pid };
  } catch (error) {
    const { message } = error as Error;
    if (!RedexError.is(error)) return { opened: false, pid, message };
    const holder = RedexError.is(error, 'LOCKED') ? error.pid : undefined;
    return { opened: false, pid, code: error.code, message, holder };
  }
}

const told = await report(process.argv[2] ?? '', process.argv[3]);
if (parentPort !== null) {
  parentPort.postMessage(told, []);
  // Keeps the thread.
  parentPort.on('message', () => undefined);
} else {
  process.send?.(told);
  // Keeps the process, as long as it has a parent.
  process.on('message', () => undefined);
}
