/** Names that nothing else has: ids of stores, and directories on their way in or out. */
import type { Runtime } from '../core/runtime.js';

const BYTES = 16;

/** 32 lower-case hex digits. */
export function drawName(runtime: Runtime): string {
  return Buffer.from(runtime.random(new Uint8Array(BYTES))).toString('hex');
}

export function isDrawnName(name: string): boolean {
  return /^[0-9a-f]{32}$/.test(name);
}
