/**
 * An open file of a CrashFs: records each operation, puts asynchronous ones off, and reports a
 * failed write-back once, as a descriptor of Linux does (errseq).
 */
import type { OpenMode } from '../fs/file-system.js';
import { MemoryFileHandle, requireRange } from '../fs/memory-file-handle.js';
import { systemError } from '../fs/system-error.js';
import type { CrashState, InFlightWrite } from './crash-image.js';
import type { CrashFile, SyncCapture } from './crash-nodes.js';
import type { Operation, OperationLog } from './operations.js';

export class CrashFileHandle extends MemoryFileHandle<CrashFile> {
  readonly #state: CrashState;
  readonly #log: OperationLog;
  #errorsReported: number;
  #syncsInFlight = 0;

  constructor(file: CrashFile, path: string, mode: OpenMode, state: CrashState, log: OperationLog) {
    super(file, path, mode);
    this.#state = state;
    this.#log = log;
    this.#errorsReported = file.errorsSeen;
  }

  override readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const effect = (): number => super.readSync(buffer, offset, length, position);
    return this.#log.run('readSync', this.path, effect, { position, length });
  }

  override read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    const begin = (): (() => number) => {
      this.requireOpen('read');
      requireRange(buffer, offset, length, position);
      return () => this.file.bytes.read(buffer, offset, length, position);
    };
    return this.#log.runLater('read', this.path, begin, { position, length });
  }

  override writeSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const effect = (): number => super.writeSync(buffer, offset, length, position);
    return this.#log.run('writeSync', this.path, effect, { position, length });
  }

  override write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    const begin = (): (() => number) => {
      this.requireWritable('write');
      requireRange(buffer, offset, length, position);
      const { file } = this;
      const after = this.#state.sequence.last;
      const inFlight: InFlightWrite = { file, buffer, offset, length, position, after };
      this.#state.writes.add(inFlight);
      return () => {
        this.#state.writes.delete(inFlight);
        this.file.write(buffer, offset, length, position);
        return length;
      };
    };
    return this.#log.runLater('write', this.path, begin, { position, length });
  }

  override truncateSync(size: number): void {
    this.#log.run('truncateSync', this.path, () => super.truncateSync(size), { length: size });
  }

  override sizeSync(): number {
    return this.#log.run('sizeSync', this.path, () => super.sizeSync());
  }

  override datasyncSync(): void {
    this.#log.run('datasyncSync', this.path, () => {
      super.datasyncSync();
      this.#noteOverlap();
      this.#endSync(this.file.beginSync(), 'datasyncSync');
    });
  }

  override datasync(): Promise<void> {
    return this.#log.runLater('datasync', this.path, () => {
      this.requireOpen('datasync');
      this.#noteOverlap();
      const capture = this.file.beginSync();
      this.#syncsInFlight += 1;
      return () => {
        this.#syncsInFlight -= 1;
        this.#endSync(capture, 'datasync');
      };
    });
  }

  override tryLockSync(): boolean {
    return this.#log.run('tryLockSync', this.path, () => super.tryLockSync());
  }

  override closeSync(): void {
    this.#log.run('closeSync', this.path, () => super.closeSync());
  }

  #noteOverlap(): void {
    if (this.#syncsInFlight > 0) this.#state.overlappingSyncs += 1;
  }

  #endSync(capture: SyncCapture, operation: Operation): void {
    this.file.endSync(capture);
    if (capture.fault === 'ignore') return;
    if (capture.fault === undefined) {
      this.#state.syncedSequence = Math.max(this.#state.syncedSequence, capture.upTo);
    }
    const { errors } = this.file;
    if (errors === undefined || errors.count === this.#errorsReported) return;
    this.#errorsReported = errors.count;
    errors.reported = true;
    throw systemError(errors.code, operation, this.path);
  }
}
