/**
 * A store that one Redex writes to and another one, with readOnly, looks at: as two processes on
 * one machine would, over one disk in memory. What the reader does is counted, and it has a clock
 * of its own that is moved by hand.
 */
import { expect } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import type { RedexOptions } from '../../src/store/store-options.js';
import { encodeChannelName } from '../../src/format/channel-name.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import type { LogRecord } from '../../src/core/record.js';
import { payload, payloadId } from './channel-kit.js';

export const DATA = '/data';

export function pathOf(name: string): string {
  return `${DATA}/channels/${encodeChannelName(name)}`;
}

export class ReadOnlyLab {
  readonly disk: CrashFs = new CrashFs();
  /** What the reader does. */
  readonly reads: FaultFs = new FaultFs(this.disk);
  /** The clock of the reader. */
  readonly runtime: ManualRuntime = new ManualRuntime();
  readonly #writers: ManualRuntime = new ManualRuntime({ seed: 2 });

  write(options: RedexOptions = {}): Promise<Redex> {
    return Redex.open(DATA, { sync: 'never', ...options, fs: this.disk, runtime: this.#writers });
  }

  /** Time goes by for the writers alone: what they do when they are idle is done. */
  async idle(): Promise<void> {
    await this.#writers.elapse(5000);
  }

  look(options: RedexOptions = {}): Promise<Redex> {
    const { reads: fs, runtime } = this;
    return Redex.open(DATA, { ...options, fs, runtime, readOnly: true });
  }

  /** A channel with these payloads, made by a writer of its own and closed again. */
  async make(name: string, ...ids: readonly number[]): Promise<void> {
    await using writer = await this.write();
    const channel = await writer.channel(name);
    for (const id of ids) await channel.append(payload(id));
  }

  async delete(name: string): Promise<void> {
    await using writer = await this.write();
    expect(await writer.deleteChannel(name)).toBe(true);
  }

  /** When the timers of the reader are due, from now. */
  get delays(): number[] {
    return this.runtime.pending.map(({ dueMs }) => dueMs - this.runtime.monotonic());
  }

  /** The reader has only ever read. */
  expectOnlyReads(): void {
    const { calls } = this.reads;
    expect([calls.in('anyMutation'), calls.in('anySync'), calls.of('tryLockSync')]).toEqual([
      0, 0, 0,
    ]);
  }
}

/** The numbers of the payloads. */
export async function idsIn(records: AsyncIterable<LogRecord>): Promise<(number | undefined)[]> {
  const ids: (number | undefined)[] = [];
  for await (const { payload: bytes } of records) ids.push(payloadId(bytes));
  return ids;
}

/** What a list says: names with the ends, or with the code of an error. */
export async function listOf(redex: Redex): Promise<[string, number | string][]> {
  const found: [string, number | string][] = [];
  for await (const { name, nextSeq, error } of redex.channels()) {
    found.push([name, nextSeq ?? error?.code ?? 'nothing']);
  }
  return found;
}

/** The seq that a step of a tail has given. */
export function seqOf(step: IteratorResult<LogRecord> | undefined): number | undefined {
  return step === undefined || step.done === true ? undefined : step.value.seq;
}
