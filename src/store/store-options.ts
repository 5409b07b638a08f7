/** The options of Redex.open, checked once. */
import {
  checkStored,
  DEFAULT_STORED,
  storedWith,
  type ConfigureOptions,
  type StoredChannelOptions,
} from '../channel/options.js';
import { checkKnown, checkType } from '../channel/option-checks.js';
import { checkSettings, SETTING_NAMES, type SettingsOptions } from '../channel/settings.js';

/**
 * `sync`, `segmentBytes`, `segmentMs` and `retention` are the defaults of channels that are
 * created: they change nothing for those that exist.
 */
export interface RedexOptions extends ConfigureOptions, SettingsOptions {
  /**
   * Looks at a directory that another process may be writing to, without a lock and without
   * changing anything. Default: false.
   */
  readonly readOnly?: boolean | undefined;
  /** Default: true. When false, a data directory that is not there is NOT_FOUND. */
  readonly createIfMissing?: boolean | undefined;
}

const KNOWN: ReadonlySet<string> = new Set([
  ...SETTING_NAMES,
  'sync',
  'segmentBytes',
  'segmentMs',
  'retention',
  'readOnly',
  'createIfMissing',
]);

export function checkDirectory(directory: unknown): asserts directory is string {
  if (typeof directory !== 'string' || directory === '' || directory.includes('\0')) {
    throw new TypeError('a directory must be a non-empty string without NUL');
  }
}

/** Throws TypeError or RangeError for what cannot be meant. */
export function checkRedexOptions(directory: unknown, options: RedexOptions): void {
  checkDirectory(directory);
  checkKnown(options, KNOWN);
  checkStored(options);
  checkSettings(options);
  checkType('readOnly', options.readOnly, 'boolean');
  checkType('createIfMissing', options.createIfMissing, 'boolean');
}

/** What is stored with a channel that is created without options of its own. */
export function channelDefaults(options: RedexOptions): StoredChannelOptions {
  return storedWith(options, DEFAULT_STORED);
}
