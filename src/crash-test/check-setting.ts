/** What all checks of the images of one life share. */
import type { Counters } from './counters.js';
import type { KnownLooks } from './known-looks.js';
import type { LookSetting } from './look.js';

export interface CheckSetting extends LookSetting {
  readonly counters: Counters;
  readonly known: KnownLooks;
}
