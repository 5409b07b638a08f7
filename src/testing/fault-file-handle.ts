/**
 * An open file of a FaultFs. It knows which of its writes a sync covers by numbering the begins
 * and ends of both.
 */
import type { FileHandle } from '../fs/file-system.js';
import { systemError } from '../fs/system-error.js';
import type { FaultContext } from './fault-context.js';
import type { Operation } from './operations.js';

/** How much of a read or a write to do, and with what the next one then fails. */
interface Allowance {
  readonly length: number;
  readonly thenError: string | undefined;
}

/** After a short read or write: what the next one fails with. */
interface Pending {
  error: string | undefined;
}

export class FaultFileHandle implements FileHandle {
  readonly path: string;
  readonly #inner: FileHandle;
  readonly #context: FaultContext;
  readonly #nextRead: Pending = { error: undefined };
  readonly #nextWrite: Pending = { error: undefined };
  #clock = 0;
  #lastWriteEnd = 0;
  #writesInFlight = 0;
  #syncedUpTo = 0;

  constructor(inner: FileHandle, context: FaultContext) {
    this.#inner = inner;
    this.#context = context;
    this.path = inner.path;
  }

  get unsynced(): boolean {
    return this.#writesInFlight > 0 || this.#lastWriteEnd > this.#syncedUpTo;
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const allowance = this.#allow('readSync', length, this.#nextRead);
    if (allowance instanceof Error) throw allowance;
    const count = this.#inner.readSync(buffer, offset, allowance.length, position);
    this.#nextRead.error = allowance.thenError;
    return count;
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    const allowance = this.#allow('read', length, this.#nextRead);
    if (allowance instanceof Error) {
      await this.#context.later();
      throw allowance;
    }
    const count = await this.#inner.read(buffer, offset, allowance.length, position);
    this.#nextRead.error = allowance.thenError;
    return count;
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const allowance = this.#allow('writeSync', length, this.#nextWrite, 'ENOSPC');
    if (allowance instanceof Error) throw allowance;
    let written: number | undefined;
    this.#beginWrite(position, length);
    try {
      written = this.#inner.writeSync(buffer, offset, allowance.length, position);
      this.#nextWrite.error = allowance.thenError;
      return written;
    } finally {
      this.#endWrite(written, position);
    }
  }

  async write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    const allowance = this.#allow('write', length, this.#nextWrite, 'ENOSPC');
    if (allowance instanceof Error) {
      await this.#context.later();
      throw allowance;
    }
    let written: number | undefined;
    this.#beginWrite(position, length);
    try {
      written = await this.#inner.write(buffer, offset, allowance.length, position);
      this.#nextWrite.error = allowance.thenError;
      return written;
    } finally {
      this.#endWrite(written, position);
    }
  }

  truncateSync(size: number): void {
    this.#context.run('truncateSync', this.path, () => {
      const { events } = this.#context;
      let ok = false;
      events.push({ kind: 'writeBegin', path: this.path });
      try {
        this.#inner.truncateSync(size);
        this.#lastWriteEnd = this.#clock += 1;
        ok = true;
      } finally {
        events.push({ kind: 'writeEnd', path: this.path, ok });
      }
    });
  }

  sizeSync(): number {
    return this.#context.run('sizeSync', this.path, () => this.#inner.sizeSync());
  }

  datasyncSync(): void {
    const began = this.#beginSync();
    let ok = false;
    try {
      this.#context.syncNow('datasyncSync', this.path, this.#inner, () =>
        this.#inner.datasyncSync(),
      );
      ok = true;
    } finally {
      this.#endSync(began, ok);
    }
  }

  async datasync(): Promise<void> {
    const began = this.#beginSync();
    let ok = false;
    try {
      await this.#context.syncLater('datasync', this.path, this.#inner, () =>
        this.#inner.datasync(),
      );
      ok = true;
    } finally {
      this.#endSync(began, ok);
    }
  }

  tryLockSync(): boolean {
    return this.#context.run('tryLockSync', this.path, () => this.#inner.tryLockSync());
  }

  closeSync(): void {
    const fault = this.#context.call('closeSync', this.path);
    this.#inner.closeSync();
    this.#context.open.delete(this);
    if (this.unsynced) this.#context.closedUnsynced.push(this.path);
    if (fault === undefined || !('error' in fault)) return;
    throw systemError(fault.error, 'closeSync', this.path);
  }

  /** Counts the call, and says how much of it is to be done, or why nothing. */
  #allow(
    operation: Operation,
    length: number,
    pending: Pending,
    afterShort?: string,
  ): Allowance | Error {
    const fault = this.#context.call(operation, this.path);
    const { error } = pending;
    pending.error = undefined;
    if (error !== undefined) return systemError(error, operation, this.path);
    if (fault === undefined || 'lie' in fault) return { length, thenError: undefined };
    if ('error' in fault) return systemError(fault.error, operation, this.path);
    return { length: Math.min(fault.short, length), thenError: fault.thenError ?? afterShort };
  }

  #beginWrite(position: number, length: number): void {
    this.#writesInFlight += 1;
    this.#context.events.push({ kind: 'writeBegin', path: this.path, position, length });
  }

  /** `written` is undefined when it failed. */
  #endWrite(written: number | undefined, position: number): void {
    this.#writesInFlight -= 1;
    if (written !== undefined && written > 0) this.#lastWriteEnd = this.#clock += 1;
    const ok = written !== undefined;
    const length = written ?? 0;
    this.#context.events.push({ kind: 'writeEnd', path: this.path, ok, position, length });
  }

  #beginSync(): number {
    this.#context.events.push({ kind: 'syncBegin', path: this.path });
    return this.#clock;
  }

  #endSync(began: number, ok: boolean): void {
    if (ok) this.#syncedUpTo = Math.max(this.#syncedUpTo, began);
    this.#context.events.push({ kind: 'syncEnd', path: this.path, ok });
  }
}
