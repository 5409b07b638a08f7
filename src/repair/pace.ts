/**
 * How far a plan or a repair is, and whether it is to go on. It is left between two steps, and in
 * the middle of a long one only where that leaves nothing behind: what has been done stays, and the
 * next repair does the rest.
 */

export interface RepairProgress {
  /** A repair makes its plan first, and reads everything twice. */
  readonly phase: 'plan' | 'repair';
  /** The channel that is being looked at: its entry in `channels`; none for the store itself. */
  readonly channel: string | undefined;
  /** Channels that are done, and all that are to be. */
  readonly channelsDone: number;
  readonly channels: number;
  /** Bytes of segments that were read in this phase so far, each time that they were. */
  readonly bytesRead: number;
}

export interface PaceOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: RepairProgress) => void) | undefined;
}

export class RepairPace {
  readonly #phase: RepairProgress['phase'];
  readonly #options: PaceOptions;
  #channel: string | undefined;
  #channelsDone = 0;
  #channels = 0;
  #bytesRead = 0;

  constructor(phase: RepairProgress['phase'], options: PaceOptions) {
    this.#phase = phase;
    this.#options = options;
  }

  /** Throws the signal's reason. */
  check(): void {
    this.#options.signal?.throwIfAborted();
  }

  /** The channels are known; none is done. */
  begin(channels: number): void {
    this.#channels = channels;
    this.#tell();
  }

  enter(channel: string): void {
    this.#channel = channel;
    this.#tell();
  }

  leave(): void {
    this.#channel = undefined;
    this.#channelsDone++;
    this.#tell();
  }

  /** So many bytes more were read. Throws the signal's reason, and what `onProgress` throws. */
  readonly read = (bytes: number): void => {
    this.#bytesRead += bytes;
    this.#tell();
  };

  #tell(): void {
    this.check();
    this.#options.onProgress?.({
      phase: this.#phase,
      channel: this.#channel,
      channelsDone: this.#channelsDone,
      channels: this.#channels,
      bytesRead: this.#bytesRead,
    });
  }
}
