/** The durability classes; figures compare only within one. */

export const WRITTEN = 'OS buffer: survives the process, not a power cut';
export const SYNCED = 'synced: each acknowledged record survives a power cut';
export const NONE = 'none: reading from the file cache';
