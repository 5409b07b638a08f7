/** Takes part in a commit of the QueueStore: messages that are enqueued with the rest of it. */
import type { CheckedMessage } from './enqueue-input.js';
import type { QueueCore } from './queue-core.js';

export class Enqueued {
  readonly core: QueueCore;
  readonly checked: readonly CheckedMessage[];

  constructor(core: QueueCore, checked: readonly CheckedMessage[]) {
    this.core = core;
    this.checked = checked;
  }
}
